import type { Plan } from "../plan/plan.ts";
import type { RunEvent } from "../run/events.ts";
import type { Report } from "../run/report-schema.ts";

/** A system that runs tests: in this process, or somewhere else behind its HTTP API. */
export interface Session {
  /** @returns the new test's id; nothing is sent yet */
  create(plan: Plan): Promise<string>;
  /** Resolves when the start is agreed. Rejects with what keeps it from starting (`target_unreachable`, `not_ready`). */
  trigger(test_id: string): Promise<void>;
  stop(test_id: string, reason: string): Promise<void>;
  /** The test's events: what there is first, then what comes. Gives back what ends it. */
  follow(test_id: string, listener: (event: RunEvent) => void): () => void;
  /** Resolves when the run has ended. */
  report(test_id: string): Promise<Report>;
  /** Where the report is kept, in lines for people. */
  kept(test_id: string): string[];
  /** What becomes of a run that is left before its report, in a line for people. */
  abandoned(test_id: string | null): string;
  close(): Promise<void>;
}
