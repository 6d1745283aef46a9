import type { FailureKind, Snapshot } from "../metrics/snapshot.ts";
import type { Range, Schedule } from "../plan/schedule.ts";
import { Accounts } from "./accounts.ts";
import { createClosedLoop } from "./closed.ts";
import { Connection, type Wire } from "./connection.ts";
import { HeadMemo } from "./head-memo.ts";
import { availableCores } from "./cores.ts";
import { createGapGuard } from "./gap.ts";
import { createHealth } from "./health.ts";
import type { LoopOptions } from "./loop.ts";
import { createValues } from "./numbering.ts";
import { createOpenLoop } from "./open.ts";
import { createPreparation } from "./prepare.ts";
import { buildRequest } from "./request.ts";
import { createSweep } from "./sweep.ts";
import { makeTime } from "./time.ts";
import { createTlsWire, type TlsOptions } from "./tls.ts";

/** A target after its name was resolved once; every connection of a test goes to this address. */
export interface LoadTarget {
  protocol: "http:" | "https:";
  /** The name asked for (Host header, SNI). */
  hostname: string;
  port: number;
  /** The pinned IP address; "" with a socket_path. */
  address: string;
  /** The unix socket to connect to, in place of address and port. */
  socket_path?: string;
  /** Path and query. */
  path: string;
  method: string;
  headers: Record<string, string>;
  body: string | null;
  /** https: accept any certificate. */
  insecure: boolean;
  tls?: TlsOptions;
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
  /**
   * More to send, on the schedule's due times; slots due by now are taken and dropped. An engine that has finished goes
   * on, and `finished` is a new promise. Nothing after a stop.
   */
  assign(ranges: readonly Range[]): void;
  /** After a gap (EngineOptions.onGap): sends again, first what became due meanwhile. */
  resume(): void;
  /** Nothing is sent from now on; what waits is dropped; what is in flight is aborted after `grace_ms` (2,000). */
  stop(grace_ms?: number): void;
  snapshot(): Promise<Snapshot>;
  /** Resolves when nothing is to be sent any more and nothing is in flight; another one after each `assign` that follows. */
  readonly finished: Promise<void>;
  /** Closes every connection. */
  close(): Promise<void>;
}

export interface EngineOptions {
  /** ms, monotonic; start() is told in it. Default: performance.now. */
  clock?: () => number;
  /** Cores that this process may use. Default: availableCores(). */
  cores?: number;
  /** Threads of this process that load, this one included. Default: 1. */
  load_threads?: number;
  /**
   * Called when over 500 ms passed between two turns of the load loop while it had something to send (the process was
   * suspended, its thread blocked): nothing is sent from then until `resume`. Without it nothing is held back.
   */
  onGap?: (gap_ms: number) => void;
}

/** Opening the connections takes no longer than this; the rest is opened under load. */
const PREPARE_LIMIT_MS = 5000;
const READ_BUFFER_BYTES = 64 * 1024;

/**
 * One test's load from the calling thread. It throws RangeError for a request that cannot be put into bytes, and for
 * certificates that cannot be used.
 * A network failure is never thrown: it is counted.
 */
export function createLoadEngine(job: LoadJob, options: EngineOptions = {}): LoadEngine {
  const clock = options.clock ?? (() => performance.now());
  const cores = options.cores ?? availableCores();
  const time = makeTime(clock);
  const accounts = new Accounts(job, time);
  const connections: Connection[] = [];
  const sweep = createSweep(connections, clock);
  // Where reads are completed by the system (Windows), each needs memory of its own.
  const shared_buffer = process.platform !== "win32";
  const wire: Wire = {
    target: job.target,
    ...buildRequest(job.target, job.test_id, () => createValues(job)),
    time,
    timeout_us: job.timeout_us,
    tls: createTlsWire(job.target, (tls_us, reused, protocol, cipher) => accounts.secured(tls_us, reused, protocol, cipher)),
    read_buffer: shared_buffer ? Buffer.allocUnsafeSlow(READ_BUFFER_BYTES) : null,
    head_memo: shared_buffer ? new HeadMemo() : null,
    deadline: (at_ms) => sweep.deadline(at_ms),
    moved: (due_us, bytes_in, bytes_out) => accounts.moved(due_us, bytes_in, bytes_out),
  };
  const preparation = createPreparation(connections, (connect_us, first) => accounts.connected(connect_us, first));
  for (let i = 0; i < job.connections; i++) connections.push(new Connection(wire, preparation.owner));

  let state: "new" | "started" | "stopping" | "finished" = "new";
  let started = false;
  let stopped = false;
  let abort_timer: NodeJS.Timeout | undefined;
  let abort_at_ms = Infinity;
  let resolveFinished = (): void => {};
  let finished = new Promise<void>((resolve) => (resolveFinished = resolve));

  const { schedule } = job;
  const loopOptions: LoopOptions = {
    connections,
    accounts,
    time,
    guard: createGapGuard(options.onGap),
    waker: { pacing: job.pacing, core_to_spare: (options.load_threads ?? 1) + 2 <= cores },
    onFinished: finish,
  };
  const loop =
    schedule.kind === "closed" ? createClosedLoop(job, schedule, loopOptions) : createOpenLoop(job, schedule, loopOptions);
  const health = createHealth(clock, () => loop.waker.emptySpin());

  function finish(): void {
    if (state === "finished") return;
    state = "finished";
    clearTimeout(abort_timer);
    health.end();
    resolveFinished();
  }

  function stop(grace_ms: number): void {
    if (state === "finished") return;
    if (state === "new") {
      finish();
      return;
    }
    state = "stopping";
    stopped = true;
    loop.stop();
    // Told again, it may only become sooner.
    if (clock() + grace_ms >= abort_at_ms) return;
    abort_at_ms = clock() + grace_ms;
    clearTimeout(abort_timer);
    if (grace_ms > 0) abort_timer = setTimeout(abort, grace_ms);
    else abort();
  }

  function abort(): void {
    for (const connection of connections) connection.abort();
  }

  return {
    get finished() {
      return finished;
    },

    prepare: () => preparation.openAll(Math.min(PREPARE_LIMIT_MS, job.timeout_us / 1000)),

    start(zero_ms) {
      if (state !== "new") return;
      state = "started";
      started = true;
      time.zero_ms = zero_ms;
      for (const connection of connections) {
        connection.owner = loop;
        connection.free_since_us = -Infinity;
      }
      health.begin(zero_ms - clock());
      loop.start();
    },

    assign(ranges) {
      if (state === "finished" && started && !stopped) {
        state = "started";
        finished = new Promise((resolve) => (resolveFinished = resolve));
      }
      if (state === "started") loop.assign(ranges);
    },

    resume() {
      if (state === "started") loop.resume();
    },

    stop: (grace_ms = 2000) => stop(grace_ms),

    async snapshot() {
      return {
        // A recorder never goes back in time, and the provisional zero is no moment of the schedule.
        ...accounts.snapshot(started ? Math.max(0, time.now()) : 0),
        ranges: loop.progress(),
        generator: {
          ...health.read(),
          due_while_free: accounts.due_while_free,
          sent_while_free: accounts.sent_while_free,
          pacing: loop.waker.pacing(),
        },
        start_offset_us: loop.startOffset(),
      };
    },

    async close() {
      stop(0);
      preparation.end();
      for (const connection of connections) connection.dispose();
      sweep.close();
    },
  };
}
