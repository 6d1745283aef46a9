// What the target counted, against what `onrush run` says, with targets that behave and with targets that do not.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import type { Report } from "../src/run/report-schema.ts";
import { startTarget, type Target } from "../src/target/target.ts";
import { onrush, type OnrushProcess } from "./onrush-process.ts";

let folder = "";
let path = "";
let target: Target;
let running: OnrushProcess | null = null;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "onrush-accounting-"));
  path = join(folder, "r.json");
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

beforeEach(async () => {
  target = await startTarget({ record_arrivals: true });
});

afterEach(async () => {
  running?.child.kill("SIGKILL");
  await running?.ended;
  await target.close();
});

function start(...args: string[]): OnrushProcess {
  running = onrush(["run", `${target.url}/ping`, "--no-store", "--report", path, ...args]);
  return running;
}

async function end(process_: OnrushProcess): Promise<{ code: number; report: Report }> {
  const code = await process_.ended;
  expect(process_.stderr()).toBe("");
  const report = JSON.parse(await readFile(path, "utf8")) as Report;
  expect(report.bugs).toEqual([]);
  return { code, report };
}

function show(what: string, figures: object): void {
  process.stdout.write(`${what}: ${JSON.stringify(figures)}\n`);
}

const kinds = ({ errors }: Report) => {
  const counted: Record<string, number> = {};
  for (const { kind, count } of errors) counted[kind] = (counted[kind] ?? 0) + count;
  return counted;
};
const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0);

it("3 drivers x 200 rps x 10 s: 6,000 everywhere, and no response is shorter than its service", { timeout: 60_000 }, async () => {
  const { code, report } = await end(start("--drivers", "3", "--rate", "200", "--duration", "10s"));
  expect(code).toBe(0);
  const { totals, latency, nodes } = report;
  expect(target.counters().requests_received).toBe(6_000);
  expect(totals).toMatchObject({ planned: 6_000, scheduled: 6_000, sent: 6_000, ok: 6_000, completed: 6_000, dropped: 0, unknown: 0 });
  expect([latency.response.count, latency.service.count]).toEqual([6_000, 6_000]);
  expect(nodes.map((node) => node.totals.ok)).toEqual([2_000, 2_000, 2_000]);
  expect(report.timeline.reduce((all, row) => all + row.sent, 0)).toBe(6_000);
  const percentiles = Object.keys(latency.response.percentiles_ms) as (keyof typeof latency.response.percentiles_ms)[];
  expect(percentiles).toHaveLength(7);
  for (const p of percentiles) expect(latency.response.percentiles_ms[p]).toBeGreaterThanOrEqual(latency.service.percentiles_ms[p]!);
  expect(running!.stdout()).toContain(`3 drivers x 200 rps = 600 rps for 10 s against ${target.url}/ping`);
  show("3 x 200 rps x 10 s", {
    target: target.counters().requests_received,
    totals: totals.sent,
    histogram: latency.response.count,
    nodes: nodes.reduce((all, node) => all + node.totals.sent, 0),
    dropped: totals.dropped,
    response_ms: latency.response.percentiles_ms,
    service_ms: latency.service.percentiles_ms,
  });
});

it("a gap of 20 ms stays one when every answer takes 500 ms", { timeout: 60_000 }, async () => {
  target.setBehaviour({ delay_ms: 500 });
  const { code, report } = await end(start("--type", "tsunami", "--delay", "20", "--requests", "150"));
  expect(code).toBe(0);
  expect(report.totals).toMatchObject({ planned: 150, ok: 150, dropped: 0 });
  const arrivals = target.arrivals_ms();
  expect(arrivals).toHaveLength(150);
  const span_ms = arrivals.at(-1)! - arrivals[0]!;
  // 149 gaps are 2,980 ms; were a request held up by an answer, it would be at least 500 ms more.
  expect(Math.abs(span_ms - 2_980)).toBeLessThan(400);
  const gap_errors = arrivals.slice(1).map((at, i) => Math.abs(at - arrivals[i]! - 20)).sort((a, b) => a - b);
  show("TSUNAMI 20 ms, answers after 500 ms", {
    requests: arrivals.length,
    mean_gap_ms: Number((span_ms / 149).toFixed(3)),
    p99_gap_error_ms: Number(gap_errors[Math.ceil(0.99 * 149) - 1]!.toFixed(3)),
  });
});

