import { decodeMessage, ProtocolError, type MessageOf } from "../protocol/codec.ts";
import type { Topic } from "../protocol/topics.ts";

interface Place {
  partition: number;
  offset: number;
  /** Wall clock (ms) of the append, by whoever keeps the log. The same at every replay. */
  timestamp_ms: number;
  /** When this process read it (its wire time, ms). Liveness only: nothing that a report says depends on it. */
  heard_ms: number;
  /** Appended before this process began to listen: it tells nothing of how long a record takes. */
  replayed: boolean;
}

type Message<T extends Topic> = Place & { topic: T; message: MessageOf[T] };

/** One record of the log as fold reads it: decoded, or with the reason why it was skipped. */
export type Entry = { [T in Topic]: Message<T> }[Topic] | (Place & { topic: Topic; rejected: string });
export type EntryOf<T extends Topic> = Message<T>;

/**
 * Decodes one record. Never throws: what is none of ours becomes a rejected entry. Histograms are looked at to their last
 * byte (protocol/measures.ts): what is folded can be merged.
 */
export function toEntry(
  record: { topic: Topic; partition: number; offset: number; timestamp_ms: number; value: Uint8Array | null },
  heard_ms: number,
  replayed = false,
): Entry {
  const { topic, partition, offset, timestamp_ms } = record;
  const place = { topic, partition, offset, timestamp_ms, heard_ms, replayed };
  try {
    const message = decodeMessage(topic, record.value);
    return { ...place, message } as Entry;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { ...place, rejected: error.reason };
  }
}
