import * as client from "@platformatic/kafka";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeBatches } from "./records.ts";

interface Batch {
  base: number;
  values: string[];
  compression?: "gzip" | "none";
  attributes?: number;
}

function encodeBatch({ base, values, compression, attributes = 0 }: Batch): Buffer {
  const records = values.map((value, i) => ({ topic: "t", value: Buffer.from(value), timestamp: BigInt(1_000 + i) }));
  const bytes = Buffer.from(client.createRecordsBatch(records, { compression: compression ?? "none" }).buffer);
  bytes.writeBigInt64BE(BigInt(base), 0);
  bytes.writeInt16BE(bytes.readInt16BE(21) | attributes, 21);
  return bytes;
}

function decode(bytes: Buffer, from: number) {
  const { records, next, skipped } = decodeBatches(client, bytes, from);
  const values = records.map((record) => `${record.offset} ${Buffer.from(record.value!).toString()} ${record.timestamp_ms}`);
  return { values, next, skipped };
}

test("records, plain and compressed, from a position inside a batch", () => {
  const plain = encodeBatch({ base: 10, values: ["a", "b"] });
  const packed = encodeBatch({ base: 12, values: ["c", "d"], compression: "gzip" });
  const all = { values: ["11 b 1001", "12 c 1000", "13 d 1001"], next: 14, skipped: 0 };
  expect(decode(Buffer.concat([plain, packed]), 11)).toEqual(all);
});

test("with the log's own time every record has the time of its batch", () => {
  expect(decode(encodeBatch({ base: 0, values: ["a", "b"], attributes: 0x08 }), 0).values).toEqual(["0 a 1001", "1 b 1001"]);
});

test("control batches are passed over, and a truncated last batch waits for the next fetch", () => {
  const marker = encodeBatch({ base: 5, values: ["x"], attributes: 0x30 });
  const next = encodeBatch({ base: 6, values: ["y"] });
  expect(decode(Buffer.concat([marker, next.subarray(0, -1)]), 5)).toEqual({ values: [], next: 6, skipped: 0 });
});

test("a batch that nobody can decode is counted and passed over", () => {
  const bad = encodeBatch({ base: 3, values: ["x", "y"], attributes: 0x07 });
  const old = encodeBatch({ base: 5, values: ["x"] });
  old[16] = 1;
  const good = encodeBatch({ base: 6, values: ["z"] });
  expect(decode(Buffer.concat([bad, old, good]), 3)).toEqual({ values: ["6 z 1000"], next: 7, skipped: 3 });
});

test("whatever the bytes are, reading goes on beyond them and nothing throws", () => {
  const good = encodeBatch({ base: 7, values: ["some", "records", "to", "damage"] });
  const damaged = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 6 }).map((changes) => {
    const bytes = Buffer.from(good);
    for (const [at, byte] of changes) bytes[at] = byte;
    return bytes;
  });
  const rubbish = fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(damaged, rubbish), (bytes) => {
      const { records, next } = decodeBatches(client, bytes, 7);
      expect(next).toBeGreaterThan(7);
      expect(Number.isSafeInteger(next)).toBe(true);
      expect(records.every((record) => record.offset >= 7 && record.offset < next)).toBe(true);
    }),
    { numRuns: 500 },
  );
});
