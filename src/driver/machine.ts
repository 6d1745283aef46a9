import { announce, bootId, hearOrchestrator, register, registerAgainWhenLost } from "./announce.ts";
import { onControl, superseded } from "./commands.ts";
import { onControlRead, onGap, resumeWithoutLog } from "./gap.ts";
import { leave, letGoOfFinished, mayGo, onFinished, onLoadFailed, onPrepared, onProgress, reconcile, tickJob } from "./lifecycle.ts";
import { onPlainTrigger, onTestConfig } from "./plain.ts";
import { countCopy, letGoOfUnknown, repeatResults } from "./results.ts";
import { type DriverEvent, type Effect, type NodeState } from "./state.ts";
import { log, type Turn } from "./turn.ts";

/**
 * One step of a node: what happened, and when (wire time, ms), to a new state and what is to be done. Pure: the given
 * state is not changed. Time that runs backwards counts as standing still. After `left` nothing happens any more.
 */
export function step(state: NodeState, event: DriverEvent, now_ms: number): { state: NodeState; effects: Effect[] } {
  if (state.left) return { state, effects: [] };
  const turn: Turn = { state: { ...state }, effects: [], now_ms: Math.max(now_ms, state.now_ms) };
  turn.state.now_ms = turn.now_ms;
  handle(turn, event);
  reconcile(turn);
  if (mayGo(turn)) go(turn);
  else announce(turn);
  return { state: turn.state, effects: turn.effects };
}

function handle(turn: Turn, event: DriverEvent): void {
  const { state } = turn;
  switch (event.type) {
    case "begin":
      state.begun_ms = turn.now_ms;
      register(turn);
      break;
    case "registered":
      onRegistered(turn, event.node_id, event.boot_id, event.offset);
      break;
    case "caught_up":
      state.caught_up = true;
      letGoOfUnknown(turn);
      break;
    case "control":
      onControl(turn, event.command, event.offset);
      break;
    case "orchestrator_heartbeat":
      hearOrchestrator(turn, event);
      break;
    case "test_config":
      onTestConfig(turn, event.message, event.offset, event.after_start);
      break;
    case "trigger":
      onPlainTrigger(turn, event.message, event.after_start);
      break;
    case "prepared":
      onPrepared(turn, event.job_id, event.result);
      break;
    case "progress":
      onProgress(turn, event.job_id, event.snapshot);
      break;
    case "finished":
      onFinished(turn, event.job_id, event.snapshot);
      break;
    case "gap":
      onGap(turn, event.job_id, event.gap_ms);
      break;
    case "control_read":
      onControlRead(turn, event.read);
      break;
    case "load_failed":
      onLoadFailed(turn, event.job_id, event.message);
      break;
    case "published":
      countCopy(turn, event.key, event.seq);
      break;
    case "bus":
      onBus(turn, event.connected, event.reason);
      break;
    case "leave":
      log(turn, "info", "leaving", "this driver leaves");
      leave(turn, 0);
      break;
    case "tick":
      state.health = event.health;
      resumeWithoutLog(turn);
      registerAgainWhenLost(turn);
      tickJob(turn);
      repeatResults(turn);
      break;
  }
}

/** Its own record, read back, is its epoch. One of another process under the same name makes this one the older. */
function onRegistered(turn: Turn, node_id: string, boot_id: string | undefined, offset: number): void {
  const { state } = turn;
  if (node_id !== state.options.node_id || boot_id === undefined) return;
  if (boot_id === bootId(state)) {
    // The log may hold the record twice; everybody takes the first one.
    if (state.epoch !== null) return;
    state.epoch = offset;
    log(turn, "info", "registered", `registered as ${node_id}`, { epoch: offset });
    return;
  }
  if (boot_id.startsWith(`${state.options.boot_id}.`)) return;
  if (state.epoch !== null && offset > state.epoch) superseded(turn);
}

function onBus(turn: Turn, connected: boolean, reason: string): void {
  const { state } = turn;
  if (connected === state.bus_connected) return;
  state.bus_connected = connected;
  if (connected) log(turn, "info", "bus_back", "the log is there again");
  else log(turn, "warn", "bus_away", `the log is away: ${reason}; what is running goes on`);
}

function go(turn: Turn): void {
  const { state } = turn;
  if (state.job) turn.effects.push({ type: "discard", job_id: state.job.job_id });
  state.job = null;
  letGoOfFinished(turn);
  state.left = true;
  announce(turn);
  turn.effects.push({ type: "exit", code: state.leaving?.code ?? 0 });
}
