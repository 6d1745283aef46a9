import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeHistogram, decodeInto, encodeHistogram, HistogramError, type EncodedHistogram } from "./codec.ts";
import { createHistogram, merge } from "./histogram.ts";
import { BUCKETS, lowerEdge, MAX_US } from "./layout.ts";
import { contentOf, histogramOf, latencies_us } from "./testing/samples.ts";

const EXAMPLE: EncodedHistogram = { count: 3, sum_us: 2050, min_us: 1, max_us: 2048, clamped: 0, buckets: "AQL/DwE=" };

const base64 = (...bytes: number[]) => Buffer.from(bytes).toString("base64");

/** decodeInto either merges a histogram that is one, or throws HistogramError and leaves the target alone. */
function expectDecodedOrRefused(encoded: unknown): void {
  const target = histogramOf([1, 5000, 70_000]);
  const before = contentOf(target);
  try {
    decodeInto(target, encoded as EncodedHistogram);
  } catch (error) {
    expect(error).toBeInstanceOf(HistogramError);
    expect((error as HistogramError).code).toBe("bad_histogram");
    expect(contentOf(target)).toEqual(before);
    return;
  }
  const decoded = decodeHistogram(encoded as EncodedHistogram);
  expect(decoded.counts.length).toBeLessThanOrEqual(BUCKETS);
  const again = encodeHistogram(decoded);
  const { count, sum_us, min_us, max_us, clamped, buckets } = encoded as EncodedHistogram;
  const unpadded = buckets.replace(/=+$/, "");
  expect({ ...again, buckets: again.buckets.replace(/=+$/, "") }).toEqual({
    // + 0: -0 is 0
    count: count + 0,
    sum_us: sum_us + 0,
    min_us,
    max_us,
    clamped: clamped + 0,
    buckets: unpadded,
  });
}

describe("the wire form", () => {
  it("is the one that the documentation gives", () => {
    expect(encodeHistogram(histogramOf([1, 2048, 1]))).toEqual(EXAMPLE);
    expect(EXAMPLE.buckets).toBe(base64(1, 2, 0xff, 0x0f, 1));
  });

  it("of an empty one has no min and max", () => {
    const empty = { count: 0, sum_us: 0, min_us: null, max_us: null, clamped: 0, buckets: "" };
    expect(encodeHistogram(createHistogram())).toEqual(empty);
    expect(contentOf(decodeHistogram(empty))).toEqual(contentOf(createHistogram()));
  });

  it("brings everything back, through JSON, padded or not", () => {
    fc.assert(
      fc.property(latencies_us, (values) => {
        const h = histogramOf(values);
        const encoded = JSON.parse(JSON.stringify(encodeHistogram(h))) as EncodedHistogram;
        expect(encoded.buckets).toBe(Buffer.from(encoded.buckets, "base64").toString("base64"));
        expect(contentOf(decodeHistogram(encoded))).toEqual(contentOf(h));
        const unpadded = { ...encoded, buckets: encoded.buckets.replace(/=+$/, "") };
        expect(contentOf(decodeHistogram(unpadded))).toEqual(contentOf(h));
      }),
    );
  });

  it("brings every bucket back, with counts of every length", () => {
    const h = createHistogram();
    for (let index = 1; index < BUCKETS; index++) merge(h, histogramOf([lowerEdge(index)]));
    expect(contentOf(decodeHistogram(encodeHistogram(h)))).toEqual(contentOf(h));
    const large = histogramOf([1, 7, MAX_US]);
    for (let doubling = 0; doubling < 51; doubling++) {
      const encoded = encodeHistogram(large);
      expect(contentOf(decodeHistogram(encoded))).toEqual(contentOf(large));
      merge(large, large);
    }
  });
});

