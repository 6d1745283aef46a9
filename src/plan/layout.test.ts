import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { layOut, LayoutError } from "./layout.ts";
import { makePacer, rangeLength, rangeSlot } from "./pacer.ts";
import { parsePlan, type PlanInput } from "./plan.ts";
import { sentenceOf } from "./sentence.ts";
import { share } from "./share.ts";

const target = { url: "http://h/" };
const plan = (rest: Partial<PlanInput>) => parsePlan({ target, ...rest });
const onrush = (n: number) => Array.from({ length: n }, (_, i) => ({ node_id: `d${i}`, foreign: false }));
const mixed = (own: number, foreign: number) => [
  ...Array.from({ length: foreign }, (_, i) => ({ node_id: `a${i}`, foreign: true })),
  ...onrush(own),
];
const code = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    if (error instanceof LayoutError) return error.code;
    throw error;
  }
  return null;
};

test("shares are exact and as even as can be", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000 }), fc.maxSafeNat(), (n, total) => {
      let sum = 0n;
      for (let i = 0; i < n; i++) {
        const part = share(i, n, total);
        const [N, T, I] = [BigInt(n), BigInt(total), BigInt(i)];
        expect(BigInt(part)).toBe(((I + 1n) * T) / N - (I * T) / N);
        sum += BigInt(part);
      }
      expect(sum).toBe(BigInt(total));
    }),
    { numRuns: 50 },
  );
});

