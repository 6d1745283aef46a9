import { decodeHistogram } from "../metrics/codec.ts";
import type { Histogram } from "../metrics/histogram.ts";
import { percentilesUs } from "../metrics/statistics.ts";
import type { Schedule } from "../plan/schedule.ts";
import { isFinal, type Member } from "./accounts.ts";
import { mergedHistogram } from "./latency.ts";
import type { TimelineRow } from "./report-schema.ts";
import { zeroMs, type RunState } from "./state.ts";

/** The rate that a schedule aims at, of all drivers; null: as fast as the target answers. `drivers`: members. */
export function targetRps(schedule: Schedule, drivers: number): number | null {
  switch (schedule.kind) {
    case "rate":
      return schedule.total_rate_urps / 1e6;
    case "delay":
      return (schedule.drivers * 1e6) / schedule.delay_us;
    case "closed":
      return schedule.rate_urps === null ? null : (schedule.rate_urps * drivers) / 1e6;
  }
}

/** All seconds of which any node sent a row, ascending. */
export function secondsOf(members: readonly Member[]): number[] {
  const seconds = new Set<number>();
  for (const { measured } of members) for (const t_s of measured?.rows.keys() ?? []) seconds.add(t_s);
  return [...seconds].sort((a, b) => a - b);
}

/** The given seconds of the run: the rows of all nodes, merged. */
export function timelineRows(run: RunState, members: readonly Member[], seconds: readonly number[]): TimelineRow[] {
  const measuring = members.filter(({ foreign }) => !foreign).map((member) => ({ ...member, quiet_until_s: quietUntilS(member) }));
  return seconds.map((t_s) => timelineRow(run, measuring, members.length, t_s));
}

/**
 * Before this second a node that sent no row of a second did nothing in it: its rows tell of every request that it
 * counted. Else the row is missing, or not there yet.
 */
function quietUntilS(member: Member): number {
  if (!areRowsWhole(member)) return 0;
  return isFinal(member) ? Infinity : newestSecond(member);
}

/** Every request that the node counted is in one of its rows. */
export function areRowsWhole({ measured }: Member): boolean {
  if (!measured?.snapshot) return false;
  const { sent, ok, http_error, network_error, timeout, aborted } = measured.snapshot.counts;
  const sum = { sent: 0, completed: 0, errors: 0 };
  for (const { row } of measured.rows.values()) {
    sum.sent += row.sent;
    sum.completed += row.completed;
    sum.errors += row.errors;
  }
  return sum.sent === sent && sum.completed === ok + http_error && sum.errors === http_error + network_error + timeout + aborted;
}

function newestSecond({ measured }: Member): number {
  let newest_s = 0;
  for (const t_s of measured?.rows.keys() ?? []) newest_s = Math.max(newest_s, t_s);
  return newest_s;
}

function timelineRow(run: RunState, measuring: readonly (Member & { quiet_until_s: number })[], drivers: number, t_s: number): TimelineRow {
  const parts: Histogram[] = [];
  const row: TimelineRow = {
    t_s,
    sent: 0,
    completed: 0,
    errors: 0,
    target_rps: targetOfSecond(run, drivers, t_s),
    response: { p50: null, p90: null, p99: null, max: null },
    coverage: 0,
    nodes: {},
  };
  let covered = 0;
  for (const { node_id, measured, quiet_until_s } of measuring) {
    const part = measured?.rows.get(t_s)?.row;
    if (part || t_s < quiet_until_s) covered++;
    if (!part) continue;
    row.sent += part.sent;
    row.completed += part.completed;
    row.errors += part.errors;
    const own = decodeHistogram(part.response);
    parts.push(own);
    const p99 = own.count === 0 ? null : ms(percentilesUs(own, [0.99])[0]!);
    row.nodes[node_id] = { sent: part.sent, completed: part.completed, errors: part.errors, p99 };
  }
  row.coverage = measuring.length === 0 ? 0 : covered / measuring.length;
  const response = mergedHistogram(parts);
  if (response.count > 0) {
    const [p50, p90, p99] = percentilesUs(response, [0.5, 0.9, 0.99]);
    row.response = { p50: ms(p50!), p90: ms(p90!), p99: ms(p99!), max: ms(response.max_us) };
  }
  return row;
}

function ms(us: number | null): number | null {
  return us === null ? null : Math.round(us) / 1000;
}

/** The schedule's rate until its window ends or it is stopped; the second in which that is counts in proportion. */
function targetOfSecond(run: RunState, drivers: number, t_s: number): number | null {
  const { schedule } = run.config;
  const rate = targetRps(schedule, drivers);
  const zero = zeroMs(run);
  const stop_s = run.stop && zero !== null ? (run.stop.at_ms - zero) / 1000 : Infinity;
  const end_s = Math.min(schedule.window_us === null ? Infinity : schedule.window_us / 1e6, stop_s);
  if (rate === null || end_s === Infinity) return rate;
  const share = Math.min(1, Math.max(0, end_s - t_s));
  return Math.round(rate * share * 1e6) / 1e6;
}
