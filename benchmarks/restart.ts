// What a long run and a large fleet cost the orchestrator, on the memory bus.
//   node --expose-gc benchmarks/restart.ts restart   1 h x 8 nodes x 2 snapshots/s: how long a restart takes
//   node --expose-gc benchmarks/restart.ts ingest    1,000 and 10,000 nodes at 1 Hz, 20 s of it
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMemoryLog } from "../src/bus/memory.ts";
import { encodeHistogram, type EncodedHistogram } from "../src/metrics/codec.ts";
import { createHistogram, record } from "../src/metrics/histogram.ts";
import { parsePlan } from "../src/plan/plan.ts";
import { encodeMessage, type OutgoingOf } from "../src/protocol/codec.ts";
import { systemClock } from "../src/orchestrator/clock.ts";
import { openReader } from "../src/orchestrator/reader.ts";
import { checkpointOf, startCheckpoints } from "../src/orchestrator/checkpoint.ts";
import { openStore } from "../src/orchestrator/store.ts";
import { configBody, triggerBody } from "../src/run/commands.ts";
import { membersOf } from "../src/run/accounts.ts";
import { timelineRows, secondsOf } from "../src/run/timeline.ts";
import type { SystemState } from "../src/run/state.ts";

const log = { info: () => {}, warn: (_code: string, _fields: object, text: string) => console.log(text), error: (_code: string, _fields: object, text: string) => console.log(text) };
const owner = "benchmark/1";
const clock = systemClock();

/** `buckets` filled buckets of counts of two bytes each; each `seed` its own. */
function filled(buckets: number, seed = 0, times = 200): EncodedHistogram {
  const histogram = createHistogram();
  for (let bucket = 0; bucket < buckets; bucket++) {
    const us = Math.round((2_048 + seed) * (1 + 7 / buckets) ** bucket) + bucket;
    for (let time = 0; time < times; time++) record(histogram, us);
  }
  return encodeHistogram(histogram);
}

const big = filled(2_000);
const bigger = filled(2_000, 64);
const seconds = Array.from({ length: 32 }, (_, seed) => filled(200, seed, 1));

