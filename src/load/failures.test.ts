import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { FailureKind, Snapshot } from "../metrics/snapshot.ts";
import { startTarget, type Target } from "../target/target.ts";
import { createLoadEngine, type LoadTarget } from "./engine.ts";
import { TEST_CERTIFICATE } from "./testing/certificate.ts";
import { closed, delay, expectEnds, loadJob, loadTarget, rate, runJob } from "./testing/run.ts";

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

async function faultyTarget(options: Parameters<typeof startTarget>[0] = {}): Promise<Target> {
  const target = await startTarget({ faulty: true, ...options });
  stops.push(() => target.close());
  return target;
}

/** A server that does with each connection whatever it is told to. */
async function rawServer(onConnection: (socket: Socket) => void): Promise<{ port: number; server: Server }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port, server };
}

const PONG = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong";

function kinds({ errors }: Snapshot): Record<string, number> {
  const counted: Record<string, number> = {};
  for (const { kind, count } of errors) counted[kind] = (counted[kind] ?? 0) + count;
  return counted;
}

describe("answers", () => {
  test.each([
    ["/chunked", "GET", 200],
    ["/chunked", "HEAD", 200],
    ["/ping", "HEAD", 200],
    ["/204", "GET", 204],
    ["/1xx", "GET", 200],
    ["/status/304", "GET", 304],
    ["/bytes/1000000", "GET", 200],
    ["/status/500", "GET", 500],
    ["/nothing", "GET", 404],
  ])("%s %s -> %i, on connections that are kept", async (path, method, status) => {
    const target = await faultyTarget();
    const snapshot = await runJob(loadJob(loadTarget(target.port, path, { method }), closed(12, null)));
    expectEnds(snapshot.counts, { sent: 12, [status < 400 ? "ok" : "http_error"]: 12 });
    expect(snapshot.statuses).toEqual({ [status]: 12 });
    expect(snapshot.counts.reconnects).toBe(0);
    expect(target.counters()).toMatchObject({ requests_received: 12, connections_opened: 4 });
    expect(target.counters().bytes_in).toBe(snapshot.counts.bytes_out);
    expect(target.counters().bytes_out).toBe(snapshot.counts.bytes_in);
  });

  test.each(["/last", "/until-close"])("%s: the target closes after each answer", async (path) => {
    const target = await faultyTarget();
    for (const schedule of [closed(20, null), rate(100, 200)]) {
      const { counts, connect } = await runJob(loadJob(loadTarget(target.port, path), schedule));
      expectEnds(counts, { sent: 20, ok: 20 });
      expect(counts.reconnects).toBeGreaterThanOrEqual(16);
      expect(connect.count).toBe(counts.reconnects + 4);
    }
  });

  test("a drip of single bytes is one answer", async () => {
    const target = await faultyTarget();
    const { counts } = await runJob(loadJob(loadTarget(target.port, "/drip?ms=5&bytes=10"), closed(4, null)));
    expectEnds(counts, { sent: 4, ok: 4 });
  });

  test("a POST carries its body and headers", async () => {
    let received = "";
    const { port } = await rawServer((socket) =>
      socket.on("data", (data) => {
        received += data.toString("latin1");
        if (received.endsWith("llo")) socket.write(PONG);
      }),
    );
    const headers = { "X-A": "b", host: "other" };
    const target = loadTarget(port, "/p?q=1", { method: "POST", body: "hällo", headers });
    await runJob(loadJob(target, closed(1, null), { connections: 1 }));
    expect(Buffer.from(received, "latin1").toString("utf8")).toMatch(
      /^POST \/p\?q=1 HTTP\/1\.1\r\nUser-Agent: onrush\/\S+ \(test test\)\r\nAccept: \*\/\*\r\nX-A: b\r\nhost: other\r\nContent-Length: 6\r\n\r\nhällo$/,
    );
  });
});

