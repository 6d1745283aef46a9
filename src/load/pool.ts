import type { EngineOptions, LoadEngine, LoadJob, PrepareResult } from "./engine.ts";
import { mergeSnapshots } from "./merge.ts";
import { rangeOf, splitJob } from "./split.ts";
import { startThread, type Ask, type LoadThread } from "./thread.ts";
import { monotonicOriginMs } from "./time.ts";

/** A thread that has not closed its connections by then is ended. */
const CLOSE_PATIENCE_S = 2;
/** A thread that has not told what it measured by then is broken. */
const SNAPSHOT_PATIENCE_S = 30;

/** The load threads of a node, kept from one test to the next: each is started and warmed once. */
export interface Crew {
  /** So many idle threads with warm code, started where there are not enough. Rejects when one cannot be started. */
  take(count: number): Promise<LoadThread[]>;
  /** Takes them back; broken ones are replaced when they are needed. */
  giveBack(threads: readonly LoadThread[]): void;
  /** Ends every thread at once. */
  close(): Promise<void>;
}

export interface CrewOptions {
  /** Threads started beforehand. Default: 1. */
  ready?: number;
  /** false: code is warmed by the load itself. Default: true. */
  warm?: boolean;
  /** What a thread runs. Default: worker.ts. */
  entry?: URL;
}

export function createCrew(options: CrewOptions = {}): Crew {
  const all = new Set<LoadThread>();
  const idle: LoadThread[] = [];
  const warmed = new WeakMap<LoadThread, Promise<void>>();
  let closed = false;

  function start(): LoadThread {
    const thread = startThread(options.entry);
    all.add(thread);
    // Cold code is slower, not wrong; a thread that broke says so when it is asked to load.
    warmed.set(thread, options.warm === false ? Promise.resolve() : thread.ask({ type: "warm" }).catch(() => {}));
    return thread;
  }

  for (let i = 0; i < (options.ready ?? 1); i++) idle.push(start());

  return {
    async take(count) {
      if (closed) throw new Error("the load threads have ended");
      for (const thread of all) if (thread.broken) all.delete(thread);
      const threads = idle.splice(0).filter((thread) => all.has(thread));
      idle.push(...threads.splice(count));
      while (threads.length < count) threads.push(start());
      await Promise.all(threads.map((thread) => warmed.get(thread) ?? Promise.resolve()));
      return threads;
    },

    giveBack(threads) {
      for (const thread of threads) {
        if (!thread.broken && !closed) idle.push(thread);
        else all.delete(thread);
      }
    },

    async close() {
      closed = true;
      await Promise.all([...all].map((thread) => thread.end()));
    },
  };
}

/**
 * One test's load from `workers` threads of a crew: the engine of each is told what to do, and what they measured is one
 * snapshot. What the calling thread does meanwhile keeps no request waiting.
 * `finished` and whatever is asked reject when a thread breaks; the others are then stopped. A request that cannot be
 * put into bytes rejects `prepare`.
 */
export function createLoadPool(
  job: LoadJob,
  crew: Crew,
  workers: number,
  options: Omit<EngineOptions, "clock"> = {},
): LoadEngine {
  let threads: LoadThread[] = [];
  let state: "new" | "stopped" | "started" | "closed" = "new";
  let stopped = false;
  let taking: Promise<unknown> = Promise.resolve();
  let finish = (): void => {};
  let fail = (_error: unknown): void => {};
  let finished = unfinished();
  /** Asks to load that are not answered yet: each is when that load has finished. */
  let loading = 0;
  /** A gap was told, and not resumed from. */
  let held = false;

  function unfinished(): Promise<void> {
    const promise = new Promise<void>((resolve, reject) => {
      finish = resolve;
      fail = reject;
    });
    // Whoever waits for it is told; nobody needs to.
    promise.catch(() => {});
    return promise;
  }

  function load(ask: (w: number) => Extract<Ask, { type: "run" | "assign" }>): void {
    threads.forEach((thread, w) => {
      loading++;
      thread.ask(ask(w)).then(
        () => {
          if (--loading === 0) finish();
        },
        (error: unknown) => {
          fail(error);
          stop(0);
        },
      );
    });
  }

  /** Each thread sees a gap by itself; whoever is to act upon it is told once. */
  function onGap(gap_ms: number): void {
    if (held) return;
    held = true;
    options.onGap?.(gap_ms);
  }

  /** Fire and forget: a thread that cannot do it has broken, and `finished` says so. */
  const tell = (ask: () => Promise<void>): void => void ask().catch(fail);

  function stop(grace_ms?: number): void {
    stopped = true;
    if (state === "new") {
      state = "stopped";
      finish();
    }
    for (const thread of threads) tell(() => thread.ask({ type: "stop", grace_ms }));
  }

  async function prepare(): Promise<PrepareResult> {
    const taken = crew.take(workers);
    taking = taken.then((hired) => (threads = hired));
    // close() gives them back.
    taking.catch(() => {});
    const hired = await taken;
    if (state === "closed") return { ok: false, kind: "connect_timeout", message: "no longer wanted" };
    const jobs = splitJob(job, workers);
    const { onGap: _, ...told } = options;
    const gaps = options.onGap !== undefined;
    for (const thread of hired) thread.onGap = onGap;
    const results = await Promise.all(hired.map((thread, w) => thread.ask({ type: "prepare", job: jobs[w]!, options: told, gaps })));
    const connected = results.reduce((sum, result) => sum + (result.ok ? result.connected : 0), 0);
    return connected > 0 ? { ok: true, connected } : results[0]!;
  }

  return {
    get finished() {
      return finished;
    },

    prepare,

    start(zero_ms) {
      if (state !== "new") return;
      state = "started";
      load(() => ({ type: "run", zero_ms: zero_ms + monotonicOriginMs() }));
    },

    assign(ranges) {
      if (state !== "started" || stopped) return;
      if (loading === 0) finished = unfinished();
      load((w) => ({ type: "assign", ranges: ranges.map((range) => rangeOf(range, w, workers)) }));
    },

    resume() {
      held = false;
      for (const thread of threads) tell(() => thread.ask({ type: "resume" }));
    },

    stop,

    async snapshot() {
      return mergeSnapshots(await Promise.all(threads.map((thread) => thread.ask({ type: "snapshot" }, SNAPSHOT_PATIENCE_S))));
    },

    async close() {
      if (state === "closed") return;
      state = "closed";
      await taking.catch(() => {});
      await Promise.all(
        threads.map((thread) => thread.ask({ type: "close" }, CLOSE_PATIENCE_S).catch(() => thread.end())),
      );
      crew.giveBack(threads);
      finish();
    },
  };
}
