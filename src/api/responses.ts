import { z } from "zod";
import { PERCENTILES, type LatencySummary } from "../metrics/statistics.ts";
import type { Plan } from "../plan/plan.ts";
import { REPORT_SCHEMA, type Report } from "../run/report-schema.ts";
import { API_ERRORS, type ApiErrorCode, type ErrorBody } from "./errors.ts";
import type { NodeView, TestSummary, TestView } from "./views.ts";

const count = z.int().min(0);
const number = z.number();
const nullable = number.nullable();
const verdict = z.enum(["pass", "fail", "inconclusive", "none"]);
const status = z.enum(["completed", "stopped", "failed"]);
const testState = z.enum(["created", "running", "stopping", "ended", "replaced"]);
const plan = z.custom<Plan>().meta({ type: "object", description: "The plan with its defaults; headers that carry secrets are masked." });

const nodeView: z.ZodType<NodeView> = z.object({
  node_id: z.string(),
  node_ip: z.string(),
  state: z.enum(["idle", "ready", "running", "lost", "left"]),
  foreign: z.boolean().describe("Of another implementation: it speaks only the common format."),
  epoch: z.int(),
  labels: z.record(z.string(), z.string()),
  last_heartbeat_age_s: nullable,
  clock_offset_ms: nullable.describe("Its clock less the leader's."),
  test_id: z.string().nullable(),
});

const summary: z.ZodType<LatencySummary> = z.object({
  count,
  min_ms: nullable,
  max_ms: nullable,
  mean_ms: nullable,
  stddev_ms: nullable,
  median_ms: nullable,
  mode_ms: nullable,
  percentiles_ms: z.record(z.enum(PERCENTILES), nullable),
  censored: z.array(z.enum(PERCENTILES)).describe("Percentiles that lie among failed or dropped requests: null."),
});
const latency = z.object({ response: summary, service: summary, connect: summary, tls: summary, failed: summary });
const tls = z
  .object({ protocol: z.string(), cipher: z.string(), handshakes: count, resumed: count })
  .nullable()
  .describe("null: no TLS handshake was done.");

const totals = z.object({
  planned: count,
  scheduled: count,
  never_sent: count,
  never_sent_reasons: z.partialRecord(z.enum(["stopped", "late_start", "lease_expired", "driver_lost", "driver_left"]), count),
  sent: count,
  dropped: count,
  ok: count,
  http_error: count,
  network_error: count,
  timeout: count,
  aborted: count,
  unknown: count,
  overlap: count,
  overlap_max: nullable,
  completed: count,
  in_flight: count,
  waiting: count,
  bytes_in: count,
  bytes_out: count,
  rps: number,
  target_rps: nullable,
  reconnects: count,
  waited_for_connection: count,
  backlog_max: count,
});

const nodeReport = z.object({
  node_id: z.string(),
  epoch: z.int(),
  state: z.enum(["ready", "running", "finished", "lost", "left", "refused"]),
  foreign: z.boolean(),
  source: z.enum(["histogram", "summary"]),
  totals,
  latency,
  start_offset_ms: nullable,
  send_lateness_us: z.object({ p50: nullable, p99: nullable, max: nullable }),
  coverage: nullable,
  lost_at: nullable,
  pacing: z.enum(["precise", "timer"]).nullable(),
  tls,
});

const timelineRow = z.object({
  t_s: z.int(),
  sent: count,
  completed: count,
  errors: count,
  target_rps: nullable,
  response: z.object({ p50: nullable, p90: nullable, p99: nullable, max: nullable }),
  coverage: number,
  nodes: z.record(z.string(), z.object({ sent: count, completed: count, errors: count, p99: nullable })),
});

const generator = z.object({ cpu: number, utilisation: number, valid: z.boolean(), reasons: z.array(z.string()) });
const model = z.enum(["open", "closed"]);

/** The report, as it is served, stored and exported. */
export const reportResponse: z.ZodType<Report> = z.object({
  schema: z.literal(REPORT_SCHEMA),
  revision: z.int().min(1),
  test_id: z.string(),
  name: z.string().nullable(),
  plan,
  model,
  started_at: z.string().nullable(),
  ended_at: z.string(),
  duration_s: number,
  drain_s: number,
  status,
  complete: z.boolean(),
  incomplete_reasons: z.array(z.object({ node_id: z.string(), reason: z.string() })),
  verdict,
  thresholds: z.array(
    z.object({ expression: z.string(), actual: nullable, verdict: z.enum(["pass", "fail", "inconclusive"]), reason: z.string().nullable() }),
  ),
  totals,
  warmup: z.object({ sent: count, completed: count, errors: count }).nullable(),
  latency,
  tls,
  statuses: z.record(z.string(), count),
  errors: z.array(z.object({ kind: z.string(), message: z.string(), count })),
  nodes: z.array(nodeReport),
  timeline: z.array(timelineRow),
  start_spread_ms: nullable,
  generator,
  bugs: z.array(z.string()).describe("Violated invariants: always empty, or Onrush has a bug."),
});

const testView: z.ZodType<TestView> = z.object({
  test_id: z.string(),
  name: z.string().nullable(),
  state: testState,
  plan,
  model,
  zero_at: nullable.describe("Milliseconds since 1970: the schedule's zero."),
  totals,
  latency,
  nodes: z.array(nodeReport),
  generator,
  status: status.nullable(),
  verdict: verdict.nullable(),
  complete: z.boolean().nullable(),
  revision: count,
});

const testSummary: z.ZodType<TestSummary> = z.object({
  test_id: z.string(),
  name: z.string().nullable(),
  state: testState,
  type: z.enum(["avalanche", "tsunami"]),
  url: z.string(),
  started_at: z.string().nullable(),
  ended_at: z.string().nullable(),
  status: status.nullable(),
  verdict: verdict.nullable(),
  complete: z.boolean().nullable(),
  revision: count,
  totals: z.object({ planned: count, sent: count, completed: count, ok: count, rps: number }).nullable(),
});

export const errorResponse: z.ZodType<ErrorBody> = z.object({
  error: z.object({
    code: z.enum(Object.keys(API_ERRORS) as [ApiErrorCode, ...ApiErrorCode[]]),
    message: z.string(),
    details: z.record(z.string(), z.unknown()),
  }),
});

export const pingResponse = z.object({ pong: z.literal(true), node_id: z.string(), term: z.int(), leads: z.boolean() });
export const nodesResponse = z.object({ nodes: z.array(nodeView) });
export const testsResponse = z.object({ tests: z.array(testSummary) });
export const createdResponse = z.object({ test_id: z.string() });
export const triggeredResponse = z.object({ test_id: z.string(), start_at: number.describe("Milliseconds since 1970.") });
export const configuredResponse = z.object({ test_id: z.string(), start_at: number.optional() });
export const stoppedResponse = z.object({ test_id: z.string(), state: testState });
export const registeredResponse = z.object({ node_id: z.string(), epoch: z.int() });
export const testResponse = testView;
export const nodeResponse = nodeReport;
export const dashboardResponse = z.object({ nodes: z.array(nodeView), test: testView.nullable() });