describe("ownership", () => {
  const kinds: Partial<PlanInput>[] = [{ rate_rps: 7 }, { delay_ms: 3.1 }, { type: "avalanche" }];

  test("every slot has exactly one owner, foreign shares are equal", () => {
    fc.assert(
      fc.property(
        fc.nat(8),
        fc.nat(6),
        fc.integer({ min: 1, max: 400 }),
        fc.constantFrom(...kinds),
        (own, foreign, total_requests, kind) => {
          fc.pre(own + foreign > 0 && (foreign === 0 || total_requests >= own + foreign));
          const n = own + foreign;
          const layout = layOut(plan({ ...kind, total_requests }), mixed(own, foreign));
          const slots = own === 0 ? n * Math.floor(total_requests / n) : total_requests;
          expect(layout.planned).toBe(slots);
          const owners = new Array<number>(slots).fill(0);
          const ids = new Set<string>();
          for (const member of layout.members) {
            let owned = 0;
            for (const range of member.ranges) {
              expect(ids.has(range.range_id)).toBe(false);
              ids.add(range.range_id);
              const length = rangeLength(range, slots);
              owned += length;
              for (let i = 0; i < length; i++) {
                const slot = rangeSlot(range, i);
                expect(slot % n).toBe(range.share);
                owners[slot] = (owners[slot] ?? 0) + 1;
              }
            }
            expect(member.share).toBe(owned);
            if (member.foreign) expect(owned).toBe(Math.floor(total_requests / n));
          }
          expect(owners.every((count) => count === 1)).toBe(true);
          const shares = layout.members.filter((member) => !member.foreign).map((member) => member.share ?? 0);
          if (shares.length > 0 && foreign === 0) expect(Math.max(...shares) - Math.min(...shares)).toBeLessThan(2);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("Onrush first, each by node id in code units", () => {
    const layout = layOut(plan({ requests: 2 }), [
      { node_id: "b", foreign: true },
      { node_id: "a", foreign: true },
      { node_id: "z", foreign: false },
      { node_id: "Z", foreign: false },
    ]);
    expect(layout.members.map(({ node_id, index }) => [node_id, index])).toEqual([["Z", 0], ["z", 1], ["a", 2], ["b", 3]]);
  });
});

describe("schedules", () => {
  test("planned by duration is the number of slots due before the window, exactly", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 3_000_000_000 }),
        fc.integer({ min: 1, max: 100_000_000 }),
        fc.boolean(),
        (n, amount, duration_ms, delayed) => {
          const kind = delayed ? { delay_ms: Math.min(amount, 80_000_000) / 1e3 } : { rate_rps: amount / 1e6 };
          const layout = layOut(plan({ ...kind, duration_s: duration_ms / 1e3 }), onrush(n));
          const { schedule } = layout;
          if (schedule.kind === "closed") throw new Error("expected an open schedule");
          const [numerator, denominator] =
            schedule.kind === "rate"
              ? [10n ** 12n, BigInt(schedule.total_rate_urps)]
              : [BigInt(schedule.delay_us), BigInt(schedule.drivers)];
          const window = BigInt(duration_ms) * 1_000n;
          const slots = BigInt(schedule.slots);
          expect(schedule.window_us).toBe(duration_ms * 1_000);
          expect(layout.planned).toBe(schedule.slots);
          expect((slots - 1n) * numerator < window * denominator).toBe(true);
          expect(slots * numerator >= window * denominator).toBe(true);
          expect(makePacer(schedule).dueBefore(schedule.window_us)).toBe(schedule.slots);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("a count's window is the moment its next slot would be due", () => {
    expect(layOut(plan({ rate_rps: 200, requests: 500 }), onrush(3)).schedule).toEqual({
      kind: "rate",
      total_rate_urps: 600_000_000,
      slots: 1_500,
      window_us: 2_500_000,
    });
    expect(layOut(plan({ delay_ms: 20, requests: 10 }), onrush(2)).schedule).toEqual({
      kind: "delay",
      delay_us: 20_000,
      drivers: 2,
      slots: 20,
      window_us: 200_000,
    });
  });

  test("both: whichever ends first", () => {
    const slotsOf = (requests: number) => layOut(plan({ rate_rps: 10, requests, duration_s: 2 }), onrush(1)).schedule;
    expect(slotsOf(15)).toMatchObject({ slots: 15, window_us: 1_500_000 });
    expect(slotsOf(50)).toMatchObject({ slots: 20, window_us: 2_000_000 });
    const closed = layOut(plan({ requests: 15, duration_s: 2 }), onrush(2));
    expect(closed).toMatchObject({ planned: null, schedule: { slots: 30, window_us: 2_000_000 } });
  });

  test("closed by duration has no slots and ranges without end", () => {
    const layout = layOut(plan({ duration_s: 2, rate_rps: 5, type: "avalanche" }), onrush(2));
    expect(layout.schedule).toEqual({ kind: "closed", rate_urps: 5_000_000, slots: null, window_us: 2_000_000 });
    expect(layout.members[1]).toEqual({
      node_id: "d1",
      foreign: false,
      index: 1,
      share: null,
      ranges: [{ range_id: "r1", share: 1, from: 1, to: null, step: 2 }],
    });
    expect(layout.common).toEqual({ test_type: "TSUNAMI", delay_ms: 200, message_count_per_driver: null });
  });

  test("totals are split: a rate exactly when open, rounded down when closed", () => {
    expect(layOut(plan({ total_rate_rps: 100 }), onrush(3)).schedule).toMatchObject({ total_rate_urps: 100_000_000 });
    expect(layOut(plan({ total_rate_rps: 100, type: "avalanche" }), onrush(3)).schedule).toMatchObject({
      rate_urps: 33_333_333,
    });
  });

  test("what foreign drivers are told", () => {
    const common = (rest: Partial<PlanInput>) => layOut(plan(rest), mixed(1, 2)).common;
    expect(common({ total_requests: 11 })).toEqual({ test_type: "AVALANCHE", delay_ms: 0, message_count_per_driver: 3 });
    expect(common({ rate_rps: 200, duration_s: 1 })).toEqual({ test_type: "TSUNAMI", delay_ms: 5, message_count_per_driver: 200 });
    expect(common({ delay_ms: 20, requests: 5 })).toEqual({ test_type: "TSUNAMI", delay_ms: 20, message_count_per_driver: 5 });
  });

  test("refusals", () => {
    expect(code(() => layOut(plan({}), []))).toBe("no_members");
    expect(code(() => layOut(plan({}), mixed(1, 1)))).toBe("foreign_needs_count");
    expect(code(() => layOut(plan({ requests: 5, duration_s: 1 }), mixed(1, 1)))).toBe("foreign_needs_count");
    expect(code(() => layOut(plan({ total_requests: 2 }), mixed(2, 1)))).toBe("too_few_requests");
    expect(code(() => layOut(plan({ total_requests: 2 }), mixed(0, 3)))).toBe("too_few_requests");
    expect(code(() => layOut(plan({ total_rate_rps: 1e-6, type: "avalanche" }), onrush(2)))).toBe("too_few_requests");
    expect(code(() => layOut(plan({ requests: 1e12 }), onrush(2)))).toBe("too_many_requests");
    expect(code(() => layOut(plan({ total_requests: 2 }), onrush(3)))).toBeNull();
  });
});

test.each([
  [3, { rate_rps: 200 }, "3 drivers x 200 rps = 600 rps for 10 s against http://h/"],
  [1, { rate_rps: 200.5, duration_s: 1.5 }, "1 driver x 200.5 rps for 1.5 s against http://h/"],
  [3, { total_rate_rps: 1000 }, "3 drivers sharing 1,000 rps for 10 s against http://h/"],
  [3, { rate_rps: 200, requests: 500 }, "3 drivers x 200 rps = 600 rps for 1,500 requests against http://h/"],
  [
    2,
    { rate_rps: 200, requests: 500, duration_s: 1 },
    "2 drivers x 200 rps = 400 rps for 1 s or 1,000 requests, whichever ends first, against http://h/",
  ],
  [2, { delay_ms: 20 }, "2 drivers x one request every 20 ms = 100 rps for 10 s against http://h/"],
  [2, {}, "2 drivers x 64 connections, as fast as the target answers, for 10 s against http://h/"],
  [1, { connections: 1 }, "1 driver x 1 connection, as fast as the target answers, for 10 s against http://h/"],
  [
    2,
    { type: "avalanche", rate_rps: 100 },
    "2 drivers x 64 connections, at most 100 rps each, for 10 s against http://h/",
  ],
  [
    8,
    { requests: 500 },
    "8 drivers x 500 requests = 4,000 requests over 64 connections each, as fast as the target answers, against http://h/",
  ],
  [
    2,
    { total_requests: 1001, duration_s: 5 },
    "2 drivers sharing 1,001 requests over 64 connections each, as fast as the target answers, " +
      "for 5 s at most, against http://h/",
  ],
] satisfies [number, Partial<PlanInput>, string][])("%i drivers, %j", (n, rest, sentence) => {
  const written = plan(rest);
  expect(sentenceOf(written, layOut(written, onrush(n)))).toBe(sentence);
});
