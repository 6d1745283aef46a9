import { decodeHistogram, HistogramError } from "../metrics/codec.ts";
import { decodeMessage, ProtocolError, type MessageOf } from "../protocol/codec.ts";
import type { ExtendedMetrics } from "../protocol/messages.ts";
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

/** Decodes one record, its histograms included. Never throws: what is none of ours becomes a rejected entry. */
export function toEntry(
  record: { topic: Topic; partition: number; offset: number; timestamp_ms: number; value: Uint8Array | null },
  heard_ms: number,
  replayed = false,
): Entry {
  const { topic, partition, offset, timestamp_ms } = record;
  const place = { topic, partition, offset, timestamp_ms, heard_ms, replayed };
  try {
    const message = decodeMessage(topic, record.value);
    if ("kind" in message && message.kind === "snapshot") checkHistograms(message);
    return { ...place, message } as Entry;
  } catch (error) {
    if (error instanceof HistogramError) return { ...place, rejected: "bad histogram" };
    if (!(error instanceof ProtocolError)) throw error;
    return { ...place, rejected: error.reason };
  }
}

/** What is folded can be merged: one bad histogram must not spoil every view of its run. @throws {HistogramError} */
function checkHistograms(message: ExtendedMetrics): void {
  for (const name of ["response", "service", "connect", "failed", "send_lateness"] as const) decodeHistogram(message[name]);
  for (const row of message.rows) decodeHistogram(row.response);
  if (message.warmup) decodeHistogram(message.warmup.response);
}
