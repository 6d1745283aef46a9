// How much one request costs: `node benchmarks/engine.ts [seconds] [connections]` runs the load engine, closed loop, on
// one thread against the test target in a process of its own, and says requests per second and CPU time per request.
// Compare: wrk -t1 -c64 -d5s URL. With room for all garbage it also says what a request leaves behind:
// node --min-semi-space-size=256 --max-semi-space-size=256 benchmarks/engine.ts 3
import { fork } from "node:child_process";
import { once } from "node:events";
import { getHeapStatistics } from "node:v8";
import { createLoadEngine } from "../src/load/engine.ts";
import { warmCode } from "../src/load/warm.ts";
import { decodeHistogram } from "../src/metrics/codec.ts";
import { percentileUs } from "../src/metrics/statistics.ts";
import { startTarget } from "../src/target/target.ts";

if (process.argv[2] === "target") {
  const target = await startTarget();
  process.send?.(target.port);
  process.on("disconnect", () => void target.close().then(() => process.exit()));
} else {
  await measure(Number(process.argv[2] ?? 5), Number(process.argv[3] ?? 64));
}

async function measure(seconds: number, connections: number): Promise<void> {
  const child = fork(import.meta.filename, ["target"]);
  const [port] = (await once(child, "message")) as [number];
  await warmCode();
  const engine = createLoadEngine({
    test_id: "benchmark",
    target: {
      protocol: "http:",
      hostname: "127.0.0.1",
      address: "127.0.0.1",
      port,
      path: "/ping",
      method: "GET",
      headers: {},
      body: null,
      insecure: false,
    },
    schedule: { kind: "closed", rate_urps: null, slots: null, window_us: seconds * 1e6 },
    ranges: [{ range_id: "r0", share: 0, from: 0, to: null, step: 1 }],
    connections,
    timeout_us: 30e6,
    backlog: 0,
    pacing: "timer",
    warmup_us: 0,
  });
  await engine.prepare();
  engine.start(performance.now() + 50);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const heap_before = getHeapStatistics().used_heap_size;
  const before = process.cpuUsage();
  await engine.finished;
  const { user, system } = process.cpuUsage(before);
  const heap = getHeapStatistics().used_heap_size - heap_before;
  const { counts, response, generator } = await engine.snapshot();
  await engine.close();
  child.disconnect();

  const responses = decodeHistogram(response);
  console.log(
    `${counts.ok} ok of ${counts.sent}, ${Math.round(counts.completed_in_window / seconds)} rps, ` +
      `${((user + system) / counts.sent).toFixed(2)} us CPU a request (${(user / counts.sent).toFixed(2)} user), ` +
      `p50 ${percentileUs(responses, 0.5)} us, p99 ${percentileUs(responses, 0.99)} us, ` +
      `utilisation ${generator.utilisation.toFixed(2)}, ${generator.gc_pauses} garbage collections` +
      (generator.gc_pauses === 0 ? `, ${Math.round(heap / counts.sent)} bytes of garbage a request` : ""),
  );
}
