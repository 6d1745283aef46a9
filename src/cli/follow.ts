import { setTimeout as sleep } from "node:timers/promises";
import { layOut } from "../plan/layout.ts";
import type { Plan } from "../plan/plan.ts";
import { sentenceOf } from "../plan/sentence.ts";
import type { RunEvent } from "../run/events.ts";
import type { Report } from "../run/report-schema.ts";
import type { Outcome } from "./exit-code.ts";
import { messageOf } from "./failure.ts";
import { writeReport } from "./report-file.ts";
import type { Session } from "./session.ts";
import { onSignal } from "./signals.ts";
import { renderSummary } from "./summary.ts";
import type { Terminal } from "./terminal.ts";
import { openView, type View } from "./view.ts";

export interface FollowOptions {
  quiet: boolean;
  /** Files to write the report to. */
  reports: readonly string[];
  terminal: Terminal;
}

/** From the first signal to the report, at most. */
const INTERRUPT_LIMIT_MS = 5_000;
/** A system that tells nothing of a test for so long is shown without its first line. */
const INTRODUCTION_LIMIT_MS = 3_000;

/**
 * Runs a plan on a session from its first line to its summary. The first signal stops it: it drains, and its report is
 * printed and written all the same.
 */
export async function runAndShow(session: Session, plan: Plan, options: FollowOptions): Promise<Outcome> {
  const { terminal } = options;
  const interrupt = new AbortController();
  const interrupted = new Promise<null>((resolve) => interrupt.signal.addEventListener("abort", () => resolve(null)));
  let test_id: string | null = null;
  let note = terminal.note;
  const release = onSignal((signal) => {
    note(`${signal}: stopping; once more ends it at once`);
    if (test_id !== null) session.stop(test_id, "interrupted").catch((error: unknown) => note(`it could not be stopped: ${messageOf(error)}`));
    interrupt.abort();
  }, () => note(session.abandoned(test_id)));
  try {
    const created = await Promise.race([session.create(plan), interrupted]);
    if (created === null) return { interrupted: true };
    test_id = created;
    const { view, unfollow } = await show(session, test_id, options);
    note = view.note;
    try {
      const started = await Promise.race([session.trigger(test_id).then(() => true), interrupted]);
      if (started === null && !(await begun(session, test_id))) return { interrupted: true };
      const late = interrupted.then(() => sleep(INTERRUPT_LIMIT_MS, null, { ref: false }));
      const report = await Promise.race([session.report(test_id), late]);
      unfollow();
      // The report may be there before the last events have come.
      if (report !== null) view.event({ type: "ended", test_id, report });
      view.close();
      if (report === null) {
        terminal.note(`no report came within ${INTERRUPT_LIMIT_MS / 1000} s of the signal`);
        return { interrupted: true };
      }
      const unwritten = await finish(report, session.kept(test_id), options);
      return { interrupted: interrupt.signal.aborted, report, unwritten };
    } finally {
      unfollow();
      view.close();
    }
  } finally {
    release();
  }
}

/** Whether a test that was stopped while it was being triggered had begun: then it has a report. */
async function begun(session: Session, test_id: string): Promise<boolean> {
  const report = await Promise.race([session.report(test_id), sleep(INTERRUPT_LIMIT_MS / 2, null, { ref: false })]);
  return report !== null;
}

/** The first line, then the view; resolves when the test is known and the view is up. */
async function show(session: Session, test_id: string, { terminal, quiet }: FollowOptions) {
  let view: View | null = null;
  let introduced = () => {};
  const introduction = new Promise<void>((resolve) => (introduced = resolve));
  const early: RunEvent[] = [];
  const unfollow = session.follow(test_id, (event) => {
    if (view !== null) return view.event(event);
    if (event.type === "run" && early.length === 0) {
      terminal.line(sentenceOf(event.plan, layOut(event.plan, event.members)));
      introduced();
    }
    early.push(event);
  });
  await Promise.race([introduction, sleep(INTRODUCTION_LIMIT_MS, null, { ref: false })]);
  const opened = await openView(test_id, terminal, quiet);
  for (const event of early) opened.event(event);
  view = opened;
  return { view: opened, unfollow };
}

/** Prints the summary and writes the report files. @returns whether one could not be written */
async function finish(report: Report, kept: string[], { terminal, reports }: FollowOptions): Promise<boolean> {
  const written: string[] = [];
  const failures: string[] = [];
  for (const path of reports) {
    try {
      await writeReport(path, report);
      written.push(`report    ${path}`);
    } catch (error) {
      failures.push(`--report ${path}: it could not be written: ${messageOf(error)}`);
    }
  }
  terminal.line("");
  const lines = renderSummary(report, terminal.width(), terminal.paint, { kept: [...written, ...kept] });
  for (const line of lines) terminal.line(line);
  for (const failure of failures) terminal.note(`onrush: ${failure}`);
  return failures.length > 0;
}
