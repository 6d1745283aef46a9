import { describe, expect, test } from "vitest";
import { encodeHistogram } from "../metrics/codec.ts";
import { createHistogram } from "../metrics/histogram.ts";
import { decodeMessage, ProtocolError } from "./codec.ts";
import type { Topic } from "./topics.ts";

const bytes = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const decode = <T extends Topic>(topic: T, value: unknown) => decodeMessage(topic, bytes(value));

function refusal(topic: Topic, value: unknown): string {
  try {
    decode(topic, value);
  } catch (error) {
    if (error instanceof ProtocolError) return error.reason;
    throw error;
  }
  return "accepted";
}

describe("latencies", () => {
  const mean = (mean_latency: unknown) =>
    decode("metrics", { node_id: "n", test_id: "t", report_id: "r", metrics: { mean_latency } }).metrics.mean_latency;

  test.each<[unknown, number | null]>([
    [12.5, 12.5],
    [0, 0],
    ["12.5", 12.5],
    [" 12.5 ", 12.5],
    ["+12.5", 12.5],
    ["1e-3", 0.001],
    ["563.3\u00b5s", 0.5633],
    ["563.3\u03bcs", 0.5633],
    ["563.3us", 0.5633],
    ["350ns", 0.00035],
    ["1.5ms", 1.5],
    ["1.5 ms", 1.5],
    ["1.5MS", 1.5],
    ["2s", 2_000],
    ["1m2.5s", 62_500],
    ["1h0m1s", 3_601_000],
    ["1m", 60_000],
    ["", null],
    ["  ", null],
    [null, null],
    [undefined, null],
    ["NaN", null],
    ["nan", null],
    ["N/A", null],
    ["+Inf", null],
    ["None", null],
  ])("%j is %j ms", (given, expected) => {
    if (expected === null) expect(mean(given)).toBeNull();
    else expect(mean(given)).toBeCloseTo(expected, 9);
  });

  test.each([-1, "-1ms", "fast", "1.5 parsecs", "1ms2", true, [], {}, "1".repeat(400), "9".repeat(63) + "s1"])("%j is none", (given) => {
    expect(refusal("metrics", { node_id: "n", test_id: "t", metrics: { mean_latency: given } })).toMatch(
      /^metrics\.mean_latency: expected a latency/,
    );
  });

  test("Python's bare NaN and Infinity count as not measured; in a text they stay what they are", () => {
    const decoded = decode(
      "metrics",
      String.raw`{"node_id":"n","test_id":"t","report_id":"a\"NaN","metrics":{"mean_latency":NaN,"max_latency":-Infinity,"min_latency":2}}`,
    );
    expect(decoded).toMatchObject({ report_id: 'a"NaN', metrics: { mean_latency: null, max_latency: null, min_latency: 2 } });
    expect(refusal("trigger", '{"test_id":"t","trigger":NaNNaN}')).toBe("not JSON");
    expect(refusal("trigger", '{"test_id":"t","trigger":"NaN')).toBe("not JSON");
  });
});

describe("timestamps", () => {
  const at = (timestamp: unknown) => decode("heartbeat", { node_id: "n", heartbeat: "YES", timestamp }).timestamp;
  const MOMENT = Date.UTC(2023, 10, 18, 10, 20, 30);

  test.each<[unknown, number]>([
    ["2023-11-18T10:20:30Z", MOMENT],
    ["2023-11-18T10:20:30", MOMENT],
    ["2023-11-18t10:20:30z", MOMENT],
    ["2023-11-18T10:20Z", MOMENT - 30_000],
    ["2023-11-18T10:20:30.5Z", MOMENT + 500],
    ["2023-11-18T10:20:30.123456", MOMENT + 123.456],
    ["2023-11-18T10:20:30.123456+00:00", MOMENT + 123.456],
    ["2023-11-18T10:20:30.123456789Z", MOMENT + 123.456],
    ["2023-11-18T15:50:30.123456789+05:30", MOMENT + 123.456],
    ["2023-11-18T15:50:30+0530", MOMENT],
    ["2023-11-18T05:20:30-05:00", MOMENT],
    ["2023-11-18T05:20:30-05", MOMENT],
    ["2023-11-18 10:20:30", MOMENT],
    ["2023-11-18 10:20:30.123456", MOMENT + 123.456],
    ["2023-11-18 10:20:30,250", MOMENT + 250],
    ["2023-11-18 10:20:30 UTC", MOMENT],
    ["2023-11-18 10:20:30.123456+00:00", MOMENT + 123.456],
    ["2023-11-18 15:50:30.123456789 +0530 IST m=+0.012345678", MOMENT + 123.456],
    ["2023-11-18 10:20:30.123456789 +0000 UTC m=+12.345678901", MOMENT + 123.456],
    ["2023-11-18 07:20:30 -0300 -03", MOMENT],
    ["Sat Nov 18 10:20:30 2023", MOMENT],
    ["Sat, 18 Nov 2023 10:20:30 GMT", MOMENT],
    ["Sat Nov 18 2023 15:50:30 GMT+0530 (India Standard Time)", MOMENT],
    [MOMENT, MOMENT],
    [MOMENT / 1e3, MOMENT],
    [MOMENT / 1e3 + 0.25, MOMENT + 250],
    [MOMENT * 1e3, MOMENT],
    [MOMENT * 1e6, MOMENT],
    [String(MOMENT / 1e3), MOMENT],
    [`${MOMENT / 1e3}.25`, MOMENT + 250],
    [` ${MOMENT} `, MOMENT],
    [`${MOMENT}000000`, MOMENT],
  ])("%j", (given, expected) => {
    expect(at(given)).toBeCloseTo(expected, 2);
  });

  test.each([
    undefined,
    null,
    "",
    "now",
    "foo 1",
    "10:20:30",
    "2023-13-45T10:20:30Z",
    "2023-11-18T25:61:61Z",
    -1,
    1e300,
    true,
    {},
    "2023-11-18T10:20:30Z".padEnd(500, "x"),
  ])("%j is none", (timestamp) => {
    expect(refusal("heartbeat", { node_id: "n", heartbeat: "YES", timestamp })).toBe(
      "timestamp: expected a timestamp: ISO 8601, or seconds or ms since 1970",
    );
  });
});

