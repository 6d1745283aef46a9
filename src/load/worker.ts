import { parentPort } from "node:worker_threads";
import { createLoadEngine, type LoadEngine } from "./engine.ts";
import type { Answers, Ask, Envelope, GapNotice, Reply } from "./thread.ts";
import { monotonicOriginMs } from "./time.ts";
import { warmCode } from "./warm.ts";

// The entry of a load thread (thread.ts): one engine at a time, told what to do by messages.

let engine: LoadEngine | null = null;
let zero_ms = 0;

function current(): LoadEngine {
  if (engine === null) throw new Error("invariant: a load thread was asked without a job");
  return engine;
}

/** Given more before it was told that it has finished, a load has not. */
async function hasFinished(load: LoadEngine): Promise<void> {
  let seen: Promise<void> | null = null;
  while (seen !== load.finished) await (seen = load.finished);
}

function onGap(gap_ms: number): void {
  parentPort?.postMessage({ gap_ms } satisfies GapNotice);
}

/** The reply to `run` and `assign` is that the load has finished. */
async function answer(ask: Ask): Promise<Answers[Ask["type"]]> {
  switch (ask.type) {
    case "warm":
      return warmCode();
    case "prepare":
      engine = createLoadEngine(ask.job, { ...ask.options, ...(ask.gaps && { onGap }) });
      return engine.prepare();
    case "run":
      zero_ms = ask.zero_ms - monotonicOriginMs();
      current().start(zero_ms);
      return hasFinished(current());
    case "assign":
      current().assign(ask.ranges);
      return hasFinished(current());
    case "resume":
      return current().resume();
    case "stop":
      return current().stop(ask.grace_ms);
    case "snapshot": {
      const snapshot = await current().snapshot();
      return { snapshot, taken_us: (performance.now() - zero_ms) * 1000 };
    }
    case "close": {
      const closing = engine;
      engine = null;
      await closing?.close();
      return undefined;
    }
  }
}

parentPort?.on("message", ({ id, ask }: Envelope) => {
  const reply = (message: Reply): void => parentPort?.postMessage(message);
  answer(ask).then(
    (value) => reply({ id, value }),
    (error: unknown) => reply({ id, error: error instanceof Error ? error.message : String(error) }),
  );
});
