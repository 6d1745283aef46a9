import type { Histogram } from "./histogram.ts";
import { bucketIndex, bucketWidth, lowerEdge, upperEdge } from "./layout.ts";

/** The percentiles of every summary, by their names. */
export const PERCENTILES = ["50", "75", "90", "95", "99", "99.9", "99.99"] as const;
export type Percentile = (typeof PERCENTILES)[number];

/** The quantiles of PERCENTILES, in the same order. */
const QUANTILES = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999];

/** What a report says of one kind of latency; ms, rounded to 0.001. */
export interface LatencySummary {
  /** How many were measured. The infinite ones are not among them. */
  count: number;
  /** min, max, mean, stddev and mode are of those measured; null when there are none. */
  min_ms: number | null;
  max_ms: number | null;
  mean_ms: number | null;
  stddev_ms: number | null;
  /** Median and percentiles rank over all, the infinite ones last; null where one lies among those, or without any. */
  median_ms: number | null;
  mode_ms: number | null;
  percentiles_ms: Record<Percentile, number | null>;
  /** The percentiles that are null because they lie among the infinite ones ("50" stands for the median too). */
  censored: Percentile[];
}

/**
 * Quantile by nearest rank, in us: with N = h.count + infinite, the value of rank max(1, ceil(q N)), the `infinite`
 * ones (requests that failed or were never sent) ranking above all others. It is the upper edge of its bucket, clamped
 * to the exact min and max; so it is never below the true value, and above it by less than 1/1024 of it.
 * @param q from 0 to 1
 * @returns null when N is 0 or the rank lies among the infinite ones
 * @throws RangeError when q is not from 0 to 1
 */
export function percentileUs(h: Histogram, q: number, infinite = 0): number | null {
  return percentilesUs(h, [q], infinite)[0]!;
}

/** The median, in us: percentileUs(h, 0.5, infinite). */
export function medianUs(h: Histogram, infinite = 0): number | null {
  return percentileUs(h, 0.5, infinite);
}

/** percentileUs of several quantiles, ascending, in one pass. */
export function percentilesUs(h: Histogram, quantiles: readonly number[], infinite = 0): (number | null)[] {
  const total = h.count + infinite;
  let index = bucketIndex(h.min_us) - 1;
  let below = 0;
  return quantiles.map((q) => {
    if (!(q >= 0 && q <= 1)) throw new RangeError(`a quantile must be from 0 to 1, got ${q}`);
    const rank = nearestRank(q, total);
    if (rank > h.count) return null;
    while (below < rank) below += h.counts[++index]!;
    return clamp(upperEdge(index), h.min_us, h.max_us);
  });
}

/** max(1, ceil(q total)); a product that misses a whole number only by the rounding of doubles is that number. */
function nearestRank(q: number, total: number): number {
  const product = q * total;
  const whole = Math.round(product);
  return Math.max(1, Math.abs(product - whole) <= whole * 2 ** -50 ? whole : Math.ceil(product));
}

/** The exact mean, in us; null when empty. */
export function meanUs(h: Histogram): number | null {
  return h.count === 0 ? null : h.sum_us / h.count;
}

/**
 * Standard deviation of all that was recorded (divided by n), in us, around the exact mean; each value stands at the
 * midpoint of its bucket, clamped to min and max. Null when empty.
 */
export function stddevUs(h: Histogram): number | null {
  const mean_us = meanUs(h);
  if (mean_us === null) return null;
  let squares = 0;
  const last = bucketIndex(h.max_us);
  for (let index = bucketIndex(h.min_us); index <= last; index++) {
    const count = h.counts[index]!;
    if (count === 0) continue;
    const middle = clamp((lowerEdge(index) + upperEdge(index)) / 2, h.min_us, h.max_us);
    squares += count * (middle - mean_us) ** 2;
  }
  return Math.sqrt(squares / h.count);
}