describe("records of other implementations", () => {
  const register = { node_id: "d1", message_type: "DRIVER_NODE_REGISTER" };

  test.each<[string, Topic, unknown, object]>([
    ["node_IP", "register", { ...register, node_IP: "10.0.0.1:80" }, { ...register, node_ip: "10.0.0.1:80" }],
    ["node_ip", "register", { ...register, node_ip: "10.0.0.1" }, { ...register, node_ip: "10.0.0.1" }],
    ["no address", "register", register, { ...register, node_ip: "" }],
    ["an address of null", "register", { ...register, node_IP: null }, { ...register, node_ip: "" }],
    ["a number as id", "register", { ...register, node_id: 7 }, { ...register, node_id: "7", node_ip: "" }],
    ["any case", "register", { node_id: "d1", message_type: "driver_node_register" }, { ...register, node_ip: "" }],
    [
      "their own v, boot_id and labels",
      "register",
      { ...register, v: "v2.1-beta", boot_id: 12, labels: ["a"] },
      { ...register, node_ip: "" },
    ],
    [
      "Avalanche, numbers as texts",
      "test_config",
      { test_id: 12, test_type: "Avalanche", test_message_delay: "0", message_count_per_driver: "1000", test_server: "http://t/" },
      { test_id: "12", test_type: "AVALANCHE", test_message_delay: 0, message_count_per_driver: 1_000, test_server: "http://t/" },
    ],
    [
      "tsunami",
      "test_config",
      { test_id: "t", test_type: " tsunami ", test_message_delay: "5", extra: { deep: [1] } },
      { test_id: "t", test_type: "TSUNAMI", test_message_delay: 5 },
    ],
    ["a delay with a unit", "test_config", { test_id: "t", test_type: "TSUNAMI", test_message_delay: "1s" }, { test_message_delay: 1_000 }],
    ["TSUNAMI with delay 0", "test_config", { test_id: "t", test_type: "TSUNAMI", test_message_delay: 0 }, { test_type: "AVALANCHE" }],
    ["TSUNAMI with delay \"0\"", "test_config", { test_id: "t", test_type: "TSUNAMI", test_message_delay: "0" }, { test_type: "AVALANCHE" }],
    ["TSUNAMI without delay", "test_config", { test_id: "t", test_type: "TSUNAMI", test_message_delay: "" }, { test_type: "AVALANCHE" }],
    [
      "what is left out as null or empty",
      "test_config",
      { test_id: "t", test_type: "AVALANCHE", test_message_delay: null, message_count_per_driver: null, test_server: "" },
      { test_id: "t", test_type: "AVALANCHE", test_message_delay: 0 },
    ],
    ["their own term", "test_config", { test_id: "t", test_type: "AVALANCHE", term: "spring" }, { test_id: "t", test_message_delay: 0 }],
    ["yes", "trigger", { test_id: "t", trigger: "yes" }, { test_id: "t", trigger: "YES" }],
    ["true", "trigger", { test_id: "t", trigger: true }, { test_id: "t", trigger: "YES" }],
    ["a test_id as number", "trigger", { test_id: 3, trigger: "Yes", by: "x" }, { test_id: "3", trigger: "YES" }],
    [
      "a summary with clashing names",
      "metrics",
      { node_id: 1, test_id: 2, report_id: 3, metrics: { mean_latency: "1.5ms" }, counts: "foo", seq: -1, response: 200, rows: {} },
      {
        kind: "plain",
        node_id: "1",
        test_id: "2",
        report_id: "3",
        metrics: { mean_latency: 1.5, median_latency: null, min_latency: null, max_latency: null, mode_latency: null },
      },
    ],
    ["a summary with its own v", "metrics", { node_id: "n", test_id: "t", v: "2.0.1", metrics: {} }, { kind: "plain", report_id: "" }],
    ["a summary with v 0", "metrics", { node_id: "n", test_id: "t", report_id: null, v: 0, metrics: {} }, { kind: "plain" }],
    [
      "a heartbeat with clashing names",
      "heartbeat",
      { node_id: "n", heartbeat: "yes", timestamp: 1.7e12, state: 3, epoch: "x", ready: "true", health: "good", term: {} },
      { kind: "plain", node_id: "n", heartbeat: "YES", timestamp: 1.7e12 },
    ],
    [
      "a role that is not known",
      "heartbeat",
      { node_id: "n", heartbeat: "YES", timestamp: 1.7e12, role: "observer", epoch: 1 },
      { kind: "plain", node_id: "n", heartbeat: "YES", timestamp: 1.7e12 },
    ],
    [
      "a driver without an epoch",
      "heartbeat",
      { node_id: "n", heartbeat: "YES", timestamp: 1.7e12, role: "driver" },
      { kind: "plain", node_id: "n", heartbeat: "YES", timestamp: 1.7e12 },
    ],
    [
      "an orchestrator without a term",
      "heartbeat",
      { node_id: "n", heartbeat: "YES", timestamp: 1.7e12, role: "orchestrator", term: null },
      { kind: "plain", node_id: "n", heartbeat: "YES", timestamp: 1.7e12 },
    ],
  ])("%s (%s)", (_what, topic, given, expected) => {
    const decoded = decode(topic, given);
    expect(decoded).toMatchObject(expected);
    if ("kind" in expected && "timestamp" in expected) expect(decoded).toEqual(expected);
    if (topic === "register") expect(decoded).toEqual(expected);
  });

  test("a byte order mark is passed over", () => {
    expect(decode("trigger", '\ufeff{"test_id":"t","trigger":"YES"}')).toEqual({ test_id: "t", trigger: "YES" });
  });
});

