/** What measuring costs. Run by: node benchmarks/metrics.ts */
import { decodeInto, encodeHistogram } from "../src/metrics/codec.ts";
import { createHistogram, merge, record } from "../src/metrics/histogram.ts";
import { BUCKETS, lowerEdge } from "../src/metrics/layout.ts";
import { createRecorder } from "../src/metrics/recorder.ts";
import { summarize } from "../src/metrics/statistics.ts";

const FILLED = 2000;
const ROUNDS = 7;

/** A repeatable stream of numbers from 0 to 1 (mulberry32). */
function stream(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Median over the rounds of the time of one call, in ns, after a round that is not counted. */
function nsPerCall(calls: number, run: (calls: number) => void): number {
  run(calls);
  const rounds = Array.from({ length: ROUNDS }, () => {
    const start = process.hrtime.bigint();
    run(calls);
    return Number(process.hrtime.bigint() - start) / calls;
  });
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1]!;
}

const random = stream(1);
// Around 5 ms with a long tail: what a service answers.
const latencies = Float64Array.from({ length: 65_536 }, () => 1000 - 4000 * Math.log(1 - random()));

const filled = createHistogram();
while (filled.counts.reduce((sum, count) => sum + Number(count > 0), 0) < FILLED) {
  const index = 1000 + Math.floor(random() * 8000);
  if (index >= BUCKETS || filled.counts[index]! > 0) continue;
  for (let n = Math.ceil(random() * 300); n > 0; n--) record(filled, lowerEdge(index));
}
const encoded = encodeHistogram(filled);
const text = JSON.stringify(encoded);

const recorded = createHistogram();
const target = createHistogram();
const merged = createHistogram();
const recorder = createRecorder({ window_us: null });
let t_us = 0;

const results: [string, number][] = [
  [
    "record()",
    nsPerCall(5_000_000, (calls) => {
      for (let call = 0; call < calls; call++) record(recorded, latencies[call & 0xffff]!);
    }),
  ],
  [
    "recorder: scheduled + sent + completed",
    nsPerCall(1_000_000, (calls) => {
      for (let call = 0; call < calls; call++) {
        const response_us = latencies[call & 0xffff]!;
        t_us += 10;
        recorder.scheduled(t_us);
        recorder.sent(t_us, 20);
        recorder.completed(t_us, 200, response_us, response_us);
      }
    }),
  ],
  ["recorder: snapshot", nsPerCall(500, (calls) => repeat(calls, () => recorder.snapshot(t_us)))],
  [`encodeHistogram, ${FILLED} buckets`, nsPerCall(5000, (calls) => repeat(calls, () => encodeHistogram(filled)))],
  [`decodeInto, ${FILLED} buckets`, nsPerCall(5000, (calls) => repeat(calls, () => decodeInto(target, encoded)))],
  [
    `JSON.parse + decodeInto, ${FILLED} buckets`,
    nsPerCall(5000, (calls) => repeat(calls, () => decodeInto(target, JSON.parse(text) as typeof encoded))),
  ],
  [`merge, ${FILLED} buckets`, nsPerCall(5000, (calls) => repeat(calls, () => merge(merged, filled)))],
  [`summarize, ${FILLED} buckets`, nsPerCall(1000, (calls) => repeat(calls, () => summarize(filled, 10)))],
];

function repeat(calls: number, call: () => void): void {
  for (let n = 0; n < calls; n++) call();
}

console.log(`node ${process.version}; wire form of ${FILLED} buckets: ${encoded.buckets.length} characters`);
for (const [what, ns] of results) {
  const time = ns < 1000 ? `${ns.toFixed(1)} ns` : `${(ns / 1000).toFixed(1)} us`;
  console.log(`${what.padEnd(44)}${time.padStart(10)}`);
}
