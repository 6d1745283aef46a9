import type { Control } from "../protocol/control.ts";
import type { TestConfig, Trigger } from "../protocol/messages.ts";
import { isFinal, membersOf, stateOf, takenOf, type Member } from "./accounts.ts";
import { hasLeft, isSilent, type Moment } from "./presence.ts";
import { redistribute } from "./redistribution.ts";
import { sinceZeroUs } from "./run-clock.ts";
import { phaseOf, stopUs, zeroMs, type NodeState, type RunState, type SystemState } from "./state.ts";

/** A command without what the one who sends it stamps on it. */
export type CommandBody = Control extends infer C ? (C extends Control ? Omit<C, "term" | "owner" | "command_seq" | "at_ms"> : never) : never;

/** What a leader is to append now: a command, or a copy for foreign drivers. */
export type Decision =
  | { topic: "control"; body: CommandBody }
  | { topic: "test_config"; message: TestConfig }
  | { topic: "trigger"; message: Trigger };

/** Slots due before this long after the decision still belong to the lost one. */
const CUT_MS = 500;
/** A leaver's final may be read after the heartbeat that says it left. */
const LEFT_MS = 1_000;
const ABORT_MS = 2_000;
/** How long after the last possible response a final is waited for. */
const LAST_FINAL_MS = 10_000;

/**
 * All that the leader has to decide at this moment. The only place that judges time; nothing is remembered: a decision
 * is made again until the log holds it.
 */
export function decide(state: SystemState, moment: Moment): Decision[] {
  const run = state.current === null ? undefined : state.runs.get(state.current);
  if (!run || run.ended || run.replaced) return [];
  if (phaseOf(run) === "created") return [...copyOfConfig(state, run), ...(run.stop ? [endedDecision(state, run)] : [])];
  const members = membersOf(run, state.measured.get(run.test_id));
  const losses = members.flatMap((member) => lostOf(state, run, member, moment) ?? []);
  if (losses.length > 0) return losses;
  const takeover = takeoverOf(state, run, members, moment);
  if (takeover) return [takeover];
  if (members.every((member) => isOver(run, member, moment)) || isOverdue(state, run, moment)) return [endedDecision(state, run)];
  return copyOfTrigger(state, run, moment);
}

function copyOfConfig(state: SystemState, run: RunState): Decision[] {
  if (run.copied.test_config || !hasForeign(run)) return [];
  const { common, plan } = run.config;
  const message: TestConfig = {
    test_id: run.test_id,
    test_type: common.test_type,
    test_message_delay: common.delay_ms,
    message_count_per_driver: common.message_count_per_driver ?? undefined,
    test_server: plan.target.url,
    term: state.leadership.term,
  };
  return [{ topic: "test_config", message }];
}

/** Foreign drivers start when they read it: it goes out at start_at. */
function copyOfTrigger(state: SystemState, run: RunState, moment: Moment): Decision[] {
  if (run.copied.trigger || run.stop || !hasForeign(run) || sinceZeroUs(state, run, moment) < startUs(run)) return [];
  return [{ topic: "trigger", message: { test_id: run.test_id, trigger: "YES", term: state.leadership.term } }];
}

function hasForeign(run: RunState): boolean {
  return run.config.members.some((member) => member.foreign);
}

function lostOf(state: SystemState, run: RunState, member: Member, moment: Moment): Decision | null {
  if (member.lost || isFinal(member) || isOver(run, member, moment)) return null;
  const node = state.nodes.get(member.node_id);
  if (!node) return null;
  const reason = whyLost(node, member, moment);
  if (reason === null) return null;
  return {
    topic: "control",
    body: {
      type: "lost",
      test_id: run.test_id,
      node_id: member.node_id,
      epoch: member.epoch,
      cut_us: cutUs(state, run, moment),
      reason,
      basis: { seq: member.measured?.snapshot?.seq ?? -1 },
    },
  };
}

function whyLost(node: NodeState, member: Member, moment: Moment): "newer_epoch" | "left" | "silent" | null {
  // A foreign driver reports without an epoch: one that has reported and registers again may well go on.
  if (node.epoch > member.epoch && !(member.foreign && member.measured?.plain)) return "newer_epoch";
  if (hasLeftSilently(node, moment)) return "left";
  return isSilent(node, moment) ? "silent" : null;
}

