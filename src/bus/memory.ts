import { RETENTION_MS, TOPICS, type Topic } from "../protocol/topics.ts";
import type { Bus, BusRecord, ReadFrom, Subscriber, Subscription } from "./bus.ts";
import { createCatchUp, deliver, reportOutOfRange } from "./deliver.ts";
import { BusError, closedError, tooLargeError } from "./errors.ts";

export interface MemoryLogOptions {
  max_record_bytes?: number;
  /** Wall clock in ms, for the records' timestamps and their retention. */
  clock?: () => number;
}

/** A log in this process. Every client connects to it with a bus of its own. */
export interface MemoryLog {
  connect(): Bus;
}

interface Reader {
  /** Delivers what there is, at most one batch. True when more is left. */
  step(): boolean;
}

// One topic: offsets first .. first + records.length - head - 1 are kept, the oldest at records[head].
interface TopicLog {
  records: (BusRecord | undefined)[];
  head: number;
  first: number;
  readers: Set<Reader>;
}

const BATCH_RECORDS = 1_000;

/**
 * The contract of the bus without a broker: one partition per topic, records are copied when they are appended and
 * delivered in batches in a later turn of the event loop. Records are forgotten by `trim`, and after RETENTION_MS.
 */
export function createMemoryLog(options: MemoryLogOptions = {}): MemoryLog {
  const { max_record_bytes = 1_000_000, clock = Date.now } = options;
  const topics = new Map(TOPICS.map((topic) => [topic, emptyTopic()]));
  let scheduled = false;

  function logOf(topic: Topic): TopicLog {
    const log = topics.get(topic);
    if (!log) throw new BusError("bad_topic", `there is no topic ${topic}; there are ${TOPICS.join(", ")}`);
    return log;
  }

  function wake(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      let more = false;
      for (const log of topics.values()) for (const reader of [...log.readers]) more = reader.step() || more;
      if (more) wake();
    });
  }

  function append(topic: Topic, value: Uint8Array): number {
    if (value.byteLength > max_record_bytes) throw tooLargeError(topic, value.byteLength, max_record_bytes);
    const log = logOf(topic);
    const timestamp_ms = clock();
    const offset = endOf(log);
    log.records.push(Object.freeze({ topic, partition: 0, offset, timestamp_ms, value: Uint8Array.from(value) }));
    if (RETENTION_MS[topic] >= 0) dropBefore(log, (oldest) => oldest.timestamp_ms < timestamp_ms - RETENTION_MS[topic]);
    if (log.readers.size > 0) wake();
    return offset;
  }

  function read(topic: Topic, from: ReadFrom, subscriber: Subscriber, onClose: (self: Subscription) => void): Subscription {
    const log = logOf(topic);
    const position = [from === "earliest" ? log.first : from === "end" ? endOf(log) : (from[0] ?? log.first)];
    const catchUp = createCatchUp(position);
    const next = () => position[0] ?? 0;
    let closed = false;

    const reader: Reader = {
      step() {
        if (next() < log.first || next() > endOf(log)) {
          const lost = { partition: 0, from: next(), earliest: log.first };
          position[0] = log.first;
          reportOutOfRange(subscriber, lost);
          if (closed) return false;
        }
        const start = log.head + next() - log.first;
        const batch = log.records.slice(start, start + BATCH_RECORDS) as BusRecord[];
        if (batch.length > 0) {
          position[0] = next() + batch.length;
          deliver(subscriber, batch);
        }
        if (closed) return false;
        catchUp.moved();
        return next() < endOf(log);
      },
    };
    log.readers.add(reader);
    if (next() !== endOf(log)) wake();

    const subscription: Subscription = {
      topic,
      position: () => [...position],
      caughtUp: async () => {
        if (closed) throw closedError();
        await catchUp.until([endOf(log)]);
      },
      close: async () => {
        if (closed) return;
        closed = true;
        log.readers.delete(reader);
        catchUp.fail(closedError());
        onClose(subscription);
      },
    };
    return subscription;
  }

  function connect(): Bus {
    const subscriptions = new Set<Subscription>();
    let closed = false;
    const whileOpen = () => {
      if (closed) throw closedError();
    };
    return {
      append: async (topic, value) => {
        whileOpen();
        return append(topic, value);
      },
      end: async (topic) => {
        whileOpen();
        return [endOf(logOf(topic))];
      },
      subscribe: async (topic, from, subscriber) => {
        whileOpen();
        const subscription = read(topic, from, subscriber, (self) => subscriptions.delete(self));
        subscriptions.add(subscription);
        return subscription;
      },
      trim: async (topic, before) => {
        whileOpen();
        dropBefore(logOf(topic), (oldest) => oldest.offset < before);
      },
      status: () => (closed ? { connected: false, reason: "closed" } : { connected: true }),
      close: async () => {
        closed = true;
        await Promise.all([...subscriptions].map((subscription) => subscription.close()));
      },
    };
  }

  return { connect };
}

function emptyTopic(): TopicLog {
  return { records: [], head: 0, first: 0, readers: new Set() };
}

function endOf(log: TopicLog): number {
  return log.first + log.records.length - log.head;
}

// Amortised O(1) per record: the array is only cut when at least half of it is empty.
function dropBefore(log: TopicLog, isOld: (oldest: BusRecord) => boolean): void {
  for (let oldest = log.records[log.head]; oldest && isOld(oldest); oldest = log.records[log.head]) {
    log.records[log.head] = undefined;
    log.head += 1;
    log.first += 1;
  }
  if (log.head > 1_000 && log.head * 2 > log.records.length) {
    log.records = log.records.slice(log.head);
    log.head = 0;
  }
}
