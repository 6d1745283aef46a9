import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { layOut } from "../plan/layout.ts";
import { rangeLength, rangeSlot, warmupRange } from "../plan/pacer.ts";
import { parsePlan } from "../plan/plan.ts";
import type { Range, Schedule } from "../plan/schedule.ts";
import type { LoadJob } from "./engine.ts";
import { splitJob, workersOf, type WorkersWanted } from "./split.ts";
import { closed, loadJob, loadTarget, rate } from "./testing/run.ts";

function slotsOf(ranges: readonly Range[], slots: number | null): number[] {
  return ranges.flatMap((range) => Array.from({ length: rangeLength(range, slots) }, (_, i) => rangeSlot(range, i)));
}

function warmupSlots({ schedule, ranges, warmup_us }: LoadJob): number[] {
  const warmups = ranges.map((range) => warmupRange(schedule, warmup_us, range)).filter((range) => range !== null);
  return slotsOf(warmups, schedule.slots);
}

const ascending = (slots: number[]) => slots.sort((a, b) => a - b);
const job = (schedule: Schedule, change: Partial<LoadJob> = {}) => loadJob(loadTarget(80), schedule, { connections: 64, ...change });

describe("drivers x workers", () => {
  const plans = fc.record({
    rate_rps: fc.integer({ min: 1, max: 5000 }),
    total_requests: fc.integer({ min: 1, max: 2000 }),
    drivers: fc.integer({ min: 1, max: 7 }),
    foreign: fc.integer({ min: 0, max: 2 }),
    workers: fc.integer({ min: 1, max: 9 }),
    warmup_us: fc.integer({ min: 0, max: 300_000 }),
    delay: fc.boolean(),
  });

  test("every slot has exactly one owner, and so has every slot of the warm-up", () => {
    fc.assert(
      fc.property(plans, ({ rate_rps, total_requests, drivers, foreign, workers, warmup_us, delay }) => {
        fc.pre(total_requests >= drivers + foreign);
        const pace = delay ? { delay_ms: 1000 / rate_rps } : { rate_rps };
        const plan = parsePlan({ target: { url: "http://127.0.0.1/" }, total_requests, ...pace });
        const members = Array.from({ length: drivers + foreign }, (_, i) => ({ node_id: `n${i}`, foreign: i >= drivers }));
        const { schedule, members: laidOut } = layOut(plan, members);
        const onrush = laidOut.filter((member) => !member.foreign);
        const nodes = onrush.map(({ ranges }) => job(schedule, { ranges, warmup_us }));
        const split = nodes.flatMap((node) => splitJob(node, workers));
        const owned = ascending(split.flatMap(({ ranges }) => slotsOf(ranges, schedule.slots)));
        expect(owned).toEqual(ascending(nodes.flatMap(({ ranges }) => slotsOf(ranges, schedule.slots))));
        expect(new Set(owned).size).toBe(owned.length);
        const warm = ascending(split.flatMap(warmupSlots));
        expect(warm).toEqual(ascending(nodes.flatMap(warmupSlots)));
        expect(new Set(warm).size).toBe(warm.length);
      }),
      { numRuns: 300 },
    );
  });

  test("a range that has moved is split too, and gets no warm-up", () => {
    const moved: Range = { range_id: "r1.2", share: 1, from: 31, to: 100, step: 3 };
    const jobs = splitJob(job(rate(1000, 100), { ranges: [moved], warmup_us: 100_000 }), 4);
    expect(ascending(jobs.flatMap(({ ranges }) => slotsOf(ranges, 100)))).toEqual(slotsOf([moved], 100));
    expect(jobs.flatMap(warmupSlots)).toEqual([]);
  });

  test("a schedule without an end", () => {
    const jobs = splitJob(job(closed(null, 1000), { ranges: [{ range_id: "r0", share: 0, from: 0, to: null, step: 1 }] }), 3);
    expect(jobs.map(({ ranges }) => ranges[0])).toEqual([
      { range_id: "r0", share: 0, from: 0, to: null, step: 3 },
      { range_id: "r0", share: 1, from: 1, to: null, step: 3 },
      { range_id: "r0", share: 2, from: 2, to: null, step: 3 },
    ]);
  });
});

test("connections, backlog and the rate of a closed test are shared exactly", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 40, max: 1e5 }), fc.nat(1e6), (workers, connections, backlog) => {
      const urps = connections * 1_000_003;
      const jobs = splitJob(job({ kind: "closed", rate_urps: urps, slots: null, window_us: 1e6 }, { connections, backlog }), workers);
      const sum = (of: (one: LoadJob) => number) => jobs.reduce((total, one) => total + of(one), 0);
      expect(jobs).toHaveLength(workers);
      expect(sum((one) => one.connections)).toBe(connections);
      expect(sum((one) => one.backlog)).toBe(backlog);
      expect(sum(({ schedule }) => (schedule.kind === "closed" ? schedule.rate_urps! : NaN))).toBe(urps);
      expect(Math.min(...jobs.map((one) => one.connections))).toBeGreaterThan(0);
    }),
  );
});

describe("how many workers", () => {
  const wanted: WorkersWanted = { asked: null, cap: null, cores: 8, drivers: 1, rate_rps: null };
  const count = (one: LoadJob, change: Partial<WorkersWanted>) => workersOf(one, { ...wanted, ...change });

  test("by default: one, unless the rate or a closed test asks for more and the cores allow it", () => {
    expect(count(job(rate(10_000, 1000)), { rate_rps: 10_000 })).toBe(1);
    expect(count(job(rate(100_000, 1000)), { rate_rps: 100_000 })).toBe(4);
    expect(count(job(rate(100_000, 1000)), { rate_rps: 100_000, cores: 2 })).toBe(1);
    expect(count(job(rate(100_000, 1000)), { rate_rps: 100_000, drivers: 3 })).toBe(2);
    expect(count(job(closed(null, 1000)), {})).toBe(4);
    expect(count(job(closed(null, 1000), { connections: 1000 }), {})).toBe(6);
    expect(count(job(closed(null, 1000), { connections: 1000 }), { cores: 1 })).toBe(1);
    expect(count(job(closed(1000, null), { connections: 1000 }), {})).toBe(1);
  });

  test("what the plan asks for, up to the driver's cap, the connections and the requests", () => {
    expect(count(job(rate(10, 1000)), { asked: 5, cores: 2 })).toBe(5);
    expect(count(job(rate(10, 1000)), { asked: 5, cap: 3 })).toBe(3);
    expect(count(job(rate(10, 1000), { connections: 2 }), { asked: 5 })).toBe(2);
    expect(count(job(rate(10, 300)), { asked: 5 })).toBe(3);
    expect(count(job({ kind: "closed", rate_urps: 2, slots: null, window_us: 1e6 }), { asked: 5 })).toBe(2);
    expect(count(job(rate(10, 1000), { ranges: [] }), { asked: 5 })).toBe(1);
  });
});
