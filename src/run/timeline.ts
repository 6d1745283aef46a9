import { decodeInto } from "../metrics/codec.ts";
import { createHistogram } from "../metrics/histogram.ts";
import { percentilesUs } from "../metrics/statistics.ts";
import type { Schedule } from "../plan/schedule.ts";
import type { Member } from "./accounts.ts";
import type { TimelineRow } from "./report-schema.ts";
import type { RunState } from "./state.ts";

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

/** One second of the run: the rows of all nodes, merged. */
export function timelineRow(run: RunState, members: readonly Member[], t_s: number): TimelineRow {
  const response = createHistogram();
  const row: TimelineRow = {
    t_s,
    sent: 0,
    completed: 0,
    errors: 0,
    target_rps: targetOfSecond(run, members.length, t_s),
    response: { p50: null, p90: null, p99: null, max: null },
    coverage: 0,
    nodes: {},
  };
  let expected = 0;
  let reported = 0;
  for (const { node_id, foreign, measured } of members) {
    if (foreign) continue;
    expected++;
    const part = measured?.rows.get(t_s)?.row;
    if (!part) continue;
    reported++;
    row.sent += part.sent;
    row.completed += part.completed;
    row.errors += part.errors;
    decodeInto(response, part.response);
    const own = createHistogram();
    decodeInto(own, part.response);
    const p99 = own.count === 0 ? null : ms(percentilesUs(own, [0.99])[0]!);
    row.nodes[node_id] = { sent: part.sent, completed: part.completed, errors: part.errors, p99 };
  }
  row.coverage = expected === 0 ? 0 : reported / expected;
  if (response.count > 0) {
    const [p50, p90, p99] = percentilesUs(response, [0.5, 0.9, 0.99]);
    row.response = { p50: ms(p50!), p90: ms(p90!), p99: ms(p99!), max: ms(response.max_us) };
  }
  return row;
}

function ms(us: number | null): number | null {
  return us === null ? null : Math.round(us) / 1000;
}

/** The schedule's rate inside its window; the second in which the window ends counts in proportion. */
function targetOfSecond(run: RunState, drivers: number, t_s: number): number | null {
  const { schedule } = run.config;
  const rate = targetRps(schedule, drivers);
  if (rate === null || schedule.window_us === null) return rate;
  const share = Math.min(1, Math.max(0, schedule.window_us / 1e6 - t_s));
  return Math.round(rate * share * 1e6) / 1e6;
}
