// What an orchestrator's death, sleep and return do to a run: real processes over a real broker, a counting target as
// the oracle.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connectKafka } from "../../src/bus/kafka.ts";
import { decodeMessage } from "../../src/protocol/codec.ts";
import type { Control } from "../../src/protocol/control.ts";
import { topicNames } from "../../src/protocol/topics.ts";
import type { Report } from "../../src/run/report-schema.ts";
import { startTarget, type Target } from "../../src/target/target.ts";
import { onrush, type OnrushProcess } from "../onrush-process.ts";
import { describeKafka, sharedBrokers, uniquePrefix } from "./broker.ts";

interface Leader {
  process: OnrushProcess;
  url: string;
}

describeKafka("when the orchestrator dies, sleeps or returns", () => {
  let processes: OnrushProcess[];
  let target: Target;
  let data: string;
  let brokers: string;
  let prefix: string;

  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  const figures = (text: string) => process.stdout.write(`${text}\n`);

  beforeEach(async () => {
    processes = [];
    target = await startTarget({ host: "127.0.0.1", port: 0 });
    data = await mkdtemp(join(tmpdir(), "onrush-faults-"));
    brokers = await sharedBrokers();
    prefix = uniquePrefix();
  });

  afterEach(async () => {
    for (const { child } of processes) child.kill("SIGKILL");
    await Promise.all(processes.map(({ ended }) => ended));
    await target.close();
    await rm(data, { recursive: true, force: true });
  });

  function start(...args: string[]): OnrushProcess {
    const one = onrush([...args, "--kafka", brokers, "--topic-prefix", prefix]);
    processes.push(one);
    return one;
  }

  /** Each one on a machine of its own: with `name` its data folder. */
  async function orchestrator(name: string, ...args: string[]): Promise<Leader> {
    const one = start("orchestrator", "--listen", "127.0.0.1:0", "--id", name, "--data", join(data, name), ...args);
    await one.says(/listening: http/);
    return { process: one, url: /listening: (http:\S+)/.exec(one.stdout())![1]! };
  }

  async function get<T>({ url }: Leader, path: string): Promise<{ status: number; body: T }> {
    const response = await fetch(url + path);
    return { status: response.status, body: (await response.json()) as T };
  }

  async function post<T>({ url }: Leader, path: string, body?: object): Promise<T> {
    const init = body && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const response = await fetch(url + path, { method: "POST", ...init });
    const answer = (await response.json()) as T;
    expect(response.ok, JSON.stringify(answer)).toBe(true);
    return answer;
  }

  async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await condition())) await pause(50);
  }

  async function leads(one: Leader): Promise<boolean> {
    return (await get<{ leads: boolean }>(one, "/ping")).body.leads;
  }

  /** 4 drivers x 100 rps x 8 s = 3,200 are on their way; resolves half-way. */
  async function halfWay(leader: Leader, plan: object = {}): Promise<string> {
    const drivers = ["d0", "d1", "d2", "d3"].map((id) => start("driver", "--id", id, "--data", join(data, id)));
    await Promise.all(drivers.map((driver) => driver.says(/started/)));
    await until(async () => {
      const { nodes } = (await get<{ nodes: { state: string }[] }>(leader, "/nodes")).body;
      return nodes.filter(({ state }) => state === "idle").length === 4;
    });
    const { test_id } = await post<{ test_id: string }>(leader, "/tests", { target: { url: `${target.url}/ping` }, rate_rps: 100, duration_s: 8, connections: 8, ...plan });
    await post(leader, `/tests/${test_id}/trigger`);
    await until(() => target.counters().requests_received >= 1_600);
    return test_id;
  }

  async function reportOf(leader: Leader, test_id: string): Promise<Report> {
    await until(async () => (await get(leader, `/tests/${test_id}/report`)).status === 200);
    return (await get<Report>(leader, `/tests/${test_id}/report`)).body;
  }

  function expectExact(report: Report): void {
    expect(target.counters().requests_received).toBe(3_200);
    expect(report.bugs).toEqual([]);
    expect(report.totals).toMatchObject({ planned: 3_200, sent: 3_200, ok: 3_200, dropped: 0, unknown: 0, never_sent: 0, overlap: 0 });
    expect(report.latency.response.count).toBe(3_200);
    expect(report.nodes.map(({ state }) => state)).toEqual(["finished", "finished", "finished", "finished"]);
    expect([report.status, report.complete]).toEqual(["completed", true]);
    expect(report.timeline.reduce((sum, row) => sum + row.completed, 0)).toBe(3_200);
  }

  /** Everything on control, judged as every reader judges it: which commands took effect, and which were refused. */
  async function commands(): Promise<{ effective: Control[]; refused: Control[] }> {
    const bus = await connectKafka({ brokers: brokers.split(","), client_id: "test", topics: topicNames(prefix) });
    const all: Control[] = [];
    const reading = await bus.subscribe("control", "earliest", { onRecords: (records) => records.forEach(({ value }) => all.push(decodeMessage("control", value))) });
    await reading.caughtUp();
    await bus.close();
    const effective: Control[] = [];
    const refused: Control[] = [];
    let current = { term: 0, owner: "", command_seq: 0 };
    for (const command of all) {
      const { type, term, owner, command_seq } = command;
      const counts = type === "claim" ? term === current.term + 1 : term === current.term && owner === current.owner && command_seq === current.command_seq + 1;
      (counts ? effective : refused).push(command);
      if (counts) current = { term, owner, command_seq };
    }
    return { effective, refused };
  }

  const story = (of: Control[]) => of.map(({ type, owner, term }) => `${type} ${owner.split("/")[0]} ${term}`);

  test("kill -9 half-way, restarted 2 s later: it resumes, and every figure is exact", { timeout: 90_000 }, async () => {
    const first = await orchestrator("one");
    const test_id = await halfWay(first);
    first.process.child.kill("SIGKILL");
    const killed_ms = performance.now();
    await pause(2_000);
    const again = await orchestrator("one");
    const back_ms = performance.now() - killed_ms;
    const report = await reportOf(again, test_id);
    expectExact(report);
    const { effective } = await commands();
    expect(effective.map(({ type, term }) => `${type} ${term}`)).toEqual(["claim 1", "config 1", "trigger 1", "claim 2", "ended 2"]);
    figures(`orchestrator killed half-way, restarted after 2 s: led again ${(back_ms / 1000).toFixed(1)} s after the kill; oracle ${target.counters().requests_received}, report ok ${report.totals.ok}, complete ${report.complete}`);
  });

  test("kill -9 with a standby: it takes over within 5 s and reports", { timeout: 90_000 }, async () => {
    const first = await orchestrator("one");
    const standby = await orchestrator("two", "--standby");
    expect((await get(standby, "/nodes")).status).toBe(503);
    expect((await get<object>(standby, "/tests")).body).toMatchObject({ error: { code: "not_leader" } });
    expect((await get(standby, "/docs")).status).toBe(200);
    expect((await fetch(`${standby.url}/metrics`)).status).toBe(200);
    expect(await leads(standby)).toBe(false);
    const test_id = await halfWay(first);
    first.process.child.kill("SIGKILL");
    const killed_ms = performance.now();
    await until(() => leads(standby));
    const took_s = (performance.now() - killed_ms) / 1000;
    expect(took_s).toBeLessThan(5);
    const report = await reportOf(standby, test_id);
    expectExact(report);
    expect(story((await commands()).effective)).toEqual(["claim one 1", "config one 1", "trigger one 1", "claim two 2", "ended two 2"]);
    figures(`orchestrator killed half-way with a standby: took over after ${took_s.toFixed(1)} s; oracle ${target.counters().requests_received}, report ok ${report.totals.ok}, complete ${report.complete}`);
  });

  test("SIGSTOP for 5 s: nobody is declared lost for its sleep", { timeout: 90_000 }, async () => {
    const first = await orchestrator("one");
    const test_id = await halfWay(first, { duration_s: 8 });
    first.process.child.kill("SIGSTOP");
    await pause(5_000);
    first.process.child.kill("SIGCONT");
    const report = await reportOf(first, test_id);
    expectExact(report);
    const { effective, refused } = await commands();
    expect(effective.map(({ type }) => type)).toEqual(["claim", "config", "trigger", "ended"]);
    figures(`orchestrator stopped for 5 s: 0 lost, ${refused.length} refused; oracle ${target.counters().requests_received}, report ok ${report.totals.ok}, complete ${report.complete}`);
  });

  test.each(["--standby", "--no-store"])("an old leader woken after the standby took over (%s): exactly one term acts", { timeout: 90_000 }, async (flag) => {
    const old = await orchestrator("one", flag);
    await until(() => leads(old));
    const standby = await orchestrator("two", "--standby");
    const test_id = await halfWay(old);
    old.process.child.kill("SIGSTOP");
    await until(() => leads(standby));
    const zombie = fetch(`${old.url}/tests/${test_id}/stop`, { method: "POST" }).then(({ status }) => status, () => "closed");
    old.process.child.kill("SIGCONT");
    const answered = await zombie;
    expect([503, "closed"]).toContain(answered);
    if (flag === "--standby") expect(await leads(old)).toBe(false);
    else expect(await old.process.ended).toBe(4);
    const report = await reportOf(standby, test_id);
    expectExact(report);
    const { effective, refused } = await commands();
    expect(story(effective)).toEqual(["claim one 1", "config one 1", "trigger one 1", "claim two 2", "ended two 2"]);
    if (flag !== "--standby") expect(old.process.stderr()).toMatch(/onrush: leadership_lost: two\/\w+ has taken over as of term 2; start this one with --standby/);
    figures(`old leader (${flag}) woken after the takeover: its stop ${answered}, ${effective.length} effective commands, each of the current term, ${refused.length} refused; oracle ${target.counters().requests_received}, report ok ${report.totals.ok}`);
  });

  test("never restarted: the lease (2 s) ends the load; restarted later, the results are published", { timeout: 90_000 }, async () => {
    const first = await orchestrator("one");
    const test_id = await halfWay(first, { lease_ms: 2_000 });
    first.process.child.kill("SIGKILL");
    const killed_ms = performance.now();
    let counted = -1;
    let stopped_ms = 0;
    await until(async () => {
      const now = target.counters().requests_received;
      if (now === counted) return true;
      counted = now;
      stopped_ms = performance.now();
      await pause(500);
      return false;
    });
    const stopped_s = (stopped_ms - killed_ms) / 1000;
    expect(stopped_s).toBeLessThan(4);
    await pause(1_000);
    expect(target.counters().requests_received).toBe(counted);
    const report = await reportOf(await orchestrator("one"), test_id);
    const { totals } = report;
    expect(report.bugs).toEqual([]);
    expect([totals.planned, totals.sent, totals.ok]).toEqual([3_200, counted, counted]);
    expect(totals.never_sent).toBe(3_200 - counted);
    expect(totals.never_sent_reasons).toEqual({ lease_expired: 3_200 - counted });
    figures(`orchestrator never restarted, lease 2 s: the load ended ${stopped_s.toFixed(1)} s after the kill; oracle ${counted}, report sent ${totals.sent}, never_sent ${JSON.stringify(totals.never_sent_reasons)}, complete ${report.complete}`);
  });
});
