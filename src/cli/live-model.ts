import type { LatencySummary } from "../metrics/statistics.ts";
import type { Plan } from "../plan/plan.ts";
import type { RunEvent, RunMember } from "../run/events.ts";
import type { NodeReport, Report, TimelineRow, Totals } from "../run/report-schema.ts";

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
    case "progress":
      return { ...model, t_s: event.t_s, totals: event.totals, response: event.latency.response, nodes: event.nodes };
    case "second": {
      const others = model.seconds.filter(({ t_s }) => t_s !== event.row.t_s);
      return { ...model, seconds: [...others, event.row].sort((a, b) => a.t_s - b.t_s).slice(-KEPT_SECONDS) };
    }
    case "mark": {
      const stopping = model.stopping || event.kind === "stopping";
      return { ...model, stopping, marks: [...model.marks, event.text] };
    }
    case "ended":
      return { ...model, phase: "ended", report: event.report };
  }
}

/** The newest second that is over, by every node's account; null: none is yet. */
export function lastSecond(model: LiveModel): TimelineRow | null {
  const { t_s } = model;
  if (t_s === null) return null;
  const over = model.seconds.filter((row) => row.t_s >= 0 && row.t_s < Math.floor(t_s));
  return over.findLast((row) => row.coverage === 1) ?? over.at(-1) ?? null;
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
