import { afterEach, beforeEach, expect, test } from "vitest";
import { startTarget, type Target } from "../target/target.ts";
import { closed, expectEnds, loadJob, loadTarget, percentileMs, runJob } from "./testing/run.ts";

let target: Target;
beforeEach(async () => {
  target = await startTarget({ faulty: true, record_arrivals: true });
});
afterEach(() => target.close());

test.each([1, 10, 64])("exactly the count, over 64 connections (%i more than a thousand)", async (more) => {
  const { counts, ranges } = await runJob(
    loadJob(loadTarget(target.port), closed(1000 + more, null), { connections: 64 }),
  );
  expectEnds(counts, { sent: 1000 + more, ok: 1000 + more });
  expect(counts.completed_in_window).toBe(1000 + more);
  expect(target.counters()).toMatchObject({ requests_received: 1000 + more, connections_opened: 64 });
  expect(ranges).toEqual([{ range_id: "r0", taken: 1000 + more }]);
});

test("fewer requests than connections", async () => {
  const { counts } = await runJob(loadJob(loadTarget(target.port), closed(3, null), { connections: 64 }));
  expectEnds(counts, { sent: 3, ok: 3 });
});

test("a share of the count, in several ranges", async () => {
  const ranges = [
    { range_id: "a", share: 1, from: 1, to: null, step: 3 },
    { range_id: "b", share: 2, from: 32, to: 62, step: 3 },
  ];
  const { counts, ranges: progress } = await runJob(loadJob(loadTarget(target.port), closed(100, null), { ranges }));
  expectEnds(counts, { sent: 43, ok: 43 });
  expect(progress).toEqual([
    { range_id: "a", taken: 33 },
    { range_id: "b", taken: 10 },
  ]);
});

test("one connection has one request at a time", async () => {
  target.setBehaviour({ delay_ms: 50 });
  const { counts, response } = await runJob(
    loadJob(loadTarget(target.port), closed(null, 500), { connections: 1 }),
  );
  expect(counts.sent).toBeGreaterThan(3);
  expect(counts.sent).toBeLessThanOrEqual(10);
  expect(target.counters()).toMatchObject({ requests_received: counts.sent, connections_opened: 1 });
  expect(percentileMs(response, 0)).toBeGreaterThanOrEqual(49);
});

test("by duration: nothing is due at or after the window's end", async () => {
  const { counts } = await runJob(loadJob(loadTarget(target.port), closed(null, 300)));
  expect(counts.ok).toBe(counts.sent);
  expect(counts.sent).toBe(target.counters().requests_received);
  const arrivals = target.arrivals_ms();
  expect(arrivals.at(-1)! - arrivals[0]!).toBeLessThan(1_000);
});

test("with a rate: over no stretch more than it allows", async () => {
  const { counts } = await runJob(loadJob(loadTarget(target.port), closed(null, 1000, 200), { pacing: "precise" }));
  expectEnds(counts, { sent: counts.sent, ok: counts.sent });
  expect(counts.sent).toBeLessThanOrEqual(200);
  expect(counts.sent).toBeGreaterThan(100);
  const arrivals = target.arrivals_ms();
  const within = arrivals.map((at) => arrivals.filter((other) => other >= at && other < at + 250).length);
  expect(Math.max(...within)).toBeLessThanOrEqual(53);
});

test("the warm-up has no count", async () => {
  const { counts, warmup } = await runJob(
    loadJob(loadTarget(target.port), closed(100, null), { warmup_us: 100_000 }),
  );
  expectEnds(counts, { sent: 100, ok: 100 });
  expect(warmup!.counts.ok).toBeGreaterThan(0);
  expect(warmup!.counts.ok).toBe(warmup!.counts.sent);
  expect(target.counters().requests_received).toBe(100 + warmup!.counts.sent);
});

test("a target that is gone is not hammered: connections back off", async () => {
  const { counts, errors } = await runJob(
    loadJob(loadTarget(target.port), closed(null, 600), { connections: 2 }),
    () => target.close(),
  );
  const refused = errors.find(({ kind }) => kind === "connect_refused")!.count;
  expect(refused).toBeGreaterThanOrEqual(2);
  // 10 + 20 + 40 + ... ms between the attempts of each.
  expect(refused).toBeLessThanOrEqual(14);
  expect(counts.network_error).toBe(counts.sent - counts.ok);
});
