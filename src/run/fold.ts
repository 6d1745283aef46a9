import type { Control } from "../protocol/control.ts";
import type { DriverHeartbeat, ExtendedMetrics, Heartbeat, Register } from "../protocol/messages.ts";
import { addObservation, emptyCadence } from "./cadence.ts";
import type { Entry, EntryOf } from "./entry.ts";
import { memberKey, phaseOf, type Measured, type NodeState, type RunState, type SystemState } from "./state.ts";

/** Delays kept per node: their minimum is the least disturbed one. */
const DELAYS_KEPT = 30;
/** Metrics of tests that no config was read for: kept for this many tests. */
const UNCONFIGURED_TESTS_KEPT = 64;
/** Distinct reasons counted apart, so that rubbish cannot grow the state. */
const REASONS_KEPT = 200;

/**
 * Takes one record of the log into the state. Uses no clock and never judges; changes `state` in place and returns it.
 * Commands (control) count in the order of their offsets; observations (register, heartbeat, metrics) count as a
 * maximum per key. So any interleaving of the topics, and any repetition, gives the same state.
 */
export function fold(state: SystemState, entry: Entry): SystemState {
  if ("rejected" in entry) {
    increment(state.rejected, `${entry.topic}: ${entry.rejected}`);
    return state;
  }
  switch (entry.topic) {
    case "register":
      foldRegister(state, entry.message, entry);
      break;
    case "heartbeat":
      foldHeartbeat(state, entry.message, entry);
      break;
    case "metrics":
      foldMetrics(state, entry);
      break;
    case "control":
      foldControl(state, entry.message, entry);
      break;
    case "test_config":
    case "trigger":
      if (entry.message.term === undefined) increment(state.stale, `${entry.topic} of another orchestrator`);
      else foldCopy(state, entry.message.test_id, entry.topic);
      break;
  }
  return state;
}

