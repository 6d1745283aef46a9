import { randomUUID } from "node:crypto";
import type { Bus, BusRecord, ReadFrom, Subscription } from "../bus/bus.ts";
import type { EngineOptions } from "../load/engine.ts";
import { createCrew } from "../load/pool.ts";
import { decodeMessage, ProtocolError, type MessageOf } from "../protocol/codec.ts";
import type { Topic } from "../protocol/topics.ts";
import { parseAllow, type AllowRule } from "./allow.ts";
import { wireClock, type WireClock } from "./clock.ts";
import { createHealth } from "./health.ts";
import type { Caps } from "./job.ts";
import { createLoadHost, portOf } from "./load-host.ts";
import type { DriverLog } from "./log.ts";
import { step } from "./machine.ts";
import { createOutbox } from "./outbox.ts";
import { initialState, phaseOf, type DriverEvent, type Effect, type Phase } from "./state.ts";
import { openResultStore } from "./store.ts";

export interface DriverOptions {
  /** Its own connection to the log; not closed by the driver. */
  bus: Bus;
  node_id: string;
  node_ip: string;
  labels?: Record<string, string>;
  /** The target (URL) of plain tests that name none; its host may be hit. */
  target?: string;
  /** Patterns of what may be hit (parseAllow); none: loopback and private networks. */
  allow?: readonly string[];
  /** Where unacknowledged results are kept; none: nowhere. */
  data_dir?: string;
  caps?: Caps;
  clock?: WireClock;
  log: DriverLog;
  heartbeat_ms?: number;
  snapshot_ms?: number;
  /** Load threads at most, whatever a test asks for. Default: no limit. */
  workers?: number;
  /** Drivers of this process, this one included: they share its cores. Default: 1. */
  drivers_in_process?: number;
  /** false: the load threads are not warmed beforehand. */
  warm?: boolean;
  engine?: Pick<EngineOptions, "cores">;
}

export interface Driver {
  readonly node_id: string;
  /** null: not registered yet. */
  epoch(): number | null;
  state(): { phase: Phase; epoch: number | null; test_id: string | null };
  /** Stops sending, publishes its final, says that it left. Resolves with `stopped`, within 5 s. */
  leave(): Promise<void>;
  /** Ends at once without a word, as a crash would. */
  kill(): void;
  /** `code`: 0 left, 4 another driver took its name, 1 killed. */
  readonly stopped: Promise<{ code: number }>;
}

const TICK_MS = 50;
const SUBSCRIBE_AGAIN_MS = 1_000;
const LAST_WORDS_MS = 400;
const CLOSING_MS = 200;
const KINDS_LOGGED = 100;
/** As its own encoder writes it: of the many heartbeats only those of orchestrators are worth decoding. */
const OF_A_DRIVER = Buffer.from('"role":"driver"');

/**
 * Starts a node: the shell around machine.ts. Whatever it needs from the log it waits for.
 * @throws AllowError when a pattern of `allow` is none; TypeError when `target` is no URL
 */
