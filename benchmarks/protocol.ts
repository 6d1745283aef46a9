// What one record costs to decode and to encode.   node benchmarks/protocol.ts
import { encodeHistogram } from "../src/metrics/codec.ts";
import { createHistogram, record } from "../src/metrics/histogram.ts";
import { decodeMessage, encodeMessage, type OutgoingOf } from "../src/protocol/codec.ts";
import type { Topic } from "../src/protocol/topics.ts";

/** A histogram with `buckets` filled buckets of counts of two bytes each. */
function filled(buckets: number) {
  const histogram = createHistogram();
  for (let bucket = 0; bucket < buckets; bucket++) {
    const us = Math.round(2_048 * 1.0035 ** bucket) + bucket;
    for (let times = 0; times < 200; times++) record(histogram, us);
  }
  return encodeHistogram(histogram);
}

const counts = {
  scheduled: 800_000,
  sent: 800_000,
  dropped: 0,
  ok: 799_000,
  http_error: 1_000,
  network_error: 0,
  timeout: 0,
  aborted: 0,
  in_flight: 0,
  waiting: 0,
  completed_in_window: 800_000,
  bytes_in: 123_456_789,
  bytes_out: 12_345_678,
  reconnects: 0,
  waited_for_connection: 12,
  backlog_max: 3,
  last_end_us: 59_999_123,
};
const row = { scheduled: 600, sent: 600, completed: 600, errors: 0, response: filled(200) };
const snapshot: OutgoingOf["metrics"] = {
  node_id: "host-4711",
  test_id: "checkout-1",
  report_id: "checkout-1.host-4711.120",
  metrics: { mean_latency: 12.5, median_latency: 11, min_latency: 2, max_latency: 900, mode_latency: 10.5 },
  v: 1,
  epoch: 17,
  seq: 120,
  final: false,
  revision: 1,
  counts,
  statuses: { "200": 799_000, "503": 1_000 },
  errors: [],
  response: filled(2_000),
  service: filled(2_000),
  connect: filled(20),
  failed: filled(0),
  send_lateness: filled(60),
  ranges: [{ range_id: "r0", taken: 800_000 }],
  rows: [7, 8, 9].map((t_s) => ({ ...row, t_s })),
  generator: {
    cpu: 0.8,
    utilisation: 0.6,
    seconds: 60,
    saturated_seconds: 0,
    due_while_free: 800_000,
    sent_while_free: 800_000,
    pacing: "precise",
  },
  start_offset_us: 120,
  warmup: null,
};
const heartbeat: OutgoingOf["heartbeat"] = {
  node_id: "host-4711",
  heartbeat: "YES",
  timestamp: 1_700_000_000_000,
  role: "driver",
  epoch: 17,
  state: "running",
  node_ip: "10.0.0.7",
  test_id: "checkout-1",
  ready: null,
  refused: null,
  clock: { term: 3, delay_ms: 0.8 },
  health: { cpu: 0.8, rss_mb: 120 },
};

/** The best of several rounds, us a call. */
function best_us(call: () => unknown): number {
  const CALLS = 2_000;
  let best = Infinity;
  for (let round = 0; round < 8; round++) {
    const from = performance.now();
    for (let at = 0; at < CALLS; at++) call();
    best = Math.min(best, ((performance.now() - from) * 1_000) / CALLS);
  }
  return best;
}

function report(name: string, topic: Topic, message: OutgoingOf[Topic]): void {
  const bytes = encodeMessage(topic, message);
  const text = new TextDecoder().decode(bytes);
  const figures = [
    `${bytes.byteLength} bytes`,
    `decode ${best_us(() => decodeMessage(topic, bytes)).toFixed(1)} us`,
    `(JSON.parse alone ${best_us(() => JSON.parse(text) as unknown).toFixed(1)} us)`,
    `encode ${best_us(() => encodeMessage(topic, message)).toFixed(1)} us`,
  ];
  console.log(`${name}: ${figures.join(", ")}`);
}

report("metrics, two histograms of 2,000 buckets", "metrics", snapshot);
report("heartbeat of a driver", "heartbeat", heartbeat);