describe("Onrush's extensions, as another language may write them", () => {
  const counts = Object.fromEntries(
    "scheduled sent dropped ok http_error network_error timeout aborted in_flight waiting completed_in_window bytes_in bytes_out reconnects waited_for_connection backlog_max last_end_us"
      .split(" ")
      .map((name, at) => [name, String(at)]),
  );
  const empty = encodeHistogram(createHistogram());
  const one = { count: "1", sum_us: "1", min_us: "1", max_us: "1", buckets: "AQE=" };
  const snapshot = {
    node_id: "n",
    test_id: "t",
    report_id: "r",
    metrics: {},
    v: "1",
    epoch: "17",
    seq: "3",
    counts,
    statuses: { "200": "5" },
    response: one,
    service: empty,
    connect: empty,
    failed: empty,
    send_lateness: empty,
    ranges: [{ range_id: "r0", taken: "5" }],
    generator: {
      cpu: "0.5",
      utilisation: "1.0000001",
      seconds: "1",
      saturated_seconds: "0",
      due_while_free: "5",
      sent_while_free: "5",
      pacing: "timer",
    },
    start_offset_us: "-12.5",
  };

  test("numbers as texts, defaults for what is left out", () => {
    expect(decode("metrics", snapshot)).toMatchObject({
      kind: "snapshot",
      v: 1,
      epoch: 17,
      seq: 3,
      final: false,
      revision: 0,
      counts: { scheduled: 0, sent: 1, ok: 3, last_end_us: 16 },
      statuses: { "200": 5 },
      errors: [],
      response: { count: 1, sum_us: 1, min_us: 1, max_us: 1, clamped: 0, buckets: "AQE=" },
      ranges: [{ range_id: "r0", taken: 5 }],
      rows: [],
      start_offset_us: -12.5,
      warmup: null,
    });
  });

  test("what a node need not count or say is nothing, and no figure", () => {
    const { response, metrics } = snapshot;
    const least = { node_id: "n", test_id: "t", metrics, v: 1, epoch: 17, seq: 0, counts: { scheduled: 1, sent: 1, ok: 1 }, response };
    expect(decode("metrics", least)).toMatchObject({
      counts: { scheduled: 1, sent: 1, ok: 1, timeout: 0, completed_in_window: 1, bytes_in: 0, last_end_us: 0 },
      service: { count: 0, min_us: null },
      send_lateness: { count: 0 },
      generator: null,
      start_offset_us: null,
    });
  });

  test("of a higher version what is known is read", () => {
    const later = {
      ...snapshot,
      v: 2,
      end_reason: "bored",
      errors: [{ kind: "quic", message: "m".repeat(2_000), count: 1, more: 1 }],
      counts: { ...counts, retried: 3 },
      histograms: { ttfb: empty },
    };
    const decoded = decode("metrics", later);
    expect(decoded).toMatchObject({ kind: "snapshot", v: 2, errors: [{ kind: "other", message: "m".repeat(500), count: 1 }] });
    expect(decoded).not.toHaveProperty("histograms");
    expect(decoded).toHaveProperty("end_reason", undefined);
  });

  test("with a version, what the extensions need must be there", () => {
    expect(refusal("metrics", { ...snapshot, counts: undefined })).toBe("counts: expected object");
    expect(refusal("metrics", { ...snapshot, epoch: -1 })).toBe("epoch: expected a whole number from 0");
    expect(refusal("metrics", { ...snapshot, service: { ...one, buckets: "AQI=" } })).toBe("service: expected a histogram");
    expect(refusal("metrics", { ...snapshot, service: { ...one, buckets: "****" } })).toBe("service: expected a histogram");
    expect(refusal("metrics", { ...snapshot, service: { ...one, count: -1 } })).toBe("service.count: expected a whole number from 0");
    expect(refusal("register", { node_id: "n", message_type: "DRIVER_NODE_REGISTER", v: 1, boot_id: 5 })).toBe("boot_id: expected string");
  });

  test("heartbeats: numbers as texts, unknown states, health that is none", () => {
    const heartbeat = { node_id: "n", heartbeat: "YES", timestamp: 1.7e12 };
    expect(
      decode("heartbeat", {
        ...heartbeat,
        role: "driver",
        epoch: "4",
        state: "hibernating",
        clock: { term: "1", delay_ms: "0.5" },
        health: { cpu: "0.5", rss: null, note: "fine" },
      }),
    ).toEqual({
      ...heartbeat,
      kind: "driver",
      role: "driver",
      epoch: 4,
      state: "preparing",
      test_id: null,
      ready: null,
      refused: null,
      clock: { term: 1, delay_ms: 0.5 },
      health: { cpu: 0.5 },
    });
    expect(decode("heartbeat", { ...heartbeat, role: "driver", epoch: 0 })).toMatchObject({ state: "idle", health: {} });
    expect(decode("heartbeat", { ...heartbeat, role: "orchestrator", term: "2" })).toEqual({
      ...heartbeat,
      kind: "orchestrator",
      role: "orchestrator",
      term: 2,
      state: "leader",
    });
    expect(refusal("heartbeat", { ...heartbeat, role: "driver", epoch: "x" })).toBe("epoch: expected a whole number from 0");
  });
});

