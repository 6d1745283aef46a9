import type { Topic } from "../protocol/topics.ts";

/** One record of the log. Offsets count per topic and partition; records may be delivered more than once. */
export interface BusRecord {
  topic: Topic;
  partition: number;
  offset: number;
  /** Wall clock (ms) at which it was appended, by whoever keeps the log. */
  timestamp_ms: number;
  /** null: a record without a value. */
  value: Uint8Array | null;
}

/**
 * Where a subscription begins: `earliest` (all that is kept), `end` (only what is appended from now on), or a
 * position: the next offset of each partition, by index (partitions it does not name are read from the earliest).
 */
export type ReadFrom = "earliest" | "end" | readonly number[];

export interface Subscriber {
  /** Records of one partition in order of their offsets. Must not throw. */
  onRecords(records: BusRecord[]): void;
  /** The position asked for is no longer kept: reading goes on at the earliest record that is. */
  onOutOfRange?(lost: { partition: number; from: number; earliest: number }): void;
}

export interface Subscription {
  readonly topic: Topic;
  /** The next offset to be delivered of each partition. */
  position(): readonly number[];
  /** Resolves when everything that the topic held at the moment of the call was delivered. Rejects when closed. */
  caughtUp(): Promise<void>;
  /** Nothing is delivered after it resolves. */
  close(): Promise<void>;
}

export type BusStatus = { connected: true } | { connected: false; reason: string };

/**
 * A set of append-only logs. Two rooms implement it (memory.ts, kafka.ts); contract.ts is what both promise.
 */
export interface Bus {
  /**
   * Appends to partition 0 and resolves with the offset once the log has it. Waits for as long as the log is away.
   * Appends of one bus to one topic keep their order. Rejects with BusError `record_too_large` or `closed`.
   */
  append(topic: Topic, value: Uint8Array): Promise<number>;
  /** The next offset of each partition. Waits while the log is away. */
  end(topic: Topic): Promise<readonly number[]>;
  /** Resolves once reading is positioned: with `end`, whatever is appended after that is delivered. */
  subscribe(topic: Topic, from: ReadFrom, subscriber: Subscriber): Promise<Subscription>;
  /** Forgets the records of a topic before an offset of partition 0, where the log can (memory; elsewhere a no-op). */
  trim(topic: Topic, before: number): Promise<void>;
  status(): BusStatus;
  /** Closes every subscription; what waits to be appended is tried for `grace_ms` more, then rejected with `closed`. */
  close(grace_ms?: number): Promise<void>;
}
