import type { Snapshot } from "../metrics/snapshot.ts";
import type { Range } from "../plan/schedule.ts";
import type { OutgoingOf } from "../protocol/codec.ts";
import type { Control } from "../protocol/control.ts";
import type { DriverState as WireState, EndReason, Refusal, TestConfig, Trigger } from "../protocol/messages.ts";
import { NO_AUTHORITY, type Authority } from "./authority.ts";
import type { Caps, JobSpec } from "./job.ts";
import type { LogLevel } from "./log.ts";

/** What a node is started with. */
export interface NodeOptions {
  node_id: string;
  node_ip: string;
  labels: Record<string, string>;
  /** Unique to this start; every registration is `${boot_id}.${count}`. */
  boot_id: string;
  /** The target of plain tests that name none. */
  target: string | null;
  caps: Caps;
  heartbeat_ms: number;
  snapshot_ms: number;
}

/** A metrics record of this node, as it is published. */
export type Report = Extract<OutgoingOf["metrics"], { seq: number }>;

/** Everything that happens to a node. Times are wire time (ms); `offset` is the record's place in its topic. */
export type DriverEvent =
  | { type: "begin" }
  /** Some node's register record was read. */
  | { type: "registered"; node_id: string; boot_id: string | undefined; offset: number }
  /** `control` was read to the end once. */
  | { type: "caught_up" }
  | { type: "control"; command: Control; offset: number }
  | { type: "orchestrator_heartbeat"; term: number; state: "leader" | "standby" | "left"; command_seq?: number | undefined; timestamp_ms: number; received_ms: number }
  /** `after_start`: appended after this node began to listen. */
  | { type: "test_config"; message: TestConfig; offset: number; after_start: boolean }
  | { type: "trigger"; message: Trigger; after_start: boolean }
  | { type: "prepared"; job_id: number; result: PreparedResult }
  | { type: "progress"; job_id: number; snapshot: Snapshot }
  | { type: "finished"; job_id: number; snapshot: Snapshot }
  /** The load engine woke `gap_ms` after its last turn: it sends nothing until it is resumed. */
  | { type: "gap"; job_id: number; gap_ms: number }
  /** All that `control` held when it was asked for by this number is read. */
  | { type: "control_read"; read: number }
  /** The load engine broke. */
  | { type: "load_failed"; job_id: number; message: string }
  /** The log has this record now. */
  | { type: "published"; key: string; seq: number }
  | { type: "bus"; connected: boolean; reason: string }
  | { type: "leave" }
  | { type: "tick"; health: Record<string, number> };

export type PreparedResult = { ok: true; connected: number } | { ok: false; code: string; message: string };

/** Everything that a node does. */
export type Effect =
  | { type: "publish_register"; message: OutgoingOf["register"] }
  | { type: "publish_heartbeat"; message: OutgoingOf["heartbeat"] }
  /** Of one key only the newest matters. */
  | { type: "publish_metrics"; key: string; message: Report }
  | { type: "prepare"; job_id: number; spec: JobSpec }
  /** The schedule's zero is at this wire time. */
  | { type: "start"; job_id: number; zero_ms: number }
  | { type: "snapshot"; job_id: number }
  /** More to send, on its due times; what is due already is taken and dropped. Also after `finished`: it is told again. */
  | { type: "assign"; job_id: number; ranges: Range[] }
  /** After a gap: it may send again. */
  | { type: "resume"; job_id: number }
  /** Answered by `control_read` once the log is there and `control` was read to its end. */
  | { type: "read_control_to_end"; read: number }
  | { type: "stop"; job_id: number; grace_ms: number }
  /** It ends at once, or it is over and nothing more will be asked of it. */
  | { type: "discard"; job_id: number }
  | { type: "save"; report: Report; origin: Origin }
  /** What is kept up to this seq. */
  | { type: "forget"; node_id: string; test_id: string; epoch: number; seq: number }
  | { type: "exit"; code: number }
  | { type: "log"; level: LogLevel; code: string; fields: Record<string, unknown>; message: string };

/** Who asked for a test: an Onrush orchestrator on `control`, or the common format. */
export type Origin = "control" | "plain";

/** When a triggered test begins, on this node's wire clock. */
export interface Start {
  /** The beginning of the warm-up. */
  start_ms: number;
  /** Which term triggered it, and this clock minus that leader's. Plain: term 0. */
  term: number;
  clock_offset_ms: number;
  /** How long this driver goes on without a sign of life of the leader, from when on; null: plain. */
  lease: { lease_ms: number; until_ms: number } | null;
}

/** The newest test that this node is to run. */
export interface Wanted {
  origin: Origin;
  test_id: string;
  /** Of its config record. */
  offset: number;
  /** The offset on `control` of the newest command about its ranges (config or assign); 0: plain. */
  revision: number;
  /** Ranges that were moved here before it began. */
  inherited: readonly Range[];
  lease_ms: number | null;
  spec: JobSpec;
  start: Start | null;
  /** It will not be tried (again). */
  refused: boolean;
}

/**
 *     preparing <-> unprepared (target unreachable: again every second)
 *         v
 *       ready -> armed (triggered) -> running -> draining
 */
export type Stage = "preparing" | "unprepared" | "ready" | "armed" | "running" | "draining";

