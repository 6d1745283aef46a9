import fc from "fast-check";
import { build } from "hdr-histogram-js";
import { describe, expect, it } from "vitest";
import { createHistogram, type Histogram } from "./histogram.ts";
import { bucketIndex, bucketWidth, lowerEdge, MAX_US, upperEdge } from "./layout.ts";
import { meanUs, medianUs, modeUs, percentilesUs, percentileUs, stddevUs, summarize } from "./statistics.ts";
import { histogramOf, latencies_us, latency_us, wholeUs } from "./testing/samples.ts";

const some_us = fc.array(latency_us, { minLength: 1, maxLength: 200 });
const sorted = (values: number[]) => values.map(wholeUs).sort((a, b) => a - b);

describe("percentileUs", () => {
  it("is the value of the nearest rank, up to its bucket", () => {
    fc.assert(
      fc.property(some_us, fc.integer({ min: 0, max: 10_000 }), fc.nat(100), (values, q_bp, infinite) => {
        const samples = sorted(values);
        // In whole basis points the rank is exact: ceil(q N).
        const rank = Math.max(1, Math.ceil((q_bp * (samples.length + infinite)) / 10_000));
        const actual = percentileUs(histogramOf(values), q_bp / 10_000, infinite);
        if (rank > samples.length) {
          expect(actual).toBeNull();
          return;
        }
        const exact = samples[rank - 1]!;
        expect(actual).toBe(Math.min(upperEdge(bucketIndex(exact)), samples.at(-1)!));
        expect(actual! - exact).toBeGreaterThanOrEqual(0);
        expect((actual! - exact) / exact).toBeLessThan(1 / 1024);
      }),
    );
  });

  it("does not mistake the rounding of doubles for a rank", () => {
    const h = histogramOf(Array.from({ length: 100 }, (_, i) => i + 1));
    for (let percent = 1; percent <= 100; percent++) expect(percentileUs(h, percent / 100)).toBe(percent);
  });

  it("gives several in one pass as it gives each", () => {
    fc.assert(
      fc.property(latencies_us, fc.array(fc.double({ min: 0, max: 1, noNaN: true })), fc.nat(50), (values, qs, infinite) => {
        const h = histogramOf(values);
        const ascending = qs.sort((a, b) => a - b);
        expect(percentilesUs(h, ascending, infinite)).toEqual(ascending.map((q) => percentileUs(h, q, infinite)));
      }),
    );
  });

  it("is null when there is nothing, or nothing finite", () => {
    expect(percentileUs(createHistogram(), 0.5)).toBeNull();
    expect(percentileUs(createHistogram(), 0.5, 3)).toBeNull();
    expect(medianUs(histogramOf([5]), 1)).toBe(5);
    expect(medianUs(histogramOf([5]), 2)).toBeNull();
  });

  it.each([-0.1, 1.1, 99, NaN])("refuses the quantile %d", (q) => {
    expect(() => percentileUs(histogramOf([1]), q)).toThrow(RangeError);
  });
});

describe("against hdr-histogram-js with 3 significant digits", () => {
  const reference = (values: number[]) => {
    const hdr = build({ lowestDiscernibleValue: 1, highestTrackableValue: MAX_US, numberOfSignificantValueDigits: 3 });
    for (const us of values) hdr.recordValue(us);
    return hdr;
  };
  const many_us = fc.array(latency_us.map(wholeUs), { minLength: 1, maxLength: 1000, size: "max" });

  it("has the same buckets, percentiles, min and max; mean and deviation within the buckets' error", () => {
    fc.assert(
      fc.property(many_us, (values) => {
        const hdr = reference(values);
        const h = histogramOf(values);
        // The same rank, but not clamped to the exact max.
        for (const percent of [0.1, 1, 10, 25, 50, 75, 90, 95, 99, 99.9, 100]) {
          expect(percentileUs(h, percent / 100)).toBe(Math.min(hdr.getValueAtPercentile(percent), h.max_us));
        }
        expect([h.min_us, h.max_us]).toEqual([hdr.minNonZeroValue, hdr.maxValue]);
        expect(Math.abs(meanUs(h)! - hdr.mean) / hdr.mean).toBeLessThan(1 / 1024);
        expect(Math.abs(stddevUs(h)! - hdr.stdDeviation)).toBeLessThanOrEqual(h.max_us / 1024);
      }),
      { numRuns: 15 },
    );
  });
});

