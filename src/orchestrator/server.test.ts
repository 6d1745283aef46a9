import type { FastifyInstance, InjectOptions } from "fastify";
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { API_ERRORS } from "../api/errors.ts";
import { dashboardResponse, nodesResponse, pingResponse, reportResponse, testResponse, testsResponse } from "../api/responses.ts";
import { COMMAND_ERROR_CODES } from "../run/commands.ts";
import type { NumberedEvent } from "../run/events.ts";
import type { Orchestrator } from "./orchestrator.ts";
import { buildServer, startServer, type Server, type ServerOptions } from "./server.ts";
import { testSystem, type FakeDriver, type TestSystem } from "./testing/system.ts";

const PORT = 7070;
const HOST = `127.0.0.1:${PORT}`;
const PLAN = { target: { url: "http://127.0.0.1:9/ping", headers: { authorization: "Bearer hunter2" } }, rate_rps: 10, duration_s: 2 };

let system: TestSystem;
let orchestrator: Orchestrator;
let driver: FakeDriver;
let closing: (() => unknown)[] = [];

beforeEach(async () => {
  system = testSystem();
  [driver] = (await system.drivers("a")) as [FakeDriver];
  orchestrator = await system.orchestrate({ ready_timeout_ms: 1_000 });
});
afterEach(async () => {
  for (const close of closing.reverse()) await close();
  closing = [];
  await system.within(orchestrator.close());
  await system.close();
});

async function build(options: Partial<ServerOptions> = {}): Promise<FastifyInstance> {
  const { app, stopLive } = await buildServer({ orchestrator, store: null, host: "127.0.0.1", log: system.log, ...options }, () => PORT);
  closing.push(async () => {
    stopLive();
    await app.close();
  });
  return app;
}

async function ask(app: FastifyInstance, method: "GET" | "POST", url: string, payload?: unknown, headers: Record<string, string> = {}) {
  const body = payload === undefined ? {} : { payload: payload as InjectOptions["payload"] & object };
  const answer = await system.within(app.inject({ method, url, headers: { host: HOST, ...headers }, ...body }));
  return { status: answer.statusCode, body: answer.headers["content-type"]?.includes("json") ? answer.json() : answer.body, headers: answer.headers };
}

describe("checks, in their order", () => {
  const everythingWrong = { host: "evil.example", origin: "http://evil.example", authorization: "Bearer no", "content-type": "text/plain" };
  const without = (...names: string[]) => Object.fromEntries(Object.entries(everythingWrong).filter(([name]) => !names.includes(name)));

  test("Host, Origin, token, content type, body, leader", async () => {
    const app = await build({ token: "secret" });
    const young = await system.orchestrate({ node_id: "orchestrator-2", in_process: true });
    closing.push(() => system.within(young.close()));
    const token = { authorization: "Bearer secret" };
    const steps: [Record<string, string>, string, number, string][] = [
      [everythingWrong, "{", 421, "bad_host"],
      [without("host"), "{", 403, "bad_origin"],
      [without("host", "origin"), "{", 401, "unauthorized"],
      [{ ...without("host", "origin"), ...token }, "{", 415, "unsupported_media_type"],
      [{ ...token, "content-type": "application/json" }, "{", 400, "bad_json"],
      [{ ...token, "content-type": "application/json" }, JSON.stringify({ ...PLAN, bogus: 1 }), 400, "bad_plan"],
      [{ ...token, "content-type": "application/json" }, JSON.stringify(PLAN), 503, "not_leader"],
    ];
    for (const [headers, payload, status, code] of steps) {
      expect(await ask(app, "POST", "/tests", payload, headers)).toMatchObject({ status, body: { error: { code, details: expect.any(Object) } } });
    }
  });

  test.each([
    ["127.0.0.1:7070", 200],
    ["localhost:7070", 200],
    ["LOCALHOST:7070", 200],
    ["[::1]:7070", 200],
    ["localhost", 421],
    ["localhost:7071", 421],
    ["127.0.0.1:7070.evil.example", 421],
    ["evil.example:7070", 421],
    ["", 421],
  ])("Host %s: %i", async (host, status) => {
    expect((await ask(await build(), "GET", "/ping", undefined, { host })).status).toBe(status);
  });

  test("the own origin and allowed ones pass; only those allowed may read the answer", async () => {
    const app = await build({ allow_origins: ["https://pages.example"] });
    const from = (origin: string) => ask(app, "GET", "/ping", undefined, { origin });
    expect(await from(`http://${HOST}`)).toMatchObject({ status: 200 });
    expect((await from(`http://${HOST}`)).headers).not.toHaveProperty("access-control-allow-origin");
    expect(await from("https://pages.example")).toMatchObject({ status: 200, headers: { "access-control-allow-origin": "https://pages.example" } });
    expect(await from("null")).toMatchObject({ status: 403 });
    expect(await from("http://localhost:3000")).toMatchObject({ status: 403 });
    const preflight = await app.inject({ method: "OPTIONS", url: "/tests", headers: { host: HOST, origin: "https://pages.example", "access-control-request-method": "POST" } });
    expect(preflight).toMatchObject({ statusCode: 204, headers: { "access-control-allow-headers": "authorization, content-type" } });
  });

  test("a token is needed for everything, in its exact spelling", async () => {
    const app = await build({ token: "secret" });
    expect(await ask(app, "GET", "/nodes")).toMatchObject({ status: 401, headers: { "www-authenticate": "Bearer" } });
    expect((await ask(app, "GET", "/nodes", undefined, { authorization: "Bearer secreT" })).status).toBe(401);
    expect((await ask(app, "GET", "/nodes", undefined, { authorization: "bearer secret" })).status).toBe(200);
  });

  test("bodies: too large, of another type, none", async () => {
    const app = await build();
    expect(await ask(app, "POST", "/tests", { name: "x".repeat(1_100_000) })).toMatchObject({ status: 413, body: { error: { code: "too_large" } } });
    expect((await ask(app, "POST", "/tests", "a=1", { "content-type": "application/x-www-form-urlencoded" })).status).toBe(415);
    expect(await ask(app, "POST", "/tests")).toMatchObject({ status: 400, body: { error: { code: "bad_plan" } } });
    expect(await ask(app, "GET", "/nowhere")).toMatchObject({ status: 404, body: { error: { code: "not_found" } } });
  });

  test("every error of a command has its status", () => {
    for (const code of COMMAND_ERROR_CODES) expect(API_ERRORS).toHaveProperty(code);
  });
});

