import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import type { FailureKind, Snapshot } from "../metrics/snapshot.ts";
import { startTarget } from "../target/target.ts";
import { TEST_CERTIFICATE } from "./testing/certificate.ts";
import { closed, delay, expectBalanced, expectEnds, loadJob, loadTarget, runJob } from "./testing/run.ts";

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

interface Raw {
  port: number;
  connections: () => number;
}

/** A server that does with each request (its head came whole) what it is told to; `nth`: on its connection, from 1. */
async function answering(onRequest: (socket: Socket, nth: number) => void, allowHalfOpen = false): Promise<Raw> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server: Server = createServer({ allowHalfOpen, noDelay: true }, (socket) => {
    connections++;
    sockets.add(socket);
    socket.on("error", () => {});
    let nth = 0;
    socket.on("data", (data) => {
      if (data.includes("\r\n\r\n")) onRequest(socket, ++nth);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port, connections: () => connections };
}

const PONG = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";
const LAST = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\npong";

function kinds({ errors }: Snapshot): Record<string, number> {
  const counted: Record<string, number> = {};
  for (const { kind, count } of errors) counted[kind] = (counted[kind] ?? 0) + count;
  return counted;
}

const schedules = () => [closed(12, null), delay(5, 12)];
const one = { connections: 1, timeout_us: 3e6 };

describe("connections that end", () => {
  test("a keep-alive limit that is announced: every request is answered, every reconnect counted", async () => {
    for (const schedule of schedules()) {
      const { port, connections } = await answering((socket, nth) => (nth === 3 ? socket.end(LAST) : socket.write(PONG)));
      const { counts, connect } = await runJob(loadJob(loadTarget(port), schedule, one));
      expectEnds(counts, { sent: 12, ok: 12 });
      expect(counts.reconnects).toBe(connections() - 1);
      expect(counts.reconnects).toBeGreaterThanOrEqual(3);
      expect(connect.count).toBe(connections());
    }
  });

  test("a keep-alive limit that is not announced, with FIN right behind the answer", async () => {
    const { port } = await answering((socket, nth) => (nth === 3 ? socket.end(PONG) : socket.write(PONG)));
    const { counts } = await runJob(loadJob(loadTarget(port), delay(100, 7), one));
    expectEnds(counts, { sent: 7, ok: 7 });
    expect(counts.reconnects).toBeGreaterThanOrEqual(2);
  });

  test("HTTP/1.0 keeps a connection only if it says so", async () => {
    for (const [line, reconnects] of [["", 11], ["Connection: keep-alive\r\n", 0]] as const) {
      const { port } = await answering((socket) => socket.write(`HTTP/1.0 200 OK\r\n${line}Content-Length: 2\r\n\r\nok`));
      const { counts } = await runJob(loadJob(loadTarget(port), closed(12, null), one));
      expectEnds(counts, { sent: 12, ok: 12 });
      expect(counts.reconnects).toBe(reconnects);
    }
  });

  test("half-closed: the target sends FIN while it takes its time to send the rest", async () => {
    const { port } = await answering((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
      socket.end();
    }, true);
    const snapshot = await runJob(loadJob(loadTarget(port), closed(4, null), one));
    expect(kinds(snapshot)).toEqual({ closed_early: 4 });
  });
});

describe("resets at each stage", () => {
  const reset = (socket: Socket) => void setTimeout(() => socket.resetAndDestroy(), 20);
  test.each<[string, string, FailureKind]>([
    ["before the answer", "", "reset"],
    ["within the status line", "HTTP/1.1 2", "reset"],
    ["within the head", "HTTP/1.1 200 OK\r\nContent-", "reset"],
    ["within the body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234", "reset"],
    ["within a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n01234", "reset"],
    ["within the trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n", "reset"],
    ["after an interim answer", "HTTP/1.1 103 Early Hints\r\n\r\n", "reset"],
    ["within a body until the end", "HTTP/1.1 200 OK\r\n\r\n01234", "reset"],
  ])("%s", async (_stage, text, kind) => {
    const { port } = await answering((socket) => {
      socket.write(text);
      reset(socket);
    });
    for (const schedule of [closed(3, null), delay(5, 3)]) {
      const snapshot = await runJob(loadJob(loadTarget(port), schedule, one));
      expect(kinds(snapshot)).toEqual({ [kind]: 3 });
      expectEnds(snapshot.counts, { sent: 3, network_error: 3 });
    }
  });

  test("behind the answer: the answer counts", async () => {
    const { port } = await answering((socket) => {
      socket.write(PONG);
      reset(socket);
    });
    const { counts } = await runJob(loadJob(loadTarget(port), delay(200, 5), one));
    expectEnds(counts, { sent: 5, ok: 5 });
    expect(counts.reconnects).toBeGreaterThanOrEqual(4);
  });
});

describe("answers that come before the request was sent whole", () => {
  const big = { method: "POST", body: "x".repeat(16 << 20) };
  const refusal = (more: string) => `HTTP/1.1 413 Too Large\r\n${more}Content-Length: 0\r\n\r\n`;

  test.each([
    ["the target says close and closes", "Connection: close\r\n", true],
    ["the target says nothing, reads nothing more, and waits", "", false],
  ])("%s", async (_name, more, close) => {
    const { port } = await answering((socket) => {
      socket.pause();
      socket.write(refusal(more));
      if (close) socket.end();
    }, true);
    const { counts, statuses } = await runJob(loadJob(loadTarget(port, "/", big), closed(5, null), one));
    expectEnds(counts, { sent: 5, http_error: 5 });
    expect(statuses).toEqual({ 413: 5 });
    // The last one may be reopened, or not be any more.
    expect(counts.reconnects).toBe(4);
  });

  test("over TLS", async () => {
    const target = await startTarget({ tls: TEST_CERTIFICATE });
    stops.push(() => target.close());
    const secure = loadTarget(target.port, "/ping", { ...big, protocol: "https:", hostname: "localhost", insecure: true });
    const { counts } = await runJob(loadJob(secure, closed(3, null), one));
    expectEnds(counts, { sent: 3, ok: 3 });
    expect(target.counters().requests_received).toBe(3);
  });

  test("the target answers and resets what it has not read: an answer or a reset, and nothing is counted twice", async () => {
    const { port } = await answering((socket) => {
      socket.pause();
      socket.write(refusal("Connection: close\r\n"), () => socket.resetAndDestroy());
    });
    const snapshot = await runJob(loadJob(loadTarget(port, "/", big), closed(10, null), one));
    expectBalanced(snapshot);
    const { counts } = snapshot;
    expectEnds(counts, { sent: 10, http_error: counts.http_error, network_error: counts.network_error });
    expect(Object.keys(kinds(snapshot)).every((kind) => kind === "reset")).toBe(true);
  });

  test("a big body that is read whole is sent on connections that are kept", async () => {
    const target = await startTarget();
    stops.push(() => target.close());
    const { counts } = await runJob(loadJob(loadTarget(target.port, "/ping", big), closed(6, null), { ...one, connections: 2 }));
    expectEnds(counts, { sent: 6, ok: 6 });
    expect(counts.reconnects).toBe(0);
    expect(target.counters().bytes_in).toBe(counts.bytes_out);
  });
});

describe("heads and bodies", () => {
  test.each<[string, string[], number]>([
    ["chunks in the worst pieces", ["HTTP/1.1 200 OK\r\nTransfer-", "Encoding: chunked\r\n\r\n4;x=", "y\r\npo", "ng\r", "\n0\r\nTrailer: 1\r\n", "\r", "\n"], 200],
    ["interim answers before the real one", ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early", " Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"], 201],
    ["a folded header, and bare LFs", ["HTTP/1.1 200 OK\nX: a\n b\nContent-Length: 1\n\n1"], 200],
    ["a head of 60 KiB", [`HTTP/1.1 200 OK\r\nX: ${"x".repeat(60_000)}\r\nContent-Length: 1\r\n\r\n1`], 200],
    ["a redirect, which is not followed", ["HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"], 302],
  ])("%s", async (_name, pieces, status) => {
    const { port, connections } = await answering((socket) => {
      let delay_ms = 0;
      for (const piece of pieces) setTimeout(() => socket.write(piece), (delay_ms += 2));
    });
    const { counts, statuses } = await runJob(loadJob(loadTarget(port), closed(4, null), one));
    expectEnds(counts, { sent: 4, ok: 4 });
    expect(statuses).toEqual({ [status]: 4 });
    expect(connections()).toBe(1);
  });

  test("a compressed answer counts as sent on the wire", async () => {
    const body = gzipSync("pong ".repeat(10_000));
    const head = `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`;
    const { port } = await answering((socket) => socket.write(Buffer.concat([Buffer.from(head), body])));
    const target = loadTarget(port, "/", { headers: { "Accept-Encoding": "gzip" } });
    const { counts } = await runJob(loadJob(target, closed(4, null), one));
    expectEnds(counts, { sent: 4, ok: 4 });
    expect(counts.bytes_in).toBe(4 * (head.length + body.length));
  });

  test.each<[string, string]>([
    ["a chunk one byte short", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\npong\r\n0\r\n\r\n"],
    ["a chunk one byte long", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\npong\r\n0\r\n\r\n"],
    ["two answers at once", PONG + PONG],
    ["lengths that disagree", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\npong"],
    ["an upgrade", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"],
    ["TLS instead of HTTP", "\x15\x03\x01\x00\x02\x02\x46"],
    ["a body for HEAD", "HEAD"],
  ])("%s is a protocol error", async (_name, text) => {
    const { port } = await answering((socket) => socket.write(text === "HEAD" ? PONG : text, "latin1", () => setTimeout(() => socket.end(), 20)));
    const target = loadTarget(port, "/", { method: text === "HEAD" ? "HEAD" : "GET" });
    const snapshot = await runJob(loadJob(target, closed(3, null), one));
    expectEnds(snapshot.counts, { sent: 3, network_error: 3 });
    expect(Object.keys(kinds(snapshot))).toEqual([text.startsWith("\x15") ? "closed_early" : "protocol"]);
  });

  test("leftovers that come later, on an idle connection, cost the connection and no request", async () => {
    const { port } = await answering((socket) => {
      socket.write(PONG);
      setTimeout(() => socket.write("\r\n"), 10);
    });
    const { counts } = await runJob(loadJob(loadTarget(port), delay(200, 5), one));
    expectEnds(counts, { sent: 5, ok: 5 });
    expect(counts.reconnects).toBeGreaterThanOrEqual(4);
  });
});
