import { afterEach, beforeEach, expect, test } from "vitest";
import { startTarget, type Target } from "../target/target.ts";
import { createLoadEngine } from "./engine.ts";
import { closed, expectBalanced, expectEnds, loadJob, loadTarget, rate, runJob } from "./testing/run.ts";

let target: Target;
beforeEach(async () => {
  target = await startTarget({ faulty: true });
});
afterEach(() => target.close());

const received = (): number => target.counters().requests_received;

test.each([rate(200, 60_000), closed(null, 60_000)])("stopped in the middle, the counts balance ($kind)", async (schedule) => {
  target.setBehaviour({ delay_ms: 20 });
  const { counts, ranges } = await runJob(loadJob(loadTarget(target.port), schedule), async (engine) => {
    await expect.poll(received, { timeout: 10_000 }).toBeGreaterThan(20);
    expectBalanced(await engine.snapshot());
    engine.stop();
  });
  expectEnds(counts, { sent: counts.ok, ok: counts.ok, dropped: counts.dropped });
  expect(ranges[0]!.taken).toBe(counts.scheduled);
  expect(received()).toBe(counts.sent);
});

test("a stop drops what waits at once and aborts what is in flight after the grace", async () => {
  const job = loadJob(loadTarget(target.port, "/hang"), rate(200, 60_000), { connections: 3 });
  const { counts, errors } = await runJob(job, async (engine) => {
    await expect.poll(async () => (await engine.snapshot()).counts.waiting, { timeout: 10_000 }).toBeGreaterThan(5);
    engine.stop(50);
    const stopped = await engine.snapshot();
    expect(stopped.counts).toMatchObject({ waiting: 0, in_flight: 3 });
  });
  expectEnds(counts, { sent: 3, aborted: 3, dropped: counts.scheduled - 3 });
  expect(errors).toEqual([{ kind: "aborted", message: "stopped", count: 3 }]);
});

test("stopped before its start, it never sends", async () => {
  const engine = createLoadEngine(loadJob(loadTarget(target.port), rate(100, 1000)));
  await engine.prepare();
  engine.start(performance.now() + 60_000);
  engine.stop();
  await engine.finished;
  expectEnds((await engine.snapshot()).counts, {});
  await engine.close();
  engine.start(performance.now());
  expect(received()).toBe(0);
});

test("closed in the middle, it finishes", async () => {
  const engine = createLoadEngine(loadJob(loadTarget(target.port, "/hang"), rate(100, 60_000)));
  await engine.prepare();
  engine.start(performance.now());
  await expect.poll(received, { timeout: 10_000 }).toBeGreaterThan(2);
  await engine.close();
  await engine.finished;
  const snapshot = await engine.snapshot();
  expectBalanced(snapshot);
  expect(snapshot.counts).toMatchObject({ aborted: 4, in_flight: 0 });
  await expect.poll(() => target.counters().connections_open, { timeout: 10_000 }).toBe(0);
});

test("auto is precise only where a core is to spare", async () => {
  for (const [cores, pacing] of [[2, "timer"], [3, "precise"]] as const) {
    const engine = createLoadEngine(loadJob(loadTarget(target.port), rate(100, 100), { pacing: "auto" }), { cores });
    expect((await engine.snapshot()).generator.pacing).toBe(pacing);
    await engine.close();
  }
});

test("a late start is stated, and what was due meanwhile is sent", async () => {
  const engine = createLoadEngine(loadJob(loadTarget(target.port), rate(1000, 1000), { connections: 8 }));
  await engine.prepare();
  engine.start(performance.now() - 500);
  await engine.finished;
  const { counts, start_offset_us } = await engine.snapshot();
  await engine.close();
  expect(start_offset_us).toBeGreaterThanOrEqual(500_000);
  expectEnds(counts, { sent: 1000, ok: 1000 });
});

test("it watches its own thread", async () => {
  const { generator } = await runJob(loadJob(loadTarget(target.port), rate(50, 1300), { pacing: "precise" }));
  expect(generator.seconds).toBeGreaterThanOrEqual(1);
  expect(generator.cpu).toBeGreaterThan(0);
  expect(generator.utilisation).toBeGreaterThan(0);
  expect(generator.utilisation).toBeLessThan(0.9);
  expect(generator.sent_while_free).toBeLessThanOrEqual(generator.due_while_free);
  expect(generator.due_while_free).toBeGreaterThan(40);
});

test("it counts the pauses of its garbage collector", async () => {
  const { generator } = await runJob(loadJob(loadTarget(target.port), rate(50, 300)), async () => {
    await expect.poll(() => target.counters().requests_received).toBeGreaterThan(0);
    let kept: number[][] = [];
    for (let i = 0; i < 100_000; i++) {
      kept.push(new Array<number>(100).fill(i));
      if (kept.length > 1000) kept = [];
    }
  });
  expect(generator.gc_pauses).toBeGreaterThan(0);
  expect(generator.gc_us).toBeGreaterThanOrEqual(generator.gc_max_us!);
});