describe("a test over HTTP", () => {
  test("created, triggered, shown, reported; its secrets are masked", async () => {
    const app = await build();
    expect(await ask(app, "GET", "/nodes")).toMatchObject({ body: { nodes: [{ node_id: "a", state: "idle", foreign: false, epoch: 0, test_id: null }] } });
    const created = await ask(app, "POST", "/tests", PLAN);
    expect(created.status).toBe(201);
    const { test_id } = created.body;
    expect(await ask(app, "GET", `/tests/${test_id}/report`)).toMatchObject({ status: 404, body: { error: { code: "report_not_ready" } } });
    const triggered = await ask(app, "POST", `/tests/${test_id}/trigger`);
    expect(triggered).toMatchObject({ status: 200, body: { test_id, start_at: expect.any(Number) } });
    expect(await ask(app, "POST", `/tests/${test_id}/trigger`, {})).toMatchObject({ status: 200, body: triggered.body });
    expect(await ask(app, "POST", "/tests", PLAN)).toMatchObject({ status: 409, body: { error: { code: "busy", details: { test_id } } } });
    await system.clock.advance(2_000);
    await driver.report(test_id, 7);
    await system.clock.advance(200);
    expect(await ask(app, "GET", `/tests/${test_id}`)).toMatchObject({ body: { state: "running", totals: { ok: 7 }, nodes: [{ node_id: "a" }] } });
    expect(await ask(app, "GET", "/dashboard")).toMatchObject({ body: { nodes: [{ state: "running", test_id }], test: { test_id } } });
    await driver.report(test_id, 20, { final: true });
    await system.within(orchestrator.ended(test_id));
    const report = await ask(app, "GET", `/tests/${test_id}/report`);
    expect(report).toMatchObject({ status: 200, body: { schema: "onrush.report/1", totals: { ok: 20 }, plan: { target: { headers: { authorization: "***" } } } } });
    expect(await ask(app, "GET", `/tests/${test_id}`)).toMatchObject({ body: { state: "ended", status: "completed", complete: true } });
    expect(await ask(app, "GET", `/tests/${test_id}/nodes/a`)).toMatchObject({ status: 200, body: { state: "finished", totals: { ok: 20 } } });
    expect(await ask(app, "GET", `/tests/${test_id}/nodes/b`)).toMatchObject({ status: 404, body: { error: { code: "unknown_node" } } });
    expect(await ask(app, "GET", "/tests")).toMatchObject({ body: { tests: [{ test_id, state: "ended" }] } });
    expect(await ask(app, "POST", `/tests/${test_id}/trigger`)).toMatchObject({ status: 409, body: { error: { code: "test_ended" } } });
    expect(await ask(app, "POST", `/tests/${test_id}/stop`)).toMatchObject({ status: 200, body: { state: "ended" } });
    expect(await ask(app, "GET", "/tests/none")).toMatchObject({ status: 404, body: { error: { code: "unknown_test" } } });
    // What is documented is what is sent.
    expect(reportResponse.parse(report.body)).toEqual(report.body);
    const view = (await ask(app, "GET", `/tests/${test_id}`)).body;
    expect(testResponse.parse(view)).toEqual(view);
    for (const [url, schema] of [["/nodes", nodesResponse], ["/tests", testsResponse], ["/ping", pingResponse], ["/", dashboardResponse]] as const) {
      const { body } = await ask(app, "GET", url);
      expect(schema.parse(body)).toEqual(body);
    }
    expect(JSON.stringify(report.body)).not.toContain("hunter2");
  });

  test("all problems of a plan at once", async () => {
    const answer = await ask(await build(), "POST", "/tests", { target: { url: "ftp://x" }, rate_rps: "fast", bogus: 1 });
    expect(answer).toMatchObject({ status: 400, body: { error: { code: "bad_plan" } } });
    expect(answer.body.error.details.problems.map(({ option }: { option: string }) => option).sort()).toEqual(["bogus", "rate_rps", "target.url"]);
  });

  test("not ready: 409 with who is missing; stop before the start", async () => {
    driver.answer = "silence";
    const app = await build();
    const { test_id } = (await ask(app, "POST", "/tests", PLAN)).body;
    expect(await ask(app, "POST", `/tests/${test_id}/trigger`)).toMatchObject({ status: 409, body: { error: { code: "not_ready", details: { missing: [{ node_id: "a" }] } } } });
    expect(await ask(app, "POST", `/tests/${test_id}/stop`, { reason: "changed my mind" })).toMatchObject({ status: 200 });
    expect(await system.within(orchestrator.ended(test_id))).toMatchObject({ status: "stopped", totals: { sent: 0, never_sent: 20 } });
  });

  test("scripts of older systems: register, configure, trigger; numbers as text", async () => {
    const app = await build();
    expect(await ask(app, "POST", "/register", { node_id: "old-1", node_ip: "10.0.0.7" })).toMatchObject({ status: 201, body: { node_id: "old-1" } });
    expect(await ask(app, "POST", "/register", { node_id: "a", node_ip: "10.0.0.7" })).toMatchObject({ status: 409, body: { error: { code: "node_exists" } } });
    expect((await ask(app, "GET", "/nodes")).body.nodes).toMatchObject([{ node_id: "a" }, { node_id: "old-1", foreign: true, node_ip: "10.0.0.7" }]);
    await system.clock.advance(20_000);
    const common = { test_type: "tsunami", test_message_delay: "100", message_count_per_driver: "20", test_server: "127.0.0.1:9" };
    expect(await ask(app, "POST", "/configure", { ...common, test_id: 17, start: false })).toMatchObject({ status: 201, body: { test_id: "17" } });
    expect(await ask(app, "POST", "/trigger", { test_id: "17" })).toMatchObject({ status: 200, body: { test_id: "17", start_at: expect.any(Number) } });
    await driver.report("17", 20, { final: true });
    await system.within(orchestrator.ended("17"));
    expect(await ask(app, "POST", "/configure", { ...common, test_id: "18" })).toMatchObject({ status: 201, body: { test_id: "18", start_at: expect.any(Number) } });
    expect(await ask(app, "POST", "/configure", { test_id: "../x", test_type: "?" })).toMatchObject({ status: 400, body: { error: { code: "bad_request" } } });
    expect(await ask(app, "POST", "/tests", { test_type: "?", test_server: "" })).toMatchObject({ status: 400, body: { error: { code: "bad_plan" } } });
  });
});

