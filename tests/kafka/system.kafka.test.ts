// The whole system as it is deployed: an orchestrator and drivers, each its own process, over a real broker.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Report } from "../../src/run/report-schema.ts";
import { startTarget, type Target } from "../../src/target/target.ts";
import { onrush, type OnrushProcess } from "../onrush-process.ts";
import { describeKafka, sharedBrokers, uniquePrefix } from "./broker.ts";

describeKafka("a system of processes over Kafka", () => {
  const drivers = new Map<string, OnrushProcess>();
  let orchestrator: OnrushProcess;
  let target: Target;
  let data: string;
  let url: string;
  let common: string[];

  const startDriver = (id: string) => {
    const driver = onrush(["driver", ...common, "--id", id, "--data", join(data, id)]);
    drivers.set(id, driver);
    return driver.says(/started/);
  };

  beforeAll(async () => {
    target = await startTarget({ host: "127.0.0.1", port: 0, record_arrivals: true });
    data = await mkdtemp(join(tmpdir(), "onrush-system-"));
    common = ["--kafka", await sharedBrokers(), "--topic-prefix", uniquePrefix()];
    orchestrator = onrush(["orchestrator", ...common, "--listen", "127.0.0.1:0", "--data", join(data, "orchestrator")]);
    await orchestrator.says(/listening: http/);
    url = /listening: (http:\S+)/.exec(orchestrator.stdout())![1]!;
    await Promise.all(Array.from({ length: 8 }, (_, i) => startDriver(`d${i}`)));
    await alive(8);
  }, 120_000);

  afterAll(async () => {
    await Promise.all([...drivers.values(), orchestrator].map((node) => stop(node, "SIGKILL")));
    await target?.close();
    if (data) await rm(data, { recursive: true, force: true });
  });

  async function stop(node: OnrushProcess | undefined, signal: NodeJS.Signals): Promise<number | undefined> {
    node?.child.kill(signal);
    return node?.ended;
  }

  async function get<T>(path: string): Promise<T> {
    return (await (await fetch(url + path)).json()) as T;
  }

  async function post<T>(path: string, body?: object): Promise<{ status: number; body: T }> {
    const init = body && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const response = await fetch(url + path, { method: "POST", ...init });
    return { status: response.status, body: (await response.json()) as T };
  }

  async function until(condition: () => Promise<boolean>): Promise<void> {
    while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
  }

  async function alive(count: number): Promise<void> {
    await until(async () => {
      const { nodes } = await get<{ nodes: { state: string }[] }>("/nodes");
      return nodes.filter(({ state }) => state === "idle").length === count;
    });
  }

  async function runTest(plan: object): Promise<Report> {
    const created = await post<{ test_id: string }>("/tests", plan);
    expect(created.status, JSON.stringify(created.body)).toBe(201);
    const { test_id } = created.body;
    const triggered = await post<{ start_at: number }>(`/tests/${test_id}/trigger`);
    expect(triggered.status, JSON.stringify(triggered.body)).toBe(200);
    await until(async () => (await fetch(`${url}/tests/${test_id}/report`)).status === 200);
    return get<Report>(`/tests/${test_id}/report`);
  }

  /** Exact at the target since its last reset, in totals, in the histogram and in the sum of the nodes. */
  function expectExact(report: Report, count: number, nodes: number): void {
    expect(report.bugs).toEqual([]);
    expect(report.complete, JSON.stringify(report.incomplete_reasons)).toBe(true);
    expect(target.counters().requests_received).toBe(count);
    expect(report.totals).toMatchObject({ planned: count, sent: count, ok: count, dropped: 0, unknown: 0 });
    expect(report.latency.response.count).toBe(count);
    expect(report.nodes).toHaveLength(nodes);
    expect(report.nodes.reduce((sum, node) => sum + node.totals.ok, 0)).toBe(count);
    expect(report.start_spread_ms).not.toBeNull();
    process.stdout.write(
      `${report.plan.type}: ${nodes} drivers, ${count} requests, start spread ${report.start_spread_ms} ms, p99 ${report.latency.response.percentiles_ms["99"]} ms\n`,
    );
  }

  beforeEach(() => target.reset());

  test("8 drivers x 500 requests, as fast as the target answers: exact", async () => {
    const report = await runTest({ target: { url: `${target.url}/ping` }, type: "avalanche", requests: 500, connections: 8 });
    expectExact(report, 4_000, 8);
  }, 60_000);

  test("8 drivers x 500 requests, one each 5 ms: exact, stored and exported per node", async () => {
    const report = await runTest({ target: { url: `${target.url}/ping` }, type: "tsunami", delay_ms: 5, requests: 500, connections: 8 });
    expectExact(report, 4_000, 8);
    const folder = join(data, "orchestrator", "reports", report.test_id);
    const final = JSON.parse(await readFile(join(folder, "final.json"), "utf8")) as Report;
    expect(final.totals).toEqual(report.totals);
    const node = JSON.parse(await readFile(join(folder, "d3.json"), "utf8")) as { totals: object };
    expect(node.totals).toMatchObject({ planned: 500, ok: 500 });
  }, 60_000);

  test("3 drivers leave, and the next test runs with 5", async () => {
    const codes = await Promise.all(["d1", "d4", "d6"].map((id) => stop(drivers.get(id), "SIGTERM")));
    expect(codes).toEqual([0, 0, 0]);
    await alive(5);
    const report = await runTest({ target: { url: `${target.url}/ping` }, rate_rps: 100, duration_s: 2, connections: 4 });
    expectExact(report, 1_000, 5);
    expect(report.nodes.map((node) => node.node_id)).toEqual(["d0", "d2", "d3", "d5", "d7"]);
  }, 60_000);

  test("a driver that dies in the middle: the others take over its slots, and the rest is an honest unknown", async () => {
    const killed = until(async () => target.counters().requests_received > 300).then(() => stop(drivers.get("d2"), "SIGKILL"));
    const report = await runTest({ target: { url: `${target.url}/ping` }, rate_rps: 100, duration_s: 6, connections: 4 });
    await killed;
    expect(report.bugs).toEqual([]);
    expect(report.complete).toBe(false);
    expect(report.incomplete_reasons).toMatchObject([{ node_id: "d2" }]);
    const { totals } = report;
    const received = target.counters().requests_received;
    expect(totals.planned).toBe(3_000);
    expect(totals.unknown).toBeGreaterThan(0);
    expect(totals.completed).toBeLessThanOrEqual(received);
    expect(received).toBeLessThanOrEqual(totals.sent + (totals.overlap_max ?? Infinity));
    expect(totals.ok + totals.unknown + (report.nodes.find((node) => node.node_id === "d2")?.totals.never_sent ?? 0)).toBe(3_000);
    for (const node of report.nodes.filter((node) => node.node_id !== "d2")) expect(node.totals.ok).toBeGreaterThan(600);
  }, 60_000);
});
