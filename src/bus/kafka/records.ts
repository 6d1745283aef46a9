import type { KafkaClient } from "./link.ts";

export interface Decoded {
  records: { offset: number; timestamp_ms: number; value: Uint8Array | null }[];
  /** The offset to go on at. Always beyond `from` when there were any bytes. */
  next: number;
  /** Offsets passed over because nobody can read them. */
  skipped: number;
}

// Where the fields of a record batch lie (format 2, Kafka 0.11 and later).
const AT = { base_offset: 0, length: 8, magic: 16, attributes: 21, last_offset_delta: 23, max_timestamp: 35 };
const LENGTH_COUNTS_FROM = 12;
const HEADER_BYTES = 61;
const ATTRIBUTE = { log_append_time: 0x08, control: 0x20 };

/**
 * The records at `from` and later in the bytes of a fetch response. Control batches (transaction markers) hold no
 * records; a batch that cannot be decoded is passed over and counted; a truncated one at the end is left for later.
 * Records of aborted transactions are included: reading is uncommitted, so that nobody's open transaction blocks it.
 */
export function decodeBatches(client: KafkaClient, bytes: Buffer, from: number): Decoded {
  const decoded: Decoded = { records: [], next: from, skipped: 0 };
  let at = 0;
  while (bytes.length - at >= HEADER_BYTES) {
    const size = LENGTH_COUNTS_FROM + bytes.readInt32BE(at + AT.length);
    if (size < HEADER_BYTES || at + size > bytes.length) break;
    decodeBatch(client, bytes.subarray(at, at + size), decoded);
    at += size;
  }
  if (decoded.next === from && bytes.length > 0) {
    decoded.next = from + 1;
    decoded.skipped += 1;
  }
  return decoded;
}

function decodeBatch(client: KafkaClient, bytes: Buffer, into: Decoded): void {
  const base = Number(bytes.readBigInt64BE(AT.base_offset));
  const is_current = bytes[AT.magic] === 2;
  const after = base + 1 + (is_current ? bytes.readInt32BE(AT.last_offset_delta) : 0);
  if (after <= into.next || !Number.isSafeInteger(after)) return;
  const attributes = bytes.readInt16BE(AT.attributes);
  const from = into.next;
  into.next = after;
  if (is_current && (attributes & ATTRIBUTE.control) !== 0) return;
  try {
    if (!is_current) throw new Error("a record format older than Kafka 0.11");
    const batch = client.readRecordsBatch(client.Reader.from(bytes));
    const appended_ms = (attributes & ATTRIBUTE.log_append_time) !== 0 ? batch.maxTimestamp : null;
    for (const { offsetDelta, timestampDelta, value } of batch.records) {
      const offset = base + offsetDelta;
      if (offset < from || offset >= after) continue;
      const timestamp_ms = Number(appended_ms ?? batch.firstTimestamp + timestampDelta);
      into.records.push({ offset, timestamp_ms, value });
    }
  } catch {
    into.skipped += after - Math.max(base, from);
  }
}
