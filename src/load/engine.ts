import type { FailureKind, Snapshot } from "../metrics/snapshot.ts";
import type { Range, Schedule } from "../plan/schedule.ts";

/** A target after its name was resolved once; every connection of a test goes to this address. */
export interface LoadTarget {
  protocol: "http:" | "https:";
  /** The name asked for (Host header, SNI). */
  hostname: string;
  port: number;
  /** The pinned IP address. */
  address: string;
  /** Path and query. */
  path: string;
  method: string;
  headers: Record<string, string>;
  body: string | null;
  /** https: accept any certificate. */
  insecure: boolean;
}

export interface LoadJob {
  test_id: string;
  target: LoadTarget;
  schedule: Schedule;
  /** What this node owns at first. */
  ranges: Range[];
  connections: number;
  timeout_us: number;
  /** Open model: how many due requests may wait for a connection. */
  backlog: number;
  pacing: "auto" | "precise" | "timer";
  warmup_us: number;
}

export type PrepareResult = { ok: true; connected: number } | { ok: false; kind: FailureKind; message: string };

/** One test's load on one node. Its shell is I/O; what it counts is a metrics Recorder. */
export interface LoadEngine {
  /** Opens the connections; `ok: false` when not a single one could be opened. Sends nothing. */
  prepare(): Promise<PrepareResult>;
  /** Starts the schedule: its zero is at this moment of performance.now() (ms), normally in the future. */
  start(zero_ms: number): void;
  /** Nothing is sent from now on; what waits is dropped; what is in flight is aborted after `grace_ms` (2,000). */
  stop(grace_ms?: number): void;
  snapshot(): Promise<Snapshot>;
  /** Resolves when nothing is to be sent any more and nothing is in flight. */
  readonly finished: Promise<void>;
  /** Closes every connection. */
  close(): Promise<void>;
}
