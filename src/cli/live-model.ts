import type { LatencySummary } from "../metrics/statistics.ts";
import type { Plan } from "../plan/plan.ts";
import type { RunEvent, RunMember } from "../run/events.ts";
import type { NodeReport, Report, TimelineRow, Totals } from "../run/report-schema.ts";
import { byName } from "./figures.ts";

/** All that the terminal shows of one run, folded from its events. */
export interface LiveModel {
  test_id: string;
  phase: "waiting" | "created" | "triggered" | "ended";
  stopping: boolean;
  plan: Plan | null;
  planned: number | null;
  window_ms: number | null;
  /** Wall clock, ms. */
  zero_at: number | null;
  members: RunMember[];
  /** Seconds since the schedule's zero; null: nothing was measured yet. */
  t_s: number | null;
  totals: Totals | null;
  response: LatencySummary | null;
  nodes: NodeReport[];
  /** By second, oldest first. */
  seconds: TimelineRow[];
  marks: string[];
  report: Report | null;
}

const KEPT_SECONDS = 120;

export function emptyModel(test_id: string): LiveModel {
  return {
    test_id,
    phase: "waiting",
    stopping: false,
    plan: null,
    planned: null,
    window_ms: null,
    zero_at: null,
    members: [],
    t_s: null,
    totals: null,
    response: null,
    nodes: [],
    seconds: [],
    marks: [],
    report: null,
  };
}

/** The model after an event; events of other tests change nothing. */
export function reduce(model: LiveModel, event: RunEvent): LiveModel {
  if (event.test_id !== model.test_id) return model;
  switch (event.type) {
    case "run": {
      const { phase, plan, planned, window_ms, zero_at, members } = event;
      return { ...model, phase, plan, planned, window_ms, zero_at, members };
    }
    case "progress": {
      const { t_s, totals, latency } = event;
      const nodes = event.nodes.toSorted((a, b) => byName(a.node_id, b.node_id));
      return { ...model, t_s, totals, response: latency.response, nodes, marks: [...model.marks, ...leavers(model, nodes)] };
    }
    case "second": {
      const others = model.seconds.filter(({ t_s }) => t_s !== event.row.t_s);
      return { ...model, seconds: [...others, event.row].sort((a, b) => a.t_s - b.t_s).slice(-KEPT_SECONDS) };
    }
    case "mark": {
      const stopping = model.stopping || event.kind === "stopping";
      return { ...model, stopping, marks: [...model.marks, event.text] };
    }
    case "ended": {
      const { report } = event;
      const { totals, latency, nodes, timeline, duration_s, drain_s } = report;
      const t_s = report.started_at === null ? null : duration_s + drain_s;
      return { ...model, phase: "ended", report, t_s, totals, response: latency.response, nodes, seconds: timeline.slice(-KEPT_SECONDS) };
    }
  }
}

/** Who has left since, in words: the orchestrator marks no leavers. */
function leavers(model: LiveModel, nodes: readonly NodeReport[]): string[] {
  if (model.phase === "ended") return [];
  const gone = new Set(model.nodes.filter(({ state }) => state === "left").map(({ node_id }) => node_id));
  return nodes.flatMap(({ node_id, state }) => (state === "left" && !gone.has(node_id) ? [`driver ${node_id} left before the end`] : []));
}

/** What was done in one second of the schedule; `target_rps` is null where there is none, as in the drain. */
type Second = Pick<TimelineRow, "t_s" | "sent" | "target_rps" | "nodes">;

/**
 * The newest second whose figures will not grow any more; null: none is yet. That is so once every driver has told of a
 * later one, or has ended, or a whole second (two snapshots) has passed. A second that nobody told of is one in which
 * nothing was done.
 */
export function lastSecond(model: LiveModel): Second | null {
  const { t_s, seconds, nodes, totals, window_ms } = model;
  if (t_s === null) return null;
  const told_s = seconds.findLast(({ coverage }) => coverage === 1)?.t_s ?? 0;
  const running = nodes.some(({ state }) => state === "running");
  // Once it has ended, time goes on without it.
  const end_s = model.phase !== "ended" ? Infinity : window_ms === null ? (seconds.at(-1)?.t_s ?? 0) : Math.ceil(window_ms / 1000) - 1;
  const last_s = Math.min(end_s, Math.max(told_s - 1, Math.floor(t_s) - (running ? 2 : 1)));
  if (last_s < 0) return null;
  const draining = window_ms !== null && last_s * 1000 >= window_ms;
  const target_rps = draining ? null : (totals?.target_rps ?? null);
  const row = seconds.find(({ t_s }) => t_s === last_s) ?? { t_s: last_s, sent: 0, target_rps, nodes: {} };
  return draining ? { ...row, target_rps } : row;
}

/** How many requests had been sent when a second ended: all but those of later ones. */
export function sentUntil(model: LiveModel, second: Second): number {
  const later = model.seconds.filter(({ t_s }) => t_s > second.t_s);
  return later.reduce((left, { sent }) => left - sent, model.totals?.sent ?? 0);
}

/** Errors by kind, only those that happened. */
export function errorKinds(totals: Totals): [kind: string, count: number][] {
  const kinds = ["http_error", "network_error", "timeout", "aborted", "unknown"] as const;
  return kinds.flatMap((kind): [string, number][] => (totals[kind] > 0 ? [[kind, totals[kind]]] : []));
}

/** http_error + network_error + timeout + aborted */
export function errorCount(totals: Totals): number {
  return totals.http_error + totals.network_error + totals.timeout + totals.aborted;
}

/** How much of the run is done, 0 to 1: by time or by count, whichever is further; null: nobody knows. */
export function doneShare(model: LiveModel): number | null {
  const { t_s, window_ms, planned, totals, plan } = model;
  if (t_s === null) return null;
  const counted = plan?.requests !== undefined || plan?.total_requests !== undefined;
  const byTime = window_ms === null ? null : (t_s * 1000) / window_ms;
  const byCount = counted && planned !== null && totals ? totals.scheduled / planned : null;
  if (byTime === null && byCount === null) return null;
  return Math.min(1, Math.max(0, byTime ?? 0, byCount ?? 0));
}