describe("mean and stddev", () => {
  it("are those of the samples, the mean exactly", () => {
    fc.assert(
      fc.property(some_us, (values) => {
        const samples = sorted(values);
        const mean = samples.reduce((sum, us) => sum + us, 0) / samples.length;
        const stddev = Math.sqrt(samples.reduce((sum, us) => sum + (us - mean) ** 2, 0) / samples.length);
        const h = histogramOf(values);
        expect(meanUs(h)).toBe(mean);
        expect(Math.abs(stddevUs(h)! - stddev)).toBeLessThanOrEqual(h.max_us / 1024);
      }),
    );
  });

  it("are 0 deviation for equal values and null without any", () => {
    expect(stddevUs(histogramOf([123_457, 123_457]))).toBe(0);
    expect(meanUs(createHistogram())).toBeNull();
    expect(stddevUs(createHistogram())).toBeNull();
  });
});

/** The definition, tried at every whole start: breakpoints are whole, and between them what is held is linear. */
function modeByTrial(h: Histogram): number {
  const [p25, p50, p75] = [0.25, 0.5, 0.75].map((q) => percentileUs(h, q)!) as [number, number, number];
  const width = Math.max(1, bucketWidth(bucketIndex(p50)), Math.round((2 * (p75 - p25)) / Math.cbrt(h.count)));
  const held = (start: number) => {
    let sum = 0;
    h.counts.forEach((count, index) => {
      if (count === 0) return;
      const from = Math.max(start, lowerEdge(index));
      const to = Math.min(start + width, upperEdge(index) + 1);
      if (to > from) sum += (count * (to - from)) / bucketWidth(index);
    });
    return sum;
  };
  let best = 0;
  let first = 0;
  let last = 0;
  for (let start = h.min_us - width - 8; start <= h.max_us + 8; start++) {
    const now = held(start);
    if (now > best) [best, first, last] = [now, start, start];
    else if (now === best && start === last + 1) last = start;
  }
  return Math.min(Math.max((first + last + width - 1) / 2, h.min_us), h.max_us);
}

