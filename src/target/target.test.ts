import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { makeErrorPicker, makeStallClock } from "./behaviour.ts";
import { TARGET_FLAGS, targetOptions } from "./options.ts";
import { startTarget, type Target, type TargetOptions } from "./target.ts";
import { TEST_CERTIFICATE } from "./testing/certificate.ts";
import { openWire, type Wire } from "./testing/wire.ts";

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function start(options: TargetOptions = {}): Promise<Target> {
  const target = await startTarget(options);
  opened.push(target);
  return target;
}
async function wire(target: Target): Promise<Wire> {
  const opening = await openWire(target.port);
  opened.push({ close: () => opening.socket.destroy() });
  return opening;
}
const get = (path: string, ...fields: string[]) => ["GET " + path + " HTTP/1.1", "Host: h", ...fields, "", ""].join("\r\n");
const pongs = (text: string) => text.split("\r\n\r\npong").length - 1;

describe("answers", () => {
  test("ping, anything else, and the counters", async () => {
    const target = await start();
    expect(target.url).toBe(`http://127.0.0.1:${target.port}`);
    const ping = await fetch(`${target.url}/ping?x=1`);
    expect([ping.status, ping.headers.get("content-type"), await ping.text()]).toEqual([200, "text/plain", "pong"]);
    expect((await fetch(`${target.url}/other`)).status).toBe(404);
    expect((await fetch(`${target.url}/hang`)).status).toBe(404);
    const head = await fetch(`${target.url}/ping`, { method: "HEAD" });
    expect([head.headers.get("content-length"), await head.text()]).toEqual(["4", ""]);
    const metrics = await fetch(`${target.url}/metrics`);
    expect(await metrics.json()).toMatchObject({
      requests_received: 4,
      responses_sent: 4,
      by_path: { "/ping": 2, "/other": 1, "/hang": 1 },
      by_status: { 200: 2, 404: 2 },
      bad_requests: 0,
    });
    expect(target.counters().requests_received).toBe(4);
    target.reset();
    expect(target.counters()).toMatchObject({ requests_received: 0, responses_sent: 0, by_path: {} });
  });

  test("pipelined requests in order, in one write or byte by byte", async () => {
    const target = await start();
    const line = await wire(target);
    line.send(get("/ping") + get("/nowhere") + get("/ping"));
    const text = await line.until((received) => pongs(received) === 2);
    expect(text.match(/HTTP\/1.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 404", "HTTP/1.1 200"]);
    for (const character of get("/ping")) line.send(character);
    await line.until((received) => pongs(received) === 3);
    expect(target.counters()).toMatchObject({ requests_received: 4, connections_opened: 1, connections_open: 1 });
  });

  test("thousands of pipelined requests", async () => {
    const target = await start({ faulty: true });
    const line = await wire(target);
    line.send((get("/ping") + get("/bytes/4")).repeat(5_000));
    await line.until((received) => pongs(received) === 5_000 && received.split("xxxx").length === 5_001);
    expect(target.counters().responses_sent).toBe(10_000);
  });

  test("bodies are read and discarded", async () => {
    const target = await start();
    const big = await fetch(`${target.url}/ping`, { method: "POST", body: "x".repeat(1_000_000) });
    expect(big.status).toBe(200);
    const line = await wire(target);
    line.send("POST /ping HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get("/ping"));
    await line.until((received) => pongs(received) === 2);
    expect(target.counters().bytes_in).toBeGreaterThan(1_000_000);
  });

  test("Expect: 100-continue", async () => {
    const line = await wire(await start());
    line.send("POST /ping HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    expect(await line.until((received) => received.includes("\r\n\r\n"))).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    line.send("abc");
    await line.until((received) => pongs(received) === 1);
  });

  test("Connection: close and HTTP/1.0 end the connection", async () => {
    const target = await start();
    const closed = await wire(target);
    closed.send(get("/ping", "Connection: close") + get("/ping"));
    expect(await closed.ended).toBe("end");
    expect(closed.received()).toContain("Connection: close");
    expect(pongs(closed.received())).toBe(1);
    const old = await wire(target);
    old.send("GET /ping HTTP/1.0\r\n\r\n");
    expect(await old.ended).toBe("end");
    const kept = await wire(target);
    kept.send("GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".repeat(2));
    expect(await kept.until((received) => pongs(received) === 2)).toContain("Connection: keep-alive");
  });

  test("a client that closes its half still gets its answers", async () => {
    const line = await wire(await start({ delay_ms: 5 }));
    line.socket.end(get("/ping"));
    expect(await line.ended).toBe("end");
    expect(pongs(line.received())).toBe(1);
  });

  test("rubbish gets 400 and the end", async () => {
    const target = await start();
    for (const rubbish of ["hello\r\n\r\n", "\x16\x03\x01", get("/ping") + "\x00"]) {
      const line = await wire(target);
      line.send(rubbish);
      expect(await line.ended).toBe("end");
      expect(line.received()).toContain("HTTP/1.1 400");
    }
    expect(target.counters()).toMatchObject({ bad_requests: 3, requests_received: 1, responses_sent: 1 });
  });

  test("over TLS", async () => {
    const target = await start({ tls: TEST_CERTIFICATE });
    expect(target.url).toMatch(/^https:/);
    const body = await new Promise<string>((resolve, reject) => {
      const request = httpsRequest(`${target.url}/ping`, { rejectUnauthorized: false, agent: false }, (response) => {
        let text = "";
        response.on("data", (piece: Buffer) => (text += piece.toString()));
        response.on("end", () => resolve(text));
      });
      request.on("error", reject).end();
    });
    expect(body).toBe("pong");
    expect(target.counters()).toMatchObject({ requests_received: 1, connections_opened: 1 });
    // A connection whose handshake never ends does not keep close() waiting.
    const silent = connect(target.port, "127.0.0.1").on("error", () => {});
    await new Promise((resolve) => silent.once("connect", resolve));
  });

  test("a port in use is an error", async () => {
    const target = await start();
    await expect(startTarget({ port: target.port })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});

describe("behaviour", () => {
  test("answers come after the delay and never before, arrivals are recorded", async () => {
    const target = await start({ delay_ms: 15.5, record_arrivals: true });
    const line = await wire(target);
    line.send(get("/ping").repeat(3));
    await line.until((received) => pongs(received) === 3);
    const arrivals = target.arrivals_ms();
    expect(arrivals).toHaveLength(3);
    expect(performance.now() - (arrivals[2] ?? 0)).toBeGreaterThanOrEqual(15.5);
    target.setBehaviour({ delay_ms: 0 });
    line.send(get("/ping"));
    await line.until((received) => pongs(received) === 4);
    target.reset();
    expect(target.arrivals_ms()).toEqual([]);
  });

  test("a stall holds every answer until its end, but not the counters", async () => {
    const target = await start({ stall: { after_requests: 2, for_ms: 40 }, record_arrivals: true });
    const line = await wire(target);
    line.send(get("/ping").repeat(2));
    await line.until((received) => pongs(received) === 2);
    line.send(get("/ping").repeat(3));
    const metrics = await fetch(`${target.url}/metrics`);
    expect(await metrics.json()).toHaveProperty("responses_sent");
    await line.until((received) => pongs(received) === 5);
    expect(performance.now() - (target.arrivals_ms()[2] ?? 0)).toBeGreaterThanOrEqual(40);
  });

  test("the stall's clock", () => {
    const clock = makeStallClock({ at_ms: 100, for_ms: 50 });
    expect(clock.endAt(1_000)).toBeNull();
    clock.arrived(1, 1_000);
    clock.arrived(2, 1_090);
    expect([1_099, 1_100, 1_149, 1_150].map((now_ms) => clock.endAt(now_ms))).toEqual([null, 1_150, 1_150, null]);
  });

  test("the error rate is exact", async () => {
    for (const rate of [0, 0.01, 1 / 3, 0.5, 1]) {
      const fails = makeErrorPicker(rate);
      let failed = 0;
      for (let i = 0; i < 3_000; i++) if (fails()) failed++;
      expect(failed).toBe(Math.floor((3_000 * Math.round(rate * 1e6)) / 1e6));
    }
    const target = await start({ error_rate: 0.25 });
    const line = await wire(target);
    line.send(get("/ping").repeat(8));
    await line.until((received) => pongs(received) === 6);
    expect(target.counters().by_status).toEqual({ 200: 6, 500: 2 });
  });

  test("a fault for every path", async () => {
    const target = await start({ fault: "/status/503" });
    expect((await fetch(`${target.url}/ping`)).status).toBe(503);
    target.setBehaviour({ fault: null });
    expect((await fetch(`${target.url}/ping`)).status).toBe(200);
  });
});

describe("faulty", () => {
  async function ended(path: string): Promise<{ how: string; text: string; target: Target }> {
    const target = await start({ faulty: true });
    const line = await wire(target);
    line.send(get(path));
    const how = await line.ended;
    expect(target.counters().requests_received).toBe(1);
    return { how, text: line.received(), target };
  }
  async function answered(path: string): Promise<string> {
    const target = await start({ faulty: true });
    const line = await wire(target);
    line.send(get(path) + get("/ping"));
    const text = await line.until((received) => received.endsWith("Content-Length: 4\r\n\r\npong"));
    await line.until(() => target.counters().responses_sent === 2);
    expect(target.counters().requests_received).toBe(2);
    return text;
  }

  test.each([
    ["/close", "end", ""],
    ["/reset", "ECONNRESET", ""],
    ["/half", "end", "Content-Length: 10\r\n\r\n01234"],
    ["/rubbish", "end", "not HTTP"],
    ["/wrong-length", "end", "Content-Length: 15\r\n\r\n0123456789"],
    ["/half-chunked", "end", "\r\n\r\na\r\n01234"],
    ["/until-close", "end", "Connection: close\r\n\r\n0123456789"],
    ["/then-close", "end", "Content-Length: 4\r\n\r\npong"],
    ["/last", "end", "Connection: close\r\n"],
  ])("%s ends with %s", async (path, how, part) => {
    const result = await ended(path);
    expect(result.how).toBe(how);
    expect(result.text).toContain(part);
    const whole = ["/until-close", "/then-close", "/last"].includes(path);
    expect(result.target.counters().responses_sent).toBe(whole ? 1 : 0);
  });

  test.each([
    ["/chunked", "0\r\nX-Trailer: 1\r\n\r\nHTTP/1.1 200"],
    ["/status/503", "HTTP/1.1 503 Service Unavailable"],
    ["/status/304", "HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200"],
    ["/status/99", "HTTP/1.1 404"],
    ["/bytes/200000", "x".repeat(200_000) + "HTTP"],
    ["/bytes/0", "Content-Length: 0\r\n\r\nHTTP"],
    ["/1xx", "HTTP/1.1 103 Early Hints"],
    ["/204", "HTTP/1.1 204 No Content\r\n\r\nHTTP"],
    ["/slow?ms=5", "pongHTTP"],
    ["/drip?ms=1&bytes=5", "Content-Length: 5\r\n\r\nxxxxxHTTP"],
    ["/wrong-length?longer=3", "0123456789yyyHTTP"],
  ])("%s is answered and the connection goes on", async (path, part) => {
    expect(await answered(path)).toContain(part);
  });

  test("/hang holds back what comes after it, and ends with its client", async () => {
    const target = await start({ faulty: true });
    const line = await wire(target);
    line.send(get("/ping") + get("/hang") + get("/ping"));
    await line.until((received) => pongs(received) === 1);
    const other = await wire(target);
    other.send(get("/ping"));
    await other.until((received) => pongs(received) === 1);
    expect(target.counters()).toMatchObject({ requests_received: 4, responses_sent: 2 });
    line.socket.end();
    await line.ended;
  });

  test("/endless-headers goes on", async () => {
    const target = await start({ faulty: true });
    const line = await wire(target);
    line.send(get("/endless-headers"));
    expect(await line.until((received) => received.length > 500_000)).not.toContain("\r\n\r\n");
  });
});

test("options of the command line", () => {
  expect(targetOptions({})).toEqual({ host: "127.0.0.1", port: 8088, delay_ms: 0, stall: null, error_rate: 0 });
  const options = targetOptions({ listen: "[::1]:80", delay: "0.5s", stall: "2s:500ms", "error-rate": "1%" });
  expect(options).toEqual({ host: "::1", port: 80, delay_ms: 500, stall: { at_ms: 2_000, for_ms: 500 }, error_rate: 0.01 });
  expect(targetOptions({ listen: "9000", delay: "20", stall: "1:0.5" })).toMatchObject({
    host: "127.0.0.1",
    port: 9000,
    delay_ms: 20,
    stall: { at_ms: 1_000, for_ms: 500 },
  });
  for (const { name } of TARGET_FLAGS) expect(() => targetOptions({ [name]: "x" })).toThrow(`--${name}: expected`);
  expect(() => targetOptions({ "error-rate": "1.1" })).toThrow("--error-rate");
  expect(() => targetOptions({ stall: "1:2:3" })).toThrow("--stall");
});
