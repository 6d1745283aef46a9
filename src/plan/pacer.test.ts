import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { countWindowUs, makePacer, rangeLength, rangeSlot, warmupRange, type OpenSchedule } from "./pacer.ts";
import type { Range } from "./schedule.ts";

const slots = 1_000_000_000_000;
const schedules = fc
  .oneof(
    fc.record({ kind: fc.constant("rate" as const), total_rate_urps: fc.integer({ min: 1, max: 9e15 }) }),
    fc.record({
      kind: fc.constant("delay" as const),
      delay_us: fc.integer({ min: 1, max: 86_400_000_000 }),
      drivers: fc.integer({ min: 1, max: 10_000 }),
    }),
  )
  .map((pace): OpenSchedule => {
    const schedule: OpenSchedule = { ...pace, slots, window_us: 0 };
    return { ...schedule, window_us: countWindowUs(schedule, slots) };
  });
const slotNumbers = fc.oneof(fc.nat(10_000), fc.integer({ min: 999_000_000, max: 1_000_001_000 }), fc.integer({ min: 0, max: slots - 1 }));

describe("open", () => {
  test("due times are the exact quotient to a few units in the last place", () => {
    fc.assert(
      fc.property(schedules, slotNumbers, (schedule, slot) => {
        const [numerator, denominator] =
          schedule.kind === "rate" ? [10n ** 12n, schedule.total_rate_urps] : [BigInt(schedule.delay_us), schedule.drivers];
        const scaled = (BigInt(slot) * numerator * 10n ** 9n) / BigInt(denominator);
        const due_us = makePacer(schedule).dueUs(slot);
        expect(Math.abs(due_us - Number(scaled) / 1e9)).toBeLessThanOrEqual(due_us * 4 * Number.EPSILON + 1e-9);
      }),
    );
  });

  test("dueBefore counts the slots whose due time is before t", () => {
    fc.assert(
      fc.property(schedules, slotNumbers, fc.constantFrom(-1, 0, 1, 0.5), (schedule, slot, shift) => {
        const pacer = makePacer(schedule);
        const t_us = pacer.dueUs(slot) * (1 + shift * Number.EPSILON);
        const count = pacer.dueBefore(t_us);
        if (count > 0) expect(pacer.dueUs(count - 1)).toBeLessThan(t_us);
        expect(pacer.dueUs(count)).toBeGreaterThanOrEqual(t_us);
        expect(pacer.dueBefore(pacer.dueUs(slot))).toBe(slot);
      }),
      { numRuns: 500 },
    );
  });

  test("rangeDueBefore counts the same slots in any range, warm-up included", () => {
    fc.assert(
      fc.property(
        schedules,
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: -5_000, max: 5_000 }),
        fc.option(fc.nat(9_000)),
        fc.integer({ min: -6_000, max: 12_000 }),
        (schedule, step, from, to, at) => {
          const pacer = makePacer(schedule);
          const range: Range = { range_id: "r", share: 0, from, to, step };
          const t_us = pacer.dueUs(at);
          const expected = Math.min(Math.max(0, Math.ceil((at - from) / step)), rangeLength(range, slots));
          expect(pacer.rangeDueBefore(range, t_us)).toBe(expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("a million paces: strictly rising, none lost, none early", () => {
    const schedule: OpenSchedule = { kind: "rate", total_rate_urps: 333_333_333_337, slots: 1_000_000, window_us: 0 };
    schedule.window_us = countWindowUs(schedule, schedule.slots);
    const pacer = makePacer(schedule);
    let last = -1;
    let wrong = 0;
    for (let slot = 0; slot < 1_000_000; slot++) {
      const due_us = pacer.dueUs(slot);
      if (due_us <= last || pacer.dueBefore(due_us) !== slot) wrong++;
      last = due_us;
    }
    expect(wrong).toBe(0);
    expect(last).toBeLessThan(schedule.window_us);
    expect(pacer.dueBefore(Infinity)).toBe(1_000_000);
    expect(pacer.dueBefore(-Infinity)).toBe(0);
    expect(pacer.dueBefore(schedule.window_us)).toBe(1_000_000);
  });

  test("slots in the window stay below it, however the quotient rounds", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9e15 }), fc.integer({ min: 1, max: 100_000_000 }), (total_rate_urps, ms) => {
        const window_us = ms * 1_000;
        const count = Number((BigInt(window_us) * BigInt(total_rate_urps) + 10n ** 12n - 1n) / 10n ** 12n);
        fc.pre(count <= slots);
        const pacer = makePacer({ kind: "rate", total_rate_urps, slots: count, window_us });
        expect(pacer.dueUs(count - 1)).toBeLessThan(window_us);
        expect(pacer.dueBefore(window_us)).toBe(count);
      }),
      { numRuns: 500 },
    );
  });
});

