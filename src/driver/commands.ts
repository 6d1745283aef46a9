import type { Control, ControlOf } from "../protocol/control.ts";
import { afterCommand, refusalOf } from "./authority.ts";
import { specOfConfig } from "./job.ts";
import { inherit } from "./inherit.ts";
import { armIfTriggered, declineStart, fence, leave, letGoOfFinished, stopJob } from "./lifecycle.ts";
import { acknowledge } from "./results.ts";
import { isOpen, isRunning, type NodeState, type Start } from "./state.ts";
import { log, type Turn } from "./turn.ts";

const SEEN_KEPT = 1_000;
/** The exit code of a driver that could not run. */
const COULD_NOT_RUN = 4;

/** Folds one record of `control`, the only authority. What does not count is counted and logged. */
export function onControl(turn: Turn, command: Control, offset: number): void {
  const { state } = turn;
  const reason = refusalOf(state.authority, command, offset);
  state.authority = afterCommand(state.authority, command, offset);
  if (reason !== null) {
    state.commands_refused += 1;
    if (state.caught_up) {
      log(turn, "warn", "command_refused", `a ${command.type} on control does not count: ${reason}`, { offset, term: command.term });
    }
    return;
  }
  switch (command.type) {
    case "claim":
      break;
    case "config":
      onConfig(turn, command, offset);
      break;
    case "trigger":
      onTrigger(turn, command);
      break;
    case "lost":
      onLost(turn, command);
      break;
    case "stop":
      // Triggered, but not ready yet: its final is waited for.
      if (isOpen(state.wanted, command.test_id) && state.wanted.start) declineStart(turn, state.wanted, "stopped");
      dropOpen(state, command.test_id);
      if (state.finished?.wanted.test_id === command.test_id) letGoOfFinished(turn);
      if (isRunning(state, command.test_id)) stopJob(turn, "stopped");
      break;
    case "ended":
      onEnded(turn, command);
      break;
    case "assign":
      inherit(turn, command, offset);
      break;
    case "retarget":
      onRetarget(turn, command);
      break;
  }
}

/** Marks a test as seen; false: it was seen before. */
export function isNew(state: NodeState, test_id: string): boolean {
  if (state.seen.includes(test_id)) return false;
  state.seen = [...state.seen.slice(-(SEEN_KEPT - 1)), test_id];
  return true;
}

function dropOpen(state: NodeState, test_id: string): void {
  if (isOpen(state.wanted, test_id)) state.wanted = null;
  if (state.refused?.test_id === test_id) state.refused = null;
}

function onConfig(turn: Turn, command: ControlOf<"config">, offset: number): void {
  const { state } = turn;
  const { test_id } = command;
  if (!isNew(state, test_id)) return;
  state.refused = null;
  const member = command.members.find(({ node_id }) => node_id === state.options.node_id);
  state.wanted =
    !member || state.leaving
      ? null
      : {
          origin: "control",
          test_id,
          offset,
          revision: offset,
          inherited: [],
          lease_ms: command.plan.lease_ms,
          spec: specOfConfig(command, member),
          start: null,
          refused: false,
        };
}

function onTrigger(turn: Turn, command: ControlOf<"trigger">): void {
  const { state } = turn;
  const { wanted } = state;
  if (!isOpen(wanted, command.test_id) || wanted.start) return;
  const me = command.members.find(({ node_id, epoch }) => node_id === state.options.node_id && epoch === state.epoch);
  if (!me || state.fenced) {
    state.wanted = null;
    return;
  }
  const { clock_offset_ms } = me;
  const start_ms = command.start_at + clock_offset_ms;
  const { lease_ms } = wanted;
  const start: Start = {
    start_ms,
    term: command.term,
    clock_offset_ms,
    lease: lease_ms === null ? null : { lease_ms, until_ms: command.at_ms + clock_offset_ms + lease_ms },
  };
  state.wanted = { ...wanted, start };
  if (state.leaving) declineStart(turn, wanted, "left");
  else if (wanted.refused) declineStart(turn, wanted, "late_start");
  else armIfTriggered(turn);
}

function onLost(turn: Turn, { node_id, epoch, reason }: ControlOf<"lost">): void {
  const { state } = turn;
  if (node_id !== state.options.node_id || epoch !== state.epoch || state.fenced) return;
  if (state.leaving) {
    state.leaving = { ...state.leaving, released: true };
    return;
  }
  if (reason === "newer_epoch") {
    superseded(turn);
    return;
  }
  log(turn, "warn", "lost", "the orchestrator took this driver for dead: it stops and registers again", { epoch, reason });
  fence(turn);
}

/** Another process has registered under this name: two cannot both be it, and the newer one is. */
export function superseded(turn: Turn): void {
  const { node_id } = turn.state.options;
  if (turn.state.leaving) return;
  log(turn, "error", "node_id_taken", `another driver has registered as ${node_id}: this one leaves; give each its own --id`);
  leave(turn, COULD_NOT_RUN);
}

function onEnded(turn: Turn, command: ControlOf<"ended">): void {
  const { state } = turn;
  acknowledge(turn, command);
  if (state.finished?.wanted.test_id === command.test_id) letGoOfFinished(turn);
  dropOpen(state, command.test_id);
  if (!isRunning(state, command.test_id) || !state.job) return;
  state.job = { ...state.job, ended: true };
  stopJob(turn, "stopped");
}

function onRetarget(turn: Turn, { test_id }: ControlOf<"retarget">): void {
  if (!isRunning(turn.state, test_id)) return;
  log(turn, "warn", "unsupported", "this version cannot retarget a running test: it goes on as it was", { test_id });
}
