import type { Bus, BusRecord, ReadFrom, Subscription } from "../bus/bus.ts";
import type { OrchestratorHeartbeat } from "../protocol/messages.ts";
import type { Topic } from "../protocol/topics.ts";
import { toEntry } from "../run/entry.ts";
import { fold, forget, restore } from "../run/fold.ts";
import { initialState, phaseOf, type RunState, type SystemState } from "../run/state.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";

/** The log, read into a state. */
export interface Reader {
  readonly state: SystemState;
  /** Resolves once a record of partition 0 was folded. */
  reached(topic: Topic, offset: number): Promise<void>;
  /** Resolves once everything that is in the log now was folded; given a topic, everything of that one. */
  caughtUp(topic?: Topic): Promise<void>;
  /** The next offset of partition 0. */
  position(topic: Topic): number;
  /** The next offset of every partition: all before it was folded. */
  positions(topic: Topic): readonly number[];
  /** Called after every batch of records. */
  onChange(listener: (topic: Topic) => void): void;
  /** Heartbeats of the current or a later term's leader that were appended after this reader began. */
  leadersHeard(): number;
  /** Whoever leads as of the current term: when it was heard last (claim or heartbeat), and whether it said that it left. */
  leader(): { heard_ms: number; has_left: boolean };
  close(): Promise<void>;
}

interface Wait {
  topic: Topic;
  offset: number;
  resolve(): void;
}

const BESIDE_CONTROL = ["register", "heartbeat", "metrics", "test_config", "trigger"] as const;
/** Of each partition: 10 s of 1,000 nodes. Of older ones nobody is alive. */
const HEARTBEATS_REPLAYED = 10_000;

/**
 * Reads control to its end, then everything else to its end, and goes on reading. Metrics are read from where the
 * newest run began, or from where `resume` says that it was folded already; earlier runs are forgotten: their reports are
 * in the store. Of the heartbeats the last are read.
 */
export async function openReader(bus: Bus, clock: Clock, log: Log, resume: (run: RunState) => Checkpoint | null = () => null): Promise<Reader> {
  const state = initialState();
  const subscriptions = new Map<Topic, Subscription>();
  const folded = new Map<Topic, number>();
  const live = new Set<Topic>();
  const listeners: ((topic: Topic) => void)[] = [];
  const told = new Set<string>();
  let waits: Wait[] = [];
  let leaders = 0;
  let leader = { heard_ms: Number.NEGATIVE_INFINITY, has_left: false };
  const heartbeats_from = await bus.end("heartbeat");

  function onRecords(topic: Topic, records: BusRecord[]): void {
    const now_ms = clock.now_ms();
    const replayed = !live.has(topic);
    for (const record of records) {
      // A record of old times is no sign of life of now.
      const heard_ms = replayed ? Math.min(now_ms, record.timestamp_ms) : now_ms;
      take(record, heard_ms, replayed);
      if (record.partition === 0) folded.set(topic, Math.max(folded.get(topic) ?? -1, record.offset));
    }
    tellRefusals();
    release();
    for (const listener of listeners) listener(topic);
  }

  /** A record that brings a bug to light costs that record, not those that were read with it. */
  function take(record: BusRecord, heard_ms: number, replayed: boolean): void {
    const { topic, partition, offset } = record;
    try {
      const entry = toEntry(record, heard_ms, replayed);
      const before = state.leadership;
      fold(state, entry);
      if (state.leadership !== before) leader = { heard_ms, has_left: false };
      const word = leaderWord(entry);
      if (!word) return;
      if (word.state === "leader" && word.term >= state.leadership.term && offset >= (heartbeats_from[partition] ?? 0)) leaders++;
      if (word.term === state.leadership.term) {
        leader = { heard_ms: Math.max(leader.heard_ms, heard_ms), has_left: word.state === "left" };
      }
    } catch (error) {
      tellOnce(`bug ${topic}`, () => log.error("bug", { topic, partition, offset, error: String(error) }, `a record could not be folded: ${String(error)}. Please report it`));
    }
  }

  function release(): void {
    if (waits.length === 0) return;
    waits = waits.filter((wait) => {
      if ((folded.get(wait.topic) ?? -1) < wait.offset) return true;
      wait.resolve();
      return false;
    });
  }

  function tellRefusals(): void {
    for (const reason of state.rejected.keys()) {
      tellOnce(`rejected ${reason}`, () => log.warn("record_rejected", { reason }, `a record was skipped: ${reason} (told once)`));
    }
    for (const reason of state.stale.keys()) {
      tellOnce(`stale ${reason}`, () => log.warn("command_refused", { reason }, `a command was refused: ${reason} (told once)`));
    }
  }

  function tellOnce(key: string, tell: () => void): void {
    if (told.has(key)) return;
    told.add(key);
    tell();
  }

  async function read(topic: Topic, from: ReadFrom): Promise<void> {
    const onOutOfRange = (lost: object) => {
      if (topic !== "heartbeat") log.warn("records_gone", { topic, ...lost }, `records of ${topic} are no longer kept`);
    };
    const subscription = await bus.subscribe(topic, from, { onRecords: (records) => onRecords(topic, records), onOutOfRange });
    subscriptions.set(topic, subscription);
    await subscription.caughtUp();
    live.add(topic);
  }

  await read("control", "earliest");
  for (const [test_id, run] of state.runs) if (run.replaced || phaseOf(run) === "ended") forget(state, test_id);
  const newest = state.current === null ? undefined : state.runs.get(state.current);
  const resumed = newest ? resume(newest) : null;
  if (newest && resumed) restore(state, newest.test_id, resumed.members);
  const from: Partial<Record<Topic, ReadFrom>> = {
    heartbeat: heartbeats_from.map((end) => Math.max(0, end - HEARTBEATS_REPLAYED)),
    metrics: resumed?.position ?? newest?.config.metrics_from ?? "end",
  };
  await Promise.all(BESIDE_CONTROL.map((topic) => read(topic, from[topic] ?? "earliest")));

  return {
    state,
    reached: (topic, offset) =>
      new Promise((resolve) => {
        waits.push({ topic, offset, resolve });
        release();
      }),
    caughtUp: async (topic) => {
      const wanted = [...subscriptions.values()].filter((subscription) => topic === undefined || subscription.topic === topic);
      await Promise.all(wanted.map((subscription) => subscription.caughtUp()));
    },
    position: (topic) => subscriptions.get(topic)?.position()[0] ?? 0,
    positions: (topic) => subscriptions.get(topic)?.position() ?? [],
    onChange: (listener) => void listeners.push(listener),
    leadersHeard: () => leaders,
    leader: () => leader,
    close: async () => {
      listeners.length = 0;
      await Promise.all([...subscriptions.values()].map((subscription) => subscription.close()));
    },
  };
}

/** What a leader says of itself; a standby says nothing about who leads. */
function leaderWord(entry: ReturnType<typeof toEntry>): OrchestratorHeartbeat | null {
  if ("rejected" in entry || entry.topic !== "heartbeat" || entry.message.kind !== "orchestrator") return null;
  return entry.message.state === "standby" ? null : entry.message;
}
