import { answerHearing, askHearing, judgeHearing, startHearing } from "../../src/orchestrator/hearing.ts";
import { silentFrom } from "../../src/orchestrator/leader.ts";
import type { Topic } from "../../src/protocol/topics.ts";
import { decide, type CommandBody, type Decision } from "../../src/run/decide.ts";
import type { Entry } from "../../src/run/entry.ts";
import { fold, forget } from "../../src/run/fold.ts";
import type { Moment } from "../../src/run/presence.ts";
import { initialState, phaseOf, type SystemState } from "../../src/run/state.ts";
import { createLink, type Link, type LogRecord, type SimLog } from "./log.ts";
import { createHost, type Host, type World } from "./world.ts";

const TICK_MS = 100;
const POLL_MS = 50;
const HEARTBEAT_MS = 1_000;
/** A standby takes over after this long without a leader. */
const SILENCE_MS = 3_000;
const RESTART_MS = 2_000;
/** What was said longer ago than the first and since the second was heard, unless the log is slow. */
const JUST_NOW_MS = 1_200;
const HEARD_MS = 2_500;
const BESIDE_CONTROL = ["register", "heartbeat", "metrics", "test_config", "trigger"] as const;

/** An orchestrator: the real fold, decisions and hearing; its shell (one queue of commands, read back) in a few lines. */
export interface SimOrchestrator {
  readonly host: Host;
  link(): Link | null;
  readonly boot: () => void;
  /** It has claimed the current term, as far as it has read. */
  leads(): boolean;
  state(): SystemState;
  moment(): Moment;
  /** A command of a user; `make` is called when it is its turn, and may throw or return null. */
  command(make: () => CommandBody | null): void;
}

export interface OrchestratorSurroundings {
  world: World;
  log: SimLog;
  /** A leader shows that it lives. */
  onBeat: () => void;
}

