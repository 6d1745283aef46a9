import type { Row } from "../metrics/snapshot.ts";
import type { ConfigCommand, ControlOf, EndedCommand, LostCommand, TriggerCommand } from "../protocol/control.ts";
import type { DriverHeartbeat, ExtendedMetrics, OrchestratorHeartbeat, PlainMetrics } from "../protocol/messages.ts";

/** How often a node without extensions sends heartbeats, or reports, by the log's own time stamps. */
export interface Cadence {
  count: number;
  /** The median gap between neighbours among the last few; null until two were seen. */
  interval_ms: number | null;
  recent_ms: number[];
}

export interface NodeState {
  node_id: string;
  node_ip: string;
  labels: Record<string, string>;
  foreign: boolean;
  /** The offset of its newest registration: of its first record, where the log holds it twice. */
  epoch: number;
  /** By which a registration is known; null: foreign, or its record was not read. */
  boot_id: string | null;
  /** The newest heartbeat by (epoch, timestamp, offset: some clocks only know whole seconds); null until one was read, and for foreign nodes. */
  heartbeat: DriverHeartbeat | null;
  heartbeat_offset: number;
  /** Of foreign nodes. */
  cadence: Cadence;
  /** When anything of it was last heard (wire time of this process). */
  heard_ms: number;
  /** One-way delays from it to this process, the last few (ms): received - its timestamp. */
  delays_ms: number[];
}

/** What one epoch of a node measured in one test. Observations fold as a maximum: their order is irrelevant. */
export interface Measured {
  node_id: string;
  /** null: a foreign node, which knows of no epochs. */
  epoch: number | null;
  /** The snapshot with the highest seq, without its rows. */
  snapshot: ExtendedMetrics | null;
  /** The highest seq that was marked final, -1: none. */
  final_seq: number;
  /** Per second, from the snapshot with the highest seq that carried it. */
  rows: Map<number, { seq: number; row: Row }>;
  /** The newest summary of a foreign node, by (time stamp, offset): its partition is any. */
  plain: PlainMetrics | null;
  plain_place: { timestamp_ms: number; offset: number };
  cadence: Cadence;
  heard_ms: number;
}

export interface Leadership {
  /** 0: nobody has claimed yet. */
  term: number;
  owner: string | null;
  claim_offset: number;
  /** Its clock at its claim, less the log's. */
  ahead_ms: number;
  /** The last valid command of the term. */
  command_seq: number;
}

export interface RunState {
  test_id: string;
  config: ConfigCommand;
  config_offset: number;
  trigger: TriggerCommand | null;
  /** The clock of who triggered it, less the log's. */
  trigger_ahead_ms: number;
  stop: ControlOf<"stop"> | null;
  /** By member key. */
  lost: Map<string, LostCommand>;
  /** With their offsets on control, which count on over all terms. */
  assigns: (ControlOf<"assign"> & { offset: number })[];
  ended: EndedCommand | null;
  ended_offset: number | null;
  /** A later config took its place before it was triggered. */
  replaced: boolean;
  /** Copies for foreign drivers that were seen in the log. */
  copied: { test_config: boolean; trigger: boolean };
}

/**
 * All that the log says, for one reader. `fold` alone changes it, in place: whoever calls fold gives the old state away.
 * Nothing here depends on the order in which records of different topics were read.
 */
export interface SystemState {
  nodes: Map<string, NodeState>;
  leadership: Leadership;
  /** The newest heartbeat of each orchestrator. */
  orchestrators: Map<string, { heartbeat: OrchestratorHeartbeat; timestamp_ms: number; heard_ms: number }>;
  runs: Map<string, RunState>;
  /** Every test that the log configured, also those that were forgotten: an id is taken once. */
  known: Set<string>;
  /** By test id, then member key: metrics may be read before the config that they belong to. */
  measured: Map<string, Map<string, Measured>>;
  /** The newest test that was configured. */
  current: string | null;
  /** Copies seen on test_config and trigger, by test id (they may be read before the config). */
  copies: Map<string, { test_config: boolean; trigger: boolean }>;
  /** Records skipped, by `topic: reason`. */
  rejected: Map<string, number>;
  /** Commands refused by term, owner or command_seq, and configs and triggers that mean nothing, by reason. */
  stale: Map<string, number>;
}

/** A member of a run: one epoch of a node. */
export function memberKey(node_id: string, epoch: number | null): string {
  return epoch === null ? node_id : `${node_id}@${epoch}`;
}

export function initialState(): SystemState {
  return {
    nodes: new Map(),
    leadership: { term: 0, owner: null, claim_offset: -1, ahead_ms: 0, command_seq: -1 },
    orchestrators: new Map(),
    runs: new Map(),
    known: new Set(),
    measured: new Map(),
    current: null,
    copies: new Map(),
    rejected: new Map(),
    stale: new Map(),
  };
}

export type Phase = "created" | "triggered" | "ended";

export function phaseOf(run: RunState): Phase {
  if (run.ended) return "ended";
  return run.trigger ? "triggered" : "created";
}

/** The run that keeps others out: triggered and not yet ended. */
export function busyRun(state: SystemState): RunState | null {
  for (const run of state.runs.values()) if (phaseOf(run) === "triggered") return run;
  return null;
}

/** The schedule's zero (leader's wall clock, ms); null before the trigger. */
export function zeroMs(run: RunState): number | null {
  return run.trigger ? run.trigger.start_at + (run.config.plan.warmup_s ?? 0) * 1000 : null;
}

/** When it was stopped, us since the schedule's zero; null: it was not, or before its trigger. */
export function stopUs(run: RunState): number | null {
  const zero = zeroMs(run);
  return run.stop && zero !== null ? (run.stop.t_us ?? (run.stop.at_ms - zero) * 1000) : null;
}
