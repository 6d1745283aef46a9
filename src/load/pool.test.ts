import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startTarget, type Target } from "../target/target.ts";
import { createCrew, createLoadPool, type Crew } from "./pool.ts";
import type { LoadEngine, LoadJob } from "./engine.ts";
import { closed, expectBalanced, expectEnds, loadJob, loadTarget, rate } from "./testing/run.ts";

let target: Target;
let crew: Crew;
beforeEach(async () => {
  target = await startTarget({ faulty: true, record_arrivals: true });
  crew = createCrew({ ready: 0, warm: false });
});
afterEach(async () => {
  await crew.close();
  await target.close();
});

const received = (): number => target.counters().requests_received;

async function runPool(job: LoadJob, workers: number, meanwhile?: (engine: LoadEngine) => Promise<void>) {
  const engine = createLoadPool(job, crew, workers);
  expect(await engine.prepare()).toEqual({ ok: true, connected: job.connections });
  engine.start(performance.now() + 20 + job.warmup_us / 1000);
  await meanwhile?.(engine);
  await engine.finished;
  const snapshot = await engine.snapshot();
  expectBalanced(snapshot);
  expect(snapshot.counts).toMatchObject({ in_flight: 0, waiting: 0 });
  await engine.close();
  return snapshot;
}

describe.each([1, 2, 4])("%i workers", (workers) => {
  test("open: every slot is sent, received and counted once", async () => {
    const job = loadJob(loadTarget(target.port), rate(501, 1000), { connections: 9, warmup_us: 100_000 });
    const { counts, ranges, rows, warmup } = await runPool(job, workers);
    expectEnds(counts, { sent: 501, ok: 501 });
    expectEnds(warmup!.counts, { sent: 50, ok: 50 });
    expect(ranges).toEqual([{ range_id: "r0", taken: 501 }]);
    expect(rows.reduce((sum, row) => sum + row.sent, 0)).toBe(501);
    expect(target.counters()).toMatchObject({ requests_received: 551, connections_opened: 9 });
  });

  test("closed: exactly so many requests", async () => {
    const { counts, ranges, statuses } = await runPool(loadJob(loadTarget(target.port, "/status/404"), closed(1003, null), { connections: 7 }), workers);
    expectEnds(counts, { sent: 1003, http_error: 1003 });
    expect(statuses).toEqual({ 404: 1003 });
    expect(ranges).toEqual([{ range_id: "r0", taken: 1003 }]);
    expect(target.counters()).toMatchObject({ requests_received: 1003, connections_opened: 7 });
  });

  test.each([rate(400, 60_000), closed(null, 60_000)])("stopped in the middle, the counts balance ($kind)", async (schedule) => {
    target.setBehaviour({ delay_ms: 10 });
    const { counts, ranges } = await runPool(loadJob(loadTarget(target.port), schedule, { connections: 8 }), workers, async (engine) => {
      await expect.poll(received, { timeout: 10_000 }).toBeGreaterThan(40);
      expectBalanced(await engine.snapshot());
      engine.stop();
    });
    expectEnds(counts, { sent: counts.ok, ok: counts.ok, dropped: counts.dropped });
    expect(ranges[0]!.taken).toBe(counts.scheduled);
    expect(received()).toBe(counts.sent);
  });
});

test("the calling thread may be held up: what is due meanwhile is sent", async () => {
  const held_ms = 400;
  await runPool(loadJob(loadTarget(target.port, "/ping"), rate(100, 1000), { connections: 4 }), 1, async () => {
    await expect.poll(received).toBeGreaterThan(5);
    const before = received();
    const until_ms = performance.now() + held_ms;
    while (performance.now() < until_ms);
    // The target lives in the held thread as well: what it is given at once then was sent while it was held.
    await expect.poll(received, { interval: 1 }).toBeGreaterThanOrEqual(before + 3);
  });
  expect(received()).toBe(100);
});

test("threads serve one test after the other", async () => {
  const pid = new Set<unknown>();
  for (let i = 0; i < 3; i++) {
    const { counts } = await runPool(loadJob(loadTarget(target.port), closed(50, null), { connections: 4 }), 2);
    expectEnds(counts, { sent: 50, ok: 50 });
    const threads = await crew.take(2);
    for (const thread of threads) pid.add(thread);
    crew.giveBack(threads);
  }
  expect(pid.size).toBe(2);
});

