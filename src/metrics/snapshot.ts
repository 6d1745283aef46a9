import type { EncodedHistogram } from "./codec.ts";
import type { TlsRecord } from "./tls.ts";

/** Why a request failed on the network. `timeout` and `aborted` have totals of their own. */
export const FAILURE_KINDS = [
  "dns",
  "connect_refused",
  "connect_timeout",
  "connect_reset",
  "tls",
  "reset",
  "reset_on_reuse",
  "closed_early",
  "protocol",
  "too_large",
  "other",
] as const;
export type FailureKind = (typeof FAILURE_KINDS)[number];
export type EndKind = FailureKind | "timeout" | "aborted";

/**
 * What one node counted, cumulative. The node's part of the invariants:
 *
 *     scheduled = sent + dropped + waiting
 *     sent      = ok + http_error + network_error + timeout + aborted + in_flight
 *     ok + http_error = response.count
 */
export interface Counts {
  /** Slots taken from the schedule because they were due. */
  scheduled: number;
  /** Given to a connection attempt. */
  sent: number;
  dropped: number;
  /** Status 200-399. */
  ok: number;
  /** Status 400 and above. */
  http_error: number;
  network_error: number;
  timeout: number;
  aborted: number;
  in_flight: number;
  waiting: number;
  /** Completed (ok or http_error) before the window's end; all of them where only a count ends the test. */
  completed_in_window: number;
  bytes_in: number;
  bytes_out: number;
  /** Connections opened after the first ones. */
  reconnects: number;
  /** Requests that were due while no connection was free. */
  waited_for_connection: number;
  backlog_max: number;
  /** The last end of a request, in us since the schedule's zero. */
  last_end_us: number;
}

export interface ErrorCount {
  kind: EndKind;
  message: string;
  count: number;
}

/** One second of a node, by the moment of sending and of ending. Numbered from the schedule's zero. */
export interface Row {
  t_s: number;
  scheduled: number;
  sent: number;
  /** ok + http_error */
  completed: number;
  /** http_error + network_error + timeout + aborted */
  errors: number;
  response: EncodedHistogram;
}

/**
 * How far a node has come in a range: it has taken `taken` of its slots from the schedule, in due order. With several
 * workers each takes its own in due order; while they run, or once they were stopped, these are as many slots, but not
 * exactly the first ones: at the seam a slot may be taken while one due a moment before it is not.
 */
export interface RangeProgress {
  range_id: string;
  taken: number;
}

/** What the generator says of itself. */
export interface GeneratorHealth {
  /** CPU time used by the load threads since the schedule's zero / elapsed time; 1 = one core. */
  cpu: number;
  /** 1 - idle - empty spin, of the load thread, since the schedule's zero. */
  utilisation: number;
  /** Whole seconds measured, and those of them with a utilisation over 0.95. */
  seconds: number;
  saturated_seconds: number;
  /** Slots that were due while a connection was free, and those of them sent within the second that they were due in. */
  due_while_free: number;
  sent_while_free: number;
  /** Pauses of the load thread for garbage collection since the schedule's zero: how many, all of them, the longest. */
  gc_pauses?: number | undefined;
  gc_us?: number | undefined;
  gc_max_us?: number | undefined;
  /** What pacing was really used. */
  pacing: "precise" | "timer";
}

/** Everything that a load engine measured until now: cumulative, so the newest one replaces all earlier ones. */
export interface Snapshot {
  counts: Counts;
  statuses: Record<string, number>;
  errors: ErrorCount[];
  /** From the moment that a request was due to the last byte; completed requests. */
  response: EncodedHistogram;
  /** From the hand-over to an established connection to the last byte; completed requests. */
  service: EncodedHistogram;
  /** DNS, TCP and TLS; every connection opened. */
  connect: EncodedHistogram;
  /** https only; null: no handshake was done yet. */
  tls?: TlsRecord | null | undefined;
  /** From the moment due to the failure; requests that did not complete. */
  failed: EncodedHistogram;
  /** send - max(due, the moment a connection was free); every request sent. */
  send_lateness: EncodedHistogram;
  ranges: RangeProgress[];
  /** The last three seconds, each repeated until it is older than that. */
  rows: Row[];
  generator: GeneratorHealth;
  /** Actual minus intended start of the schedule. */
  start_offset_us: number;
  /** The warm-up's own counts, when there was one. */
  warmup: { counts: Counts; response: EncodedHistogram } | null;
}