test.each<[string, Topic, unknown, string]>([
  ["nothing", "trigger", "", "no value"],
  ["no JSON", "trigger", "{", "not JSON"],
  ["an array", "trigger", [], "expected a JSON object"],
  ["null", "trigger", "null", "expected a JSON object"],
  ["a number", "trigger", 3, "expected a JSON object"],
  ["no trigger", "trigger", { test_id: "t", trigger: "NO" }, "trigger: expected YES"],
  ["another message", "register", { node_id: "n", message_type: "HELLO" }, "message_type: expected DRIVER_NODE_REGISTER"],
  ["an unknown type", "test_config", { test_id: "t", test_type: "FLOOD" }, "test_type: expected AVALANCHE or TSUNAMI"],
  [
    "no message",
    "test_config",
    { test_id: "t", test_type: "AVALANCHE", message_count_per_driver: 0 },
    "message_count_per_driver: expected a whole number from 1",
  ],
  ["a path as id", "trigger", { test_id: "../t", trigger: "YES" }, "test_id: expected 1 to 64 letters, digits, dots, underscores or dashes"],
  ["an unknown command", "control", { type: "dance" }, "type: invalid_union"],
])("refused: %s", (_what, topic, given, reason) => {
  expect(refusal(topic, given)).toBe(reason);
});

test("refused: no value, no UTF-8, too large", () => {
  expect(() => decodeMessage("trigger", null)).toThrow("no value");
  expect(() => decodeMessage("trigger", Uint8Array.of(0x7b, 0xff, 0x7d))).toThrow("not UTF-8");
  expect(() => decodeMessage("trigger", new Uint8Array(4_000_001))).toThrow("larger than 4000000 bytes");
});
