import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createHistogram, merge, record, reset } from "./histogram.ts";
import { BUCKETS, bucketIndex, MAX_US } from "./layout.ts";
import { contentOf, histogramOf, latencies_us, wholeUs } from "./testing/samples.ts";

describe("record", () => {
  it("keeps count, sum, min and max exact", () => {
    fc.assert(
      fc.property(latencies_us, (values) => {
        const whole = values.map(wholeUs);
        const h = histogramOf(values);
        expect(h.count).toBe(values.length);
        expect(h.sum_us).toBe(whole.reduce((sum, us) => sum + us, 0));
        expect(h.min_us).toBe(values.length === 0 ? 0 : Math.min(...whole));
        expect(h.max_us).toBe(values.length === 0 ? 0 : Math.max(...whole));
        expect(h.clamped).toBe(values.filter((us) => Math.round(us) > MAX_US).length);
        expect(h.counts.reduce((sum, count) => sum + count, 0)).toBe(h.count);
        for (const us of whole) expect(h.counts[bucketIndex(us)]).toBeGreaterThan(0);
      }),
    );
  });

  it.each([
    [-5, 1],
    [0, 1],
    [0.4, 1],
    [1.49, 1],
    [1.5, 2],
    [2 ** 31 + 0.4, 2 ** 31],
    [MAX_US + 0.4, MAX_US],
  ])("takes %d us for %d us", (given, us) => {
    expect(contentOf(histogramOf([given]))).toEqual({
      count: 1,
      sum_us: us,
      min_us: us,
      max_us: us,
      clamped: 0,
      filled: [[bucketIndex(us), 1]],
    });
  });

  it.each([MAX_US + 0.5, MAX_US + 1, 2 ** 32, 2 ** 40, Infinity])("clamps %d us and counts it", (given) => {
    const h = histogramOf([given]);
    expect(h).toMatchObject({ count: 1, sum_us: MAX_US, max_us: MAX_US, clamped: 1 });
    expect(h.counts.length).toBe(BUCKETS);
    expect(h.counts[BUCKETS - 1]).toBe(1);
  });

  it("refuses NaN and stays as it was", () => {
    const h = histogramOf([5]);
    expect(() => record(h, NaN)).toThrow(RangeError);
    expect(contentOf(h)).toEqual(contentOf(histogramOf([5])));
  });

  it("is small until something large is recorded", () => {
    const h = histogramOf([1, 500, 1023]);
    expect(h.counts.length).toBe(1024);
    const counts = h.counts;
    record(h, 1000);
    expect(h.counts).toBe(counts);
  });
});

describe("merge", () => {
  it("equals recording everything in one", () => {
    fc.assert(
      fc.property(latencies_us, latencies_us, (a, b) => {
        const merged = histogramOf(a);
        const source = histogramOf(b);
        merge(merged, source);
        expect(contentOf(merged)).toEqual(contentOf(histogramOf([...a, ...b])));
        expect(contentOf(source)).toEqual(contentOf(histogramOf(b)));
      }),
    );
  });

  it("is commutative and associative", () => {
    const sum = (...parts: number[][]) => {
      const total = createHistogram();
      for (const part of parts) merge(total, histogramOf(part));
      return total;
    };
    fc.assert(
      fc.property(latencies_us, latencies_us, latencies_us, (a, b, c) => {
        expect(contentOf(sum(a, b))).toEqual(contentOf(sum(b, a)));
        const left = sum(a, b);
        merge(left, histogramOf(c));
        const right = histogramOf(a);
        merge(right, sum(b, c));
        expect(contentOf(left)).toEqual(contentOf(right));
      }),
    );
  });

  it("holds more than 2^32 in a bucket", () => {
    const h = histogramOf([7]);
    for (let doubling = 0; doubling < 40; doubling++) merge(h, h);
    expect(contentOf(h)).toMatchObject({ count: 2 ** 40, sum_us: 7 * 2 ** 40, filled: [[7, 2 ** 40]] });
  });
});

describe("reset", () => {
  it("makes it as new, in the same memory", () => {
    fc.assert(
      fc.property(latencies_us, latencies_us, (before, after) => {
        const h = histogramOf(before);
        const counts = h.counts;
        reset(h);
        expect(h.counts).toBe(counts);
        expect(contentOf(h)).toEqual(contentOf(createHistogram()));
        for (const us of after) record(h, us);
        expect(contentOf(h)).toEqual(contentOf(histogramOf(after)));
      }),
    );
  });
});