describe("before and without a start", () => {
  test("nobody listens", async () => {
    const port = target.port;
    await target.close();
    const engine = createLoadPool(loadJob(loadTarget(port), closed(10, null)), crew, 2);
    expect(await engine.prepare()).toEqual({ ok: false, kind: "connect_refused", message: "connection refused" });
    await engine.close();
    await engine.finished;
  });

  test("a request that cannot be put into bytes", async () => {
    const engine = createLoadPool(loadJob(loadTarget(target.port, "/a b"), closed(10, null)), crew, 1);
    await expect(engine.prepare()).rejects.toThrow('path: "/a b" cannot be sent');
    await engine.close();
  });

  test("stopped before its start, it never sends", async () => {
    const engine = createLoadPool(loadJob(loadTarget(target.port), rate(100, 1000)), crew, 2);
    await engine.prepare();
    engine.stop();
    engine.start(performance.now());
    await engine.finished;
    expectEnds((await engine.snapshot()).counts, {});
    await engine.close();
    expect(received()).toBe(0);
  });

  test("closed while it prepares", async () => {
    const engine = createLoadPool(loadJob(loadTarget(target.port), rate(100, 1000)), crew, 2);
    const prepared = engine.prepare();
    await engine.close();
    await prepared;
    await engine.finished;
    expect(received()).toBe(0);
  });
});

test.each([1, 3])("%i workers take over slots while they run, and when they are done already", async (workers) => {
  const inherited = (from: number) => ({ range_id: `r9.${from}`, share: 9, from, to: 400, step: 100 });
  const job = loadJob(loadTarget(target.port), rate(400, 1000), { connections: 6 });
  job.ranges = [{ range_id: "r0", share: 0, from: 0, to: 400, step: 2 }];
  const { counts, ranges } = await runPool(job, workers, async (engine) => {
    await expect.poll(received).toBeGreaterThan(5);
    engine.assign([inherited(399), { ...inherited(301), range_id: "r1.0", step: 2 }]);
    await engine.finished;
    const { counts: before } = await engine.snapshot();
    expectEnds(before, { sent: 251, ok: 251 });
    engine.assign([inherited(1)]);
  });
  // Slots that were due long ago are not caught up.
  expectEnds(counts, { sent: 251, ok: 251, dropped: 4 });
  expect(ranges).toEqual([
    { range_id: "r0", taken: 200 },
    { range_id: "r9.399", taken: 1 },
    { range_id: "r1.0", taken: 50 },
    { range_id: "r9.1", taken: 4 },
  ]);
  expect(received()).toBe(251);
});

test("threads that were blocked send nothing before they are told to go on, and that is asked for once", async () => {
  await crew.close();
  crew = createCrew({ ready: 0, warm: false, entry: new URL("./testing/blocked-worker.ts", import.meta.url) });
  const gaps: number[] = [];
  const job = loadJob(loadTarget(target.port), rate(300, 1500), { connections: 6 });
  const engine = createLoadPool(job, crew, 2, { onGap: (gap_ms) => gaps.push(gap_ms) });
  await engine.prepare();
  engine.start(performance.now());
  await expect.poll(() => gaps.length, { timeout: 10_000 }).toBe(1);
  const held = (await engine.snapshot()).counts.sent;
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect((await engine.snapshot()).counts.sent).toBe(held);
  engine.resume();
  await engine.finished;
  const { counts } = await engine.snapshot();
  await engine.close();
  expectEnds(counts, { sent: 450, ok: 450 });
  expect(gaps).toHaveLength(1);
});

describe("a thread that breaks", () => {
  test("is a failure of the load, and is replaced", async () => {
    await crew.close();
    crew = createCrew({ ready: 0, warm: false, entry: new URL("./testing/breaking-worker.ts", import.meta.url) });
    for (let i = 0; i < 2; i++) {
      const engine = createLoadPool(loadJob(loadTarget(target.port), closed(10, null)), crew, 2);
      expect(await engine.prepare()).toEqual({ ok: true, connected: 2 });
      engine.start(performance.now());
      await expect(engine.finished).rejects.toThrow("a load thread broke: out of order");
      await expect(engine.snapshot()).rejects.toThrow("a load thread broke");
      await engine.close();
    }
  });

  test("or hangs when it is to close, is ended", async () => {
    await crew.close();
    crew = createCrew({ ready: 0, warm: false, entry: new URL("./testing/silent-worker.ts", import.meta.url) });
    const engine = createLoadPool(loadJob(loadTarget(target.port), closed(10, null)), crew, 1);
    await engine.prepare();
    engine.start(performance.now());
    await engine.close();
    await expect(engine.finished).rejects.toThrow("a load thread does not answer");
  });
});
