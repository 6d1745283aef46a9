import { parentPort } from "node:worker_threads";
import type { Envelope } from "../thread.ts";
import "../worker.ts";

// A load thread that is blocked for 700 ms once, 300 ms after it was told to run.
parentPort!.on("message", ({ ask }: Envelope) => {
  if (ask.type !== "run") return;
  setTimeout(() => {
    const until_ms = performance.now() + 700;
    while (performance.now() < until_ms);
  }, 300);
});