describe("modeUs", () => {
  it("is the middle of the window that holds most", () => {
    const near = fc.integer({ min: 1, max: 400 });
    const wide = fc.integer({ min: 4000, max: 4400 });
    fc.assert(
      fc.property(fc.array(fc.oneof(near, wide, wide.map((us) => us * 2)), { minLength: 1, maxLength: 60 }), (values) => {
        const h = histogramOf(values);
        // Far apart clusters only make the trial long: keep those that are near each other.
        fc.pre(h.max_us - h.min_us < 1000);
        expect(modeUs(h)).toBe(modeByTrial(h));
      }),
    );
    fc.assert(
      fc.property(fc.array(wide, { minLength: 1, maxLength: 80 }), (values) => {
        const h = histogramOf(values);
        expect(modeUs(h)).toBe(modeByTrial(h));
      }),
    );
  });

  it("lies between min and max, and is null when empty", () => {
    fc.assert(
      fc.property(some_us, (values) => {
        const h = histogramOf(values);
        expect(modeUs(h)).toBeGreaterThanOrEqual(h.min_us);
        expect(modeUs(h)).toBeLessThanOrEqual(h.max_us);
      }),
    );
    expect(modeUs(createHistogram())).toBeNull();
  });

  it("of equal values is that value", () => {
    fc.assert(fc.property(latency_us, fc.integer({ min: 1, max: 20 }), (us, n) => {
      expect(modeUs(histogramOf(Array<number>(n).fill(us)))).toBe(wholeUs(us));
    }));
  });

  it("centres a lone peak in its window", () => {
    // A window of about 5,000 us; the peak fills the bucket from 20,000 to 20,015 only.
    const tail = Array.from({ length: 400 }, (_, i) => 40_000 + 25 * i);
    expect(modeUs(histogramOf([1, ...Array<number>(600).fill(20_000), ...tail]))).toBe(20_007.5);
  });

  it("takes the lower of two equal peaks", () => {
    const h = histogramOf([...Array<number>(50).fill(900), ...Array<number>(50).fill(300), 600]);
    expect(modeUs(h)).toBe(300);
  });

  it("finds the peak of known distributions", () => {
    // Quantiles of a triangle from 10 to 50 ms with its peak at 20 ms, and of an exponential from 5 ms on.
    const n = 20_000;
    const quantiles = Array.from({ length: n }, (_, i) => (i + 0.5) / n);
    const triangle = quantiles.map((q) =>
      q < 0.25 ? 10_000 + Math.sqrt(q * 40_000 * 10_000) : 50_000 - Math.sqrt((1 - q) * 40_000 * 30_000),
    );
    expect(Math.abs(modeUs(histogramOf(triangle))! - 20_000)).toBeLessThan(1000);
    const exponential = quantiles.map((q) => 5000 - 2000 * Math.log(1 - q));
    const width = (2 * 2000 * Math.log(3)) / Math.cbrt(n);
    expect(Math.abs(modeUs(histogramOf(exponential))! - (5000 + width / 2))).toBeLessThan(10);
    // Two peaks: the higher one, though the mean lies between them.
    const bimodal = quantiles.map((q, i) => (i % 3 === 0 ? 80_000 : 8000) + 1000 * q);
    expect(Math.abs(modeUs(histogramOf(bimodal))! - 8500)).toBeLessThan(1500);
  });
});

describe("summarize", () => {
  it("says everything in ms, rounded to 0.001", () => {
    expect(summarize(histogramOf([1000, 2000, 2000, 4001]))).toEqual({
      count: 4,
      min_ms: 1,
      max_ms: 4.001,
      mean_ms: 2.25,
      stddev_ms: 1.09,
      median_ms: 2,
      mode_ms: 1.5,
      percentiles_ms: { "50": 2, "75": 2, "90": 4.001, "95": 4.001, "99": 4.001, "99.9": 4.001, "99.99": 4.001 },
      censored: [],
    });
  });

  it("has nulls when there is nothing", () => {
    const nothing = { "50": null, "75": null, "90": null, "95": null, "99": null, "99.9": null, "99.99": null };
    const empty = { count: 0, min_ms: null, max_ms: null, mean_ms: null, stddev_ms: null, median_ms: null, mode_ms: null };
    expect(summarize(createHistogram())).toEqual({ ...empty, percentiles_ms: nothing, censored: [] });
    expect(summarize(createHistogram(), 1)).toEqual({
      ...empty,
      percentiles_ms: nothing,
      censored: ["50", "75", "90", "95", "99", "99.9", "99.99"],
    });
  });

  it("names the percentiles that the infinite ones took", () => {
    const h = histogramOf(Array.from({ length: 90 }, (_, i) => (i + 1) * 1000));
    const summary = summarize(h, 10);
    expect(summary.censored).toEqual(["95", "99", "99.9", "99.99"]);
    expect(summary.percentiles_ms["90"]).toBe(90);
    expect(summary.percentiles_ms["95"]).toBeNull();
    expect(summary).toMatchObject({ count: 90, max_ms: 90, mean_ms: 45.5 });
    expect(summarize(h, 91)).toMatchObject({ median_ms: null, censored: expect.arrayContaining(["50"]) });
  });
});
