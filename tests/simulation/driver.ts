import { afterCommand, NO_AUTHORITY, refusalOf } from "../../src/driver/authority.ts";
import { step } from "../../src/driver/machine.ts";
import { reportKey } from "../../src/driver/report.ts";
import { initialState, phaseOf, type DriverEvent, type Effect, type NodeState, type Origin, type Report } from "../../src/driver/state.ts";
import type { OutgoingOf } from "../../src/protocol/codec.ts";
import type { Topic } from "../../src/protocol/topics.ts";
import { createSimEngine, createTruth, type SimEngine, type TargetBehaviour, type Truth } from "./engine.ts";
import { createLink, type Link, type LogRecord, type SimLog } from "./log.ts";
import { createHost, type Host, type World } from "./world.ts";

const TICK_MS = 100;
const COUNTED = new Set(["gap", "lost", "lease_expired", "command_refused", "late_start", "left"]);
const LAST_WORDS_MS = 400;
/** The dead-man's switch is judged each tick, by clocks known to some ms, and a beat may have been slow. */
const LEASE_SLACK_MS = 1_500;
const GAP_MS = 500;
const HARMLESS_GAP_MS = 3_000;

/** A driver: the real machine, on a simulated engine, log and disk. */
export interface SimDriver {
  readonly host: Host;
  link(): Link | null;
  readonly boot: () => void;
  leave(): void;
  /** Its load engine fails. */
  breakEngine(): void;
  /** Nothing of it waits to be read by anyone. */
  atRest(): boolean;
  /** It may have taken what it measured with it. */
  everCrashed: boolean;
  left: boolean;
}

export interface DriverSurroundings {
  world: World;
  log: SimLog;
  target: TargetBehaviour;
  truths: Truth[];
  /** World time at which a leader's newest heartbeat in the log was sent. */
  leaderAliveMs: () => number;
}