function increment(counts: Map<string, number>, reason: string): void {
  const key = counts.has(reason) || counts.size < REASONS_KEPT ? reason : "other";
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

type Heard = Pick<EntryOf<"register">, "offset" | "timestamp_ms" | "heard_ms" | "replayed">;

function foldRegister(state: SystemState, message: Register, { offset, heard_ms }: Heard): void {
  const node = nodeOf(state, message.node_id);
  node.heard_ms = Math.max(node.heard_ms, heard_ms);
  const boot_id = message.boot_id ?? null;
  if (offset < node.epoch || (boot_id !== null && boot_id === node.boot_id)) return;
  node.epoch = offset;
  node.boot_id = boot_id;
  node.foreign = message.v === undefined || message.boot_id === undefined;
  node.node_ip = message.node_ip;
  node.labels = message.labels ?? {};
}

function nodeOf(state: SystemState, node_id: string): NodeState {
  let node = state.nodes.get(node_id);
  if (!node) {
    node = {
      node_id,
      node_ip: "",
      labels: {},
      foreign: true,
      epoch: -1,
      boot_id: null,
      heartbeat: null,
      heartbeat_offset: -1,
      cadence: emptyCadence(),
      heard_ms: Number.NEGATIVE_INFINITY,
      delays_ms: [],
    };
    state.nodes.set(node_id, node);
  }
  return node;
}

function foldHeartbeat(state: SystemState, message: Heartbeat, heard: Heard): void {
  if (message.kind === "orchestrator") {
    const known = state.orchestrators.get(message.node_id);
    if (known && known.heartbeat.timestamp >= message.timestamp) return;
    state.orchestrators.set(message.node_id, { heartbeat: message, timestamp_ms: heard.timestamp_ms, heard_ms: heard.heard_ms });
    return;
  }
  const node = nodeOf(state, message.node_id);
  node.heard_ms = Math.max(node.heard_ms, heard.heard_ms);
  if (message.kind === "plain") {
    addObservation(node.cadence, heard.timestamp_ms);
    return;
  }
  // A register record may be gone (kept for 7 days), or not read yet: the heartbeat names the epoch too.
  if (message.epoch > node.epoch) {
    node.epoch = message.epoch;
    node.boot_id = null;
    node.foreign = false;
    node.node_ip = message.node_ip ?? node.node_ip;
    node.labels = message.labels ?? node.labels;
  }
  if (!isNewer(node, message, heard.offset)) return;
  if (node.heartbeat && node.heartbeat.epoch !== message.epoch) node.delays_ms = [];
  if (!heard.replayed) node.delays_ms.push(heard.heard_ms - message.timestamp);
  if (node.delays_ms.length > DELAYS_KEPT) node.delays_ms.shift();
  node.heartbeat = message;
  node.heartbeat_offset = heard.offset;
}

function isNewer({ heartbeat, heartbeat_offset }: NodeState, { epoch, timestamp }: DriverHeartbeat, offset: number): boolean {
  if (!heartbeat) return true;
  if (epoch !== heartbeat.epoch) return epoch > heartbeat.epoch;
  return timestamp === heartbeat.timestamp ? offset > heartbeat_offset : timestamp > heartbeat.timestamp;
}

function foldMetrics(state: SystemState, { message, offset, timestamp_ms, heard_ms }: EntryOf<"metrics">): void {
  const members = measuredOf(state, message.test_id);
  if (!members) return;
  const epoch = message.kind === "snapshot" ? message.epoch : null;
  const member = memberOf(members, message.node_id, epoch);
  member.heard_ms = Math.max(member.heard_ms, heard_ms);
  if (message.kind === "snapshot") {
    foldSnapshot(member, message);
    return;
  }
  addObservation(member.cadence, timestamp_ms);
  const { plain_place } = member;
  if (timestamp_ms < plain_place.timestamp_ms || (timestamp_ms === plain_place.timestamp_ms && offset < plain_place.offset)) return;
  member.plain = message;
  member.plain_place = { timestamp_ms, offset };
}

function measuredOf(state: SystemState, test_id: string): Map<string, Measured> | null {
  const known = state.measured.get(test_id);
  if (known) return known;
  // Forgotten: its report is kept elsewhere.
  if (state.known.has(test_id) && !state.runs.has(test_id)) return null;
  if (!state.runs.has(test_id) && state.measured.size - state.runs.size >= UNCONFIGURED_TESTS_KEPT) {
    increment(state.rejected, "metrics: too many tests without a config");
    return null;
  }
  const fresh = new Map<string, Measured>();
  state.measured.set(test_id, fresh);
  return fresh;
}

function memberOf(members: Map<string, Measured>, node_id: string, epoch: number | null): Measured {
  const key = memberKey(node_id, epoch);
  let member = members.get(key);
  if (!member) {
    member = {
      node_id,
      epoch,
      snapshot: null,
      final_seq: -1,
      rows: new Map(),
      plain: null,
      plain_place: { timestamp_ms: Number.NEGATIVE_INFINITY, offset: -1 },
      cadence: emptyCadence(),
      heard_ms: Number.NEGATIVE_INFINITY,
    };
    members.set(key, member);
  }
  return member;
}

function foldSnapshot(member: Measured, message: ExtendedMetrics): void {
  for (const row of message.rows) {
    const known = member.rows.get(row.t_s);
    if (!known || known.seq < message.seq) member.rows.set(row.t_s, { seq: message.seq, row });
  }
  if (message.final && message.seq > member.final_seq) member.final_seq = message.seq;
  if (!member.snapshot || message.seq > member.snapshot.seq) member.snapshot = { ...message, rows: [] };
}

function foldCopy(state: SystemState, test_id: string, topic: "test_config" | "trigger"): void {
  let copied = state.runs.get(test_id)?.copied ?? state.copies.get(test_id);
  if (!copied) {
    if (state.copies.size >= UNCONFIGURED_TESTS_KEPT) return;
    copied = { test_config: false, trigger: false };
    state.copies.set(test_id, copied);
  }
  if (copied[topic]) increment(state.stale, `${topic} repeated`);
  copied[topic] = true;
}

/** Why a command does not count; null: it does. Every reader judges alike, or they count differently from then on. */
function refusal(state: SystemState, command: Control): string | null {
  const { term, owner, command_seq } = state.leadership;
  if (command.type === "claim") return command.term === term + 1 ? null : "claim of a term that is not the next";
  if (command.term !== term) return "command of another term";
  if (command.owner !== owner) return "command of another owner";
  return command.command_seq === command_seq + 1 ? null : "command repeated or out of order";
}

function foldControl(state: SystemState, command: Control, { offset, timestamp_ms }: Pick<Heard, "offset" | "timestamp_ms">): void {
  const reason = refusal(state, command);
  if (reason !== null) {
    increment(state.stale, reason);
    return;
  }
  if (command.type === "claim") {
    state.leadership = { term: command.term, owner: command.owner, claim_offset: offset, ahead_ms: command.at_ms - timestamp_ms, command_seq: command.command_seq };
    return;
  }
  state.leadership.command_seq = command.command_seq;
  if (command.type === "config") {
    foldConfig(state, command, offset);
    return;
  }
  const run = state.runs.get(command.test_id);
  if (!run || run.replaced || run.ended) return;
  switch (command.type) {
    case "trigger":
      if (run.trigger) break;
      run.trigger = command;
      run.trigger_ahead_ms = command.at_ms - timestamp_ms;
      break;
    case "lost": {
      const key = memberKey(command.node_id, command.epoch);
      if (!run.lost.has(key)) run.lost.set(key, command);
      break;
    }
    case "assign":
      run.assigns.push({ ...command, offset });
      break;
    case "stop":
      run.stop ??= command;
      break;
    case "ended":
      run.ended = command;
      run.ended_offset = offset;
      break;
    case "retarget":
      break;
  }
}

function foldConfig(state: SystemState, config: Extract<Control, { type: "config" }>, offset: number): void {
  if (state.known.has(config.test_id)) return;
  state.known.add(config.test_id);
  const before = state.current === null ? undefined : state.runs.get(state.current);
  if (before && phaseOf(before) === "created") before.replaced = true;
  const run: RunState = {
    test_id: config.test_id,
    config,
    config_offset: offset,
    trigger: null,
    trigger_ahead_ms: 0,
    stop: null,
    lost: new Map(),
    assigns: [],
    ended: null,
    ended_offset: null,
    replaced: false,
    copied: state.copies.get(config.test_id) ?? { test_config: false, trigger: false },
  };
  state.copies.delete(config.test_id);
  state.runs.set(config.test_id, run);
  state.current = config.test_id;
}

/** Lets go of a finished or replaced test, once its report is kept elsewhere. Its id stays known. */
export function forget(state: SystemState, test_id: string): void {
  if (state.current === test_id) return;
  state.runs.delete(test_id);
  state.measured.delete(test_id);
}

/** Takes back what was folded of a test's metrics before; reading goes on at the record after the last of them. */
export function restore(state: SystemState, test_id: string, members: Map<string, Measured>): void {
  state.measured.set(test_id, members);
}
