import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BUCKETS, bucketIndex, bucketWidth, lowerEdge, MAX_US, upperEdge } from "./layout.ts";

describe("layout", () => {
  it.each([
    [1, 1],
    [2047, 2047],
    [2048, 2048],
    [2049, 2048],
    [2050, 2049],
    [4095, 3071],
    [4096, 3072],
    [4099, 3072],
    [4100, 3073],
    [2 ** 31 - 1, 22_527],
    [2 ** 31, 22_528],
    [2 ** 31 + 2 ** 21, 22_529],
    [MAX_US, 23_220],
  ])("puts %d us into bucket %d", (us, index) => {
    expect(bucketIndex(us)).toBe(index);
  });

  it("ends with the bucket of one hour", () => {
    expect(MAX_US).toBe(3_600_000_000);
    expect(BUCKETS).toBe(bucketIndex(3.6e9) + 1);
  });

  it("covers every whole us with exactly one bucket, without gaps", () => {
    for (let index = 1; index < BUCKETS; index++) {
      expect(lowerEdge(index)).toBe(upperEdge(index - 1) + 1);
      expect(upperEdge(index) - lowerEdge(index) + 1).toBe(bucketWidth(index));
      expect(bucketIndex(lowerEdge(index))).toBe(index);
      expect(bucketIndex(Math.min(upperEdge(index), MAX_US))).toBe(index);
    }
  });

  it("is off by less than 1/1024", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX_US }), (us) => {
        const index = bucketIndex(us);
        expect(lowerEdge(index)).toBeLessThanOrEqual(us);
        expect(upperEdge(index)).toBeGreaterThanOrEqual(us);
        expect((upperEdge(index) - us) / us).toBeLessThan(1 / 1024);
      }),
    );
  });
});
