import type { MessageOf, OutgoingOf } from "../../src/protocol/codec.ts";
import { TOPICS, type Topic } from "../../src/protocol/topics.ts";
import type { Host, World } from "./world.ts";

export interface LogRecord<T extends Topic = Topic> {
  topic: T;
  offset: number;
  timestamp_ms: number;
  /** The same on the world's clock. */
  appended_ms: number;
  /** null: rubbish. */
  message: MessageOf[T] | null;
}

/** The log itself: one partition a topic. It may be down, lose metrics that it acknowledged, and take a record twice. */
export interface SimLog {
  readonly records: { [T in Topic]: LogRecord<T>[] };
  up: boolean;
  /** Probabilities. */
  faults: { metrics_lost: number; twice: number };
  /** ms: what a record takes from a sender to the log or from the log to a reader, and how much longer now and then. */
  delays: { usual_ms: number; slow_ms: number; slow: number };
  append<T extends Topic>(topic: T, message: MessageOf[T] | null): number;
  end(topic: Topic): number;
  onAppend(listener: (topic: Topic) => void): void;
  delay(): number;
}

export const USUAL_DELAYS: SimLog["delays"] = { usual_ms: 8, slow_ms: 300, slow: 0.02 };

export function createLog(world: World, clock_offset_ms: number): SimLog {
  const listeners: ((topic: Topic) => void)[] = [];
  const records = Object.fromEntries(TOPICS.map((topic) => [topic, []])) as unknown as SimLog["records"];
  const self: SimLog = {
    records,
    up: true,
    faults: { metrics_lost: 0, twice: 0 },
    delays: { ...USUAL_DELAYS },
    append(topic, message) {
      const log = records[topic] as LogRecord[];
      const offset = log.length;
      log.push({ topic, offset, timestamp_ms: 1_700_000_000_000 + world.now_ms + clock_offset_ms, appended_ms: world.now_ms, message });
      for (const listener of listeners) listener(topic);
      return offset;
    },
    end: (topic) => records[topic].length,
    onAppend: (listener) => void listeners.push(listener),
    delay: () => {
      const { usual_ms, slow_ms, slow } = self.delays;
      return world.random.between(0.5, world.random.chance(slow) ? slow_ms : usual_ms);
    },
  };
  return self;
}

interface Letter {
  topic: Topic;
  message: object;
  onAppended: (offset: number) => void;
}

interface Reading {
  topic: Topic;
  position: number;
  polling: boolean;
  onRecords: (records: LogRecord[]) => void;
  waits: { end: number; then: () => void }[];
}

/** A process's connection to the log: what it appends keeps its order per topic and waits while the log is away. */
export interface Link {
  /** Cut: nothing passes in either direction. */
  cut: boolean;
  /** What it says does not get through; it hears. */
  mute: boolean;
  /** It hears nothing; what it says gets through. */
  deaf: boolean;
  /** What the client believes: an outage takes a moment to be seen. */
  connected(): boolean;
  append<T extends Topic>(topic: T, message: OutgoingOf[T], onAppended?: (offset: number) => void): void;
  subscribe<T extends Topic>(topic: T, from: number, onRecords: (records: LogRecord<T>[]) => void): void;
  position(topic: Topic): number;
  /** Once all that these topics held at some moment after the call was delivered. */
  caughtUp(topics: readonly Topic[], then: () => void): void;
  /** The log or the way to it is there again, or gone. */
  changed(): void;
  /** Nothing of this topic is read meanwhile: its partition's leader is away. */
  stall(topic: Topic, stalled: boolean): void;
  close(): void;
}

const RETRY_MS = 100;

