/**
 * The one layout that every histogram has (HDR-like, 11 significant bits, relative error below 1/1024):
 *
 *     v < 2048    index = v                            one bucket for each us
 *     otherwise   e = 21 - clz32(v)
 *                 index = (e << 10) + (v >>> e)        1,024 buckets for each doubling, 2^e us wide
 *
 * Values are whole us from 1 to MAX_US, so index 0 is never filled. MAX_US lies above 2^31: all arithmetic is uint32.
 */

/** One hour: the largest value (us) that is told apart; what is above is clamped to it and counted. */
export const MAX_US = 3_600_000_000;

const LINEAR = 2048;

/** The bucket of a whole number of us, 1 <= us <= MAX_US. */
export function bucketIndex(us: number): number {
  const v = us >>> 0;
  if (v < LINEAR) return v;
  const e = 21 - Math.clz32(v);
  return (e << 10) + (v >>> e);
}

/** How many buckets the layout has: indexes run from 0 (never filled) to BUCKETS - 1. */
export const BUCKETS = bucketIndex(MAX_US) + 1;

/** How many whole us a bucket spans. */
export function bucketWidth(index: number): number {
  return index < LINEAR ? 1 : 1 << ((index >>> 10) - 1);
}

/** The smallest whole us in a bucket. */
export function lowerEdge(index: number): number {
  return index < LINEAR ? index : ((1024 + (index & 1023)) << ((index >>> 10) - 1)) >>> 0;
}

/** The largest whole us in a bucket (the last bucket ends above MAX_US). */
export function upperEdge(index: number): number {
  return lowerEdge(index) + bucketWidth(index) - 1;
}
