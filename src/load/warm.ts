import { createServer, type AddressInfo, type Socket } from "node:net";
import type { Schedule } from "../plan/schedule.ts";
import { createLoadEngine } from "./engine.ts";

const WARM_REQUESTS = 4000;
const WARM_CONNECTIONS = 8;
const ANSWERS = [
  "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\npong",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npong\r\n0\r\n\r\n",
].map((text) => Buffer.from(text));
const END_OF_HEAD = "\r\n\r\n";

/**
 * Lets the engine compile the code that a test runs through, on canned answers of a private server on loopback; the
 * test's target sees nothing of it. Takes at most about `limit_ms`. Never rejects: cold code is slower, not wrong.
 */
export async function warmCode(limit_ms = 500): Promise<void> {
  const sockets = new Set<Socket>();
  let answered = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (data) => {
      if (data.includes(END_OF_HEAD)) socket.write(ANSWERS[answered++ % 16 === 0 ? 1 : 0]!);
    });
  });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    const { port } = server.address() as AddressInfo;
    const half = WARM_REQUESTS / 2;
    const window_us = (limit_ms / 2) * 1000;
    await warm(port, { kind: "closed", rate_urps: null, slots: half, window_us });
    const total_rate_urps = Math.ceil((half * 1e12) / (0.5 * window_us));
    await warm(port, { kind: "rate", total_rate_urps, slots: half, window_us: 0.5 * window_us });
  } catch {
    // No loopback port to be had: the test itself will say what is wrong, if anything is.
  } finally {
    server.close();
    for (const socket of sockets) socket.destroy();
  }
}

async function warm(port: number, schedule: Schedule): Promise<void> {
  const engine = createLoadEngine({
    test_id: "warm-up of the code",
    target: {
      protocol: "http:",
      hostname: "127.0.0.1",
      address: "127.0.0.1",
      port,
      path: "/",
      method: "GET",
      headers: {},
      body: null,
      insecure: false,
    },
    schedule,
    ranges: [{ range_id: "warm", share: 0, from: 0, to: schedule.slots, step: 1 }],
    connections: WARM_CONNECTIONS,
    timeout_us: (schedule.window_us ?? 0) / 2,
    backlog: WARM_REQUESTS,
    pacing: "timer",
    warmup_us: 0,
  });
  try {
    const prepared = await engine.prepare();
    if (!prepared.ok) return;
    engine.start(performance.now());
    await engine.finished;
    await engine.snapshot();
  } finally {
    await engine.close();
  }
}
