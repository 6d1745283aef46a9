import { parentPort } from "node:worker_threads";

// A load thread that breaks when the load begins.
parentPort?.on("message", ({ id, ask }: { id: number; ask: { type: string } }) => {
  if (ask.type === "run") throw new Error("out of order");
  parentPort?.postMessage({ id, value: ask.type === "prepare" ? { ok: true, connected: 1 } : undefined });
});
