import type { Snapshot } from "../metrics/snapshot.ts";
import type { Range } from "../plan/schedule.ts";
import type { EndedCommand } from "../protocol/control.ts";
import type { EndReason } from "../protocol/messages.ts";
import { reportId, reportKey, reportOf } from "./report.ts";
import { PLAIN_COPIES, type Job, type Origin, type Report, type Result } from "./state.ts";
import { log, type Turn } from "./turn.ts";

/** What a report is made from besides what was measured. */
type Reporting = Pick<Job, "wanted" | "epoch" | "next_seq" | "ended">;

const REPEAT_MS = 1_000;
/** Nobody leads: after a minute of repeating, the log has it; from then on now and then. */
const EAGER_REPEATS = 60;
const SELDOM_REPEAT_MS = 30_000;
const RESULTS_KEPT = 32;

/** Publishes what a job measured until now, as its next report. */
export function reportProgress(turn: Turn, job: Job, snapshot: Snapshot): void {
  const report = nextReport(turn, job, snapshot, null);
  turn.state.job = { ...job, next_seq: job.next_seq + 1, last: report };
  publish(turn, report);
  turn.effects.push({ type: "save", report, origin: job.wanted.origin });
}

/** Publishes the last report of a job and repeats it until somebody is known to have read it. */
export function reportFinal(turn: Turn, job: Reporting, snapshot: Snapshot, end_reason: EndReason): void {
  const report = nextReport(turn, job, snapshot, end_reason);
  turn.effects.push({ type: "save", report, origin: job.wanted.origin });
  keep(turn, report, job.wanted.origin, job.wanted.origin === "plain" || job.ended);
}

/**
 * A final that was sent already also knows of what was moved here since: nothing of that was sent, nor will be. (What
 * ended by its schedule goes on instead.)
 */
export function raiseFinal(turn: Turn, { test_id, epoch }: Pick<Report, "test_id" | "epoch">, ranges: readonly Range[], revision: number): void {
  const { state } = turn;
  state.results = state.results.map((result) => {
    const { report, origin } = result;
    if (report.test_id !== test_id || report.epoch !== epoch || !report.final || report.node_id !== state.options.node_id) return result;
    const seq = report.seq + 1;
    const given = ranges.map(({ range_id }) => ({ range_id, taken: 0, ...(report.end_reason === "left" && { given_back: true }) }));
    const raised = { ...report, seq, revision, report_id: reportId(report, seq), ranges: [...report.ranges, ...given] };
    turn.effects.push({ type: "save", report: raised, origin });
    publish(turn, raised);
    return { ...result, report: raised, next_at_ms: turn.now_ms + REPEAT_MS };
  });
}

/** A job that goes on has no final yet. */
export function withdrawFinal(turn: Turn, job: Job): void {
  turn.state.results = turn.state.results.filter(({ report }) => report.test_id !== job.wanted.test_id || report.epoch !== job.epoch);
}

/** Publishes once more what a job measured before its engine broke. It is no final: what came after is not known. */
export function reportLast(turn: Turn, { last, wanted }: Job): void {
  if (last) keep(turn, last, wanted.origin, true);
}

function nextReport(turn: Turn, job: Reporting, snapshot: Snapshot, end_reason: EndReason | null): Report {
  const { wanted, epoch, next_seq } = job;
  const { test_id, revision } = wanted;
  return reportOf({ node_id: turn.state.options.node_id, test_id, epoch, seq: next_seq, revision, end_reason }, snapshot);
}

function keep(turn: Turn, report: Report, origin: Origin, unacknowledged: boolean): void {
  const { state, now_ms } = turn;
  const result: Result = {
    report,
    origin,
    copies: unacknowledged ? PLAIN_COPIES : null,
    since_ms: now_ms,
    next_at_ms: now_ms + REPEAT_MS,
    repeated: 0,
  };
  const surplus = Math.max(0, state.results.length + 1 - RESULTS_KEPT);
  for (const { report: dropped } of state.results.slice(0, surplus)) {
    log(turn, "warn", "result_dropped", `the result of ${dropped.test_id} is no longer repeated: too many wait`);
  }
  state.results = [...state.results.slice(surplus), result];
  publish(turn, report);
}

function publish(turn: Turn, message: Report): void {
  turn.effects.push({ type: "publish_metrics", key: reportKey(message), message });
}

/** Repeats what is due. Not while the log is away, nor before `control` told what was acknowledged long ago. */
export function repeatResults(turn: Turn): void {
  const { state, now_ms } = turn;
  if (!state.caught_up || !state.bus_connected) return;
  state.results = state.results.map((result) => {
    if (now_ms < result.next_at_ms) return result;
    publish(turn, result.report);
    const repeated = result.repeated + 1;
    const pause_ms = repeated < EAGER_REPEATS ? REPEAT_MS : SELDOM_REPEAT_MS;
    return { ...result, repeated, next_at_ms: now_ms + pause_ms };
  });
}

/** A copy is in the log. The last one that nobody acknowledges ends the matter. */
export function countCopy(turn: Turn, key: string, seq: number): void {
  const done = (result: Result) => result.copies !== null && result.copies <= 0;
  settle(
    turn,
    turn.state.results.map((result) => {
      const { report, copies } = result;
      return copies !== null && reportKey(report) === key && report.seq === seq ? { ...result, copies: copies - 1 } : result;
    }),
    done,
  );
}

/** `ended` acknowledges every final that its basis names; the others of the test get their last copies. */
export function acknowledge(turn: Turn, { test_id, basis }: EndedCommand): void {
  const acknowledged = ({ report }: Result) =>
    report.test_id === test_id &&
    report.final &&
    basis.some(({ node_id, epoch, final }) => final && node_id === report.node_id && epoch === report.epoch);
  settle(
    turn,
    turn.state.results.map((result) =>
      result.report.test_id === test_id ? { ...result, copies: result.copies ?? PLAIN_COPIES } : result,
    ),
    acknowledged,
  );
}

/** Stored results of tests that this log has never heard of: nobody will acknowledge them. */
export function letGoOfUnknown(turn: Turn): void {
  const { state } = turn;
  state.results = state.results.map((result) =>
    state.seen.includes(result.report.test_id) ? result : { ...result, copies: result.copies ?? PLAIN_COPIES },
  );
}

function settle(turn: Turn, results: readonly Result[], isDone: (result: Result) => boolean): void {
  for (const { report } of results.filter(isDone)) {
    const { node_id, test_id, epoch, seq } = report;
    turn.effects.push({ type: "forget", node_id, test_id, epoch, seq });
  }
  turn.state.results = results.filter((result) => !isDone(result));
}
