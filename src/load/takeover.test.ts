import { afterEach, beforeEach, expect, test } from "vitest";
import { startTarget, type Target } from "../target/target.ts";
import { createLoadEngine } from "./engine.ts";
import { closed, loadJob, loadTarget, rate } from "./testing/run.ts";

let target: Target;
beforeEach(async () => {
  target = await startTarget({ faulty: true });
});
afterEach(() => target.close());

const half = (share: number, to: number | null) => ({ range_id: `r${share}`, share, from: share, to, step: 2 });

test.each([rate(100, 1_000), closed(100, null)])("ranges are taken over while it runs and after it has finished ($kind)", async (schedule) => {
  const first = { range_id: "r0", share: 0, from: 0, to: 20, step: 1 };
  const engine = createLoadEngine(loadJob(loadTarget(target.port), schedule, { ranges: [first] }));
  await engine.prepare();
  const begun_ms = performance.now() + 50;
  engine.start(begun_ms);
  engine.assign([{ range_id: "r1", share: 0, from: 20, to: 40, step: 1 }]);
  const { finished } = engine;
  await finished;
  expect((await engine.snapshot()).counts).toMatchObject({ scheduled: 40, sent: 40, ok: 40 });
  engine.assign([{ range_id: "r2", share: 0, from: 40, to: 100, step: 1 }]);
  expect(engine.finished).not.toBe(finished);
  await engine.finished;
  const { counts, ranges } = await engine.snapshot();
  expect(counts.scheduled).toBe(100);
  expect(counts.sent + counts.dropped).toBe(100);
  expect(counts.ok).toBe(counts.sent);
  expect(target.counters().requests_received).toBe(counts.sent);
  expect(ranges).toEqual([
    { range_id: "r0", taken: 20 },
    { range_id: "r1", taken: 20 },
    { range_id: "r2", taken: 60 },
  ]);
  await engine.close();
});

test("slots that were due before they came are dropped, not caught up", async () => {
  const engine = createLoadEngine(loadJob(loadTarget(target.port), rate(100, 2_000), { ranges: [half(0, null)] }));
  await engine.prepare();
  engine.start(performance.now() - 1_000.1);
  engine.assign([half(1, null)]);
  await engine.finished;
  const { counts } = await engine.snapshot();
  expect(counts.scheduled).toBe(200);
  expect(counts.dropped).toBeGreaterThanOrEqual(50);
  expect(counts.sent).toBe(200 - counts.dropped);
  await engine.close();
});

test("nothing is taken over after a stop", async () => {
  const engine = createLoadEngine(loadJob(loadTarget(target.port), rate(100, 1_000)));
  await engine.prepare();
  engine.start(performance.now() + 1_000);
  engine.stop();
  engine.assign([half(1, null)]);
  await engine.finished;
  expect((await engine.snapshot()).counts).toMatchObject({ scheduled: 0, sent: 0 });
  await engine.close();
});

test.each([rate(100, 2_000), closed(null, 2_000, 100), closed(null, 2_000)])("after a gap it holds still until it is resumed ($kind)", async (schedule) => {
  let ahead_ms = 0;
  const gaps: number[] = [];
  const engine = createLoadEngine(loadJob(loadTarget(target.port), schedule), {
    clock: () => performance.now() + ahead_ms,
    onGap: (gap_ms) => gaps.push(gap_ms),
  });
  target.setBehaviour({ delay_ms: 5 });
  await engine.prepare();
  engine.start(performance.now());
  await expect.poll(() => target.counters().requests_received, { timeout: 10_000 }).toBeGreaterThan(5);
  expect(gaps).toEqual([]);
  ahead_ms = 800;
  await expect.poll(() => gaps.length, { timeout: 10_000 }).toBe(1);
  expect(gaps[0]).toBeGreaterThan(500);
  const held = (await engine.snapshot()).counts.sent;
  await new Promise((resolve) => setTimeout(resolve, 150));
  expect((await engine.snapshot()).counts.sent).toBe(held);
  engine.resume();
  await engine.finished;
  const { counts } = await engine.snapshot();
  expect(counts.sent).toBeGreaterThan(held);
  if (schedule.kind === "rate") expect(counts.sent).toBe(200);
  expect(counts.ok).toBe(counts.sent);
  await engine.close();
});
