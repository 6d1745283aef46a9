import { Worker } from "node:worker_threads";
import type { Range } from "../plan/schedule.ts";
import type { EngineOptions, LoadJob, PrepareResult } from "./engine.ts";
import type { WorkerSnapshot } from "./merge.ts";

/** What a load thread is asked; `zero_ms`: on the system's monotonic clock (time.ts, monotonicOriginMs). */
export type Ask =
  | { type: "warm" }
  /** `gaps`: gaps in its loop are to be told, and hold it back. */
  | { type: "prepare"; job: LoadJob; options: Omit<EngineOptions, "clock" | "onGap">; gaps: boolean }
  | { type: "run"; zero_ms: number }
  | { type: "assign"; ranges: Range[] }
  | { type: "resume" }
  | { type: "stop"; grace_ms: number | undefined }
  | { type: "snapshot" }
  | { type: "close" };

export interface Answers {
  warm: void;
  prepare: PrepareResult;
  /** When the load has finished. */
  run: void;
  /** When the load has finished (again). */
  assign: void;
  resume: void;
  stop: void;
  snapshot: WorkerSnapshot;
  close: void;
}

export interface Envelope {
  id: number;
  ask: Ask;
}
export type Reply = { id: number; value: Answers[keyof Answers] } | { id: number; error: string };
/** What a thread says unasked: there was a gap in its loop. */
export interface GapNotice {
  gap_ms: number;
}

/** One worker thread that loads: one job at a time, one after the other. */
export interface LoadThread {
  /** Rejects with what the thread says against it; when the thread broke; and when it is silent for `patience_s`. */
  ask<T extends Ask["type"]>(ask: Extract<Ask, { type: T }>, patience_s?: number): Promise<Answers[T]>;
  readonly broken: boolean;
  /** Whom to tell of gaps in its loop. */
  onGap: (gap_ms: number) => void;
  end(): Promise<void>;
}

interface Waiting {
  resolve(value: Answers[keyof Answers]): void;
  reject(error: Error): void;
  /** Whole seconds left. */
  patience_s: number;
}

/** A checkout runs its sources, the published package the JavaScript built from them. */
const ENTRY = new URL(`./worker.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url);

/** Starts a thread; it keeps the process alive only while it is asked something. */
export function startThread(entry: URL = ENTRY): LoadThread {
  const worker = new Worker(entry, { name: "onrush load" });
  const waiting = new Map<number, Waiting>();
  let asked = 0;
  let failure: Error | null = null;
  let watch: NodeJS.Timeout | undefined;
  worker.unref();

  function settled(id: number): Waiting | undefined {
    const one = waiting.get(id);
    waiting.delete(id);
    if (waiting.size === 0) {
      worker.unref();
      clearInterval(watch);
      watch = undefined;
    }
    return one;
  }

  function fail(error: Error): void {
    failure ??= error;
    for (const id of [...waiting.keys()]) settled(id)?.reject(failure);
  }

  /** Seconds are counted, not measured: a process that was stopped for a while has not waited meanwhile. */
  function lookAtSilence(): void {
    for (const one of waiting.values()) if (--one.patience_s < 0) return silent();
  }

  function silent(): void {
    fail(new Error("a load thread does not answer"));
    void worker.terminate();
  }

  worker.on("message", (reply: Reply | GapNotice) => {
    if ("gap_ms" in reply) {
      self.onGap(reply.gap_ms);
      return;
    }
    const one = settled(reply.id);
    if ("error" in reply) one?.reject(new Error(reply.error));
    else one?.resolve(reply.value);
  });
  worker.on("error", (error) => fail(new Error(`a load thread broke: ${error instanceof Error ? error.message : String(error)}`)));
  worker.on("exit", (code) => fail(new Error(`a load thread ended (code ${code})`)));

  const self: LoadThread = {
    onGap: () => {},
    get broken() {
      return failure !== null;
    },
    ask: <T extends Ask["type"]>(ask: Extract<Ask, { type: T }>, patience_s = Infinity) =>
      new Promise<Answers[T]>((resolve, reject) => {
        if (failure !== null) return reject(failure);
        const id = asked++;
        waiting.set(id, { resolve: resolve as Waiting["resolve"], reject, patience_s });
        worker.ref();
        watch ??= setInterval(lookAtSilence, 1000).unref();
        worker.postMessage({ id, ask } satisfies Envelope);
      }),
    async end() {
      fail(new Error("the load thread was ended"));
      await worker.terminate();
    },
  };
  return self;
}