describe("decodeInto", () => {
  it("is a merge", () => {
    fc.assert(
      fc.property(latencies_us, latencies_us, (a, b) => {
        const target = histogramOf(a);
        decodeInto(target, encodeHistogram(histogramOf(b)));
        expect(contentOf(target)).toEqual(contentOf(histogramOf([...a, ...b])));
      }),
    );
  });

  it.each<[string, Partial<Record<keyof EncodedHistogram, unknown>>]>([
    ["a count that the buckets don't sum to", { count: 4 }],
    ["a negative count", { count: -3 }],
    ["a count that is no number", { count: "3" }],
    ["a sum below what min and max allow", { sum_us: 2049 }],
    ["a sum above what min and max allow", { sum_us: 4098 }],
    ["a negative sum", { sum_us: -1 }],
    ["a sum that is not whole", { sum_us: 2050.5 }],
    ["an infinite sum", { sum_us: Infinity }],
    ["a min outside the first bucket", { min_us: 2 }],
    ["a min of 0", { min_us: 0 }],
    ["no min", { min_us: null }],
    ["no max", { max_us: null }],
    ["a max outside the last bucket", { max_us: 2050, sum_us: 2052 }],
    ["a max above one hour", { max_us: MAX_US + 1 }],
    ["a max that maps to the right bucket only modulo 2^32", { max_us: 2048 + 2 ** 32 }],
    ["clamped values without one hour as max", { clamped: 1 }],
    ["negative clamped", { clamped: -1 }],
    ["buckets that are no string", { buckets: null }],
    ["buckets that are missing", { buckets: "" }],
    ["a character outside the alphabet", { buckets: "AQL_DwE=" }],
    ["a character outside ASCII", { buckets: "AQL\u0141DwE=" }],
    ["a space", { buckets: "AQL/ DwE=" }],
    ["an impossible length", { buckets: "AQL/DwEAA" }],
    ["wrong padding", { buckets: "AQL/DwE==" }],
    ["padding inside", { buckets: "AQ==L/DwE" }],
    ["only padding", { buckets: "====" }],
    ["bits behind the last byte", { buckets: "AQL/DwF=" }],
    ["a byte behind the last pair", { buckets: base64(1, 2, 0xff, 0x0f, 1, 1) }],
    ["a zero behind the last pair", { buckets: base64(1, 2, 0xff, 0x0f, 1, 0) }],
    ["a varint cut short", { buckets: base64(1, 2, 0xff, 0x0f, 0x81) }],
    ["a gap cut short", { buckets: base64(1, 2, 0xff) }],
    ["a gap of 0", { buckets: base64(1, 2, 0, 1) }],
    ["a count of 0", { buckets: base64(1, 3, 0xff, 0x0f, 0) }],
    ["an overlong varint", { buckets: base64(1, 2, 0xff, 0x0f, 0x81, 0) }],
    ["an index beyond the layout", { buckets: base64(1, 2, 0xb4, 0xb5, 0x01, 1) }],
    ["a gap of 2^53", { buckets: base64(1, 2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10, 1) }],
    ["a count of nine bytes", { buckets: base64(1, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01) }],
    ["more than all buckets can take", { buckets: "AAAA".repeat(200_000) }],
  ])("refuses %s", (_, wrong) => {
    const encoded = { ...EXAMPLE, ...wrong } as EncodedHistogram;
    expect(() => decodeHistogram(encoded)).toThrow(HistogramError);
    expectDecodedOrRefused(encoded);
  });

  it("refuses a lone value whose min and max differ", () => {
    const lone = { count: 1, sum_us: 2048, min_us: 2048, max_us: 2049, clamped: 0, buckets: base64(0x80, 0x10, 1) };
    expect(() => decodeHistogram(lone)).toThrow(HistogramError);
    expect(decodeHistogram({ ...lone, max_us: 2048 }).count).toBe(1);
  });

  it("refuses more clamped values than the last bucket holds", () => {
    const encoded = encodeHistogram(histogramOf([5, Infinity]));
    expect(decodeHistogram(encoded).clamped).toBe(1);
    expect(() => decodeHistogram({ ...encoded, clamped: 2 })).toThrow(HistogramError);
  });

  it("takes any value whatever: decoded, or refused and nothing changed", () => {
    fc.assert(fc.property(fc.anything(), expectDecodedOrRefused));
    const number = fc.oneof(fc.nat(5), fc.integer(), fc.double(), fc.constant(null));
    const buckets = fc.oneof(fc.string(), fc.base64String(), fc.uint8Array().map((bytes) => base64(...bytes)));
    fc.assert(
      fc.property(
        fc.record({ count: number, sum_us: number, min_us: number, max_us: number, clamped: number, buckets }),
        expectDecodedOrRefused,
      ),
    );
  });

  it("takes a histogram with one thing changed: decoded, or refused and nothing changed", () => {
    const change = fc.oneof(
      fc.tuple(fc.constantFrom("count", "sum_us", "min_us", "max_us", "clamped"), fc.integer({ min: -3, max: 3 })),
      fc.tuple(fc.constant("buckets"), fc.nat()),
    );
    fc.assert(
      fc.property(latencies_us, change, fc.nat(255), (values, [field, by], byte) => {
        const encoded: Record<string, unknown> = { ...encodeHistogram(histogramOf(values)) };
        if (field === "buckets") {
          const bytes = Buffer.from(encoded.buckets as string, "base64");
          if (bytes.length > 0) bytes[by % bytes.length] = byte;
          encoded.buckets = bytes.toString("base64");
        } else {
          encoded[field] = (encoded[field] as number) + by;
        }
        expectDecodedOrRefused(encoded);
      }),
      { numRuns: 500 },
    );
  });
});