export function createSimOrchestrator(surroundings: OrchestratorSurroundings, node_id: string, standby: boolean, clock_offset_ms: number): SimOrchestrator {
  const { world, log, onBeat } = surroundings;
  const host = createHost(world, node_id, clock_offset_ms);
  let boots = 0;
  let link: Link | null = null;
  let leads = () => false;
  let state = initialState();
  let moment = (): Moment => ({ now_ms: host.now_ms(), hearing_since_ms: null });
  let command: SimOrchestrator["command"] = () => {};

  function boot(): void {
    host.boot();
    boots++;
    const own = (link = createLink(world, log, host));
    const owner = `${node_id}/${boots}`;
    const current = (state = initialState());
    const begun_ms = host.now_ms();
    const heartbeats_from = log.end("heartbeat");
    const folded = new Map<Topic, number>();
    const live = new Set<Topic>();
    let waits: { topic: Topic; offset: number; then: () => void }[] = [];
    let leaders = 0;
    let leader_heard_ms = begun_ms;
    let term = 0;
    let claiming = false;
    let over = false;
    let hearing = startHearing(begun_ms);
    let beating = false;
    const jobs: (() => Decision[])[] = [];
    let acting = false;
    let deciding = false;
    world.trace(node_id, () => `boots${standby ? " as standby" : ""}, clock ${Math.round(clock_offset_ms)} ms off`);

    const isMine = () => term > 0 && current.leadership.term === term && current.leadership.owner === owner;
    leads = () => isMine() && !over;

    function onRecords(topic: Topic, records: LogRecord[]): void {
      const now_ms = host.now_ms();
      const replayed = !live.has(topic);
      for (const record of records) {
        const heard_ms = replayed ? Math.min(now_ms, record.timestamp_ms) : now_ms;
        const { message, offset, timestamp_ms } = record;
        if (topic === "heartbeat" && message && "role" in message && message.role === "orchestrator" && message.state === "leader") {
          if (offset >= heartbeats_from) leaders++;
          if (!replayed) leader_heard_ms = now_ms;
        }
        const place = { topic, partition: 0, offset, timestamp_ms, heard_ms, replayed };
        fold(current, (message === null ? { ...place, rejected: "rubbish" } : { ...place, message }) as Entry);
        folded.set(topic, offset);
      }
      const due = waits.filter((wait) => (folded.get(wait.topic) ?? -1) >= wait.offset);
      if (due.length > 0) {
        waits = waits.filter((wait) => (folded.get(wait.topic) ?? -1) < wait.offset);
        for (const { then } of due) then();
      }
      if (topic !== "heartbeat") round();
    }

    function reached(topic: Topic, offset: number, then: () => void): void {
      if ((folded.get(topic) ?? -1) >= offset) then();
      else waits.push({ topic, offset, then });
    }

    function subscribe(topic: Topic, from: number): void {
      own.subscribe(topic, from, (records) => onRecords(topic, records));
    }

    function read(): void {
      subscribe("control", 0);
      own.caughtUp(["control"], () => {
        live.add("control");
        for (const [test_id, run] of current.runs) if (run.replaced || phaseOf(run) === "ended") forget(current, test_id);
        const newest = current.current === null ? undefined : current.runs.get(current.current);
        for (const topic of BESIDE_CONTROL) subscribe(topic, topic === "metrics" ? (newest?.config.metrics_from[0] ?? log.end("metrics")) : 0);
        own.caughtUp(BESIDE_CONTROL, () => {
          for (const topic of BESIDE_CONTROL) live.add(topic);
          leader_heard_ms = host.now_ms();
          if (standby) watch();
          else wait(silentFrom(current.orchestrators.values(), begun_ms));
        });
      });
    }

    /** A standby: claims once no leader was heard for 3 s on a log that works and in a process that did not sleep. */
    function watch(before_ms = host.now_ms()): void {
      if (over || term > 0) return;
      const now_ms = host.now_ms();
      if (!own.connected() || now_ms - before_ms > 10 * POLL_MS) leader_heard_ms = now_ms;
      if (now_ms - leader_heard_ms > SILENCE_MS && !claiming) claim();
      host.after(POLL_MS, () => watch(now_ms));
    }

    function wait(until_ms: number): void {
      if (leaders > 0) end("another one leads");
      else if (host.now_ms() >= until_ms) claim();
      else host.after(POLL_MS, () => wait(until_ms));
    }

    function claim(): void {
      claiming = true;
      const next = current.leadership.term + 1;
      own.append("control", { type: "claim", term: next, owner, command_seq: 0, at_ms: host.now_ms() }, (offset) => {
        reached("control", offset, () => {
          claiming = false;
          leader_heard_ms = host.now_ms();
          if (current.leadership.term === next && current.leadership.owner === owner) lead(next);
          else if (!standby) end("somebody else's claim came first");
        });
      });
    }

    function lead(claimed: number): void {
      term = claimed;
      world.trace(node_id, () => `LEADS term ${term}`);
      hearing = startHearing(host.now_ms());
      beat();
      tick();
    }

    /** Ends this process; whoever looks after it starts it again. */
    function end(why: string): void {
      if (over) return;
      over = true;
      world.trace(node_id, () => `ends: ${why}`);
      host.after(RESTART_MS, () => {
        own.close();
        host.crash();
        boot();
      });
    }

    function beat(): void {
      if (over) return;
      host.after(HEARTBEAT_MS, beat);
      if (beating || !leads()) return;
      beating = true;
      const asked_ms = host.now_ms();
      const asks = hearing.asked_ms === null;
      if (asks) hearing = askHearing(hearing, asked_ms);
      onBeat();
      const message = { node_id, heartbeat: "YES" as const, timestamp: asked_ms, role: "orchestrator" as const, term, state: "leader" as const, command_seq: current.leadership.command_seq };
      own.append("heartbeat", message, (offset) => {
        beating = false;
        if (!asks) return;
        reached("heartbeat", offset, () => {
          const answer = () => {
            const before = hearing.since_ms;
            hearing = answerHearing(hearing, asked_ms, host.now_ms(), own.connected());
            if (before === null && hearing.since_ms !== null) world.trace(node_id, () => "hears");
          };
          if (hearing.since_ms === null) own.caughtUp(["control", ...BESIDE_CONTROL], answer);
          else answer();
        });
      });
    }

    moment = () => {
      hearing = judgeHearing(hearing, host.now_ms(), own.connected());
      return { now_ms: host.now_ms(), hearing_since_ms: hearing.since_ms };
    };

    function tick(): void {
      if (over) return;
      if (!isMine()) {
        end("deposed");
        return;
      }
      host.after(TICK_MS, tick);
      round();
    }

    function round(): void {
      if (deciding || !leads() || decide(current, moment()).length === 0) return;
      deciding = true;
      exclusive(() => decide(current, moment()).slice(0, 1), () => (deciding = false));
    }

    /** One job after the other; what a job reads of the state is true when it sends. */
    function exclusive(job: () => Decision[], then: () => void): void {
      jobs.push(() => {
        const decisions = job();
        sendAll(decisions, () => {
          then();
          next();
        });
        return decisions;
      });
      if (!acting) next();
    }

    function next(): void {
      const job = jobs.shift();
      acting = job !== undefined;
      job?.();
    }

    function sendAll([decision, ...rest]: Decision[], then: () => void): void {
      if (!decision || !isMine() || over) {
        then();
        return;
      }
      const readBack = (offset: number) => reached(decision.topic, offset, () => sendAll(rest, then));
      if (decision.topic === "control") {
        world.trace(node_id, () => `decides ${describe(decision.body)}`);
        onBeat();
        judgeLost(decision.body);
        const command_seq = current.leadership.command_seq + 1;
        own.append("control", { ...decision.body, term, owner, command_seq, at_ms: host.now_ms() }, readBack);
      } else if (decision.topic === "trigger") own.append("trigger", decision.message, readBack);
      else own.append("test_config", decision.message, readBack);
    }

    /** Nobody is taken for dead who speaks. */
    function judgeLost(body: CommandBody): void {
      if (body.type !== "lost" || body.reason !== "silent" || log.delays.slow_ms > 1_000) return;
      const spoke = log.records.heartbeat.some(({ appended_ms, message }) => {
        const ago_ms = world.now_ms - appended_ms;
        return ago_ms > JUST_NOW_MS && ago_ms < HEARD_MS && message?.kind === "driver" && message.node_id === body.node_id && message.epoch === body.epoch;
      });
      if (spoke) world.fail(`${body.node_id}@${body.epoch} is declared lost, and has spoken`);
    }

    command = (make) => {
      exclusive(
        () => {
          const body = make();
          return body ? [{ topic: "control", body }] : [];
        },
        () => {},
      );
    };

    host.after(world.random.between(1, 50), read);
  }

  return {
    host,
    link: () => link,
    boot,
    leads: () => host.alive && leads(),
    state: () => state,
    moment: () => moment(),
    command: (make) => command(make),
  };
}

export function describe(body: CommandBody): string {
  switch (body.type) {
    case "lost":
      return `lost ${body.node_id}@${body.epoch} (${body.reason}), cut ${body.cut_us / 1e6} s`;
    case "assign":
      return `assign from ${body.from.node_id}@${body.from.epoch}: kept ${body.kept.map((k) => `${k.range_id}:${k.slots}`).join(" ")}, to ${body.moves.map((m) => `${m.node_id} ${m.range.range_id}`).join(" ")}`;
    case "ended":
      return `ended ${body.test_id} ${body.status}: ${body.basis.map((b) => `${b.node_id}@${b.epoch}${b.final ? " final" : ""} seq ${b.seq}`).join(", ")}`;
    default:
      return `${body.type} ${"test_id" in body ? body.test_id : ""}`;
  }
}