/**
 * The mode, in us: the midpoint of the window that holds most requests; null when empty.
 *
 *     width = max(1 us, bucket width at the median, 2 IQR n^(-1/3))     rounded to whole us
 *
 * the last being the Freedman-Diaconis width; n, median and IQR = p75 - p25 are of what was recorded. The window
 * slides continuously. A whole us v stands for v - 0.5 to v + 0.5 and the requests of a bucket are spread evenly over
 * it, so of a bucket that it covers in part it holds that part. With whole edges and widths that are powers of two
 * this is exact, so equal windows are equal: of those the middle one of the lowest unbroken stretch is taken (a lone
 * peak is at the centre of its window). The result is clamped to min and max.
 */
export function modeUs(h: Histogram): number | null {
  if (h.count === 0) return null;
  const [p25, p50, p75] = percentilesUs(h, [0.25, 0.5, 0.75]) as [number, number, number];
  const freedman_us = Math.round((2 * (p75 - p25)) / Math.cbrt(h.count));
  const width = Math.max(1, bucketWidth(bucketIndex(p50)), freedman_us);

  const { edges, before } = distribution(h);
  // How many lie below x, where edges[k - 1] <= x <= edges[k]; linear in between.
  const below = (x: number, k: number): number => {
    if (k === 0) return 0;
    if (k === edges.length) return h.count;
    const from = edges[k - 1]!;
    return before[k - 1]! + ((before[k]! - before[k - 1]!) * (x - from)) / (edges[k]! - from);
  };

  // What the window holds is linear in its start between the moments at which one of its ends meets an edge.
  let held = -1;
  let lowest = 0;
  let highest = 0;
  let unbroken = false;
  for (let left = 0, right = 0; left < edges.length; ) {
    const inside = right < edges.length;
    const start = inside ? Math.min(edges[left]!, edges[right]! - width) : edges[left]!;
    const now = below(start + width, right) - below(start, left);
    if (now > held) {
      held = now;
      lowest = start;
      highest = start;
      unbroken = true;
    } else if (now < held) {
      unbroken = false;
    } else if (unbroken) {
      highest = start;
    }
    if (edges[left] === start) left += 1;
    if (inside && edges[right] === start + width) right += 1;
  }
  // Edges are counted from half a us below the first whole us of a bucket.
  return clamp((lowest + highest + width - 1) / 2, h.min_us, h.max_us);
}

/** Both edges of every filled bucket, ascending (each half a us too high), and how many requests lie below each. */
function distribution(h: Histogram): { edges: number[]; before: number[] } {
  const edges: number[] = [];
  const before: number[] = [];
  let sum = 0;
  const last = bucketIndex(h.max_us);
  for (let index = bucketIndex(h.min_us); index <= last; index++) {
    const count = h.counts[index]!;
    if (count === 0) continue;
    const lower = lowerEdge(index);
    if (edges.at(-1) !== lower) {
      edges.push(lower);
      before.push(sum);
    }
    sum += count;
    edges.push(lower + bucketWidth(index));
    before.push(sum);
  }
  return { edges, before };
}

/**
 * Everything that a report says of a histogram. `infinite`: how many more requests belong to it that never completed;
 * they rank above all (see percentileUs).
 */
export function summarize(h: Histogram, infinite = 0): LatencySummary {
  const values = percentilesUs(h, QUANTILES, infinite);
  const percentiles_ms = {} as Record<Percentile, number | null>;
  PERCENTILES.forEach((name, k) => (percentiles_ms[name] = toMs(values[k]!)));
  const empty = h.count === 0;
  return {
    count: h.count,
    min_ms: empty ? null : toMs(h.min_us),
    max_ms: empty ? null : toMs(h.max_us),
    mean_ms: toMs(meanUs(h)),
    stddev_ms: toMs(stddevUs(h)),
    median_ms: percentiles_ms["50"],
    mode_ms: toMs(modeUs(h)),
    percentiles_ms,
    censored: h.count + infinite === 0 ? [] : PERCENTILES.filter((name) => percentiles_ms[name] === null),
  };
}

function toMs(us: number | null): number | null {
  return us === null ? null : Math.round(us) / 1000;
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}
