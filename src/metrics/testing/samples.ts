import fc from "fast-check";
import { createHistogram, record, type Histogram } from "../histogram.ts";
import { MAX_US } from "../layout.ts";

/** A latency of any size, small ones as likely as large ones; some not whole, some out of range. */
export const latency_us = fc.oneof(
  fc.integer({ min: 1, max: 3000 }),
  fc.integer({ min: 1, max: 2_000_000 }),
  fc.integer({ min: 1, max: MAX_US }),
  fc.double({ min: -10, max: 5e9, noNaN: true }),
);

export const latencies_us = fc.array(latency_us, { maxLength: 200 });

/** What record() takes a latency for. */
export function wholeUs(value_us: number): number {
  return Math.min(Math.max(Math.round(value_us), 1), MAX_US);
}

export function histogramOf(values_us: readonly number[]): Histogram {
  const h = createHistogram();
  for (const value_us of values_us) record(h, value_us);
  return h;
}

/** A histogram as a plain value; how much memory it holds is left out. */
export function contentOf(h: Histogram): object {
  const filled: [number, number][] = [];
  h.counts.forEach((count, index) => {
    if (count !== 0) filled.push([index, count]);
  });
  const { count, sum_us, min_us, max_us, clamped } = h;
  return { count, sum_us, min_us, max_us, clamped, filled };
}