it("a target that refuses from the middle on: what it took is ok, the rest has its kind", async () => {
  const process_ = start("--rate", "100", "--requests", "300", "--timeout", "5s");
  await expect.poll(() => target.counters().responses_sent, { timeout: 20_000, interval: 5 }).toBeGreaterThan(100);
  await target.close();
  const { code, report } = await end(process_);
  const { totals } = report;
  const received = target.counters().requests_received;
  expect(totals).toMatchObject({ planned: 300, sent: 300, http_error: 0, timeout: 0, aborted: 0, unknown: 0 });
  expect(totals.ok + totals.network_error).toBe(300);
  expect(totals.ok).toBeLessThanOrEqual(received);
  expect(totals.ok).toBeGreaterThan(100);
  expect(sum(kinds(report))).toBe(totals.network_error);
  expect(kinds(report)["connect_refused"]).toBeGreaterThan(0);
  expect(report.latency.failed.count).toBe(totals.network_error);
  expect(report.latency.response.censored).toContain("99");
  expect(code).toBe(0);
  show("refuses later", { exit: code, received, ok: totals.ok, network_error: totals.network_error, kinds: kinds(report) });
});

it("a target that never answers: every request times out, exit 1", async () => {
  target.setBehaviour({ fault: "/hang" });
  const { code, report } = await end(start("--rate", "50", "--requests", "20", "--timeout", "300ms"));
  expect(report.totals).toMatchObject({ planned: 20, sent: 20, timeout: 20, ok: 0, network_error: 0, unknown: 0 });
  expect(target.counters().requests_received).toBe(20);
  expect([code, kinds(report)]).toEqual([1, { timeout: 20 }]);
  expect(report.latency.response.percentiles_ms["50"]).toBeNull();
  show("hangs", { exit: code, received: 20, timeout: report.totals.timeout, median_ms: report.latency.response.median_ms });
});

it("a target that answers 500: every one is a http_error with its time, exit 1", async () => {
  target.setBehaviour({ error_rate: 1 });
  const { code, report } = await end(start("--rate", "100", "--requests", "50"));
  expect(report.totals).toMatchObject({ planned: 50, sent: 50, http_error: 50, ok: 0, network_error: 0, completed: 50 });
  expect([code, report.statuses, report.latency.response.count]).toEqual([1, { 500: 50 }, 50]);
  show("answers 500", { exit: code, received: target.counters().requests_received, http_error: report.totals.http_error, statuses: report.statuses });
});

it("a target that breaks connections: their kinds, exit 1", async () => {
  target.setBehaviour({ fault: "/reset" });
  const { code, report } = await end(start("--rate", "100", "--requests", "30", "--connections", "2"));
  expect(report.totals).toMatchObject({ planned: 30, ok: 0, http_error: 0 });
  expect(report.totals.network_error + report.totals.dropped).toBe(30);
  expect(sum(kinds(report))).toBe(report.totals.network_error);
  expect(Object.keys(kinds(report)).filter((kind) => !/^reset/.test(kind))).toEqual([]);
  expect(code).toBe(1);
  show("resets", { exit: code, received: target.counters().requests_received, kinds: kinds(report) });
});

it("a plan with five mistakes: five lines, exit 2, nothing sent", async () => {
  const plan = join(folder, "five.json");
  const mistakes = { target: { url: "htp://x", timeout_ms: -1 }, type: "tidal", rate_rps: "many", connections: 0 };
  await writeFile(plan, JSON.stringify(mistakes));
  running = onrush(["run", plan, "--no-store"]);
  expect(await running.ended).toBe(2);
  const lines = running.stderr().trimEnd().split("\n");
  expect(lines).toHaveLength(5);
  for (const line of lines) expect(line).toMatch(/^onrush: \S+: expected .+, got .+/);
  expect(running.stdout()).toBe("");
});
