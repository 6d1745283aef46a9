import { afterEach, beforeEach, expect, test } from "vitest";
import { startTarget, type Target } from "../target/target.ts";
import { delay, expectEnds, loadJob, loadTarget, percentileMs, rate, runJob } from "./testing/run.ts";

let target: Target;
beforeEach(async () => {
  target = await startTarget({ faulty: true, record_arrivals: true });
});
afterEach(() => target.close());

test.each(["timer", "precise"] as const)("every slot is sent, received and counted once (%s)", async (pacing) => {
  const { counts, response, generator, ranges, rows } = await runJob(
    loadJob(loadTarget(target.port), rate(500, 1000), { pacing }),
  );
  expectEnds(counts, { sent: 500, ok: 500 });
  expect(target.counters().requests_received).toBe(500);
  expect(response.count).toBe(500);
  expect(ranges).toEqual([{ range_id: "r0", taken: 500 }]);
  expect(generator.pacing).toBe(pacing);
  expect(rows.reduce((sum, row) => sum + row.scheduled, 0)).toBe(500);
});

test("gaps hold while the target takes its time", async () => {
  target.setBehaviour({ delay_ms: 500 });
  const { counts, response, service } = await runJob(
    loadJob(loadTarget(target.port), delay(20, 50), { connections: 64, pacing: "precise" }),
  );
  expectEnds(counts, { sent: 50, ok: 50 });
  const arrivals = target.arrivals_ms();
  expect(arrivals).toHaveLength(50);
  // The schedule is absolute: what one arrival is late for, the next one is not.
  const late = arrivals.map((at, i) => Math.abs(at - arrivals[0]! - 20 * i)).sort((a, b) => a - b);
  expect(late[25]).toBeLessThan(5);
  expect(percentileMs(response, 0.5)).toBeGreaterThanOrEqual(499);
  expect(percentileMs(service, 0.5)).toBeGreaterThanOrEqual(499);
});

test("a stall of the target is in the response times of everything that was due meanwhile", async () => {
  target.setBehaviour({ stall: { at_ms: 2000, for_ms: 1000 } });
  const { counts, response } = await runJob(loadJob(loadTarget(target.port), rate(200, 5000), { connections: 64 }));
  expectEnds(counts, { sent: 1000, ok: 1000 });
  expect(counts.backlog_max).toBeGreaterThan(100);
  for (const [q, expected_ms] of [[0.9, 500], [0.95, 750], [0.99, 950]] as const) {
    expect(Math.abs(percentileMs(response, q) - expected_ms)).toBeLessThan(60);
  }
});

test("without a backlog, what is due while no connection is free is dropped", async () => {
  const job = loadJob(loadTarget(target.port, "/hang"), rate(10, 950), { connections: 5, backlog: 0, timeout_us: 2e6 });
  const { counts } = await runJob(job);
  expectEnds(counts, { sent: 5, dropped: 5, timeout: 5 });
  expect(counts.scheduled).toBe(10);
  expect(counts.waited_for_connection).toBe(5);
  expect(target.counters().requests_received).toBe(5);
});

test("the backlog is served first in, first out, and drops the newest when it is full", async () => {
  target.setBehaviour({ stall: { after_requests: 0, for_ms: 500 } });
  const job = loadJob(loadTarget(target.port), delay(10, 20), { connections: 1, backlog: 7 });
  const { counts, response } = await runJob(job);
  expectEnds(counts, { sent: 8, dropped: 12, ok: 8 });
  expect(counts.backlog_max).toBe(7);
  // The oldest were due 0, 10, ... 70 ms after zero, and all were answered after the stall.
  expect(percentileMs(response, 0)).toBeGreaterThan(400);
});

test("what still waits one timeout after the window is dropped; what is in flight runs to its own timeout", async () => {
  const job = loadJob(loadTarget(target.port, "/hang"), delay(10, 20), { connections: 2, timeout_us: 250_000 });
  const { counts } = await runJob(job);
  // Window 200 ms, drain limit 450 ms: two at 0, two at 250 ms, the rest waits in vain.
  expect(counts.sent).toBe(counts.timeout);
  expect(counts.sent).toBeGreaterThanOrEqual(2);
  expect(counts.sent).toBeLessThanOrEqual(4);
  expect(counts.dropped).toBe(20 - counts.sent);
});

test("several ranges are merged by due moment; each says how far it has come", async () => {
  const schedule = rate(100, 500);
  const ranges = [
    { range_id: "a", share: 0, from: 0, to: null, step: 4 },
    { range_id: "b", share: 3, from: 3, to: 30, step: 4 },
  ];
  const { counts, ranges: progress } = await runJob(loadJob(loadTarget(target.port), schedule, { ranges }));
  expect(progress).toEqual([
    { range_id: "a", taken: 13 },
    { range_id: "b", taken: 7 },
  ]);
  expectEnds(counts, { sent: 20, ok: 20 });
});

test("the warm-up has totals of its own, and comes before zero", async () => {
  const { counts, warmup, ranges } = await runJob(
    loadJob(loadTarget(target.port), rate(100, 500), { warmup_us: 300_000 }),
  );
  expectEnds(counts, { sent: 50, ok: 50 });
  expectEnds(warmup!.counts, { sent: 30, ok: 30 });
  expect(warmup!.response.count).toBe(30);
  expect(ranges[0]!.taken).toBe(50);
  expect(target.counters().requests_received).toBe(80);
});

test("idle connections are used first in, first out", async () => {
  const { counts } = await runJob(loadJob(loadTarget(target.port), rate(100, 400), { connections: 8 }));
  expectEnds(counts, { sent: 40, ok: 40 });
  expect(target.counters().connections_opened).toBe(8);
});

test("nothing due: finished at once", async () => {
  const ranges = [{ range_id: "r0", share: 1, from: 1, to: null, step: 2 }];
  const { counts } = await runJob(loadJob(loadTarget(target.port), delay(20, 1), { ranges }));
  expectEnds(counts, {});
});