/**
 * What becomes of the slots of one who was lost or has left: they move to those who go on (`redistribute`), nothing
 * (`continue`), or the run is stopped (`stop`). One at a time: the next one is split over what this one leaves.
 */
function takeoverOf(state: SystemState, run: RunState, members: readonly Member[], moment: Moment): Decision | null {
  if (run.stop) return null;
  const policy = run.config.plan.on_driver_loss;
  const gone = members.filter((member) => !member.foreign && (member.lost || stateOf(run, member) === "left"));
  const [lost] = gone.filter((member) => member.lost);
  if (policy === "stop" && lost) {
    return { topic: "control", body: { type: "stop", test_id: run.test_id, reason: `driver ${lost.node_id} was lost`, t_us: sinceZeroUs(state, run, moment) } };
  }
  if (policy !== "redistribute") return null;
  const survivors = members.filter((member) => !member.foreign && !member.lost && !isFinal(member));
  const cut_us = cutUs(state, run, moment);
  for (const member of gone) {
    const given = redistribute(run.config.schedule, member.owned, (range_id) => takenOf(member, range_id), cut_us, survivors);
    if (!given) continue;
    const from = { node_id: member.node_id, epoch: member.epoch };
    return { topic: "control", body: { type: "assign", test_id: run.test_id, cut_us, from, ...given } };
  }
  return null;
}

function cutUs(state: SystemState, run: RunState, moment: Moment): number {
  return Math.max(0, sinceZeroUs(state, run, moment) + CUT_MS * 1000);
}

/** The beginning of the warm-up. */
function startUs(run: RunState): number {
  return (run.trigger!.start_at - zeroMs(run)!) * 1000;
}

function hasLeftSilently(node: NodeState, moment: Moment): boolean {
  return hasLeft(node) && moment.hearing_since_ms !== null && moment.now_ms - node.heard_ms > LEFT_MS;
}

/** Nothing more is to be expected of a member. */
function isOver(run: RunState, member: Member, moment: Moment): boolean {
  if (member.lost || isFinal(member)) return true;
  return member.foreign && hasForeignEnded(run, member, moment);
}

/** It has reported, and then sent no metrics for max(5 s, 3 of its metrics intervals); or it was never told to start. */
function hasForeignEnded(run: RunState, member: Member, moment: Moment): boolean {
  const { measured } = member;
  if (!run.copied.trigger) return run.stop !== null;
  if (!measured?.plain || moment.hearing_since_ms === null) return false;
  const heard = Math.max(measured.heard_ms, moment.hearing_since_ms);
  return moment.now_ms - heard > Math.max(5_000, 3 * (measured.cadence.interval_ms ?? 0));
}

/** The last possible response is 10 s ago: window, drain of what waits, and the time-out of what was sent last. */
function isOverdue(state: SystemState, run: RunState, moment: Moment): boolean {
  const { schedule, plan } = run.config;
  const t_us = sinceZeroUs(state, run, moment);
  if (run.stop) return t_us > Math.max(stopUs(run) ?? 0, startUs(run)) + (ABORT_MS + LAST_FINAL_MS) * 1000;
  if (hasForeign(run) || schedule.window_us === null) return false;
  return t_us > schedule.window_us + (2 * plan.target.timeout_ms + LAST_FINAL_MS) * 1000;
}

function endedDecision(state: SystemState, run: RunState): Decision {
  return { topic: "control", body: endedBody(state, run) };
}

/** The end of a run as far as it is known now; whoever has not sent its final is not waited for. */
export function endedBody(state: SystemState, run: RunState): CommandBody {
  const members = membersOf(run, state.measured.get(run.test_id));
  const states = members.map((member) => stateOf(run, member));
  const none = run.trigger !== null && states.every((word) => word === "lost" || word === "refused");
  return {
    type: "ended",
    test_id: run.test_id,
    status: run.stop ? "stopped" : none ? "failed" : "completed",
    reason: run.stop?.reason ?? (none ? `every driver is ${[...new Set(states)].join(" or ")}` : ""),
    basis: members.map((member) => ({
      node_id: member.node_id,
      epoch: member.epoch,
      seq: member.measured?.snapshot?.seq ?? -1,
      final: isFinal(member),
    })),
  };
}
