import { parentPort } from "node:worker_threads";

// A load thread that never closes and never comes to an end.
parentPort?.on("message", ({ id, ask }: { id: number; ask: { type: string } }) => {
  if (ask.type === "close") for (;;);
  if (ask.type === "prepare") parentPort?.postMessage({ id, value: { ok: true, connected: 1 } });
});
