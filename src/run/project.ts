import type { NumberedEvent, RunEvent } from "./events.ts";
import { buildReport, standingOf } from "./report.ts";
import type { Report } from "./report-schema.ts";
import { membersOf, stateOf } from "./accounts.ts";
import { withoutSecrets } from "./secrets.ts";
import { memberKey, phaseOf, zeroMs, type Measured, type RunState, type SystemState } from "./state.ts";
import { secondsOf, timelineRows } from "./timeline.ts";

/** What a stream of one run's events has told already. Start a listener that comes late with an empty one. */
export interface Cursor {
  seq: number;
  phase: string;
  /** Sum over the members of their newest seq: it grows with every snapshot. */
  measured: number;
  /** By second: how much that second's rows count. */
  rows: Map<number, number>;
  marks: Set<string>;
  revision: number;
}

export function startCursor(): Cursor {
  return { seq: 0, phase: "", measured: -1, rows: new Map(), marks: new Set(), revision: 0 };
}

/**
 * The events by which a run differs from what the cursor has told, in order; moves the cursor. The history for a late
 * listener is the same function from an empty cursor. `t_s`: seconds since the schedule's zero.
 */
export function eventsSince(state: SystemState, test_id: string, cursor: Cursor, now_ms: number): NumberedEvent[] {
  const run = state.runs.get(test_id);
  if (!run) return [];
  const measured = state.measured.get(test_id);
  const events = [
    ...runEvent(run, cursor),
    ...markEvents(run, measured, cursor),
    ...secondEvents(run, measured, cursor),
    ...progressEvent(run, measured, cursor, now_ms),
    ...endedEvent(run, measured, cursor),
  ];
  return events.map((event) => ({ seq: ++cursor.seq, event }));
}

function runEvent(run: RunState, cursor: Cursor): RunEvent[] {
  const phase = `${phaseOf(run)}${run.stop ? " stopping" : ""}${run.replaced ? " replaced" : ""}`;
  if (cursor.phase === phase) return [];
  cursor.phase = phase;
  const { plan, model, planned, schedule, members } = run.config;
  const epochs = new Map(run.trigger?.members.map((member) => [member.node_id, member.epoch]));
  return [
    {
      type: "run",
      test_id: run.test_id,
      phase: phaseOf(run),
      name: plan.name ?? null,
      plan: withoutSecrets(plan),
      model,
      planned,
      window_ms: schedule.window_us === null ? null : schedule.window_us / 1000,
      zero_at: zeroMs(run),
      members: members.map(({ node_id, epoch, foreign, share }) => ({ node_id, epoch: epochs.get(node_id) ?? epoch, foreign, share })),
    },
  ];
}

function markEvents(run: RunState, measured: Map<string, Measured> | undefined, cursor: Cursor): RunEvent[] {
  const zero = zeroMs(run);
  if (zero === null) return [];
  const marks: { key: string; event: RunEvent }[] = [];
  const add = (key: string, kind: "lost" | "refused" | "stopping", node_id: string | null, at_ms: number, text: string) =>
    marks.push({ key, event: { type: "mark", test_id: run.test_id, t_s: (at_ms - zero) / 1000, kind, node_id, text } });
  for (const [key, lost] of run.lost) add(`lost ${key}`, "lost", lost.node_id, lost.at_ms, `driver ${lost.node_id} was lost (${lost.reason})`);
  for (const member of membersOf(run, measured)) {
    if (stateOf(run, member) === "refused") add(`refused ${member.node_id}`, "refused", member.node_id, zero, `driver ${member.node_id} started too late and refused`);
  }
  if (run.stop) add("stop", "stopping", null, run.stop.at_ms, `stopping: ${run.stop.reason}`);
  const fresh = marks.filter(({ key }) => !cursor.marks.has(key));
  for (const { key } of fresh) cursor.marks.add(key);
  return fresh.map(({ event }) => event);
}

function secondEvents(run: RunState, measured: Map<string, Measured> | undefined, cursor: Cursor): RunEvent[] {
  const members = membersOf(run, measured);
  const changed = secondsOf(members).filter((t_s) => {
    const version = members.reduce((sum, member) => sum + rowVersion(member.measured, t_s), 0);
    if (cursor.rows.get(t_s) === version) return false;
    cursor.rows.set(t_s, version);
    return true;
  });
  return timelineRows(run, members, changed).map((row) => ({ type: "second" as const, test_id: run.test_id, row }));
}

/** Grows with every change of a row: its counts are cumulative. */
function rowVersion(measured: Measured | null, t_s: number): number {
  const known = measured?.rows.get(t_s);
  if (!known) return 0;
  const { scheduled, sent, completed, errors } = known.row;
  return 1 + scheduled + sent + completed + errors;
}

function progressEvent(run: RunState, measured: Map<string, Measured> | undefined, cursor: Cursor, now_ms: number): RunEvent[] {
  const zero = zeroMs(run);
  if (zero === null) return [];
  let version = run.lost.size + (run.ended ? 1 : 0);
  for (const member of measured?.values() ?? []) version += (member.snapshot?.seq ?? -1) + 1 + member.cadence.count;
  if (version === cursor.measured) return [];
  cursor.measured = version;
  const { totals, latency, nodes } = standingOf(run, measured);
  const { response, service } = latency;
  return [{ type: "progress", test_id: run.test_id, t_s: (now_ms - zero) / 1000, totals, latency: { response, service }, nodes }];
}

function endedEvent(run: RunState, measured: Map<string, Measured> | undefined, cursor: Cursor): RunEvent[] {
  if (!run.ended) return [];
  const revision = revisionOf(run, measured);
  if (revision === cursor.revision) return [];
  cursor.revision = revision;
  return [{ type: "ended", test_id: run.test_id, report: buildReport(run, measured, revision) }];
}

/** 1 for the report at the end; one more for each final that came later than the end names it. */
export function revisionOf(run: RunState, measured: Map<string, Measured> | undefined): number {
  const known = new Map(run.ended?.basis.map((basis) => [`${basis.node_id}@${basis.epoch}`, basis]));
  let later = 0;
  for (const member of measured?.values() ?? []) {
    if (member.epoch === null || !member.snapshot) continue;
    const basis = known.get(`${member.node_id}@${member.epoch}`);
    if (basis && !basis.final && member.final_seq >= 0) later++;
  }
  return 1 + later;
}

/** Every snapshot that the end of a run names was folded: control may be read before the metrics that it rests on. */
export function holdsBasis(run: RunState, measured: Map<string, Measured> | undefined): boolean {
  return (run.ended?.basis ?? []).every(({ node_id, epoch, seq, final }) => {
    const member = measured?.get(memberKey(node_id, epoch));
    return seq < 0 || ((member?.snapshot?.seq ?? -1) >= seq && (!final || (member?.final_seq ?? -1) >= 0));
  });
}

/** The report of a test that has ended and is still in the state; null otherwise. */
export function reportOf(state: SystemState, test_id: string): Report | null {
  const run = state.runs.get(test_id);
  if (!run?.ended) return null;
  const measured = state.measured.get(test_id);
  return buildReport(run, measured, revisionOf(run, measured));
}
