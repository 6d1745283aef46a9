import type { LatencySummary } from "../metrics/statistics.ts";
import type { TlsSummary } from "../metrics/tls.ts";
import type { Plan } from "../plan/plan.ts";
import type { EndReason } from "../protocol/messages.ts";

export const REPORT_SCHEMA = "onrush.report/1";

export type NeverSentReason = Exclude<EndReason, "schedule" | "left"> | "driver_lost" | "driver_left";

/**
 * Accounting (slots are due requests):
 *
 *     planned + overlap = scheduled + never_sent (+ not yet due while live)
 *     scheduled = sent + dropped (+ waiting while live)
 *     sent      = ok + http_error + network_error + timeout + aborted + unknown (+ in_flight while live)
 */
export interface Totals {
  planned: number;
  scheduled: number;
  never_sent: number;
  /** never_sent by reason; their sum is never_sent. */
  never_sent_reasons: Partial<Record<NeverSentReason, number>>;
  sent: number;
  dropped: number;
  ok: number;
  http_error: number;
  network_error: number;
  timeout: number;
  aborted: number;
  /** Upper bound of what was perhaps sent by a node that could not report it. */
  unknown: number;
  /** Work beyond the plan: slots that had moved and were sent all the same. */
  overlap: number;
  /** The most that may still turn out to be overlap; null: unbounded. */
  overlap_max: number | null;
  /** ok + http_error */
  completed: number;
  in_flight: number;
  waiting: number;
  bytes_in: number;
  bytes_out: number;
  /** Completed inside the window / window. */
  rps: number;
  /** null: as fast as the target answers. */
  target_rps: number | null;
  reconnects: number;
  waited_for_connection: number;
  backlog_max: number;
}

export interface Latency {
  response: LatencySummary;
  service: LatencySummary;
  connect: LatencySummary;
  /** The part of connect that TLS took. */
  tls: LatencySummary;
  failed: LatencySummary;
}

export interface NodeReport {
  node_id: string;
  epoch: number;
  state: "ready" | "running" | "finished" | "lost" | "left" | "refused";
  foreign: boolean;
  source: "histogram" | "summary";
  totals: Totals;
  latency: Latency;
  /** Actual minus intended zero of the schedule; null: it never started, or does not say. */
  start_offset_ms: number | null;
  send_lateness_us: { p50: number | null; p99: number | null; max: number | null };
  /** Seconds of the run for which a row of it came / seconds in which it ran; null for foreign nodes. */
  coverage: number | null;
  /** Seconds since the schedule's zero. */
  lost_at: number | null;
  pacing: "precise" | "timer" | null;
  /** null: no TLS handshake was done. */
  tls: TlsSummary | null;
}

export interface TimelineRow {
  t_s: number;
  sent: number;
  completed: number;
  errors: number;
  target_rps: number | null;
  response: { p50: number | null; p90: number | null; p99: number | null; max: number | null };
  /** Nodes with a row of this second / nodes expected. */
  coverage: number;
  nodes: Record<string, { sent: number; completed: number; errors: number; p99: number | null }>;
}

export type Verdict = "pass" | "fail" | "inconclusive" | "none";

export interface ThresholdResult {
  expression: string;
  /** In the expression's own unit; null: censored, or nothing was measured. */
  actual: number | null;
  verdict: Exclude<Verdict, "none">;
  reason: string | null;
}

export interface GeneratorReport {
  cpu: number;
  utilisation: number;
  valid: boolean;
  reasons: string[];
}

export interface Report {
  schema: typeof REPORT_SCHEMA;
  revision: number;
  test_id: string;
  name: string | null;
  plan: Plan;
  model: "open" | "closed";
  /** ISO 8601. started_at: the schedule's zero. */
  started_at: string | null;
  ended_at: string;
  duration_s: number;
  drain_s: number;
  status: "completed" | "stopped" | "failed";
  complete: boolean;
  incomplete_reasons: { node_id: string; reason: string }[];
  verdict: Verdict;
  thresholds: ThresholdResult[];
  totals: Totals;
  /** The warm-up's own totals, where there was one. */
  warmup: { sent: number; completed: number; errors: number } | null;
  latency: Latency;
  /** Of all nodes; null: no TLS handshake was done. */
  tls: TlsSummary | null;
  statuses: Record<string, number>;
  errors: { kind: string; message: string; count: number }[];
  nodes: NodeReport[];
  timeline: TimelineRow[];
  start_spread_ms: number | null;
  generator: GeneratorReport;
  /** Violated invariants: always empty, or Onrush has a bug. */
  bugs: string[];
}
