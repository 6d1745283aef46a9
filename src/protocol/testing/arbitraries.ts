import fc from "fast-check";
import { encodeHistogram } from "../../metrics/codec.ts";
import { createHistogram, record } from "../../metrics/histogram.ts";
import { FAILURE_KINDS } from "../../metrics/snapshot.ts";
import { parsePlan, type PlanInput } from "../../plan/plan.ts";
import type { OutgoingOf } from "../codec.ts";
import { DRIVER_STATES, END_REASONS } from "../messages.ts";
import type { Topic } from "../topics.ts";

const count = fc.oneof(fc.nat(), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }));
const positive = count.map((value) => Math.max(1, value));
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
const nonNegative = number.map(Math.abs);
const text = (maxLength: number) => fc.string({ unit: "grapheme", maxLength: Math.floor(maxLength / 16) });

const nodeId = fc.stringMatching(/^[A-Za-z0-9._:-]{1,128}$/).filter((id) => ![".", "..", "__proto__"].includes(id));
const testId = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);
const key = fc.oneof(fc.stringMatching(/^[A-Za-z0-9._/-]{1,64}$/), fc.constant("constructor"), fc.constant("toString"));
const map = <T>(keys: fc.Arbitrary<string>, values: fc.Arbitrary<T>) =>
  fc.dictionary(keys.filter((name) => name !== "__proto__"), values, { maxKeys: 5, noNullPrototype: true });
const optional = <T extends object>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record<T>(shape, { requiredKeys: [] });

const labels = map(key, text(256));
const list = <T>(items: fc.Arbitrary<T>, minLength = 0) => fc.array(items, { minLength, maxLength: 4 });

const histogram = fc.array(fc.integer({ min: 1, max: 4_000_000_000 }), { maxLength: 8 }).map((values) => {
  const recorded = createHistogram();
  for (const us of values) record(recorded, us);
  return encodeHistogram(recorded);
});
const counts = fc.record({
  scheduled: count,
  sent: count,
  dropped: count,
  ok: count,
  http_error: count,
  network_error: count,
  timeout: count,
  aborted: count,
  in_flight: count,
  waiting: count,
  completed_in_window: count,
  bytes_in: count,
  bytes_out: count,
  reconnects: count,
  waited_for_connection: count,
  backlog_max: count,
  last_end_us: nonNegative,
});
const row = fc.record({ t_s: count, scheduled: count, sent: count, completed: count, errors: count, response: histogram });
const rangeId = fc.stringMatching(/^[ -~]{1,64}$/);

const latency = fc.option(nonNegative);
const summary = fc.record({
  node_id: nodeId,
  test_id: testId,
  report_id: text(256),
  metrics: fc.record({
    mean_latency: latency,
    median_latency: latency,
    min_latency: latency,
    max_latency: latency,
    mode_latency: latency,
  }),
});
const snapshot = fc
  .tuple(
    summary,
    fc.record({
      v: fc.integer({ min: 1, max: 9 }),
      epoch: count,
      seq: count,
      final: fc.boolean(),
      revision: count,
      counts,
      statuses: map(fc.integer({ min: 100, max: 999 }).map(String), count),
      errors: list(
        fc.record({ kind: fc.constantFrom(...FAILURE_KINDS, "timeout" as const, "aborted" as const), message: text(500), count }),
      ),
      response: histogram,
      service: histogram,
      connect: histogram,
      tls: fc.option(fc.record({ protocol: text(200), cipher: text(500), handshakes: count, resumed: count, duration: histogram })),
      failed: histogram,
      send_lateness: histogram,
      ranges: list(fc.record({ range_id: rangeId, taken: count })),
      rows: list(row),
      generator: fc.record({
        cpu: number,
        utilisation: number,
        seconds: count,
        saturated_seconds: count,
        due_while_free: count,
        sent_while_free: count,
        pacing: fc.constantFrom("precise" as const, "timer" as const),
      }),
      start_offset_us: number,
      warmup: fc.option(fc.record({ counts, response: histogram })),
    }),
    optional({ end_reason: fc.constantFrom(...END_REASONS) }),
  )
  .map(([plain, extended, end]) => ({ ...plain, ...extended, ...end }));

const signOfLife = fc.record({
  node_id: nodeId,
  heartbeat: fc.constant("YES" as const),
  timestamp: fc.double({ min: 1e11, max: 9e13, noNaN: true }),
});
const driverHeartbeat = fc
  .tuple(
    signOfLife,
    fc.record({
      role: fc.constant("driver" as const),
      epoch: count,
      state: fc.constantFrom(...DRIVER_STATES),
      test_id: fc.option(testId),
      ready: fc.option(fc.record({ test_id: testId, config_offset: count, epoch: count })),
      refused: fc.option(fc.record({ test_id: testId, config_offset: count, code: text(64), message: text(1000) })),
      clock: fc.option(fc.record({ term: count, delay_ms: number })),
      health: map(key, number),
    }),
    optional({ node_ip: text(256), labels }),
  )
  .map(([plain, extended, more]) => ({ ...plain, ...extended, ...more }));
const orchestratorHeartbeat = fc
  .tuple(
    signOfLife,
    fc.record({
      role: fc.constant("orchestrator" as const),
      term: count,
      state: fc.constantFrom("leader" as const, "standby" as const, "left" as const),
    }),
  )
  .map(([plain, extended]) => ({ ...plain, ...extended }));

