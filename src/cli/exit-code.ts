import type { Report } from "../run/report-schema.ts";

/** How a command came out. */
export interface Outcome {
  /** The command line or the plan cannot be used. */
  usage?: boolean;
  /** Target, broker or port were unreachable from the start. */
  could_not_run?: boolean;
  interrupted?: boolean;
  /** Of the run, where there was one. */
  report?: Pick<Report, "status" | "verdict" | "complete" | "totals" | "bugs"> | null;
  /** A report that was asked for, or what is shown, could not be written. */
  unwritten?: boolean;
}

export const EXIT = { ok: 0, fail: 1, usage: 2, inconclusive: 3, could_not_run: 4, interrupted: 130 } as const;

/**
 * The first that applies: 2 usage; 4 could not run; 130 interrupted; 1 verdict fail, run failed, or nothing was ok;
 * 3 inconclusive, incomplete, stopped by somebody else, figures that contradict each other, or a report not written; 0.
 */
export function exitCode(outcome: Outcome): number {
  const { report } = outcome;
  if (outcome.usage) return EXIT.usage;
  if (outcome.could_not_run) return EXIT.could_not_run;
  if (outcome.interrupted) return EXIT.interrupted;
  if (report) {
    if (report.verdict === "fail" || report.status === "failed" || report.totals.ok === 0) return EXIT.fail;
    if (report.verdict === "inconclusive" || !report.complete || report.status === "stopped" || report.bugs.length > 0) {
      return EXIT.inconclusive;
    }
  }
  return outcome.unwritten ? EXIT.inconclusive : EXIT.ok;
}
