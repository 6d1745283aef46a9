import { randomBytes, randomInt } from "node:crypto";
import { endedSummary, liveSummary, type TestSummary } from "../api/views.ts";
import type { Bus } from "../bus/bus.ts";
import { NODE_ID_PATTERN, TEST_ID_PATTERN } from "../plan/ids.ts";
import type { Plan } from "../plan/plan.ts";
import { encodeMessage } from "../protocol/codec.ts";
import { absentTest, CommandError, configBody, stopBody, triggerable, triggerBody } from "../run/commands.ts";
import { decide, endedBody } from "../run/decide.ts";
import type { NumberedEvent } from "../run/events.ts";
import { HEARTBEAT_MS, isAlive, notReady, type Moment } from "../run/presence.ts";
import type { Report } from "../run/report-schema.ts";
import { busyRun, type SystemState } from "../run/state.ts";
import { createArchive } from "./archive.ts";
import { checkpointOf, startCheckpoints } from "./checkpoint.ts";
import { every, systemClock, within, type Clock } from "./clock.ts";
import { createCommander } from "./commander.ts";
import { OrchestratorError } from "./errors.ts";
import { startHeartbeat } from "./heartbeat.ts";
import { isVacant, untilLeaderIsSilent } from "./leader.ts";
import type { Log } from "./log.ts";
import { openReader } from "./reader.ts";
import { createSignal } from "./signal.ts";
import type { Store } from "./store.ts";
import { createStream } from "./stream.ts";
import { startTrimming } from "./trim.ts";
import { keepVigil } from "./vigil.ts";

export interface OrchestratorOptions {
  /** Its own connection to the log; whoever passes it in closes it. */
  bus: Bus;
  node_id: string;
  /** null: reports are kept in memory only. Whoever passes it in closes it. */
  store: Store | null;
  log: Log;
  /** How long a trigger waits for every member to be ready (default 10,000). */
  ready_timeout_ms?: number;
  /** start_at = now + this (default 1,000; in one process 100). */
  lead_ms?: number;
  heartbeat_ms?: number;
  /** The log lives and dies with this process: nobody else can lead, and what was read is trimmed. */
  in_process?: boolean;
  /** Follows the log and claims once the leader is silent; deposed, it stands by again. */
  standby?: boolean;
  clock?: Clock;
}

export interface Orchestrator {
  readonly node_id: string;
  /** The term that it claimed last; 0: none yet. */
  term(): number;
  /** false: another one leads, or nobody does yet, and every command is refused with `not_leader`. */
  leads(): boolean;
  /** Called each time that another one has taken over from this one. */
  onDeposed(listener: (by: { owner: string; term: number }) => void): void;
  /** Wire time. */
  now_ms(): number;
  /** Only to be read. */
  state(): SystemState;
  moment(): Moment;
  /** Resolves once the config is read back. @throws {CommandError} @throws {OrchestratorError} */
  createTest(plan: Plan, test_id?: string): Promise<{ test_id: string }>;
  /** Waits until every member is ready; a test that was triggered already answers its start again. @throws {CommandError} */
  trigger(test_id: string): Promise<{ test_id: string; start_at: number }>;
  /** What is over already stays as it is. @throws {CommandError} `unknown_test` */
  stop(test_id: string, reason: string): Promise<void>;
  /** Registers a driver of another implementation. Resolves with its epoch. @throws {OrchestratorError} `node_exists` */
  register(node_id: string, node_ip: string): Promise<{ node_id: string; epoch: number }>;
  report(test_id: string): Report | null;
  /** Open ones and all in the store, newest first. */
  tests(): TestSummary[];
  /** The one stream of run events; the result ends it. */
  onEvent(listener: (event: NumberedEvent) => void): () => void;
  /** What was told of a run until now, for who comes late; the next live event has the next number. */
  history(test_id: string): NumberedEvent[];
  /** Resolves once the report is stored. @throws {CommandError} `unknown_test`, `test_replaced` */
  ended(test_id: string): Promise<Report>;
  /** Stops a running test (`orchestrator_stopped`), keeps its report, says goodbye: within 5 s. */
  close(): Promise<void>;
}

