import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { monotonicOriginMs } from "./time.ts";

test("a moment of one thread's clock is found on another thread's", async () => {
  // The worker keeps writing the moment on the clock of this thread: what is read here is older, and often hardly so.
  const shared = new Float64Array(new SharedArrayBuffer(8));
  const code = `
    const { workerData } = require("node:worker_threads");
    import(workerData.module).then(({ monotonicOriginMs }) => {
      const origin_ms = monotonicOriginMs() - workerData.here_ms;
      for (;;) workerData.shared[0] = performance.now() + origin_ms;
    });`;
  const module = new URL("./time.ts", import.meta.url).href;
  const worker = new Worker(code, { eval: true, workerData: { shared, module, here_ms: monotonicOriginMs() } });
  await expect.poll(() => shared[0], { timeout: 20_000 }).toBeGreaterThan(0);
  let youngest_ms = Infinity;
  for (const until_ms = performance.now() + 100; performance.now() < until_ms; ) {
    const written_ms = shared[0]!;
    youngest_ms = Math.min(youngest_ms, performance.now() - written_ms);
  }
  await worker.terminate();
  expect(youngest_ms).toBeGreaterThan(-0.02);
  expect(youngest_ms).toBeLessThan(20);
});