export function createSimDriver(surroundings: DriverSurroundings, node_id: string, clock_offset_ms: number): SimDriver {
  const { world, log, target, truths } = surroundings;
  const host = createHost(world, node_id, clock_offset_ms);
  const disk = new Map<string, { report: Report; origin: Origin }>();
  let boots = 0;
  let link: Link | null = null;
  let state: NodeState | null = null;

  function boot(): void {
    host.boot();
    boots++;
    self.left = false;
    const own = (link = createLink(world, log, host));
    const events: DriverEvent[] = [];
    let handling = false;
    let before: NodeState | null = null;
    let engine: { job_id: number; epoch: number; engine: SimEngine | null } | null = null;
    const waiting = new Map<string, { topic: Topic; message: object; onPublished: () => void }>();
    const sending = new Set<string>();
    /** What it has read: known to this simulation without asking the machine. */
    let authority = NO_AUTHORITY;
    const lostEpochs = new Set<number>();
    let unread_end = 0;
    let judged_wake_ms = -1;
    world.trace(node_id, () => `boots, clock ${Math.round(clock_offset_ms)} ms off`);

    state = initialState(
      {
        node_id,
        node_ip: "127.0.0.1",
        labels: {},
        boot_id: `${node_id}-${boots}`,
        target: null,
        caps: {},
        heartbeat_ms: 1_000,
        snapshot_ms: 500,
      },
      [...disk.values()],
    );
    const finals = new Map<string, number>();

    function dispatch(event: DriverEvent): void {
      events.push(event);
      if (handling) return;
      handling = true;
      for (let next = events.shift(); next; next = events.shift()) {
        before = state;
        const result = step(state!, next, host.now_ms());
        state = result.state;
        for (const effect of result.effects) perform(effect);
      }
      handling = false;
    }

    function put<T extends Topic>(key: string, topic: T, message: OutgoingOf[T], onPublished = () => {}): void {
      waiting.set(key, { topic, message, onPublished });
      if (!sending.has(key)) send(key);
    }

    function send(key: string): void {
      const letter = waiting.get(key);
      if (!letter) return;
      waiting.delete(key);
      sending.add(key);
      own.append(letter.topic, letter.message as never, () => {
        sending.delete(key);
        letter.onPublished();
        send(key);
      });
    }

    function perform(effect: Effect): void {
      const running = engine && "job_id" in effect && engine.job_id === effect.job_id ? engine.engine : null;
      switch (effect.type) {
        case "publish_register":
          put("register", "register", effect.message);
          break;
        case "publish_heartbeat":
          put("heartbeat", "heartbeat", effect.message);
          break;
        case "publish_metrics": {
          const { key, message } = effect;
          world.trace(node_id, () => `report ${message.test_id} seq ${message.seq}${message.final ? ` FINAL ${message.end_reason} rev ${message.revision}` : ""} sent ${message.counts.sent}`);
          if (message.final && (finals.get(key) ?? message.seq) < message.seq) world.count(`another final (${message.end_reason})`);
          if (message.final) finals.set(key, message.seq);
          put(key, "metrics", message, () => dispatch({ type: "published", key, seq: message.seq }));
          break;
        }
        case "prepare": {
          engine?.engine?.close();
          const { job_id, spec } = effect;
          const loading: NonNullable<typeof engine> = (engine = { job_id, epoch: -1, engine: null });
          host.after(world.random.between(5, 80), () => {
            if (engine !== loading) return;
            const truth = createTruth(spec.test_id, node_id, state!.epoch ?? -1);
            truths.push(truth);
            loading.epoch = truth.epoch;
            loading.engine = createSimEngine({
              world,
              host,
              spec,
              truth,
              target,
              onSend: () => maySend(truth),
              onGap: (gap_ms) => dispatch({ type: "gap", job_id, gap_ms }),
              onFinished: () => dispatch({ type: "finished", job_id, snapshot: loading.engine!.snapshot() }),
            });
            dispatch({ type: "prepared", job_id, result: { ok: true, connected: 1 } });
          });
          break;
        }
        case "start": {
          const zero_world_ms = effect.zero_ms - 1_700_000_000_000 - clock_offset_ms;
          world.trace(node_id, () => `START zero ${Math.round(zero_world_ms)}`);
          running?.start(zero_world_ms);
          break;
        }
        case "snapshot":
          if (running) {
            const { job_id } = effect;
            const snapshot = running.snapshot();
            host.after(world.random.between(0, 3), () => dispatch({ type: "progress", job_id, snapshot }));
          }
          break;
        case "assign":
          world.trace(node_id, () => `takes over ${effect.ranges.map(({ range_id }) => range_id).join(" ")}`);
          running?.assign(effect.ranges);
          world.count("inherited");
          break;
        case "resume":
          world.trace(node_id, () => "resumes");
          running?.resume();
          world.count("resumed after a gap");
          break;
        case "read_control_to_end": {
          const { read } = effect;
          own.caughtUp(["control"], () => dispatch({ type: "control_read", read }));
          break;
        }
        case "stop":
          world.trace(node_id, () => "STOP");
          running?.stop(effect.grace_ms);
          break;
        case "discard":
          running?.close();
          if (running) engine = null;
          break;
        case "save":
          disk.set(reportKey(effect.report), { report: effect.report, origin: effect.origin });
          break;
        case "forget": {
          const key = reportKey(effect);
          if ((disk.get(key)?.report.seq ?? Infinity) <= effect.seq) disk.delete(key);
          break;
        }
        case "exit":
          world.trace(node_id, () => `exits with ${effect.code}`);
          self.left = true;
          // What nobody has read yet stays on its disk until it is started again.
          if (disk.size > 0 || before?.job) self.everCrashed = true;
          engine?.engine?.close();
          host.after(LAST_WORDS_MS, () => {
            own.close();
            host.crash();
          });
          break;
        case "log":
          world.trace(node_id, () => `${effect.code}: ${effect.message}`);
          if (COUNTED.has(effect.code)) world.count(effect.code);
          break;
      }
    }

    /** What no driver may ever do. */
    function maySend({ epoch, test_id }: Truth): void {
      const who = `${node_id}@${epoch}`;
      if (lostEpochs.has(epoch)) world.fail(`${who} sends though it has read that it is lost`);
      const { at_ms, slept_ms } = host.woke;
      if (at_ms !== judged_wake_ms) {
        judged_wake_ms = at_ms;
        unread_end = slept_ms > GAP_MS ? endAtWake : 0;
      }
      const excused = slept_ms <= HARMLESS_GAP_MS && !own.connected();
      if (own.position("control") < unread_end && !excused) world.fail(`${who} sends after a gap before it has read control`);
      if (own.position("control") >= unread_end || excused) unread_end = 0;
      const lease_ms = leases.get(test_id);
      const silent_ms = world.now_ms - surroundings.leaderAliveMs();
      if (lease_ms !== undefined && silent_ms > lease_ms + LEASE_SLACK_MS) world.fail(`${who} sends though nobody has led for ${Math.round(silent_ms)} ms`);
    }
    const leases = new Map<string, number>();
    let endAtWake = 0;
    onWake = () => {
      endAtWake = log.end("control");
    };

    function onControl(records: LogRecord<"control">[]): void {
      for (const { message, offset } of records) {
        if (!message) continue;
        const counts = refusalOf(authority, message, offset) === null;
        authority = afterCommand(authority, message, offset);
        if (counts && message.type === "config") leases.set(message.test_id, message.plan.lease_ms);
        dispatch({ type: "control", command: message, offset });
        if (counts && message.type === "lost" && message.node_id === node_id) lostEpochs.add(message.epoch);
      }
    }

    const end = { register: log.end("register"), test_config: log.end("test_config"), trigger: log.end("trigger"), heartbeat: log.end("heartbeat") };
    host.after(world.random.between(1, 50), () => {
      own.subscribe("control", 0, onControl);
      own.subscribe("register", end.register, (records) => {
        for (const { message, offset } of records) if (message) dispatch({ type: "registered", node_id: message.node_id, boot_id: message.boot_id, offset });
      });
      own.subscribe("heartbeat", end.heartbeat, (records) => {
        for (const { message } of records) {
          if (message?.kind !== "orchestrator") continue;
          const { term, timestamp, state: word, command_seq } = message;
          dispatch({ type: "orchestrator_heartbeat", term, state: word, command_seq, timestamp_ms: timestamp, received_ms: host.now_ms() });
        }
      });
      own.subscribe("test_config", end.test_config, (records) => {
        for (const { message, offset } of records) if (message) dispatch({ type: "test_config", message, offset, after_start: true });
      });
      own.subscribe("trigger", end.trigger, (records) => {
        for (const { message } of records) if (message) dispatch({ type: "trigger", message, after_start: true });
      });
      dispatch({ type: "begin" });
      tick();
      own.caughtUp(["control"], () => dispatch({ type: "caught_up" }));
    });

    function tick(): void {
      host.after(TICK_MS, tick);
      dispatch({ type: "bus", connected: own.connected(), reason: "away" });
      dispatch({ type: "tick", health: {} });
    }

    leave = () => dispatch({ type: "leave" });
    breakEngine = () => {
      if (!state?.job?.start || engine?.engine == null) return;
      engine.engine.close();
      self.everCrashed = true;
      dispatch({ type: "load_failed", job_id: engine.job_id, message: "broken" });
    };
  }

  let leave = () => {};
  let breakEngine = () => {};
  let onWake = () => {};
  const wake = host.wake;
  host.wake = () => {
    onWake();
    wake();
  };

  const self: SimDriver = {
    host,
    link: () => link,
    boot,
    leave: () => host.now(() => leave()),
    breakEngine: () => host.now(() => breakEngine()),
    atRest: () => !host.alive || (state !== null && ["idle", "ready", "left"].includes(phaseOf(state)) && state.results.length === 0),
    everCrashed: false,
    left: false,
  };
  return self;
}