describe("failures have kinds", () => {
  test.each<[string, FailureKind | "timeout"]>([
    ["/hang", "timeout"],
    ["/reset", "reset"],
    ["/close", "closed_early"],
    ["/half", "closed_early"],
    ["/wrong-length", "closed_early"],
    ["/half-chunked", "closed_early"],
    ["/wrong-length?longer=5", "protocol"],
    ["/rubbish", "protocol"],
    ["/endless-headers", "too_large"],
    ["/drip?ms=200", "timeout"],
  ])("%s: %s", async (path, kind) => {
    const target = await faultyTarget();
    for (const schedule of [closed(6, null), delay(10, 6)]) {
      target.reset();
      const job = loadJob(loadTarget(target.port, path), schedule, { connections: 3, timeout_us: 300_000 });
      const snapshot = await runJob(job);
      expect(kinds(snapshot)).toEqual({ [kind]: 6 });
      expect(snapshot.errors).toHaveLength(1);
      expectEnds(snapshot.counts, { sent: 6, [kind === "timeout" ? "timeout" : "network_error"]: 6 });
      expect(target.counters().requests_received).toBe(6);
    }
  });

  test("closed or reset before the answer on a connection that had served requests", async () => {
    for (const end of ["destroy", "resetAndDestroy"] as const) {
      const { port } = await rawServer((socket) => {
        let requests = 0;
        socket.on("data", () => (++requests === 1 ? socket.write(PONG) : socket[end]()));
      });
      const snapshot = await runJob(loadJob(loadTarget(port), closed(10, null), { connections: 1 }));
      expect(kinds(snapshot)).toEqual({ reset_on_reuse: 5 });
      expectEnds(snapshot.counts, { sent: 10, ok: 5, network_error: 5 });
    }
  });

  test("idle connections that the target closes are reopened, and no request fails", async () => {
    let connections = 0;
    const { port } = await rawServer((socket) => {
      connections++;
      socket.on("data", () => {
        socket.write(PONG);
        setTimeout(() => socket.end(), 5);
      });
    });
    const { counts } = await runJob(loadJob(loadTarget(port), delay(40, 10), { connections: 1 }));
    expectEnds(counts, { sent: 10, ok: 10 });
    expect(counts.reconnects).toBe(connections - 1);
    expect(connections).toBeGreaterThanOrEqual(10);
  });

  test("a target that closes whatever it has accepted is not stormed while idle", async () => {
    let connections = 0;
    const { port } = await rawServer((socket) => {
      connections++;
      socket.end();
    });
    const { counts } = await runJob(loadJob(loadTarget(port), delay(300, 2), { connections: 2 }));
    expect(counts.network_error).toBe(2);
    expect(connections).toBeLessThan(12);
  });

  test("a target that goes away in the middle", async () => {
    const target = await faultyTarget();
    const snapshot = await runJob(loadJob(loadTarget(target.port), rate(100, 1000), { connections: 16 }), async () => {
      await expect.poll(() => target.counters().requests_received, { timeout: 10_000 }).toBeGreaterThan(20);
      await target.close();
    });
    expect(snapshot.counts.scheduled).toBe(100);
    expect(snapshot.counts.ok).toBeGreaterThan(20);
    expect(kinds(snapshot).connect_refused).toBeGreaterThan(10);
    expect(snapshot.counts.dropped).toBe(0);
  });
});