function snapshot(node_id: string, epoch: number, seq: number, t_s: number): Uint8Array {
  const count = big.count;
  const message: OutgoingOf["metrics"] = {
    node_id,
    test_id: "long",
    report_id: `${node_id}-${seq}`,
    metrics: { mean_latency: 12.5, median_latency: 11, min_latency: 2, max_latency: 900, mode_latency: 10.5 },
    v: 1,
    epoch,
    seq,
    final: false,
    revision: 1,
    counts: {
      scheduled: count, sent: count, dropped: 0, ok: count, http_error: 0, network_error: 0, timeout: 0, aborted: 0, in_flight: 0, waiting: 0,
      completed_in_window: count, bytes_in: 1, bytes_out: 1, reconnects: 0, waited_for_connection: 0, backlog_max: 0, last_end_us: t_s * 1e6,
    },
    statuses: { "200": count },
    errors: [],
    response: big,
    service: bigger,
    connect: filled(0),
    failed: filled(0),
    send_lateness: filled(0),
    ranges: [{ range_id: "r0", taken: count }],
    rows: [t_s - 2, t_s - 1, t_s].filter((at_s) => at_s >= 0).map((at_s) => ({ t_s: at_s, scheduled: 200, sent: 200, completed: 200, errors: 0, response: seconds[at_s % 32]! })),
    generator: null,
    start_offset_us: 120,
    warmup: null,
  };
  return encodeMessage("metrics", message);
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** One second of all nodes, encoded once: what differs is written in. */
function fleet(epochs: readonly number[], second: number): Uint8Array[] {
  const [head = "", middle = "", tail = ""] = decoder.decode(snapshot("@", 4_711_471, second, second)).split(/(?<=^.{0,30}"node_id":)"@"|(?<="epoch":)4711471/);
  return epochs.map((epoch, at) => encoder.encode(`${head}"n${at}"${middle}${epoch}${tail}`));
}

/** A log in memory on which a run of `n` drivers has been triggered. */
async function system(n: number) {
  // The config of 10,000 members is 1.5 MB: over the default limit of a record.
  const memory = createMemoryLog({ max_record_bytes: 4_000_000 });
  const bus = memory.connect();
  const epochs: number[] = [];
  for (let at = 0; at < n; at++) {
    const node = { node_id: `n${at}`, node_ip: "127.0.0.1", message_type: "DRIVER_NODE_REGISTER" as const, v: 1, boot_id: `b${at}` };
    epochs.push(await bus.append("register", encodeMessage("register", node)));
  }
  const reader = await openReader(bus, clock, log);
  const moment = { now_ms: clock.now_ms(), hearing_since_ms: null };
  const plan = parsePlan({ target: { url: "http://127.0.0.1:9/" }, rate_rps: 1, duration_s: 86_400 });
  const stamp = (command_seq: number) => ({ term: 1, owner, command_seq, at_ms: clock.now_ms() });
  const command = async (body: OutgoingOf["control"]) => reader.reached("control", await bus.append("control", encodeMessage("control", body)));
  await command({ type: "claim", ...stamp(0) });
  await command({ ...configBody(reader.state, plan, "long", moment, [0]), ...stamp(1) });
  for (let at = 0; at < n; at++) {
    const run = reader.state.runs.get("long")!;
    const ready = { test_id: "long", config_offset: run.config_offset, epoch: epochs[at]! };
    const beat = { node_id: `n${at}`, heartbeat: "YES" as const, timestamp: clock.now_ms(), role: "driver" as const, epoch: epochs[at]!, state: "ready" as const, test_id: "long", ready, refused: null, clock: null, health: {} };
    await bus.append("heartbeat", encodeMessage("heartbeat", beat));
  }
  await reader.caughtUp();
  await command({ ...triggerBody(reader.state, reader.state.runs.get("long")!, { now_ms: clock.now_ms(), hearing_since_ms: null }, clock.now_ms()), ...stamp(2) });
  return { memory, bus, reader, epochs };
}

function mb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

function used(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The same timeline, whichever way it was read. */
function fingerprint(state: SystemState): string {
  const run = state.runs.get("long")!;
  const members = membersOf(run, state.measured.get("long"));
  return JSON.stringify(timelineRows(run, members, secondsOf(members)).map(({ t_s, completed, response }) => [t_s, completed, response]));
}

async function restart(): Promise<void> {
  const { memory, bus, reader, epochs } = await system(8);
  const data_dir = mkdtempSync(join(tmpdir(), "onrush-restart-"));
  const store = openStore(data_dir);
  const before = used();
  for (let half = 0; half < 7_200; half++) {
    for (const [at, epoch] of epochs.entries()) void bus.append("metrics", snapshot(`n${at}`, epoch, half, half >> 1));
    if (half % 200 === 0) await reader.caughtUp();
    // The checkpoint of a leader that dies 10 s before the end.
    if (half === 7_180) {
      await reader.caughtUp();
      let save = () => {};
      const once = { now_ms: () => 0, after: (_delay_ms: number, callback: () => void) => ((save = callback), () => {}) };
      startCheckpoints({ reader, store, clock: once, log, leads: () => true });
      const begun = performance.now();
      save();
      console.log(`first checkpoint, an hour at once: ${(performance.now() - begun).toFixed(0)} ms`);
    }
  }
  await reader.caughtUp();
  console.log(`log: ${(await bus.end("metrics"))[0]} metrics records, ${mb(used() - before)} with one state; a record ${snapshot("n0", 0, 9, 9).byteLength} bytes`);
  const expected = fingerprint(reader.state);
  await reader.close();
  for (const [name, resume] of [
    ["from the log alone", () => null],
    ["from a checkpoint 10 s old", (run: Parameters<typeof checkpointOf>[1]) => checkpointOf(store, run, log)],
  ] as const) {
    const begun = performance.now();
    const again = await openReader(memory.connect(), clock, log, resume);
    const took = performance.now() - begun;
    console.log(`restart ${name}: ${(took / 1000).toFixed(2)} s, same timeline: ${fingerprint(again.state) === expected}`);
    await again.close();
  }
  store.close();
  rmSync(data_dir, { recursive: true });
}

async function ingest(): Promise<void> {
  for (const n of [1_000, 10_000]) {
    const { memory, bus, reader, epochs } = await system(n);
    const lags: number[] = [];
    let appended = 0;
    let busy_us = 0;
    const first = used();
    let settled = first;
    const feeder = memory.connect();
    const begun_ms = clock.now_ms();
    for (let second = 0; second < 20; second++) {
      // Each node's record of this second is encoded before it counts: that is the drivers' work.
      const records = fleet(epochs, second);
      const cpu = process.cpuUsage();
      const from = performance.now();
      for (const value of records) void feeder.append("metrics", value);
      appended += n;
      await reader.caughtUp();
      lags.push(performance.now() - from);
      const { user, system: kernel } = process.cpuUsage(cpu);
      busy_us += user + kernel;
      await bus.trim("metrics", reader.position("metrics"));
      if (second === 9) settled = used();
    }
    lags.sort((a, b) => a - b);
    const per_s = (used() - settled) / 10;
    console.log(`ingest ${n} nodes x 1 Hz: ${appended} snapshots in ${((clock.now_ms() - begun_ms) / 1000).toFixed(0)} s; CPU ${(busy_us / appended).toFixed(0)} us a snapshot; a second's records folded in ${lags[10]!.toFixed(0)} ms (median), ${lags.at(-1)!.toFixed(0)} ms (max); state ${mb(settled - first)} after 10 s, then ${(per_s / n).toFixed(0)} bytes per node and second`);
    await reader.close();
  }
}

const [what = "restart"] = process.argv.slice(2);
await ({ restart, ingest } as Record<string, () => Promise<void>>)[what]?.();