const TICK_MS = 100;
const RETRY_MS = 1_000;
/** How long is waited to hear who is alive, right after the start or an outage. */
const HEAR_MS = 2_000;
/** A driver's final comes 2 s after the stop at the latest. With both goodbyes and the bus's own grace: within 5 s. */
const CLOSE_MS = 3_300;
const GOODBYE_MS = 500;
/** Why a driver will never run this test, however long one waits. */
const LASTING_REFUSALS = new Set(["target_not_allowed", "rate_over_cap", "duration_over_cap", "bad_plan", "no_target"]);

/**
 * Reads the log, claims the next term, and leads: one queue of commands, a decision round after every change, and one
 * stream of events. A run that the log says is open goes on where it stands.
 *
 *     standby: follows --(leader silent for 3 s, or left)--> claims --(its claim came first)--> leads --(deposed)--> follows
 *
 * @throws {OrchestratorError} `leader_exists`, but for a standby
 */
export async function startOrchestrator(options: OrchestratorOptions): Promise<Orchestrator> {
  const { bus, node_id, store, log, in_process = false, standby = false, clock = systemClock(), ready_timeout_ms = 10_000 } = options;
  const { lead_ms = in_process ? 100 : 1_000, heartbeat_ms = HEARTBEAT_MS } = options;
  const begun_ms = clock.now_ms();
  const reader = await openReader(bus, clock, log, (run) => checkpointOf(store, run, log));
  const { state } = reader;
  const owner = `${node_id.slice(0, 100)}/${randomBytes(6).toString("hex")}`;
  const vigil = keepVigil(reader, clock);
  const commander = createCommander({ bus, reader, vigil, owner, clock, log });
  const archive = createArchive({ state, store, clock, log });
  const stream = createStream({ state, archive, clock, log, leads: () => commander.leads() });
  const signal = createSignal();

  let leading_since_ms = Number.NEGATIVE_INFINITY;

  async function claim(): Promise<boolean> {
    if (!(await commander.claim())) return false;
    leading_since_ms = clock.now_ms();
    log.info("leading", { term: commander.term(), owner }, `leading as of term ${commander.term()}`);
    return true;
  }

  try {
    if (!in_process && !standby) await untilLeaderIsSilent(reader, clock, begun_ms);
    if (!standby && !(await claim())) throw new OrchestratorError("leader_exists", `${state.leadership.owner} claimed term ${state.leadership.term} first`);
  } catch (error) {
    vigil.close();
    await reader.close();
    throw error;
  }
  if (standby) log.info("standing_by", { owner }, `standing by: ${state.leadership.owner ?? "nobody"} leads`);

  const heartbeat = startHeartbeat({ bus, reader, vigil, commander, clock, log, node_id, heartbeat_ms, standby });
  // After a takeover everyone gets the grace, however long this process has been listening.
  const moment = (): Moment => {
    const since_ms = heartbeat.hearingSinceMs();
    return { now_ms: clock.now_ms(), hearing_since_ms: since_ms === null ? null : Math.max(since_ms, leading_since_ms) };
  };
  const trimming = startTrimming({ bus, reader, clock, in_process, moment });
  const checkpoints = store ? startCheckpoints({ reader, store, clock, log, leads: () => commander.leads() }) : null;
  const failures = new Set<string>();
  let deciding = false;
  let campaigning = false;
  let closing: Promise<void> | null = null;
  let closed = false;

  function turn(): void {
    signal.notify();
    void round();
    void campaign();
  }

  /** A standby's own decision: judged, and judged again once everything was read, then claimed. */
  async function campaign(): Promise<void> {
    const vacant = () => !closed && !commander.leads() && isVacant(reader.leader(), clock.now_ms(), heartbeat.hearingSinceMs());
    if (!standby || campaigning || !vacant()) return;
    campaigning = true;
    try {
      await vigil.awake();
      await reader.caughtUp();
      if (!vacant()) return;
      if (await claim()) stream.changed();
      else log.info("claim_lost", { owner }, `${state.leadership.owner} claimed term ${state.leadership.term} first: still standing by`);
    } catch (error) {
      if (!closed) decisionFailed(String(error));
    } finally {
      campaigning = false;
    }
  }

  /**
   * Everything that is to be decided now. One round at a time: nothing is decided twice while it is on its way. Each is
   * judged anew once the one before it was read back: that may take long, and who was silent may have spoken.
   */
  async function round(): Promise<void> {
    if (deciding || closed || !commander.leads()) return;
    deciding = true;
    try {
      if (decide(state, moment()).length === 0) return;
      await commander.exclusive(async (send) => {
        for (let left = decide(state, moment()).length; left > 0; left--) {
          const [decision] = decide(state, moment());
          if (!decision) return;
          await send(decision);
        }
      });
    } catch (error) {
      if (!(error instanceof OrchestratorError)) decisionFailed(String(error));
    } finally {
      deciding = false;
    }
  }

  function decisionFailed(error: string): void {
    if (failures.has(error)) return;
    failures.add(error);
    log.error("decision_failed", { error }, `a decision could not be made: ${error} (told once, tried again)`);
  }

  reader.onChange((topic) => {
    if (topic === "control" || topic === "metrics") stream.changed();
    turn();
  });
  const stopTicking = every(clock, TICK_MS, turn);
  const stopRetrying = every(clock, RETRY_MS, () => stream.changed());
  stream.changed();
  turn();

  function whileConnected(): void {
    if (closed) throw new OrchestratorError("stopped", "this orchestrator is closing");
    const status = bus.status();
    if (!status.connected) throw new OrchestratorError("bus_unavailable", `the log cannot be reached: ${status.reason}`);
  }

  async function createTest(plan: Plan, wanted?: string): Promise<{ test_id: string }> {
    whileConnected();
    if (wanted !== undefined && !TEST_ID_PATTERN.test(wanted)) throw new OrchestratorError("bad_id", TEST_ID);
    const test_id = wanted ?? newTestId(clock.now_ms());
    if (isArchived(test_id)) throw new CommandError("duplicate_test", `there is a test ${test_id} already`, { test_id });
    const deadline_ms = clock.now_ms() + HEAR_MS;
    while (heartbeat.hearingSinceMs() === null && clock.now_ms() < deadline_ms && !closed) await signal.next();
    await commander.exclusive(async (send) => {
      const metrics_from = await bus.end("metrics");
      await send({ topic: "control", body: configBody(state, plan, test_id, moment(), metrics_from) });
    });
    log.info("test_created", { test_id }, `test ${test_id} was created`);
    return { test_id };
  }

  async function trigger(test_id: string): Promise<{ test_id: string; start_at: number }> {
    whileConnected();
    const deadline_ms = clock.now_ms() + ready_timeout_ms;
    for (;;) {
      if (isArchived(test_id)) throw new CommandError("test_ended", `test ${test_id} has ended: create a new one`, { test_id });
      const run = triggerable(state, test_id);
      if (run.trigger) return { test_id, start_at: run.trigger.start_at };
      const missing = notReady(state, run, moment());
      const hopeless = missing.some(({ code }) => LASTING_REFUSALS.has(code));
      const last = hopeless || clock.now_ms() >= deadline_ms;
      if (missing.length === 0 || last) {
        try {
          await commander.exclusive(async (send) => {
            const current = triggerable(state, test_id);
            if (current.trigger) return;
            await send({ topic: "control", body: triggerBody(state, current, moment(), Math.ceil(clock.now_ms() + lead_ms)) });
          });
          continue;
        } catch (error) {
          // Whoever was ready a moment ago may not be any more: until the deadline that is waited for.
          if (last || !(error instanceof CommandError && (error.code === "not_ready" || error.code === "target_unreachable"))) throw error;
        }
      }
      await signal.next();
      if (closed) throw new OrchestratorError("stopped", "this orchestrator is closing");
      if (!commander.leads()) throw new OrchestratorError("not_leader", `another orchestrator leads: ${state.leadership.owner}`);
    }
  }

  async function stop(test_id: string, reason: string): Promise<void> {
    if (isArchived(test_id)) return;
    whileConnected();
    await commander.exclusive(async (send) => {
      if (isArchived(test_id)) return;
      const body = stopBody(state, test_id, reason, moment());
      if (body) await send({ topic: "control", body });
    });
  }

  /** It is over, and left the state. */
  function isArchived(test_id: string): boolean {
    return !state.runs.has(test_id) && archive.report(test_id) !== null;
  }

  async function register(id: string, node_ip: string): Promise<{ node_id: string; epoch: number }> {
    whileConnected();
    if (!NODE_ID_PATTERN.test(id)) throw new OrchestratorError("bad_id", NODE_ID);
    const epoch = await commander.exclusive(async () => {
      const known = state.nodes.get(id);
      if (known && !known.foreign && isAlive(known, moment())) {
        throw new OrchestratorError("node_exists", `driver ${id} is alive and has registered by itself`);
      }
      const message = { node_id: id, node_ip, message_type: "DRIVER_NODE_REGISTER" };
      const offset = await bus.append("register", encodeMessage("register", message));
      await reader.reached("register", offset);
      return offset;
    });
    return { node_id: id, epoch };
  }

  async function ended(test_id: string): Promise<Report> {
    for (;;) {
      const run = state.runs.get(test_id);
      const report = !run || run.ended ? archive.report(test_id) : null;
      if (report) return report;
      if (!run) throw absentTest(state, test_id);
      if (run.replaced) throw new CommandError("test_replaced", `a newer test took the place of ${test_id}`, { test_id });
      if (closed) throw new OrchestratorError("stopped", "this orchestrator is closing");
      await signal.next();
    }
  }

  function tests(): TestSummary[] {
    const open = [...state.runs.values()].reverse().map((run) => {
      const report = run.ended ? archive.report(run.test_id) : null;
      return report ? endedSummary(report) : liveSummary(run);
    });
    const known = new Set(open.map(({ test_id }) => test_id));
    return [...open, ...archive.summaries().filter(({ test_id }) => !known.has(test_id))];
  }

  /** The running test ends, by its drivers' finals or, in time, without them. */
  async function endRunning(): Promise<void> {
    const run = busyRun(state);
    if (!run || !commander.leads()) return;
    await stop(run.test_id, "orchestrator_stopped");
    const deadline_ms = clock.now_ms() + CLOSE_MS - GOODBYE_MS;
    while (!run.ended && clock.now_ms() < deadline_ms) await signal.next();
    await commander.exclusive(async (send) => {
      if (!run.ended) await send({ topic: "control", body: endedBody(state, run) });
    });
  }

  async function close(): Promise<void> {
    await inTime(CLOSE_MS, endRunning());
    stream.flush();
    closed = true;
    commander.close();
    stopTicking();
    stopRetrying();
    vigil.close();
    signal.notify();
    await inTime(GOODBYE_MS, heartbeat.close());
    trimming.close();
    checkpoints?.close();
    stream.close();
    await inTime(GOODBYE_MS, reader.close());
  }

  /** What cannot be done in time (the log is away) is left to the log and to whoever leads next. */
  async function inTime(limit_ms: number, work: Promise<unknown>): Promise<void> {
    await within(clock, limit_ms, work).catch((error: unknown) => {
      log.warn("close_incomplete", { error: String(error) }, `not everything was done at the end: ${String(error)}`);
    });
  }

  archive.onReport(() => signal.notify());

  return {
    node_id,
    term: () => commander.term(),
    leads: () => commander.leads(),
    onDeposed: (listener) => commander.onDeposed(listener),
    now_ms: () => clock.now_ms(),
    state: () => state,
    moment,
    createTest,
    trigger,
    stop,
    register,
    report: (test_id) => archive.report(test_id),
    tests,
    onEvent: (listener) => stream.on(listener),
    history: (test_id) => stream.history(test_id),
    ended,
    close: () => (closing ??= close()),
  };
}

const TEST_ID = "test_id: expected 1 to 64 of A-Z a-z 0-9 . _ - that begin with a letter or a digit";
const NODE_ID = "node_id: expected 1 to 128 of A-Z a-z 0-9 . _ : -";

/** Sorts by time: t-20261121-093015-x7k2. */
function newTestId(now_ms: number): string {
  const [date, time] = new Date(now_ms).toISOString().slice(0, 19).replaceAll(/[-:]/g, "").split("T");
  const random = Array.from({ length: 4 }, () => randomInt(36).toString(36)).join("");
  return `t-${date}-${time}-${random}`;
}
