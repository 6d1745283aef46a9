import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makePacer, type OpenSchedule } from "../plan/pacer.ts";
import type { Range } from "../plan/schedule.ts";
import { Backlog } from "./backlog.ts";
import { createSlotSource } from "./slots.ts";

function takeAll(schedule: OpenSchedule, ranges: Range[], warmup_us = 0) {
  const source = createSlotSource(schedule, ranges, warmup_us);
  const due: number[] = [];
  while (source.next_us < Infinity) {
    due.push(source.next_us);
    source.take();
  }
  return { due, progress: source.progress() };
}

describe("slot source", () => {
  test("the ranges of all drivers are the schedule, in order", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 200 }), (drivers, slots) => {
        const schedule: OpenSchedule = { kind: "rate", total_rate_urps: 7e6, slots, window_us: 1e9 };
        const ranges = Array.from({ length: drivers }, (_, k) => ({
          range_id: `r${k}`,
          share: k,
          from: k,
          to: null,
          step: drivers,
        }));
        const pacer = makePacer(schedule);
        const { due, progress } = takeAll(schedule, ranges);
        expect(due).toEqual(Array.from({ length: slots }, (_, slot) => pacer.dueUs(slot)));
        expect(progress.reduce((sum, { taken }) => sum + taken, 0)).toBe(slots);
      }),
    );
  });

  test("the warm-up comes before zero and is no progress", () => {
    const schedule: OpenSchedule = { kind: "delay", delay_us: 1000, drivers: 2, slots: 6, window_us: 3000 };
    const range = { range_id: "r", share: 1, from: 1, to: null, step: 2 };
    const { due, progress } = takeAll(schedule, [range], 2000);
    expect(due).toEqual([-1500, -500, 500, 1500, 2500]);
    expect(progress).toEqual([{ range_id: "r", taken: 3 }]);
  });

  test("closed: no next slot", () => {
    const schedule: OpenSchedule = { kind: "delay", delay_us: 1000, drivers: 1, slots: 6, window_us: 6000 };
    const source = createSlotSource(schedule, [{ range_id: "r", share: 0, from: 0, to: null, step: 1 }], 0);
    source.take();
    source.close();
    expect(source.next_us).toBe(Infinity);
    expect(source.progress()).toEqual([{ range_id: "r", taken: 1 }]);
  });
});

test("the backlog is a bounded queue", () => {
  fc.assert(
    fc.property(fc.nat(300), fc.array(fc.boolean(), { maxLength: 1000 }), (capacity, pushes) => {
      const backlog = new Backlog(capacity);
      const model: number[] = [];
      pushes.forEach((push, i) => {
        if (push) {
          expect(backlog.push(i)).toBe(model.length < capacity);
          if (model.length < capacity) model.push(i);
        } else if (model.length > 0) {
          expect(backlog.shift()).toBe(model.shift());
        }
        expect(backlog.length).toBe(model.length);
      });
    }),
  );
});