const PLANS: PlanInput[] = [
  { target: { url: "http://127.0.0.1:8088/ping" } },
  { target: { url: "https://example.org/", headers: { "X-A": "b" }, body: "é" }, rate_rps: 0.1 + 0.2, duration_s: 1.0005 },
  { target: { url: "http://[::1]:80/#x", method: "post", timeout_ms: 5 }, type: "TSUNAMI", delay_ms: 0.0014, requests: 7 },
  { target: { url: "http://a/" }, type: "avalanche", total_requests: 11, drivers: ["a", "b"], thresholds: ["p99 < 200ms"] },
  { name: "full", target: { url: "http://a/", insecure: true }, total_rate_rps: 1e6 / 3, warmup_s: 0.5, workers: 2, backlog: 0 },
];
export const plan = fc.constantFrom(...PLANS).map(parsePlan);

const schedule = fc.oneof(
  fc.record({ kind: fc.constant("rate" as const), total_rate_urps: positive, slots: count, window_us: nonNegative }),
  fc.record({ kind: fc.constant("delay" as const), delay_us: positive, drivers: positive, slots: count, window_us: nonNegative }),
  fc.record({
    kind: fc.constant("closed" as const),
    rate_urps: fc.option(positive),
    slots: fc.option(count),
    window_us: fc.option(nonNegative),
  }),
);
const range = fc.record({
  range_id: rangeId,
  share: count,
  from: fc.maxSafeInteger(),
  to: fc.option(fc.maxSafeInteger()),
  step: positive,
});
const seq = fc.oneof(fc.constant(-1), count);

function command<K extends string, T extends object>(type: K, fields: fc.Arbitrary<T>) {
  const owner = fc.stringMatching(/^[ -~]{1,128}$/);
  return fc
    .tuple(fc.record({ type: fc.constant(type), term: positive, owner, command_seq: count, at_ms: number }), fields)
    .map(([head, rest]) => ({ ...head, ...rest }));
}

const control = fc.oneof(
  command("claim", fc.constant({})),
  command(
    "config",
    fc.record({
      test_id: testId,
      plan,
      model: fc.constantFrom("open" as const, "closed" as const),
      schedule,
      planned: fc.option(count),
      members: list(
        fc.record({ node_id: nodeId, epoch: count, foreign: fc.boolean(), share: fc.option(count), ranges: list(range) }),
        1,
      ),
      common: fc.record({
        test_type: fc.constantFrom("AVALANCHE" as const, "TSUNAMI" as const),
        delay_ms: nonNegative,
        message_count_per_driver: fc.option(count),
      }),
      bystanders: list(nodeId),
      metrics_from: list(count),
    }),
  ),
  command(
    "trigger",
    fc.record({
      test_id: testId,
      start_at: number,
      members: list(
        fc.record({
          node_id: nodeId,
          epoch: count,
          share: fc.option(count),
          clock_offset_ms: number,
          clock_error_ms: nonNegative,
        }),
        1,
      ),
    }),
  ),
  command(
    "lost",
    fc.record({
      test_id: testId,
      node_id: nodeId,
      epoch: count,
      cut_us: number,
      reason: fc.constantFrom("silent" as const, "newer_epoch" as const, "left" as const),
      basis: fc.record({ seq }),
    }),
  ),
  command(
    "assign",
    fc.record({
      test_id: testId,
      cut_us: number,
      from: fc.record({ node_id: nodeId, epoch: count }),
      kept: list(fc.record({ range_id: rangeId, slots: count })),
      moves: list(fc.record({ node_id: nodeId, epoch: count, range })),
    }),
  ),
  command("retarget", fc.record({ test_id: testId, from_us: number, schedule })),
  command("stop", fc.record({ test_id: testId, reason: text(200) })),
  command(
    "ended",
    fc.record({
      test_id: testId,
      status: fc.constantFrom("completed" as const, "stopped" as const, "failed" as const),
      reason: text(1000),
      basis: list(fc.record({ node_id: nodeId, epoch: count, seq, final: fc.boolean() })),
    }),
  ),
);

/** Every message that may be encoded, of each topic. */
export const messages: { [T in Topic]: fc.Arbitrary<OutgoingOf[T]> } = {
  register: fc
    .tuple(
      fc.record({ node_id: nodeId, node_ip: text(256), message_type: fc.constant("DRIVER_NODE_REGISTER") }),
      fc.oneof(
        fc.constant({}),
        fc
          .tuple(fc.record({ v: fc.integer({ min: 1, max: 9 }) }), optional({ boot_id: rangeId, labels }))
          .map(([version, more]) => ({ ...version, ...more })),
      ),
    )
    .map(([plain, extended]) => ({ ...plain, ...extended })),
  test_config: fc
    .tuple(
      fc.record({
        test_id: testId,
        test_type: fc.constantFrom("AVALANCHE" as const, "TSUNAMI" as const),
        test_message_delay: nonNegative,
      }),
      optional({ message_count_per_driver: positive, test_server: fc.webUrl(), term: count }),
    )
    .map(([config, more]) => ({
      ...config,
      test_type: config.test_message_delay === 0 ? ("AVALANCHE" as const) : config.test_type,
      ...more,
    })),
  trigger: fc
    .tuple(fc.record({ test_id: testId, trigger: fc.constant("YES" as const) }), optional({ term: count }))
    .map(([plain, more]) => ({ ...plain, ...more })),
  metrics: fc.oneof(summary, snapshot),
  heartbeat: fc.oneof(signOfLife, driverHeartbeat, orchestratorHeartbeat),
  control,
};