test("figures for Prometheus", async () => {
  const app = await build();
  const { test_id } = (await ask(app, "POST", "/tests", PLAN)).body;
  await ask(app, "POST", `/tests/${test_id}/trigger`);
  await driver.report(test_id, 7);
  await system.bus.append("metrics", new TextEncoder().encode("rubbish"));
  await system.clock.advance(200);
  const { body, headers } = await ask(app, "GET", "/metrics");
  expect(headers["content-type"]).toContain("text/plain");
  for (const line of body.split("\n")) expect(line).toMatch(/^(#.*|[a-z_]+(\{[^}]*\})? [-0-9.e]+|)$/);
  expect(body).toContain(`onrush_requests_sent_total{test_id="${test_id}"} 7\n`);
  expect(body).toContain('onrush_records_rejected_total{reason="metrics: not JSON"} 1\n');
  expect(body).toContain('onrush_nodes{state="running"} 1\n');
  expect(body).toContain(`onrush_response_seconds_count{test_id="${test_id}"} 7\n`);
});

test("/docs is an OpenAPI 3.1 document that names every operation, its answers and errors", async () => {
  const { body: docs } = await ask(await build({ token: undefined }), "GET", "/docs");
  expect(docs.openapi).toBe("3.1.0");
  expect(Object.keys(docs.paths).sort()).toEqual([
    "/configure", "/dashboard", "/metrics", "/nodes", "/ping", "/register", "/tests", "/tests/{test_id}", "/tests/{test_id}/nodes/{node_id}",
    "/tests/{test_id}/report", "/tests/{test_id}/stop", "/tests/{test_id}/trigger", "/trigger",
  ]);
  const operations = Object.values(docs.paths).flatMap((path) => Object.values(path as Record<string, { operationId: string; responses: Record<string, { description: string }> }>));
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
  for (const { responses } of operations) {
    expect(Object.keys(responses).some((status) => status.startsWith("2"))).toBe(true);
    for (const { description } of Object.values(responses)) expect(description).not.toBe("");
  }
  const plan = docs.paths["/tests"].post.requestBody.content["application/json"].schema;
  expect(JSON.stringify(plan)).toContain("rate_rps");
  const text = JSON.stringify(docs);
  for (const [, name] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) expect(name!.split("/").reduce((at: Record<string, unknown> | undefined, key) => at?.[key] as typeof at, docs)).toBeDefined();
});

describe("listening", () => {
  async function listen(options: Partial<ServerOptions> = {}): Promise<Server> {
    const server = await startServer({ orchestrator, store: null, host: "127.0.0.1", port: 0, log: system.log, ...options });
    closing.push(() => server.close());
    return server;
  }

  test("on loopback; elsewhere only with a token; a port that is taken is said clearly", async () => {
    const { url, port } = await listen();
    expect(await (await fetch(`${url}/ping`)).json()).toEqual({ pong: true, node_id: "orchestrator-1", term: 1, leads: true });
    await expect(listen({ port })).rejects.toMatchObject({ code: "port_in_use", message: expect.stringContaining(String(port)) });
    await expect(listen({ host: "0.0.0.0" })).rejects.toMatchObject({ code: "token_required" });
    await expect(listen({ host: "0.0.0.0", token: "" })).rejects.toMatchObject({ code: "token_required" });
    await expect(listen({ host: "192.0.2.1", token: "t" })).rejects.toMatchObject({ code: "cannot_listen" });
    const open = await listen({ host: "0.0.0.0", token: "t" });
    expect((await fetch(`http://127.0.0.1:${open.port}/ping`, { headers: { authorization: "Bearer t" } })).status).toBe(200);
  });

  test("/ws: history first, then live, to as many as like", async () => {
    const { url, port } = await listen();
    const { test_id } = await system.within(orchestrator.createTest(system.plan()));
    const first = await client(`${url}/ws`);
    await system.within(orchestrator.trigger(test_id));
    await driver.report(test_id, 5);
    await system.clock.advance(1_500);
    const second = await client(`${url}/ws?test_id=${test_id}`);
    await driver.report(test_id, 20, { final: true });
    await system.within(orchestrator.ended(test_id));
    await system.clock.advance(200);
    await expect.poll(() => [first, second].map(({ frames }) => frames.at(-1)?.event.type)).toEqual(["ended", "ended"]);
    expect(first.frames.map(({ seq }) => seq)).toEqual(first.frames.map((_, i) => i + 1));
    expect(second.frames.map(({ event }) => event.type)).toEqual(expect.arrayContaining(["run", "progress", "ended"]));
    expect(second.frames.at(-1)).toEqual(first.frames.at(-1));
    expect(await refused(port, "http://evil.example")).toContain("403");
  });

  async function client(url: string): Promise<{ frames: NumberedEvent[] }> {
    const socket = new WebSocket(url.replace("http", "ws"));
    const frames: NumberedEvent[] = [];
    socket.on("message", (data: Buffer) => frames.push(JSON.parse(data.toString())));
    closing.push(() => socket.terminate());
    await once(socket, "open");
    await expect.poll(() => frames.length).toBeGreaterThan(0);
    return { frames };
  }

  async function refused(port: number, origin: string): Promise<string> {
    const socket = connect(port, "127.0.0.1");
    socket.end(
      `GET /ws HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nOrigin: ${origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    );
    const [data] = (await once(socket, "data")) as [Buffer];
    socket.destroy();
    return data.toString().split("\r\n")[0]!;
  }
});
