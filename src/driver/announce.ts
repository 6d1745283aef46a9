import { PROTOCOL_VERSION } from "../protocol/messages.ts";
import { ownResults, wireStateOf, type NodeState, type Start } from "./state.ts";
import { log, type Turn } from "./turn.ts";

/** Heartbeats of the leader among which the fastest tells the one-way delay. */
const DELAYS_KEPT = 30;
/** A register record that was not read back by then is appended again. */
const REGISTER_AGAIN_MS = 5_000;

export function bootId(state: NodeState): string {
  return `${state.options.boot_id}.${state.registrations}`;
}

/** A new registration: a new boot_id, so a new epoch. Nothing is said until that is read back. */
export function register(turn: Turn): void {
  const { state } = turn;
  state.registrations += 1;
  state.epoch = null;
  state.fenced = false;
  state.next_heartbeat_ms = Number.POSITIVE_INFINITY;
  publishRegister(turn);
}

export function registerAgainWhenLost(turn: Turn): void {
  const { state, now_ms } = turn;
  if (state.epoch !== null || state.fenced || !state.bus_connected) return;
  if (now_ms - state.registered_at_ms < REGISTER_AGAIN_MS) return;
  log(turn, "warn", "register_again", "the registration was not read back yet: it is sent again");
  publishRegister(turn);
}

function publishRegister(turn: Turn): void {
  const { state } = turn;
  const { node_id, node_ip, labels } = state.options;
  state.registered_at_ms = turn.now_ms;
  turn.effects.push({
    type: "publish_register",
    message: {
      node_id,
      node_ip,
      message_type: "DRIVER_NODE_REGISTER",
      v: PROTOCOL_VERSION,
      boot_id: bootId(state),
      labels,
    },
  });
}

/** A heartbeat when it is due, and at once when what it says has changed. */
export function announce(turn: Turn): void {
  const { state, now_ms } = turn;
  if (state.epoch === null || state.fenced) return;
  const said = saidOf(state, state.epoch);
  const clock = clockOf(state);
  // A start is planned by the clock: that it is known now is news, each new measure of it is not.
  const announced = JSON.stringify({ ...said, clock_of_term: clock?.term });
  if (announced === state.announced && now_ms < state.next_heartbeat_ms) return;
  state.announced = announced;
  state.next_heartbeat_ms = now_ms + state.options.heartbeat_ms;
  const { node_id, node_ip, labels } = state.options;
  turn.effects.push({
    type: "publish_heartbeat",
    message: {
      node_id,
      heartbeat: "YES",
      // Whole ms: other implementations may read an integer.
      timestamp: Math.round(now_ms),
      role: "driver",
      ...said,
      node_ip,
      labels,
      clock,
      health: { ...state.health, commands_refused: state.commands_refused, plain_refused: state.plain_refused },
    },
  });
}

function saidOf(state: NodeState, epoch: number) {
  const { job, wanted, refused } = state;
  const prepared = job?.wanted.origin === "control" && (job.stage === "ready" || job.stage === "armed");
  return {
    epoch,
    state: wireStateOf(state),
    test_id: job?.wanted.test_id ?? ownResults(state).at(-1)?.report.test_id ?? wanted?.test_id ?? null,
    ready: prepared ? { test_id: job.wanted.test_id, config_offset: job.wanted.offset, epoch } : null,
    refused,
  };
}

/** The smallest one-way delay from the leader to here (ms): this clock minus the leader's, plus the way. */
export function clockOf({ delays }: NodeState): { term: number; delay_ms: number } | null {
  return delays.ms.length === 0 ? null : { term: delays.term, delay_ms: Math.min(...delays.ms) };
}

export interface LeaderHeartbeat {
  term: number;
  state: "leader" | "standby" | "left";
  /** Its last command when it said this. */
  command_seq?: number | undefined;
  timestamp_ms: number;
  received_ms: number;
}

/** What is learnt of the leader's clock and life. Who leads is said on control alone: other terms teach nothing. */
export function hearOrchestrator({ state }: Turn, heartbeat: LeaderHeartbeat): void {
  const { term, timestamp_ms, received_ms } = heartbeat;
  if (heartbeat.state === "standby" || term !== state.authority.term) return;
  if (heartbeat.state === "left") {
    state.leader_heard_ms = Number.NEGATIVE_INFINITY;
    return;
  }
  state.leader_heard_ms = Math.max(state.leader_heard_ms, received_ms);
  const earlier = term === state.delays.term ? state.delays.ms : [];
  state.delays = { term, ms: [...earlier, received_ms - timestamp_ms].slice(-DELAYS_KEPT) };
  renewLease(state, heartbeat);
}

/**
 * Until = when the leader was alive, on this clock, + lease_ms. Only the current term's leader counts, and only what it
 * says to those who have read its commands: one of them may say that this driver is lost.
 */
function renewLease(state: NodeState, { term, timestamp_ms, command_seq = 0 }: LeaderHeartbeat): void {
  const { job, finished } = state;
  if (term !== state.authority.term || command_seq > state.authority.command_seq) return;
  const renewed = (start: Start): Start => {
    const { lease } = start;
    if (!lease) return start;
    const offset_ms = term === start.term ? start.clock_offset_ms : (clockOf(state)?.delay_ms ?? 0);
    return { ...start, lease: { ...lease, until_ms: Math.max(lease.until_ms, timestamp_ms + offset_ms + lease.lease_ms) } };
  };
  if (job?.start) state.job = { ...job, start: renewed(job.start) };
  if (finished) state.finished = { ...finished, start: renewed(finished.start) };
}