describe("ranges", () => {
  test("length and slots", () => {
    const range: Range = { range_id: "r1", share: 1, from: 1, to: null, step: 4 };
    expect(rangeLength(range, 10)).toBe(3);
    expect([0, 1, 2].map((i) => rangeSlot(range, i))).toEqual([1, 5, 9]);
    expect(rangeLength(range, null)).toBe(Infinity);
    expect(rangeLength({ ...range, to: 5 }, 10)).toBe(1);
    expect(rangeLength({ ...range, from: 20 }, 10)).toBe(0);
  });

  test("the warm-up continues the interleaving below zero, each slot with one owner", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 2e9 }), fc.nat(2_000), (n, rate_urps, ms) => {
        const schedule: OpenSchedule = { kind: "rate", total_rate_urps: rate_urps, slots: 100, window_us: 1 };
        const all = Number((BigInt(ms * 1_000) * BigInt(rate_urps)) / 10n ** 12n);
        const owned = new Set<number>();
        for (let k = 0; k < n; k++) {
          const warmup = warmupRange(schedule, ms * 1_000, { range_id: `r${k}`, share: k, from: k, to: 100, step: n });
          if (warmup === null) continue;
          const length = rangeLength(warmup, 100);
          expect(makePacer(schedule).rangeDueBefore(warmup, 0)).toBe(length);
          for (let i = 0; i < length; i++) owned.add(rangeSlot(warmup, i));
        }
        expect(owned.size).toBe(all);
        if (all > 0) expect(Math.min(...owned)).toBe(-all);
        if (all > 0) expect(Math.max(...owned)).toBe(-1);
      }),
      { numRuns: 100 },
    );
  });

  test("no warm-up for moved ranges and closed schedules", () => {
    const range: Range = { range_id: "r1", share: 1, from: 9, to: null, step: 4 };
    expect(warmupRange({ kind: "delay", delay_us: 1, drivers: 4, slots: 100, window_us: 25 }, 1e6, range)).toBeNull();
    const closed = { kind: "closed", rate_urps: null, slots: null, window_us: 1 } as const;
    expect(warmupRange(closed, 1e6, { ...range, from: 1 })).toBeNull();
  });
});

describe("closed", () => {
  test("a rate gives no credit", () => {
    const pacer = makePacer({ kind: "closed", rate_urps: 2_000_000, slots: null, window_us: 1 });
    if (pacer.model !== "closed") throw new Error("expected a closed pacer");
    expect(pacer.gap_us).toBe(500_000);
    expect(pacer.nextAllowedUs(-Infinity, 7)).toBe(7);
    expect(pacer.nextAllowedUs(7, 8)).toBe(500_007);
    expect(pacer.nextAllowedUs(7, 9_000_000)).toBe(9_000_000);
  });

  test("without a rate it is always now", () => {
    const pacer = makePacer({ kind: "closed", rate_urps: null, slots: 5, window_us: null });
    expect(pacer).toMatchObject({ model: "closed", gap_us: 0 });
  });
});
