import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startLocal, type LocalSystem } from "../src/cli/local.ts";
import { startServer } from "../src/orchestrator/server.ts";
import type { Report } from "../src/run/report-schema.ts";
import { startTarget, type Target } from "../src/target/target.ts";
import { onrush, type OnrushProcess } from "./onrush-process.ts";

const silent = { info: () => {}, warn: () => {}, error: () => {} };
let folder = "";
let token_file = "";
let target: Target;
let system: LocalSystem;
let server: Awaited<ReturnType<typeof startServer>>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "onrush-system-"));
  token_file = join(folder, "token");
  await writeFile(token_file, "s3cret\n");
  target = await startTarget();
  system = await startLocal({ drivers: ["left", "right"], allow: [], store: null, stored_at: null, log: silent });
  server = await startServer({ orchestrator: system.orchestrator, store: null, host: "127.0.0.1", port: 0, token: "s3cret", log: silent });
});

afterAll(async () => {
  await server.close();
  await system.close();
  await target.close();
  await rm(folder, { recursive: true });
});

const onSystem = (...args: string[]) => onrush([...args, "--orchestrator", server.url, "--token-file", token_file]);

async function ok(process_: OnrushProcess): Promise<string> {
  expect(await process_.ended, process_.stdout() + process_.stderr()).toBe(0);
  return process_.stdout();
}

describe("against a running system", () => {
  it("a run is submitted, followed and told like one in this process", async () => {
    target.reset();
    const path = join(folder, "r.json");
    const out = await ok(onSystem("run", `${target.url}/ping`, "--rate", "100", "--requests", "150", "--connections", "2", "--report", path));
    expect(out.split("\n")[0]).toBe(`2 drivers x 100 rps = 200 rps for 300 requests against ${target.url}/ping`);
    expect(out).toMatch(/^t=[12]s sent=/m);
    expect(out).toMatch(/COMPLETED {2}test t-/);
    expect((JSON.parse(await readFile(path, "utf8")) as Report).totals.ok).toBe(300);
    expect(target.counters().requests_received).toBe(300);
  });

  it("an interrupted run is stopped there, and its report comes back", async () => {
    const process_ = onSystem("run", `${target.url}/ping`, "--rate", "50", "--duration", "60s", "--connections", "2");
    await process_.says(/^t=\d+s /m);
    process_.child.kill("SIGINT");
    expect(await process_.ended).toBe(130);
    expect(process_.stdout()).toContain("STOPPED  test t-");
  });

  it("plans are created, triggered, listed and reported one by one", async () => {
    const plan = join(folder, "plan.json");
    await writeFile(plan, JSON.stringify({ name: "small", target: { url: `${target.url}/ping` }, requests: 10, connections: 1 }));
    const test_id = /test (t-\S+) is created/.exec(await ok(onSystem("create", plan)))![1]!;
    expect(await ok(onSystem("trigger", test_id))).toContain(`test ${test_id} starts at`);
    await system.orchestrator.ended(test_id);
    expect(await ok(onSystem("report", test_id))).toContain(`COMPLETED  test ${test_id} "small"`);
    const { tests } = JSON.parse(await ok(onSystem("tests", "--json"))) as { tests: { test_id: string; state: string }[] };
    expect(tests.find((test) => test.test_id === test_id)?.state).toBe("ended");
    expect(await ok(onSystem("nodes"))).toMatch(/^driver +state .*\nleft +idle .*\nright +idle /);
    expect(await ok(onSystem("stop", test_id))).toContain("is stopping");
  });

  it.each([
    [["report", "nope"], 2, /there is no test nope/],
    [["run", "http://127.0.0.1:1/", "--drivers", "9"], 4, /9 drivers are wanted, 2 are alive/],
  ])("%j is refused", async (args, code, message) => {
    const process_ = onSystem(...args);
    expect(await process_.ended).toBe(code);
    expect(process_.stderr()).toMatch(message);
    expect(process_.stderr().trimEnd().split("\n")).toHaveLength(1);
  });

  it("without its token, or where nobody listens, it could not run", async () => {
    const stranger = onrush(["nodes", "--orchestrator", server.url]);
    expect(await stranger.ended).toBe(4);
    expect(stranger.stderr()).toMatch(/unauthorized: .*--token-file/);
    const nobody = onrush(["nodes", "--orchestrator", "127.0.0.1:1"]);
    expect(await nobody.ended).toBe(4);
    expect(nobody.stderr()).toMatch(/^onrush: unreachable: no orchestrator answers at http:\/\/127.0.0.1:1 \(/);
  });
});

describe("services", () => {
  it("the target answers until a signal ends it: exit 0; a port in use: exit 4", async () => {
    const first = onrush(["target", "--listen", "127.0.0.1:0"]);
    await first.says(/target listening: http/);
    const url = /http:\S+ping/.exec(first.stdout())![0];
    expect(await (await fetch(url)).text()).toBe("pong");
    const second = onrush(["target", "--listen", new URL(url).host]);
    expect(await second.ended).toBe(4);
    expect(second.stderr()).toMatch(/^onrush: cannot_listen: .*EADDRINUSE.*--listen/);
    first.child.kill("SIGTERM");
    expect(await first.ended).toBe(0);
    expect(first.stdout()).toContain("1 requests received");
  });

  it("a broker that does not answer: exit 4", async () => {
    const driver = onrush(["driver", "--kafka", "127.0.0.1:1", "--data", join(folder, "d")]);
    expect(await driver.ended).toBe(4);
    expect(driver.stderr()).toMatch(/^onrush: unreachable: no Kafka broker answered at 127.0.0.1:1/m);
  });

  it("the demo shows a first test and, with --once, ends", async () => {
    const out = await ok(onrush(["demo", "--once", "--no-store"]));
    expect(out).toMatch(/^2 drivers x 200 rps = 400 rps for 5 s against http/);
    expect(out).toMatch(/sent +2,000/);
  });
});
