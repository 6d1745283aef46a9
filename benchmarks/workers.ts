// What load threads cost and what they are good for: `node benchmarks/workers.ts [seconds] [rounds]`.
// 1. CPU time per request of the engine in this thread and in one worker, closed loop and open, in turn.
// 2. Send lateness of both while this thread is blocked 200 ms each second.
// 3. How far a worker's zero of the schedule is from this thread's, by both ways of converting it.
import { fork } from "node:child_process";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { createLoadEngine, type LoadEngine, type LoadJob } from "../src/load/engine.ts";
import { createCrew, createLoadPool } from "../src/load/pool.ts";
import { monotonicOriginMs } from "../src/load/time.ts";
import { warmCode } from "../src/load/warm.ts";
import { decodeHistogram } from "../src/metrics/codec.ts";
import { percentileUs } from "../src/metrics/statistics.ts";
import type { Schedule } from "../src/plan/schedule.ts";
import { startTarget } from "../src/target/target.ts";

if (process.argv[2] === "target") {
  const target = await startTarget();
  process.send?.(target.port);
  process.on("disconnect", () => void target.close().then(() => process.exit()));
} else {
  await measure(Number(process.argv[2] ?? 3), Number(process.argv[3] ?? 3));
}

async function measure(seconds: number, rounds: number): Promise<void> {
  const child = fork(import.meta.filename, ["target"]);
  const [port] = (await once(child, "message")) as [number];
  const window_us = seconds * 1e6;
  const closed: Schedule = { kind: "closed", rate_urps: null, slots: null, window_us };
  const open: Schedule = { kind: "rate", total_rate_urps: 10_000e6, slots: 10_000 * seconds, window_us };
  await warmCode();
  const crew = createCrew({ ready: 2 });
  await crew.take(2).then((threads) => crew.giveBack(threads));
  const ways: [string, (job: LoadJob) => LoadEngine][] = [
    ["in this thread", (job) => createLoadEngine(job)],
    ["one worker", (job) => createLoadPool(job, crew, 1)],
    ["two workers", (job) => createLoadPool(job, crew, 2)],
  ];
  for (let round = 0; round < rounds; round++) {
    for (const [name, make] of ways) console.log(`closed  ${name}: ${await run(make(jobOf(port, closed)))}`);
    for (const [name, make] of ways) console.log(`open    ${name}: ${await run(make(jobOf(port, open)))}`);
  }
  const blocked = setInterval(() => {
    const until_ms = performance.now() + 200;
    while (performance.now() < until_ms);
  }, 1000);
  for (const [name, make] of ways) console.log(`blocked ${name}: ${await run(make(jobOf(port, open)))}`);
  clearInterval(blocked);
  await crew.close();
  await clocks();
  child.disconnect();
}

function jobOf(port: number, schedule: Schedule): LoadJob {
  const target = { protocol: "http:", hostname: "127.0.0.1", address: "127.0.0.1", port, path: "/ping" } as const;
  return {
    test_id: "benchmark",
    target: { ...target, method: "GET", headers: {}, body: null, insecure: false },
    schedule,
    ranges: [{ range_id: "r0", share: 0, from: 0, to: schedule.slots, step: 1 }],
    connections: 64,
    timeout_us: 30e6,
    backlog: 1e6,
    pacing: "timer",
    warmup_us: 0,
  };
}

async function run(engine: LoadEngine): Promise<string> {
  await engine.prepare();
  engine.start(performance.now() + 50);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const before = process.cpuUsage();
  await engine.finished;
  const { user, system } = process.cpuUsage(before);
  const { counts, send_lateness, response } = await engine.snapshot();
  await engine.close();
  const late = decodeHistogram(send_lateness);
  const responses = decodeHistogram(response);
  return (
    `${counts.ok} ok of ${counts.sent}, ${((user + system) / counts.sent).toFixed(2)} us CPU a request, ` +
    `send lateness p50 ${percentileUs(late, 0.5)} p99 ${percentileUs(late, 0.99)} max ${late.max_us} us, ` +
    `response p99 ${percentileUs(responses, 0.99)} us`
  );
}

/** A worker keeps writing what it takes for this thread's performance.now(); what is read here can only be older. */
async function clocks(): Promise<void> {
  const shared = new Float64Array(new SharedArrayBuffer(16));
  const module = new URL("../src/load/time.ts", import.meta.url).href;
  const code = `
    const { workerData } = require("node:worker_threads");
    import(${JSON.stringify(module)}).then(({ monotonicOriginMs }) => {
      const { shared, here_ms, origin_ms } = workerData;
      const by_clock = monotonicOriginMs() - here_ms;
      const by_origin = performance.timeOrigin - origin_ms;
      for (;;) {
        const now = performance.now();
        shared[0] = now + by_clock;
        shared[1] = now + by_origin;
      }
    });`;
  const workerData = { shared, here_ms: monotonicOriginMs(), origin_ms: performance.timeOrigin };
  const worker = new Worker(code, { eval: true, workerData });
  await new Promise((resolve) => setTimeout(resolve, 300));
  const youngest_us = [Infinity, Infinity];
  for (let i = 0; i < 5e6; i++) {
    const way = i & 1;
    const read = shared[way]!;
    youngest_us[way] = Math.min(youngest_us[way]!, (performance.now() - read) * 1000);
  }
  console.log(`clock: a worker's moments come at the earliest ${youngest_us[0]!.toFixed(2)} us after it wrote them`);
  console.log(`clock: by performance.timeOrigin ${youngest_us[1]!.toFixed(2)} us`);
  await worker.terminate();
}
