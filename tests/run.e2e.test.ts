import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Report } from "../src/run/report-schema.ts";
import { startTarget, type Target } from "../src/target/target.ts";
import { BIN, onrush, type OnrushProcess } from "./onrush-process.ts";

let folder = "";
let target: Target;
const started: OnrushProcess[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "onrush-e2e-"));
  target = await startTarget();
});

afterAll(async () => {
  await target.close();
  await rm(folder, { recursive: true });
});

afterEach(async () => {
  target.setBehaviour({ delay_ms: 0, error_rate: 0 });
  target.reset();
  for (const { child, ended } of started.splice(0)) {
    if (child.exitCode === null) child.kill("SIGKILL");
    await ended;
  }
});

function start(args: readonly string[], env: Record<string, string> = {}): OnrushProcess {
  const process_ = onrush(args, env);
  started.push(process_);
  return process_;
}

const ping = () => `${target.url}/ping`;
const run = (...args: string[]) => start(["run", ping(), "--no-store", ...args]);
const readReport = async (path: string) => JSON.parse(await readFile(path, "utf8")) as Report;
const errorLines = (process_: OnrushProcess) => process_.stderr().trimEnd().split("\n");

/** A port where nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe("onrush run", () => {
  it("counts what the target counts: totals, histogram, nodes and summary agree", async () => {
    const path = join(folder, "r.json");
    const process_ = run("--drivers", "2", "--rate", "200", "--requests", "150", "--connections", "4", "--report", path);
    expect(await process_.ended, process_.stderr()).toBe(0);
    const [first] = process_.stdout().split("\n");
    expect(first).toBe(`2 drivers x 200 rps = 400 rps for 300 requests against ${ping()}`);
    const report = await readReport(path);
    expect(target.counters().requests_received).toBe(300);
    expect(report.totals).toMatchObject({ planned: 300, sent: 300, ok: 300, dropped: 0, unknown: 0 });
    expect(report.latency.response.count).toBe(300);
    expect(report.nodes.map(({ totals }) => totals.sent)).toEqual([150, 150]);
    expect([report.complete, report.bugs]).toEqual([true, []]);
    expect(process_.stdout()).toMatch(/COMPLETED {2}test t-/);
    expect(process_.stdout()).toMatch(/sent +300 /);
    expect(process_.stderr()).toBe("");
  });

  it("runs a TypeScript plan; flags and variables override it", async () => {
    const plan = join(folder, "plan.ts");
    const path = join(folder, "plan-report.json");
    await writeFile(join(folder, "package.json"), "{}");
    await writeFile(plan, `export const plan: object = { name: "mine", target: { url: "${ping()}" }, rate_rps: 1, requests: 5, connections: 3 };`);
    const process_ = start(["run", plan, "--no-store", "--requests", "20", "--report", path], { ONRUSH_RATE: "100", ONRUSH_QUIET: "0" });
    expect([await process_.ended, process_.stderr()]).toEqual([0, ""]);
    const { plan: used, totals } = await readReport(path);
    expect(used).toMatchObject({ name: "mine", rate_rps: 100, requests: 20, connections: 3 });
    expect(totals.ok).toBe(20);
  });

  it("keeps its report in the data folder, and goes on without one that cannot be written", async () => {
    const data = join(folder, "data");
    const kept = start(["run", ping(), "--requests", "5", "--connections", "1", "--data", data]);
    expect(await kept.ended, kept.stderr()).toBe(0);
    expect(kept.stdout()).toContain(data);
    expect(existsSync(join(data, "onrush.db"))).toBe(true);
    const test_id = /test (t-\S+)/.exec(kept.stdout())![1]!;
    const listed = start(["tests", "--data", data]);
    expect([await listed.ended, listed.stderr()]).toEqual([0, ""]);
    expect(listed.stdout()).toContain(test_id);
    const report = start(["report", test_id, "--data", data]);
    expect([await report.ended, report.stderr()]).toEqual([0, ""]);
    expect(report.stdout()).toContain(`COMPLETED  test ${test_id}`);
    const unknown = start(["report", "nope", "--data", data]);
    expect([await unknown.ended, errorLines(unknown)]).toEqual([2, [`onrush: there is no test nope in ${data}`]]);
    const nowhere = start(["tests", "--data", join(folder, "none")]);
    expect([await nowhere.ended, existsSync(join(folder, "none"))]).toEqual([4, false]);
    const without = start(["run", ping(), "--requests", "5", "--connections", "1", "--data", "/dev/null/x"]);
    expect(await without.ended).toBe(0);
    expect(without.stderr()).toContain("warning: nothing is stored: /dev/null/x cannot be written");
  });

  it("exits 4 when the target refuses from the start", async () => {
    const process_ = start(["run", `http://127.0.0.1:${await closedPort()}/ping`, "--no-store"]);
    expect(await process_.ended).toBe(4);
    expect(errorLines(process_)).toHaveLength(1);
    expect(process_.stderr()).toMatch(/^onrush: target_unreachable: .*connect_refused/);
  });

  it("exits 1 when nothing was ok", async () => {
    target.setBehaviour({ error_rate: 1 });
    const process_ = run("--requests", "20", "--connections", "2");
    expect(await process_.ended).toBe(1);
    expect(process_.stdout()).toContain("not a single request was answered with success");
    expect(process_.stdout()).toContain("500 x 20");
  });

  it("exits 1 when a threshold fails, and says by how much", async () => {
    target.setBehaviour({ error_rate: 0.5 });
    const process_ = run("--requests", "40", "--connections", "2", "--threshold", "error_rate < 1%", "--threshold", "ok >= 1");
    expect(await process_.ended).toBe(1);
    expect(process_.stdout()).toMatch(/^FAIL/m);
    expect(process_.stdout()).toMatch(/fail +error_rate < 1% +actual 50 %/);
    expect(process_.stdout()).toMatch(/(pass|inconclusive) +ok >= 1 +actual 20/);
  });

  it("tells five mistakes in five lines, and exits 2", async () => {
    const process_ = run("--rate", "fast", "--duration", "10x", "--connections", "0", "-H", "nope", "--threshold", "p99 under 5");
    expect(await process_.ended).toBe(2);
    expect(errorLines(process_)).toHaveLength(5);
    expect(process_.stderr()).toMatch(/^(onrush: .+ expected .+\n){5}$/);
    expect(target.counters().requests_received).toBe(0);
  });

  it.each([
    [["run", "http://x", "--drivrs", "2"], /unknown option '--drivrs'.*--drivers/],
    [["rum", "http://x"], /unknown command 'rum'.*run/],
    [["run"], /expected a URL or a plan/],
    [["run", "localhost:80"], /did you mean http:\/\/localhost:80\?/],
    [["run", "http://x", "--report", "r.html"], /does not write HTML/],
    [["run", "none.json"], /none.json: there is no such file/],
    [["orchestrator"], /--kafka: expected HOST:PORT/],
    [["driver", "--kafka", "x", "--allow", "!"], /--allow "!": expected a host/],
    [["driver", "--kafka", "x", "--label", "x"], /--label: expected key=value/],
    [["driver", "--kafka", "x", "--topic", "nope=x"], /--topic: expected one of register/],
    [["target", "--listen", "x"], /--listen: expected HOST:PORT/],
    [["trigger"], /missing required argument/],
  ])("%j is a usage error in one line", async (args, message) => {
    const process_ = start(args);
    expect(await process_.ended).toBe(2);
    expect(errorLines(process_)).toHaveLength(1);
    expect(process_.stderr()).toMatch(message);
    expect(process_.stdout()).toBe("");
  });

  it("the first SIGINT stops it: its report is printed and written, exit 130", async () => {
    const path = join(folder, "interrupted.json");
    const process_ = run("--rate", "100", "--duration", "60s", "--connections", "4", "--report", path);
    await process_.says(/^t=\d+s /m);
    process_.child.kill("SIGINT");
    expect(await process_.ended).toBe(130);
    const report = await readReport(path);
    expect(report.status).toBe("stopped");
    expect(report.totals.sent).toBe(target.counters().requests_received);
    expect(report.totals.planned).toBe(report.totals.scheduled + report.totals.never_sent);
    expect(process_.stdout()).toContain("never sent because: stopped");
  });

  it("a second signal ends it at once", async () => {
    target.setBehaviour({ delay_ms: 20_000 });
    const process_ = run("--duration", "60s", "--connections", "2");
    await process_.says(/against/);
    await expect.poll(() => target.counters().requests_received, { timeout: 10_000 }).toBeGreaterThan(0);
    process_.child.kill("SIGTERM");
    await process_.says(/SIGTERM: stopping/);
    process_.child.kill("SIGTERM");
    expect(await process_.ended).toBe(130);
    expect(process_.stdout()).not.toContain("latency");
    expect(errorLines(process_)).toEqual([expect.stringContaining("SIGTERM: stopping"), "ended at once: nothing of this run was kept"]);
  });

  it.skipIf(!existsSync("/dev/full"))("survives a full disk where its output goes, and says so", async () => {
    const path = join(folder, "full-disk.json");
    const command = `exec "$0" "$@" > /dev/full`;
    const args = ["run", ping(), "--rate", "50", "--duration", "1s", "--connections", "2", "--no-store", "--report", path];
    const child = spawn("sh", ["-c", command, process.execPath, BIN, ...args], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (data: Buffer) => (said += data.toString()));
    const code = await new Promise((resolve) => child.once("close", resolve));
    expect([code, said]).toEqual([3, "onrush: what is shown cannot be written (ENOSPC); going on without it\n"]);
    expect((await readReport(path)).totals.ok).toBe(50);
  });

  it("survives that nobody reads it any more", async () => {
    const process_ = run("--rate", "50", "--duration", "2s", "--connections", "2");
    await process_.says(/against/);
    process_.child.stdout!.destroy();
    expect(await process_.ended).toBe(0);
    expect(process_.stderr()).toBe("");
    expect(target.counters().requests_received).toBe(100);
  });
});

describe("help", () => {
  it.each([[["--help"]], [["run", "--help"]], [["driver", "--help"]], [["help", "target"]], [["--version"]]])("%j exits 0", async (args) => {
    const process_ = start(args);
    expect(await process_.ended).toBe(0);
    expect(process_.stdout()).toMatch(args[0] === "--version" ? /^\d+\.\d+\.\d+\n$/ : /^Usage: onrush/);
    expect(process_.stderr()).toBe("");
  });
});
