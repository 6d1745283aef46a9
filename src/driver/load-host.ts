import { availableCores } from "../load/cores.ts";
import type { EngineOptions, LoadEngine, LoadJob } from "../load/engine.ts";
import type { Snapshot } from "../metrics/snapshot.ts";
import { createLoadPool, type Crew } from "../load/pool.ts";
import { resolveTarget } from "../load/resolve.ts";
import { workersOf } from "../load/split.ts";
import type { Range } from "../plan/schedule.ts";
import { judgeSocket, judgeTarget, type AllowRule } from "./allow.ts";
import { loadJob, ownRateRps, type JobSpec } from "./job.ts";
import type { DriverEvent, PreparedResult } from "./state.ts";

export interface LoadHostOptions {
  /** What --allow and --target name. */
  rules: readonly AllowRule[];
  own: readonly AllowRule[];
  /** Ended with the host. */
  crew: Crew;
  /** Load threads at most; null: no limit. */
  workers: number | null;
  /** Drivers of this process, which share its cores. */
  drivers: number;
  engine: Pick<EngineOptions, "cores">;
  emit: (event: DriverEvent) => void;
}

/** The load engine of a node, by job: at most one at a time. */
export interface LoadHost {
  /** Resolves, checks and pins the target, then opens connections. Answers with one `prepared`. */
  prepare(job_id: number, spec: JobSpec): void;
  /** `zero_ms`: performance.now(). Answers with `finished`, or `load_failed`. */
  start(job_id: number, zero_ms: number): void;
  /** Answers with `progress`, unless the answer before is still due. */
  snapshot(job_id: number): void;
  /** More to send; after `finished` too: it is answered with another one. */
  assign(job_id: number, ranges: readonly Range[]): void;
  /** Sends again after a `gap`. */
  resume(job_id: number): void;
  stop(job_id: number, grace_ms: number): void;
  /** Closes its connections, whether it is over or not. */
  discard(job_id: number): void;
  close(): Promise<void>;
}

interface Loading {
  job_id: number;
  engine: LoadEngine | null;
  /** Its end is waited for. */
  running: boolean;
  /** The snapshot being taken. */
  busy: Promise<void> | null;
}

export function createLoadHost(options: LoadHostOptions): LoadHost {
  const { rules, own, crew, emit } = options;
  let current: Loading | null = null;

  const engineOf = (job_id: number): LoadEngine | null => (current?.job_id === job_id ? current.engine : null);

  async function release(loading: Loading | null): Promise<void> {
    if (!loading) return;
    if (current === loading) current = null;
    await loading.engine?.close();
  }

  async function prepared(loading: Loading, spec: JobSpec): Promise<PreparedResult> {
    const url = new URL(spec.target.url);
    const port = portOf(url);
    const hostname = url.hostname.replace(/^\[|\]$/g, "");
    const { unix_socket, resolve } = spec.target;
    const shown = unix_socket ?? `${url.hostname}:${port}`;
    const socket = unix_socket === undefined ? null : judgeSocket(rules, unix_socket);
    if (socket !== null && !socket.allowed) return { ok: false, code: "target_not_allowed", message: socket.message };
    let refused = "";
    const resolved = await resolveTarget(spec.target, {
      allowed: (address) => {
        // An address that a plan pins is not vouched for by the name: it must be allowed itself.
        const verdict = judgeTarget(rules, own, { hostname: resolve === undefined ? hostname : address, address, port });
        if (!verdict.allowed) refused ||= verdict.message;
        return verdict.allowed;
      },
    });
    if (!resolved.ok && resolved.kind === "not_allowed") return { ok: false, code: "target_not_allowed", message: refused };
    if (!resolved.ok) return unreachable(shown, resolved.message);
    if (current !== loading) return unreachable(shown, "no longer wanted");
    const { job_id } = loading;
    const onGap = (gap_ms: number) => {
      if (current === loading) emit({ type: "gap", job_id, gap_ms });
    };
    loading.engine = engineFor(spec, loadJob(spec, resolved.target), onGap);
    const result = await loading.engine.prepare();
    return result.ok ? result : unreachable(shown, `${result.kind}: ${result.message}`);
  }

  function engineFor({ workers: asked, schedule, ranges }: JobSpec, job: LoadJob, onGap: (gap_ms: number) => void): LoadEngine {
    const { workers: cap, drivers } = options;
    const cores = options.engine.cores ?? availableCores();
    const workers = workersOf(job, { asked, cap, cores, drivers, rate_rps: ownRateRps(schedule, ranges) });
    return createLoadPool(job, crew, workers, { cores, load_threads: workers * drivers, onGap });
  }

  /** Whoever is given more before it was told that it has finished has not. */
  async function lastSnapshot(loading: Loading, engine: LoadEngine): Promise<Snapshot> {
    for (;;) {
      const { finished } = engine;
      await finished;
      await loading.busy;
      const snapshot = await engine.snapshot();
      if (finished === engine.finished) return snapshot;
    }
  }

  async function run(loading: Loading, engine: LoadEngine): Promise<void> {
    loading.running = true;
    try {
      const snapshot = await lastSnapshot(loading, engine);
      if (current === loading) emit({ type: "finished", job_id: loading.job_id, snapshot });
    } catch (error) {
      if (current === loading) emit({ type: "load_failed", job_id: loading.job_id, message: messageOf(error) });
    }
    loading.running = false;
  }

  return {
    prepare(job_id, spec) {
      void release(current);
      const loading: Loading = { job_id, engine: null, running: false, busy: null };
      current = loading;
      void prepared(loading, spec)
        .catch((error: unknown): PreparedResult => ({ ok: false, code: "bad_request", message: messageOf(error) }))
        .then(async (result) => {
          const wanted = current === loading;
          if (!result.ok || !wanted) await release(loading);
          if (wanted) emit({ type: "prepared", job_id, result });
        });
    },

    start(job_id, zero_ms) {
      const engine = engineOf(job_id);
      if (!current || !engine) return;
      const loading = current;
      try {
        engine.start(zero_ms);
        void run(loading, engine);
      } catch (error) {
        emit({ type: "load_failed", job_id, message: messageOf(error) });
      }
    },

    snapshot(job_id) {
      const engine = engineOf(job_id);
      const loading = current;
      if (!engine || !loading || loading.busy) return;
      loading.busy = engine
        .snapshot()
        .then((snapshot) => {
          if (current === loading) emit({ type: "progress", job_id, snapshot });
        })
        .catch((error: unknown) => {
          if (current === loading) emit({ type: "load_failed", job_id, message: messageOf(error) });
        })
        .finally(() => (loading.busy = null));
    },

    assign(job_id, ranges) {
      const engine = engineOf(job_id);
      const loading = current;
      if (!engine || !loading) return;
      engine.assign(ranges);
      if (!loading.running) void run(loading, engine);
    },

    resume(job_id) {
      engineOf(job_id)?.resume();
    },

    stop(job_id, grace_ms) {
      engineOf(job_id)?.stop(grace_ms);
    },

    discard(job_id) {
      if (current?.job_id === job_id) void release(current);
    },

    async close() {
      await release(current);
      await crew.close();
    },
  };
}

/** The port of an http(s) URL. */
export function portOf({ port, protocol }: URL): number {
  return port === "" ? (protocol === "https:" ? 443 : 80) : Number(port);
}

function unreachable(shown: string, reason: string): PreparedResult {
  return {
    ok: false,
    code: "target_unreachable",
    message: `the target ${shown} cannot be reached from here (${reason}); start it, or check its address`,
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