export function startDriver(options: DriverOptions): Driver {
  const { bus, node_id, log } = options;
  const clock = options.clock ?? wireClock();
  const health = createHealth();
  const subscriptions: Subscription[] = [];
  const rejected = new Set<string>();
  let records_rejected = 0;
  let over = false;
  let control: Subscription | null = null;
  let ticking: NodeJS.Timeout | undefined;
  let resolveStopped: (result: { code: number }) => void = () => {};
  const stopped = new Promise<{ code: number }>((resolve) => (resolveStopped = resolve));

  const outbox = createOutbox(bus, (topic, error) => {
    log.error("publish_failed", { topic }, `a record for ${topic} was not taken: ${messageOf(error)}`);
  });
  const load = createLoadHost({
    rules: parseAllow(options.allow ?? []),
    own: ownRules(options.target),
    crew: createCrew({ warm: options.warm ?? true }),
    workers: options.workers ?? null,
    drivers: options.drivers_in_process ?? 1,
    engine: options.engine ?? {},
    emit: dispatch,
  });

  let state = initialState({
    node_id,
    node_ip: options.node_ip,
    labels: options.labels ?? {},
    boot_id: randomUUID(),
    target: options.target ?? null,
    caps: options.caps ?? {},
    heartbeat_ms: options.heartbeat_ms ?? 1_000,
    snapshot_ms: options.snapshot_ms ?? 500,
  });
  const opening = openResultStore(options.data_dir ?? null, log);
  let store: Awaited<typeof opening> | null = null;

  // Effects may bring about events: one is handled after the other.
  const events: DriverEvent[] = [];
  let handling = false;

  function dispatch(event: DriverEvent): void {
    if (over) return;
    events.push(event);
    if (handling) return;
    handling = true;
    for (let next = events.shift(); next; next = events.shift()) {
      try {
        const result = step(state, next, clock.now_ms());
        state = result.state;
        for (const effect of result.effects) perform(effect);
      } catch (error) {
        log.error("bug", { event: next.type }, error instanceof Error ? (error.stack ?? error.message) : String(error));
      }
    }
    handling = false;
  }

  function perform(effect: Effect): void {
    switch (effect.type) {
      case "publish_register":
        outbox.put("register", "register", effect.message);
        break;
      case "publish_heartbeat":
        outbox.put("heartbeat", "heartbeat", effect.message);
        break;
      case "publish_metrics": {
        const { key, message } = effect;
        outbox.put(key, "metrics", message, () => dispatch({ type: "published", key, seq: message.seq }));
        break;
      }
      case "prepare":
        load.prepare(effect.job_id, effect.spec);
        break;
      case "start":
        load.start(effect.job_id, clock.toMonotonic(effect.zero_ms));
        break;
      case "snapshot":
        load.snapshot(effect.job_id);
        break;
      case "assign":
        load.assign(effect.job_id, effect.ranges);
        break;
      case "resume":
        load.resume(effect.job_id);
        break;
      case "read_control_to_end":
        void readControl(effect.read);
        break;
      case "stop":
        load.stop(effect.job_id, effect.grace_ms);
        break;
      case "discard":
        load.discard(effect.job_id);
        break;
      case "save":
        store?.save(effect);
        break;
      case "forget":
        store?.forget(effect);
        break;
      case "exit":
        void finish(effect.code, LAST_WORDS_MS);
        break;
      case "log":
        log[effect.level](effect.code, { node_id, ...effect.fields }, effect.message);
        break;
    }
  }

  async function readControl(read: number): Promise<void> {
    if ((await persist(() => control!.caughtUp().then(() => true))) !== null) dispatch({ type: "control_read", read });
  }

  function tick(): void {
    const status = bus.status();
    dispatch({ type: "bus", connected: status.connected, reason: status.connected ? "" : status.reason });
    dispatch({ type: "tick", health: { ...health(), records_rejected } });
  }

  async function finish(code: number, last_words_ms: number): Promise<void> {
    if (over) return;
    over = true;
    clearInterval(ticking);
    const closing = load.close();
    if (last_words_ms > 0) await outbox.flush(last_words_ms);
    outbox.close();
    const closed = Promise.allSettled([closing, ...subscriptions.map((subscription) => subscription.close())]);
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, CLOSING_MS).unref())]);
    (await opening).close();
    resolveStopped({ code });
  }

  function decode<T extends Topic>(topic: T, record: BusRecord): MessageOf[T] | null {
    try {
      return decodeMessage(topic, record.value);
    } catch (error) {
      records_rejected += 1;
      const reason = error instanceof ProtocolError ? error.message : `a record on ${topic} was skipped: ${messageOf(error)}`;
      if (rejected.size < KINDS_LOGGED && !rejected.has(reason)) {
        rejected.add(reason);
        log.warn("bad_record", { topic, offset: record.offset }, reason);
      }
      return null;
    }
  }

  /** Waits for the log for as long as it takes; null: the driver has ended meanwhile. */
  async function persist<T>(attempt: () => Promise<T>): Promise<T | null> {
    let told = "";
    while (!over) {
      try {
        return await attempt();
      } catch (error) {
        const reason = messageOf(error);
        if (reason !== told && !over) log.warn("bus_away", { node_id }, `the log cannot be read: ${reason}; trying again`);
        told = reason;
        await new Promise((resolve) => setTimeout(resolve, SUBSCRIBE_AGAIN_MS));
      }
    }
    return null;
  }

  async function listen<T extends Topic>(
    topic: T,
    from: "earliest" | "end",
    onMessage: (message: MessageOf[T], record: BusRecord, after_start: boolean) => void,
  ): Promise<Subscription | null> {
    const subscription = await persist(async () => {
      const position: ReadFrom = from === "end" ? await bus.end(topic) : from;
      return bus.subscribe(topic, position, {
        onRecords: (records) => {
          for (const record of records) {
            if (over) return;
            const after_start = typeof position !== "string" && record.offset >= (position[record.partition] ?? 0);
            if (topic === "heartbeat" && isOfADriver(record)) continue;
            const message = decode(topic, record);
            if (message !== null) onMessage(message, record, after_start);
          }
        },
      });
    });
    if (subscription && over) await subscription.close();
    else if (subscription) subscriptions.push(subscription);
    return subscription;
  }

  async function boot(): Promise<void> {
    store = await opening;
    if (over) return;
    state = initialState(state.options, store.load());
    const [reading] = await Promise.all([
      listen("control", "earliest", (command, { offset }) => dispatch({ type: "control", command, offset })),
      listen("register", "end", ({ node_id, boot_id }, { offset }) => dispatch({ type: "registered", node_id, boot_id, offset })),
      listen("heartbeat", "end", (message) => {
        if (message.kind !== "orchestrator") return;
        const { term, state, timestamp, command_seq } = message;
        dispatch({ type: "orchestrator_heartbeat", term, state, command_seq, timestamp_ms: timestamp, received_ms: clock.now_ms() });
      }),
      listen("test_config", "end", (message, { offset }, after_start) => {
        dispatch({ type: "test_config", message, offset, after_start });
      }),
      listen("trigger", "end", (message, _record, after_start) => dispatch({ type: "trigger", message, after_start })),
    ]);
    if (over || !reading) return;
    control = reading;
    dispatch({ type: "begin" });
    ticking = setInterval(tick, TICK_MS);
    if ((await persist(() => reading.caughtUp().then(() => true))) !== null) dispatch({ type: "caught_up" });
  }

  void boot().catch((error: unknown) => {
    log.error("bug", { node_id }, messageOf(error));
    return finish(1, 0);
  });

  return {
    node_id,
    epoch: () => state.epoch,
    state: () => ({
      phase: phaseOf(state),
      epoch: state.epoch,
      test_id: state.job?.wanted.test_id ?? state.wanted?.test_id ?? null,
    }),
    leave: async () => {
      dispatch({ type: "leave" });
      await stopped;
    },
    kill: () => void finish(1, 0),
    stopped,
  };
}

function isOfADriver({ value }: BusRecord): boolean {
  return value !== null && Buffer.from(value.buffer, value.byteOffset, value.byteLength).includes(OF_A_DRIVER);
}

/** What --target names may be hit. */
function ownRules(target: string | undefined): AllowRule[] {
  if (target === undefined) return [];
  const url = new URL(target);
  return parseAllow([`${url.hostname}:${portOf(url)}`]);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
