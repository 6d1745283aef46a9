import { BUCKETS, bucketIndex, MAX_US } from "./layout.ts";

/**
 * How often each latency occurred, in the buckets of layout.ts; count, sum, min and max are exact.
 *
 *     count = sum of counts      counts[i] = 0 outside bucketIndex(min_us) .. bucketIndex(max_us)
 */
export interface Histogram {
  /** By bucket index; only as long as the largest value needed. Doubles: a merged bucket may pass 2^32. */
  counts: Float64Array;
  count: number;
  /** Sum of the recorded whole us. */
  sum_us: number;
  /** 0 while empty. */
  min_us: number;
  /** 0 while empty. */
  max_us: number;
  /** How many were above MAX_US and recorded as MAX_US. */
  clamped: number;
}

const GROWTH = 1024;

/** An empty histogram: small until something large is recorded. */
export function createHistogram(): Histogram {
  return { counts: new Float64Array(GROWTH), count: 0, sum_us: 0, min_us: 0, max_us: 0, clamped: 0 };
}

/** Makes room for the bucket `index`, in steps of 1,024 buckets. */
export function reserve(h: Histogram, index: number): void {
  if (index < h.counts.length) return;
  const grown = new Float64Array(Math.min(BUCKETS, (Math.floor(index / GROWTH) + 1) * GROWTH));
  grown.set(h.counts);
  h.counts = grown;
}

/**
 * Records one latency (us): rounded to whole us, at least 1, above MAX_US clamped and counted. Allocates nothing,
 * unless the value is the first in its range of the layout.
 * @throws RangeError for NaN
 */
export function record(h: Histogram, value_us: number): void {
  let us = 1;
  if (value_us >= MAX_US + 0.5) {
    us = MAX_US;
    h.clamped += 1;
  } else if (value_us >= 1) {
    us = (value_us + 0.5) >>> 0;
  } else if (value_us !== value_us) {
    throw new RangeError("a latency in us must be a number, got NaN");
  }
  const index = bucketIndex(us);
  if (index >= h.counts.length) reserve(h, index);
  h.counts[index]! += 1;
  if (h.count === 0 || us < h.min_us) h.min_us = us;
  if (us > h.max_us) h.max_us = us;
  h.count += 1;
  h.sum_us += us;
}

/** Adds everything in `source` to `target`: the same as recording all of it there. */
export function merge(target: Histogram, source: Histogram): void {
  if (source.count === 0) return;
  const last = bucketIndex(source.max_us);
  reserve(target, last);
  const into = target.counts;
  const from = source.counts;
  for (let index = bucketIndex(source.min_us); index <= last; index++) into[index]! += from[index]!;
  addTotals(target, source);
}

/** The part of a merge beside the buckets; `source` is not empty. */
export function addTotals(target: Histogram, source: Omit<Histogram, "counts">): void {
  if (target.count === 0 || source.min_us < target.min_us) target.min_us = source.min_us;
  if (source.max_us > target.max_us) target.max_us = source.max_us;
  target.count += source.count;
  target.sum_us += source.sum_us;
  target.clamped += source.clamped;
}

/** Empties a histogram and keeps its memory. */
export function reset(h: Histogram): void {
  h.counts.fill(0);
  h.count = 0;
  h.sum_us = 0;
  h.min_us = 0;
  h.max_us = 0;
  h.clamped = 0;
}
