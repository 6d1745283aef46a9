import { memberKey, phaseOf, type NodeState, type RunState, type SystemState } from "./state.ts";

/** A driver is silent after this many of its heartbeats. */
const MISSED_HEARTBEATS = 3;
export const HEARTBEAT_MS = 1_000;
/** What a foreign driver's heartbeat interval is taken for until two were seen. */
const FOREIGN_HEARTBEAT_MS = 5_000;
/** After an outage or a takeover everyone gets this long to be heard again. */
export const GRACE_MS = 5_000;

/** What the way from a node is taken for where only one direction was measured. */
const ONE_WAY_MS = 1_000;

/** What only the process that judges can know. Times are its own wire time, ms. */
export interface Moment {
  now_ms: number;
  /**
   * Since when it hears everything without a break: its own heartbeat comes back within 1 s and every topic is read to
   * the end. null: it does not; then nobody's silence counts.
   */
  hearing_since_ms: number | null;
}

export function heartbeatIntervalMs(node: NodeState): number {
  return node.foreign ? (node.cadence.interval_ms ?? FOREIGN_HEARTBEAT_MS) : HEARTBEAT_MS;
}

/** ms for which a node has been silent, as far as this process could hear it; 0 while it cannot judge. */
export function silenceMs(node: NodeState, moment: Moment): number {
  if (moment.hearing_since_ms === null) return 0;
  const limit = MISSED_HEARTBEATS * heartbeatIntervalMs(node);
  // Right after hearing began everyone gets the grace; who speaks seldom, all of its own limit.
  const heard = Math.max(node.heard_ms, moment.hearing_since_ms + Math.max(0, GRACE_MS - limit));
  return Math.max(0, moment.now_ms - heard);
}

export function isSilent(node: NodeState, moment: Moment): boolean {
  return silenceMs(node, moment) > MISSED_HEARTBEATS * heartbeatIntervalMs(node);
}

/** A node that was not heard for this long is no longer shown. */
const FORGOTTEN_MS = 3_600_000;

/** Nodes of which nothing is to be expected any more: so many that come and go must not fill the memory. */
export function forgottenNodes(state: SystemState, moment: Moment): string[] {
  const run = state.current === null ? undefined : state.runs.get(state.current);
  const members = new Set(run?.config.members.map(({ node_id }) => node_id));
  return [...state.nodes.values()]
    .filter((node) => !members.has(node.node_id) && silenceMs(node, moment) > FORGOTTEN_MS)
    .map(({ node_id }) => node_id);
}

export function hasLeft(node: NodeState): boolean {
  return node.heartbeat?.state === "left" && node.heartbeat.epoch === node.epoch;
}

/**
 * Fit to be chosen: heard within its limit, without the grace (which is for those who are at work, and would make
 * whoever died before this process began look alive).
 */
export function isAlive(node: NodeState, moment: Moment): boolean {
  const limit = MISSED_HEARTBEATS * heartbeatIntervalMs(node);
  const heard = moment.hearing_since_ms === null || moment.now_ms - node.heard_ms <= limit;
  return node.epoch >= 0 && !hasLeft(node) && heard;
}

export type NodeStanding = "idle" | "ready" | "running" | "lost" | "left";

/** One word for a node, as the API shows it. */
export function standingOfNode(state: SystemState, node: NodeState, moment: Moment): NodeStanding {
  if (hasLeft(node)) return "left";
  const run = state.current === null ? undefined : state.runs.get(state.current);
  if (run && phaseOf(run) === "triggered" && takesPart(run, node) && !isSilent(node, moment)) return "running";
  if (!isAlive(node, moment)) return "lost";
  if (run && phaseOf(run) === "created" && !run.replaced && isReady(run, node, moment)) return "ready";
  return "idle";
}

function takesPart(run: RunState, node: NodeState): boolean {
  const key = memberKey(node.node_id, node.epoch);
  return !run.lost.has(key) && (run.trigger?.members ?? []).some((member) => memberKey(member.node_id, member.epoch) === key);
}

/** Onrush: its heartbeat says so, of this config and epoch. Foreign: the config has been out for its heartbeat interval. */
export function isReady(run: RunState, node: NodeState, moment: Moment): boolean {
  if (!run.config.members.some((member) => member.node_id === node.node_id)) return false;
  if (node.foreign) return moment.now_ms - run.config.at_ms >= heartbeatIntervalMs(node);
  const ready = node.heartbeat?.ready;
  return ready?.test_id === run.test_id && ready.config_offset === run.config_offset && ready.epoch === node.epoch;
}

/** Why a member cannot start. */
export interface NotReady {
  node_id: string;
  /** not_ready, not_alive, or the driver's own refusal (target_unreachable, target_not_allowed, ...). */
  code: string;
  message: string;
}

/** The members that a trigger has to wait for, and why; empty: all are ready. */
export function notReady(state: SystemState, run: RunState, moment: Moment): NotReady[] {
  return run.config.members.flatMap(({ node_id }): NotReady | [] => {
    const node = state.nodes.get(node_id);
    if (!node || !isAlive(node, moment)) {
      const what = node && hasLeft(node) ? "has left" : "is silent";
      return { node_id, code: "not_alive", message: `driver ${node_id} ${what}` };
    }
    if (isReady(run, node, moment)) {
      const knowsClock = node.foreign || clockOf(node, state.leadership.term) !== null;
      return knowsClock ? [] : { node_id, code: "not_ready", message: `the clock of driver ${node_id} is not known yet` };
    }
    const refused = node.heartbeat?.refused;
    if (refused?.test_id === run.test_id && refused.config_offset === run.config_offset) {
      return { node_id, code: refused.code, message: refused.message };
    }
    return { node_id, code: "not_ready", message: `driver ${node_id} has not said that it is ready` };
  });
}

/**
 * A node's clock less this process's clock, by the minima of one-way delays in both directions, and the most by which
 * that may be wrong: down = delay to the node + offset, up = delay from it - offset.
 *
 *     offset = (down - up) / 2        error = (down + up) / 2
 *
 * Before it has told what it hears of this term's leader: offset = -up, wrong by the way from it. null: it was not heard.
 */
export function clockOf(node: NodeState, term: number): { offset_ms: number; error_ms: number } | null {
  const clock = node.heartbeat?.clock;
  if (!node.heartbeat || node.delays_ms.length === 0) return null;
  const up = Math.min(...node.delays_ms);
  if (clock?.term !== term) return { offset_ms: round(-up), error_ms: ONE_WAY_MS };
  return { offset_ms: round((clock.delay_ms - up) / 2), error_ms: round(Math.max(0, (clock.delay_ms + up) / 2)) };
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