describe("prepare", () => {
  test("says when nobody listens", async () => {
    const target = await faultyTarget();
    await target.close();
    const engine = createLoadEngine(loadJob(loadTarget(target.port), closed(1, null), { connections: 600 }));
    expect(await engine.prepare()).toEqual({ ok: false, kind: "connect_refused", message: "connection refused" });
    await engine.close();
    await engine.finished;
  });

  test("is satisfied with a target that serves one connection at a time", async () => {
    const { port, server } = await rawServer((socket) => socket.on("data", () => socket.write(PONG)));
    server.maxConnections = 1;
    const { counts } = await runJob(loadJob(loadTarget(port), delay(10, 20), { connections: 8 }));
    expect(counts.sent).toBe(20);
    expect(counts.ok).toBeGreaterThan(0);
  });

  test("ends when the engine is closed", async () => {
    const { port } = await rawServer(() => {});
    const target = loadTarget(port, "/", { protocol: "https:" });
    const engine = createLoadEngine(loadJob(target, closed(1, null)));
    const prepared = engine.prepare();
    await engine.close();
    expect(await prepared).toMatchObject({ ok: false, kind: "connect_timeout" });
  });

  test("opens every connection and sends nothing", async () => {
    const target = await faultyTarget();
    const engine = createLoadEngine(loadJob(loadTarget(target.port), closed(1, null), { connections: 300 }));
    expect(await engine.prepare()).toEqual({ ok: true, connected: 300 });
    expect((await engine.snapshot()).connect.count).toBe(300);
    await expect.poll(() => target.counters().connections_opened, { timeout: 10_000 }).toBe(300);
    await engine.close();
    expect(target.counters().requests_received).toBe(0);
  });
});

describe("TLS", () => {
  const secure = (port: number, change: Partial<LoadTarget> = {}): LoadTarget =>
    loadTarget(port, "/ping", { protocol: "https:", hostname: "localhost", ...change });

  test("a self-signed certificate is refused", async () => {
    const target = await faultyTarget({ tls: TEST_CERTIFICATE });
    const engine = createLoadEngine(loadJob(secure(target.port), closed(5, null)));
    expect(await engine.prepare()).toEqual({
      ok: false,
      kind: "tls",
      message: "self-signed certificate: use --ca FILE or --insecure (DEPTH_ZERO_SELF_SIGNED_CERT)",
    });
    await engine.close();
  });

  test.each(["localhost", "127.0.0.1"])("--insecure accepts it (%s)", async (hostname) => {
    const target = await faultyTarget({ tls: TEST_CERTIFICATE });
    const { counts } = await runJob(loadJob(secure(target.port, { hostname, insecure: true }), closed(200, null)));
    expectEnds(counts, { sent: 200, ok: 200 });
    expect(target.counters()).toMatchObject({ requests_received: 200, connections_opened: 4 });
  });

  test("long answers over TLS", async () => {
    const target = await faultyTarget({ tls: TEST_CERTIFICATE });
    const job = loadJob(secure(target.port, { insecure: true, path: "/bytes/300000" }), closed(10, null));
    const { counts } = await runJob(job);
    expectEnds(counts, { sent: 10, ok: 10 });
  });

  test("a handshake that never ends", async () => {
    let silent = false;
    const { port: secure_port } = await faultyTarget({ tls: TEST_CERTIFICATE });
    const { port } = await rawServer((socket) => {
      if (silent) return;
      const onward = connect(secure_port, "127.0.0.1");
      socket.pipe(onward).pipe(socket);
      onward.on("error", () => {});
      setTimeout(() => {
        silent = true;
        socket.destroy();
        onward.destroy();
      }, 100);
    });
    const job = loadJob(secure(port, { insecure: true, path: "/last" }), closed(null, 60_000), {
      connections: 1,
      timeout_us: 200_000,
    });
    const snapshot = await runJob(job, async (engine) => {
      const timeouts = async () => kinds(await engine.snapshot()).connect_timeout ?? 0;
      await expect.poll(timeouts, { timeout: 10_000 }).toBeGreaterThanOrEqual(2);
      engine.stop(0);
    });
    expect(snapshot.counts.timeout).toBe(0);
  });

  test("no TLS on the other side", async () => {
    const target = await faultyTarget();
    const engine = createLoadEngine(loadJob(secure(target.port), closed(5, null)));
    expect(await engine.prepare()).toMatchObject({ ok: false, kind: "tls" });
    await engine.close();
  });
});
