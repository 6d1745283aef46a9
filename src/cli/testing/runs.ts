import type { LatencySummary, Percentile } from "../../metrics/statistics.ts";
import { parsePlan, type PlanInput } from "../../plan/plan.ts";
import type { RunEvent } from "../../run/events.ts";
import { REPORT_SCHEMA, type Latency, type NodeReport, type Report, type TimelineRow, type Totals } from "../../run/report-schema.ts";

/** Fixed data of one run, in the shapes that the orchestrator tells. */
export function totals(change: Partial<Totals> = {}): Totals {
  return {
    planned: 2000, scheduled: 2000, never_sent: 0, never_sent_reasons: {}, sent: 2000, dropped: 0, ok: 2000, http_error: 0,
    network_error: 0, timeout: 0, aborted: 0, unknown: 0, overlap: 0, overlap_max: 0, completed: 2000, in_flight: 0, waiting: 0,
    bytes_in: 136_000, bytes_out: 228_000, rps: 400, target_rps: 400, reconnects: 0, waited_for_connection: 0, backlog_max: 0,
    ...change,
  };
}

export function latency(scale_ms: number, count: number, censored: Percentile[] = []): LatencySummary {
  const at = (p: Percentile, factor: number) => (censored.includes(p) ? null : scale_ms * factor);
  return {
    count,
    min_ms: scale_ms * 0.5,
    max_ms: scale_ms * 20,
    mean_ms: scale_ms * 1.25,
    stddev_ms: scale_ms * 0.8,
    median_ms: at("50", 1),
    mode_ms: scale_ms * 0.9,
    percentiles_ms: {
      "50": at("50", 1), "75": at("75", 1.5), "90": at("90", 2), "95": at("95", 3), "99": at("99", 8),
      "99.9": at("99.9", 16), "99.99": at("99.99", 20),
    },
    censored,
  };
}

const NO_LATENCY: LatencySummary = {
  count: 0, min_ms: null, max_ms: null, mean_ms: null, stddev_ms: null, median_ms: null, mode_ms: null,
  percentiles_ms: { "50": null, "75": null, "90": null, "95": null, "99": null, "99.9": null, "99.99": null }, censored: [],
};

export function latencies(response: LatencySummary): Latency {
  return { response, service: latency(0.4, response.count), connect: latency(1.5, 128), tls: NO_LATENCY, failed: NO_LATENCY };
}

export function node(node_id: string, change: Partial<NodeReport> = {}): NodeReport {
  return {
    node_id, epoch: 1, state: "finished", foreign: false, source: "histogram",
    totals: totals({ planned: 1000, scheduled: 1000, sent: 1000, ok: 1000, completed: 1000, rps: 200, target_rps: 200 }),
    latency: latencies(latency(0.5, 1000)), start_offset_ms: 0.12, send_lateness_us: { p50: 40, p99: 900, max: 2100 }, coverage: 1,
    lost_at: null, pacing: "timer", tls: null,
    ...change,
  };
}

export function second(t_s: number, sent: number, change: Partial<TimelineRow> = {}): TimelineRow {
  return {
    t_s, sent, completed: sent, errors: 0, target_rps: 400, response: { p50: 0.5, p90: 1, p99: 4, max: 10 }, coverage: 1,
    nodes: {
      "driver-1": { sent: sent / 2, completed: sent / 2, errors: 0, p99: 4 },
      "driver-2": { sent: sent / 2, completed: sent / 2, errors: 0, p99: 4 },
    },
    ...change,
  };
}

export const PLAN = parsePlan({ target: { url: "http://127.0.0.1:8088/ping" }, rate_rps: 200, duration_s: 5 } satisfies PlanInput);

export function report(change: Partial<Report> = {}): Report {
  return {
    schema: REPORT_SCHEMA, revision: 1, test_id: "t-20261121-093015-x7k2", name: null, plan: PLAN, model: "open",
    started_at: "2026-11-21T09:30:15.000Z", ended_at: "2026-11-21T09:30:20.010Z", duration_s: 5, drain_s: 0.01, status: "completed",
    complete: true, incomplete_reasons: [], verdict: "none", thresholds: [], totals: totals(), warmup: null,
    latency: latencies(latency(0.5, 2000)), tls: null, statuses: { "200": 2000 }, errors: [], nodes: [node("driver-1"), node("driver-2")],
    timeline: [], start_spread_ms: 0.08, generator: { cpu: 0.19, utilisation: 0.092, valid: true, reasons: [] }, bugs: [],
    ...change,
  };
}

const MEMBERS = ["driver-1", "driver-2"].map((node_id) => ({ node_id, epoch: 1, foreign: false, share: 1000 }));

/** A run's events until second `until_s` (of 5). */
export function eventsUntil(until_s: number, change: Partial<Totals> = {}): RunEvent[] {
  const test_id = "t-20261121-093015-x7k2";
  const sent = 400 * until_s;
  return [
    { type: "run", test_id, phase: "triggered", name: null, plan: PLAN, model: "open", planned: 2000, window_ms: 5000, zero_at: 1e12, members: MEMBERS },
    ...Array.from({ length: Math.ceil(until_s) }, (_, t_s) => ({ type: "second" as const, test_id, row: second(t_s, t_s === 1 ? 200 : 400) })),
    {
      type: "progress", test_id, t_s: until_s, totals: totals({ scheduled: sent, sent, ok: sent, completed: sent, ...change }),
      latency: { response: latency(0.5, sent), service: latency(0.4, sent) },
      nodes: MEMBERS.map(({ node_id }) => node(node_id, { state: "running", totals: totals({ sent: sent / 2 }) })),
    },
  ];
}