/** One test on the load engine. */
export interface Job {
  job_id: number;
  wanted: Wanted;
  stage: Stage;
  retry_at_ms: number;
  /** Since it was armed. */
  start: Start | null;
  epoch: number;
  next_seq: number;
  next_snapshot_ms: number;
  end_reason: EndReason;
  /** It was told to stop. */
  stopped: boolean;
  /** It sends nothing since a gap of this length, until `control` is read to where it was asked for. */
  held: { gap_ms: number; read: number } | null;
  /** `ended` was read while it was not finished. */
  ended: boolean;
  last: Report | null;
}

/** A report that is repeated each second until it is known to be read. */
export interface Result {
  report: Report;
  origin: Origin;
  /** null: until `ended` acknowledges it; else how many copies the log is still to get. */
  copies: number | null;
  since_ms: number;
  next_at_ms: number;
  repeated: number;
}

export interface NodeState {
  readonly options: NodeOptions;
  now_ms: number;
  begun_ms: number;
  registrations: number;
  registered_at_ms: number;
  epoch: number | null;
  /** It found itself lost: it registers again as soon as nothing runs. */
  fenced: boolean;
  caught_up: boolean;
  authority: Authority;
  /** The last tests that were seen, oldest first: each is taken once. */
  seen: readonly string[];
  wanted: Wanted | null;
  job: Job | null;
  jobs: number;
  /** The job whose final waits to be acknowledged: it may yet be given more. Its engine is kept. */
  finished: (Job & { start: Start }) | null;
  /** How often control was asked for to its end. */
  reads: number;
  results: readonly Result[];
  refused: Refusal | null;
  /** A plain trigger that was read before its config. */
  early: { test_id: string; at_ms: number } | null;
  /** received - timestamp (ms) of the last heartbeats of a term's leader. */
  delays: { term: number; ms: readonly number[] };
  leader_heard_ms: number;
  next_heartbeat_ms: number;
  /** What the last heartbeat said, but for time and health. */
  announced: string;
  bus_connected: boolean;
  health: Record<string, number>;
  commands_refused: number;
  plain_refused: number;
  /** `released`: the orchestrator knows that it left. */
  leaving: { since_ms: number; code: number; released: boolean } | null;
  left: boolean;
}

/** A node before its first event. `stored`: reports of earlier starts that nobody has acknowledged yet. */
export function initialState(options: NodeOptions, stored: readonly { report: Report; origin: Origin }[] = []): NodeState {
  return {
    options,
    now_ms: 0,
    begun_ms: 0,
    registrations: 0,
    registered_at_ms: 0,
    epoch: null,
    fenced: false,
    caught_up: false,
    authority: NO_AUTHORITY,
    seen: [],
    wanted: null,
    job: null,
    jobs: 0,
    finished: null,
    reads: 0,
    results: stored.map(({ report, origin }) => ({
      report,
      origin,
      copies: origin === "control" && report.final ? null : PLAIN_COPIES,
      since_ms: 0,
      next_at_ms: 0,
      repeated: 0,
    })),
    refused: null,
    early: null,
    delays: { term: 0, ms: [] },
    leader_heard_ms: Number.NEGATIVE_INFINITY,
    next_heartbeat_ms: Number.POSITIVE_INFINITY,
    announced: "",
    bus_connected: true,
    health: {},
    commands_refused: 0,
    plain_refused: 0,
    leaving: null,
    left: false,
  };
}

/** Copies of a final that nobody will acknowledge. */
export const PLAIN_COPIES = 3;

export type Phase = "idle" | Exclude<Stage, "unprepared"> | "awaiting_ack" | "leaving" | "left";

/** Where a node is on its way: idle, preparing, ready, armed, running, draining, awaiting_ack; leaving, left. */
export function phaseOf(state: NodeState): Phase {
  if (state.left) return "left";
  if (state.leaving) return "leaving";
  if (state.job) return state.job.stage === "unprepared" ? "preparing" : state.job.stage;
  return ownResults(state).length > 0 ? "awaiting_ack" : "idle";
}

const WIRE_STATES: Record<Exclude<Phase, "leaving">, WireState> = {
  idle: "idle",
  preparing: "preparing",
  ready: "ready",
  armed: "running",
  running: "running",
  draining: "running",
  awaiting_ack: "idle",
  left: "left",
};

/** The same in the words of the heartbeat. */
export function wireStateOf(state: NodeState): WireState {
  const phase = phaseOf(state);
  if (phase !== "leaving") return WIRE_STATES[phase];
  return state.job ? "running" : "idle";
}

/** Results of this registration that are still being repeated. */
export function ownResults(state: NodeState): Result[] {
  return state.results.filter(({ report }) => report.epoch === state.epoch && report.node_id === state.options.node_id);
}

/** From its trigger on nothing else is prepared, and nothing but a stop ends it early. */
export function hasBegun(job: Job | null): job is Job & { start: Start } {
  return job !== null && job.start !== null;
}

/** An Onrush test that has begun here. */
export function isRunning({ job }: NodeState, test_id: string): boolean {
  return hasBegun(job) && job.wanted.origin === "control" && job.wanted.test_id === test_id;
}

/** An Onrush test that has not begun here. */
export function isOpen(wanted: Wanted | null, test_id: string): wanted is Wanted {
  return wanted !== null && wanted.origin === "control" && wanted.test_id === test_id;
}
