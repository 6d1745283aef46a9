import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { startTarget, type Target } from "../target/target.ts";
import { createLoadEngine, type LoadTarget } from "./engine.ts";
import { createCrew, createLoadPool } from "./pool.ts";
import { AUTHORITY, CLIENT, SERVER } from "./testing/authority.ts";
import { TEST_CERTIFICATE } from "./testing/certificate.ts";
import { closed, expectEnds, loadJob, loadTarget, runJob } from "./testing/run.ts";

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function secureTarget(tls: { cert: string; key: string; ca?: string }): Promise<Target> {
  const target = await startTarget({ tls, faulty: true });
  stops.push(() => target.close());
  return target;
}

const at = ({ port }: Target, change: Partial<LoadTarget> = {}): LoadTarget =>
  loadTarget(port, "/ping", { protocol: "https:", hostname: "localhost", ...change });

async function refusal(target: LoadTarget): Promise<string> {
  const engine = createLoadEngine(loadJob(target, closed(4, null)));
  const prepared = await engine.prepare();
  await engine.close();
  return prepared.ok ? "none" : `${prepared.kind}: ${prepared.message}`;
}

describe("whom to trust", () => {
  test.each(["localhost", "some.test", "127.0.0.1"])("an authority of one's own (%s)", async (hostname) => {
    const target = await secureTarget(SERVER);
    const { counts, tls, connect } = await runJob(loadJob(at(target, { hostname, tls: { ca: AUTHORITY } }), closed(40, null)));
    expectEnds(counts, { sent: 40, ok: 40 });
    expect(tls).toMatchObject({ protocol: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384", handshakes: 4, resumed: 0 });
    expect(tls?.duration.count).toBe(4);
    // TLS is a part of connect.
    expect(tls?.duration.sum_us).toBeLessThan(connect.sum_us);
  });

  test("a self-signed certificate vouches for itself", async () => {
    const target = await secureTarget(TEST_CERTIFICATE);
    const { counts } = await runJob(loadJob(at(target, { tls: { ca: TEST_CERTIFICATE.cert } }), closed(8, null)));
    expectEnds(counts, { sent: 8, ok: 8 });
  });

  test("what to do is said", async () => {
    const target = await secureTarget(SERVER);
    expect(await refusal(at(target))).toMatch(/^tls: certificate of an unknown issuer: use --ca FILE or --insecure/);
    expect(await refusal(at(target, { hostname: "other.test", tls: { ca: AUTHORITY } }))).toBe("tls: certificate is not for this name");
    const plain = await startTarget();
    stops.push(() => plain.close());
    expect(await refusal(at(plain))).toMatch(/^tls: the target does not speak TLS on this port/);
  });

  test("certificates that cannot be used are refused, and not repeated", () => {
    const engineOf = (tls: LoadTarget["tls"]) => () => createLoadEngine(loadJob(loadTarget(1, "/", { protocol: "https:", tls }), closed(1, null)));
    const { cert } = CLIENT;
    expect(engineOf({ cert, key: SERVER.key })).toThrow("the key is not that of the certificate");
    const broken = "-----BEGIN CERTIFICATE-----\nsecret\n-----END CERTIFICATE-----";
    expect(engineOf({ cert: broken, key: CLIENT.key })).toThrow(/^the TLS certificates or the key cannot be used: (?!.*secret)/);
  });
});

describe("client certificates", () => {
  test("with one, it is let in", async () => {
    const target = await secureTarget({ ...SERVER, ca: AUTHORITY });
    const { counts } = await runJob(loadJob(at(target, { tls: { ca: AUTHORITY, ...CLIENT } }), closed(8, null)));
    expectEnds(counts, { sent: 8, ok: 8 });
  });

  test("without one, every request fails with what to do", async () => {
    const target = await secureTarget({ ...SERVER, ca: AUTHORITY });
    const { counts, errors } = await runJob(loadJob(at(target, { tls: { ca: AUTHORITY } }), closed(6, null)));
    expectEnds(counts, { sent: 6, network_error: 6 });
    expect(errors).toMatchObject([{ kind: "tls", message: expect.stringMatching(/^the target asks for a client certificate: use --cert FILE --key FILE/) }]);
  });
});

test.each([
  [undefined, 0],
  [true, 19],
])("sessions are taken up only when asked for (%s)", async (resume, resumed) => {
  const target = await secureTarget(SERVER);
  const job = loadJob(at(target, { path: "/last", tls: { ca: AUTHORITY, resume } }), closed(20, null), { connections: 1 });
  const { counts, tls } = await runJob(job);
  expectEnds(counts, { sent: 20, ok: 20 });
  expect(tls).toMatchObject({ handshakes: counts.reconnects + 1 });
  expect(tls?.resumed).toBeGreaterThanOrEqual(resumed);
  if (resumed === 0) expect(tls?.resumed).toBe(0);
});

test("answers that come before the stream layer knows that the request was sent cost no connection", async () => {
  const target = await secureTarget(SERVER);
  const crew = createCrew({ warm: false });
  stops.push(() => crew.close());
  // In a thread of its own: the target answers while requests are still being sent.
  const engine = createLoadPool(loadJob(at(target, { tls: { ca: AUTHORITY } }), closed(3000, null), { connections: 600 }), crew, 1);
  stops.push(() => engine.close());
  expect(await engine.prepare()).toEqual({ ok: true, connected: 600 });
  engine.start(performance.now());
  await engine.finished;
  const { counts, tls } = await engine.snapshot();
  expectEnds(counts, { sent: 3000, ok: 3000 });
  expect(counts.reconnects).toBe(0);
  expect(tls?.handshakes).toBe(600);
});

describe.skipIf(process.platform === "win32")("through a unix socket", () => {
  async function socketTo({ port }: Target): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "onrush-socket-"));
    const path = join(folder, "s");
    const server = createServer((socket) => {
      const onward = connect(port, "127.0.0.1");
      socket.pipe(onward).pipe(socket);
      socket.on("error", () => onward.destroy());
      onward.on("error", () => socket.destroy());
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    stops.push(async () => {
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    });
    return path;
  }

  test("plain and TLS", async () => {
    const plain = await startTarget();
    stops.push(() => plain.close());
    const socket_path = await socketTo(plain);
    const { counts } = await runJob(loadJob(loadTarget(plain.port, "/ping", { address: "", socket_path }), closed(40, null)));
    expectEnds(counts, { sent: 40, ok: 40 });
    expect(plain.counters().requests_received).toBe(40);
    const secure = await secureTarget(SERVER);
    const change = { address: "", socket_path: await socketTo(secure), hostname: "some.test", tls: { ca: AUTHORITY } };
    expectEnds((await runJob(loadJob(at(secure, change), closed(40, null)))).counts, { sent: 40, ok: 40 });
  });

  test("that nobody serves", async () => {
    const target = loadTarget(1, "/", { address: "", socket_path: join(tmpdir(), "onrush-none") });
    expect(await refusal(target)).toBe("connect_refused: there is no such socket");
  });
});