export function createLink(world: World, log: SimLog, host: Host): Link {
  const queues = new Map<Topic, Letter[]>();
  const readings = new Map<Topic, Reading>();
  const stalled = new Set<Topic>();
  let asked: { topics: readonly Topic[]; then: () => void }[] = [];
  let down_since_ms: number | null = null;
  let closed = false;
  const notices_ms = world.random.between(20, 500);
  const reaches = () => log.up && !self.cut && !closed;

  function send(topic: Topic): void {
    const queue = queues.get(topic);
    const letter = queue?.[0];
    if (!queue || !letter || closed) return;
    if (!reaches() || self.mute) {
      host.after(RETRY_MS, () => send(topic));
      return;
    }
    // On its way: it arrives whatever becomes of the sender, unless the way breaks.
    world.at(world.now_ms + log.delay(), () => {
      if (!log.up || (self.cut && world.random.chance(0.5))) {
        host.after(RETRY_MS, () => send(topic));
        return;
      }
      const message = withKind(topic, letter.message);
      const lost = topic === "metrics" && world.random.chance(log.faults.metrics_lost);
      const offset = lost ? Math.max(0, log.end(topic) - 1) : log.append(topic, message);
      if (!lost && world.random.chance(log.faults.twice)) log.append(topic, message);
      // An acknowledgement that does not come back: it is sent again.
      host.after(log.delay(), () => {
        if (closed) return;
        if (!reaches()) {
          host.after(RETRY_MS, () => send(topic));
          return;
        }
        queue.shift();
        letter.onAppended(offset);
        send(topic);
      });
    });
  }

  function poll(reading: Reading): void {
    if (self.deaf || stalled.has(reading.topic) || reading.polling || closed || !reaches() || reading.position >= log.end(reading.topic)) return;
    reading.polling = true;
    host.after(log.delay(), () => {
      reading.polling = false;
      if (closed || !reaches() || self.deaf || stalled.has(reading.topic)) return;
      const records = (log.records[reading.topic] as LogRecord[]).slice(reading.position);
      reading.position += records.length;
      if (records.length > 0) reading.onRecords(records);
      release(reading);
      poll(reading);
    });
  }

  function release(reading: Reading): void {
    const due = reading.waits.filter(({ end }) => reading.position >= end);
    if (due.length === 0) return;
    reading.waits = reading.waits.filter(({ end }) => reading.position < end);
    for (const { then } of due) then();
  }

  /** Asks the log for its ends; without an answer it is asked again once the log is there. */
  function ask(request: { topics: readonly Topic[]; then: () => void }): void {
    host.after(log.delay(), () => {
      if (closed) return;
      if (!reaches()) {
        asked.push(request);
        return;
      }
      let missing = request.topics.length;
      for (const topic of request.topics) {
        const reading = readings.get(topic)!;
        reading.waits.push({ end: log.end(topic), then: () => --missing === 0 && request.then() });
        release(reading);
      }
    });
  }

  log.onAppend((topic) => {
    const reading = readings.get(topic);
    if (reading && host.alive) poll(reading);
  });

  const self: Link = {
    cut: false,
    mute: false,
    deaf: false,
    connected: () => reaches() || (down_since_ms !== null && world.now_ms - down_since_ms < notices_ms),
    append(topic, message, onAppended = () => {}) {
      let queue = queues.get(topic);
      if (!queue) queues.set(topic, (queue = []));
      queue.push({ topic, message, onAppended });
      if (queue.length === 1) send(topic);
    },
    subscribe(topic, from, onRecords) {
      const reading: Reading = { topic, position: from, polling: false, onRecords: onRecords as Reading["onRecords"], waits: [] };
      readings.set(topic, reading);
      poll(reading);
    },
    position: (topic) => readings.get(topic)?.position ?? 0,
    caughtUp: (topics, then) => ask({ topics, then }),
    changed() {
      if (closed) return;
      down_since_ms = reaches() ? null : (down_since_ms ?? world.now_ms);
      if (!reaches()) return;
      for (const reading of readings.values()) poll(reading);
      const again = asked;
      asked = [];
      for (const request of again) ask(request);
    },
    stall(topic, on) {
      if (on) stalled.add(topic);
      else stalled.delete(topic);
      self.changed();
    },
    close() {
      closed = true;
    },
  };
  return self;
}

function withKind(topic: Topic, message: object): never {
  if (topic === "metrics") return { ...message, kind: "seq" in message ? "snapshot" : "plain" } as never;
  if (topic === "heartbeat") return { ...message, kind: "role" in message ? message.role : "plain" } as never;
  return message as never;
}
