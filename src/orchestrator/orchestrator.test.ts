import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { encodeMessage } from "../protocol/codec.ts";
import type { NumberedEvent } from "../run/events.ts";
import type { Orchestrator } from "./orchestrator.ts";
import { StoreError } from "./store-error.ts";
import { openStore, type Store } from "./store.ts";
import { testSystem, type TestSystem } from "./testing/system.ts";

let system: TestSystem;
let data_dir: string;
let store: Store;

beforeEach(() => {
  system = testSystem();
  data_dir = mkdtempSync(join(tmpdir(), "onrush-"));
  store = openStore(data_dir);
});
afterEach(async () => {
  await system.close();
  store.close();
  rmSync(data_dir, { recursive: true });
});

const errors = () => system.logged.filter(({ level }) => level === "error");

async function started(orchestrator: Orchestrator, plan = system.plan(), test_id?: string) {
  const created = await system.within(orchestrator.createTest(plan, test_id));
  return system.within(orchestrator.trigger(created.test_id));
}

describe("a run", () => {
  test("from its config to the report that is stored and exported before anyone is told", async () => {
    const [a, b] = await system.drivers("a", "b");
    const orchestrator = await system.orchestrate({ store });
    const events: NumberedEvent[] = [];
    let storedBefore = false;
    orchestrator.onEvent((event) => {
      events.push(event);
      if (event.event.type === "ended") storedBefore = store.report(event.event.test_id) !== null;
    });
    const { test_id } = await system.within(orchestrator.createTest(system.plan({ name: "first" })));
    expect(test_id).toMatch(/^t-\d{8}-\d{6}-[0-9a-z]{4}$/);
    const { start_at } = await system.within(orchestrator.trigger(test_id));
    expect(start_at - system.clock.now_ms()).toBeGreaterThan(800);
    expect(await system.within(orchestrator.trigger(test_id))).toEqual({ test_id, start_at });

    await system.clock.advance(2_000);
    await Promise.all([a!.report(test_id, 10), b!.report(test_id, 10)]);
    await system.clock.advance(500);
    expect(events.at(-1)!.event).toMatchObject({ type: "progress", totals: { planned: 40, completed: 20 } });
    expect(orchestrator.report(test_id)).toBeNull();

    const ended = orchestrator.ended(test_id);
    await Promise.all([a!.report(test_id, 20, { final: true }), b!.report(test_id, 20, { final: true })]);
    const report = await system.within(ended);
    expect(report).toMatchObject({ test_id, name: "first", revision: 1, status: "completed", complete: true, bugs: [], totals: { planned: 40, sent: 40, ok: 40, unknown: 0 } });
    await system.clock.advance(200);
    expect(storedBefore).toBe(true);
    expect(events.at(-1)!.event).toMatchObject({ type: "ended", report: { revision: 1 } });
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i + 1));

    expect(store.report(test_id)).toEqual(report);
    expect(readdirSync(join(data_dir, "reports", test_id)).sort()).toEqual(["a.json", "b.json", "final.json"]);
    expect(JSON.parse(readFileSync(join(data_dir, "reports", test_id, "final.json"), "utf8"))).toEqual(report);
    expect(orchestrator.tests()).toMatchObject([{ test_id, state: "ended", verdict: "none", totals: { ok: 40 } }]);
    expect(store.measurements(test_id).map(({ node_id }) => node_id)).toEqual(["a", "b"]);
    expect(errors()).toEqual([]);
    await system.within(orchestrator.close());
  });

  test("history is what was told, numbered so that live events follow on", async () => {
    const [a] = await system.drivers("a");
    const orchestrator = await system.orchestrate();
    const live: NumberedEvent[] = [];
    orchestrator.onEvent((event) => live.push(event));
    const { test_id } = await started(orchestrator);
    await system.clock.advance(1_500);
    await a!.report(test_id, 5);
    await system.clock.advance(300);
    await a!.report(test_id, 9);
    await system.clock.advance(300);
    const history = orchestrator.history(test_id);
    expect(history.at(-1)!.seq).toBe(live.at(-1)!.seq);
    expect(history.map(({ event }) => event.type)).toEqual(["run", "second", "progress"]);
    await a!.report(test_id, 12);
    await system.clock.advance(300);
    expect(live.find(({ seq }) => seq === history.at(-1)!.seq + 1)).toBeDefined();
    await system.within(orchestrator.close());
  });

  test("one at a time: busy from the trigger to the end; a test that was never triggered is replaced", async () => {
    const [a] = await system.drivers("a");
    const orchestrator = await system.orchestrate();
    const first = await system.within(orchestrator.createTest(system.plan()));
    const second = await system.within(orchestrator.createTest(system.plan()));
    await expect(system.within(orchestrator.trigger(first.test_id))).rejects.toMatchObject({ code: "test_replaced" });
    await expect(system.within(orchestrator.ended(first.test_id))).rejects.toMatchObject({ code: "test_replaced" });
    await system.clock.advance(1_000);
    await expect(system.within(orchestrator.trigger(first.test_id))).rejects.toMatchObject({ code: "test_replaced" });
    await expect(system.within(orchestrator.trigger("never"))).rejects.toMatchObject({ code: "unknown_test" });
    await system.within(orchestrator.trigger(second.test_id));
    await expect(system.within(orchestrator.createTest(system.plan()))).rejects.toMatchObject({ code: "busy", details: { test_id: second.test_id } });
    await system.within(orchestrator.stop(second.test_id, "enough"));
    await a!.report(second.test_id, 3, { final: true, end_reason: "stopped" });
    expect(await system.within(orchestrator.ended(second.test_id))).toMatchObject({ status: "stopped", totals: { sent: 3, never_sent: 17 } });
    await system.within(orchestrator.createTest(system.plan(), "third"));
    await expect(system.within(orchestrator.createTest(system.plan(), second.test_id))).rejects.toMatchObject({ code: "duplicate_test" });
    await system.within(orchestrator.close());
  });

  test("not ready: who is missing and why; it may be triggered again", async () => {
    const [, b] = await system.drivers("a", "b");
    b!.answer = "silence";
    const orchestrator = await system.orchestrate({ ready_timeout_ms: 3_000 });
    const { test_id } = await system.within(orchestrator.createTest(system.plan()));
    await expect(system.within(orchestrator.trigger(test_id))).rejects.toMatchObject({
      code: "not_ready",
      details: { missing: [{ node_id: "b", code: "not_ready" }] },
    });
    b!.answer = { code: "target_unreachable", message: "nobody answers" };
    const next = await system.within(orchestrator.createTest(system.plan()));
    await expect(system.within(orchestrator.trigger(next.test_id))).rejects.toMatchObject({ code: "target_unreachable" });
    b!.answer = { code: "target_not_allowed", message: "use --allow" };
    const last = await system.within(orchestrator.createTest(system.plan()));
    const before = system.clock.now_ms();
    await expect(system.within(orchestrator.trigger(last.test_id))).rejects.toMatchObject({ code: "target_not_allowed", details: { missing: [{ node_id: "b" }] } });
    expect(system.clock.now_ms() - before).toBeLessThan(1_000);
    await system.within(orchestrator.close());
  });

  test("a lost driver: the run ends, its part is unknown; a later final makes a new revision", async () => {
    const [a, b] = await system.drivers("a", "b");
    const orchestrator = await system.orchestrate({ store });
    const { test_id } = await started(orchestrator);
    await system.clock.advance(6_000);
    await a!.report(test_id, 20, { final: true });
    await b!.report(test_id, 5);
    await system.clock.advance(200);
    const epoch = b!.epoch;
    b!.die();
    const report = await system.within(orchestrator.ended(test_id));
    expect(report).toMatchObject({ complete: false, incomplete_reasons: [{ node_id: "b", reason: "lost (silent)" }], totals: { planned: 40, sent: 40, ok: 25, unknown: 15 }, bugs: [] });
    expect((await system.control()).map(({ type }) => type)).toEqual(["claim", "config", "trigger", "lost", "ended"]);

    const [again] = await system.drivers("b2");
    const events: NumberedEvent[] = [];
    orchestrator.onEvent((event) => events.push(event));
    const asTheLostOne = { node_id: "b", epoch, seq: 7 };
    // The next test has begun by then.
    await system.within(orchestrator.createTest(system.plan({ drivers: ["a"] }), "next"));
    await system.within(orchestrator.trigger("next"));
    await system.clock.advance(1_000);
    await again!.report(test_id, 20, { final: true, snapshot: asTheLostOne as object });
    await system.clock.advance(500);
    expect(events.filter(({ event }) => event.type === "ended").at(-1)).toMatchObject({ event: { type: "ended", report: { revision: 2, totals: { ok: 40, unknown: 0 } } } });
    expect(store.report(test_id)).toMatchObject({ revision: 2 });
    expect(store.report(test_id, 1)).toMatchObject({ revision: 1, totals: { ok: 25 } });
    await system.within(orchestrator.close());
  });

  test("a process that slept takes nobody for dead", async () => {
    const [a] = await system.drivers("a");
    const orchestrator = await system.orchestrate();
    const { test_id } = await started(orchestrator);
    await system.clock.advance(6_000);
    system.clock.jump(8_000);
    await system.clock.advance(4_000);
    expect((await system.control()).map(({ type }) => type)).toEqual(["claim", "config", "trigger"]);
    await a!.report(test_id, 20, { final: true });
    expect(await system.within(orchestrator.ended(test_id))).toMatchObject({ complete: true });
    await system.within(orchestrator.close());
  });

  test("close stops what runs and keeps its report, with or without finals", async () => {
    await system.drivers("a");
    const orchestrator = await system.orchestrate({ store });
    const { test_id } = await started(orchestrator);
    await system.clock.advance(1_500);
    const before = system.clock.now_ms();
    await system.within(orchestrator.close());
    expect(system.clock.now_ms() - before).toBeLessThanOrEqual(5_000);
    expect(store.report(test_id)).toMatchObject({ status: "stopped", complete: false });
    await expect(orchestrator.createTest(system.plan())).rejects.toMatchObject({ code: "stopped" });
  });
});

describe("leadership", () => {
  test("a second orchestrator hears the first one and gives up", async () => {
    const first = await system.orchestrate();
    await system.clock.advance(2_000);
    await expect(system.orchestrate({ node_id: "orchestrator-2" })).rejects.toMatchObject({ code: "leader_exists" });
    await system.within(first.close());
    const second = await system.orchestrate({ node_id: "orchestrator-2" });
    expect(second.term()).toBe(2);
    await system.within(second.close());
  });

  test("whose claim comes second gives up", async () => {
    const both = await Promise.allSettled([system.orchestrate(), system.orchestrate({ node_id: "orchestrator-2" })]);
    expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    for (const one of both) if (one.status === "fulfilled") await system.within(one.value.close());
  });

  test("who is deposed stops acting, and commands of a term that is over are refused and counted", async () => {
    const [a] = await system.drivers("a");
    const old = await system.orchestrate();
    const young = await system.orchestrate({ node_id: "orchestrator-2", in_process: true });
    await system.clock.advance(200);
    expect([old.leads(), young.leads()]).toEqual([false, true]);
    expect(errors().map(({ code }) => code)).toEqual(["leadership_lost"]);
    await expect(system.within(old.createTest(system.plan()))).rejects.toMatchObject({ code: "not_leader" });
    const { test_id } = await system.within(young.createTest(system.plan()));
    const zombie = { type: "stop" as const, test_id, reason: "zombie", term: 1, owner: "orchestrator-1/x", command_seq: 1, at_ms: system.clock.now_ms() };
    await system.bus.append("control", encodeMessage("control", zombie));
    await system.clock.advance(200);
    expect(young.state().runs.get(test_id)!.stop).toBeNull();
    expect(young.state().stale.get("command of another term")).toBe(1);
    expect(a!.commands.some(({ type }) => type === "config")).toBe(true);
    await system.within(Promise.all([old.close(), young.close()]));
  });

  test("a restarted orchestrator goes on with the run that the log says is open", async () => {
    const [a] = await system.drivers("a");
    const bus = system.memory.connect();
    const { test_id, start_at } = await started(await system.orchestrate({ store, bus }));
    await system.clock.advance(1_500);
    await a!.report(test_id, 5);
    await system.clock.advance(200);
    // It dies: nothing of it is left but the log.
    await bus.close();
    const died_ms = system.clock.now_ms();
    const second = await system.orchestrate({ store });
    expect(system.clock.now_ms() - died_ms).toBeLessThanOrEqual(3_100);
    expect(second.term()).toBe(2);
    await system.clock.advance(200);
    expect(second.history(test_id).map(({ event }) => event.type)).toEqual(["run", "second", "progress"]);
    expect(await system.within(second.trigger(test_id))).toEqual({ test_id, start_at });
    await a!.report(test_id, 20, { final: true });
    const report = await system.within(second.ended(test_id));
    expect(report).toMatchObject({ complete: true, revision: 1, totals: { ok: 20 } });
    await system.within(second.close());
    const third = await system.orchestrate({ node_id: "orchestrator-3", store });
    expect(third.tests()).toMatchObject([{ test_id, state: "ended", revision: 1 }]);
    expect(await third.ended(test_id)).toEqual(report);
    await system.within(third.close());
  });

  test("of the heartbeats it reads those that may still say who is alive, not an hour of them", async () => {
    const beat = (node_id: string) =>
      system.bus.append("heartbeat", new TextEncoder().encode(JSON.stringify({ node_id, heartbeat: "YES", timestamp: system.clock.now_ms() })));
    await beat("long-ago");
    for (let i = 0; i < 10_000; i++) await beat("lately");
    const orchestrator = await system.orchestrate();
    expect([...orchestrator.state().nodes.keys()]).toEqual(["lately"]);
    await system.within(orchestrator.close());
  });

  test("those who died before it began are not chosen", async () => {
    const [a] = await system.drivers("a", "b");
    const first = await system.orchestrate();
    await system.within(first.close());
    a!.die();
    await system.clock.advance(60_000);
    const second = await system.orchestrate();
    const { test_id } = await system.within(second.createTest(system.plan()));
    expect(second.state().runs.get(test_id)!.config.members.map(({ node_id }) => node_id)).toEqual(["b"]);
    await system.within(second.close());
  });
});

describe("the store and the log", () => {
  test("a store that is full is reported, the run goes on, and what it lacks is stored later", async () => {
    const [a] = await system.drivers("a");
    let full = true;
    const failing: Store = {
      ...store,
      put: (report, nodes) => {
        if (full) throw new StoreError("disk_full", "no space is left");
        store.put(report, nodes);
      },
    };
    const orchestrator = await system.orchestrate({ store: failing });
    const { test_id } = await started(orchestrator);
    await a!.report(test_id, 20, { final: true });
    expect(await system.within(orchestrator.ended(test_id))).toMatchObject({ complete: true });
    expect(errors()).toMatchObject([{ code: "disk_full" }]);
    expect(store.report(test_id)).toBeNull();
    expect(orchestrator.tests()).toMatchObject([{ test_id, state: "ended" }]);
    full = false;
    await system.clock.advance(7_000);
    expect(store.report(test_id)).toMatchObject({ test_id, revision: 1 });
    await system.within(orchestrator.close());
  });

  test("a thousand records of rubbish are counted, told once per kind, and harm nobody", async () => {
    const [a] = await system.drivers("a");
    const orchestrator = await system.orchestrate();
    const { test_id } = await started(orchestrator);
    const texts = ["", "{", "[]", "42", '{"node_id":7}', '{"type":"ended"}', "\u0000", '{"node_id":{},"heartbeat":"YES"}'];
    for (let i = 0; i < 1_000; i++) {
      const topic = (["register", "heartbeat", "metrics", "control", "test_config", "trigger"] as const)[i % 6]!;
      void system.bus.append(topic, new TextEncoder().encode(texts[i % texts.length]));
    }
    const bad = { count: 1, sum_us: 5, min_us: 5, max_us: 5, clamped: 0, buckets: "!!!!" };
    await a!.report(test_id, 3, { snapshot: { response: bad } });
    await a!.report(test_id, 20, { final: true });
    expect(await system.within(orchestrator.ended(test_id))).toMatchObject({ complete: true, bugs: [] });
    const { rejected } = orchestrator.state();
    expect([...rejected.values()].reduce((sum, count) => sum + count, 0)).toBe(1_001);
    const told = system.logged.filter(({ code }) => code === "record_rejected");
    expect(told.length).toBe(rejected.size);
    await system.within(orchestrator.close());
  });

  test("a listener that throws harms nobody", async () => {
    await system.drivers("a");
    const orchestrator = await system.orchestrate();
    const seen: string[] = [];
    orchestrator.onEvent(() => {
      throw new Error("mine");
    });
    orchestrator.onEvent(({ event }) => seen.push(event.type));
    await system.within(orchestrator.createTest(system.plan()));
    await system.clock.advance(300);
    expect(seen).toEqual(["run"]);
    expect(errors()).toMatchObject([{ code: "telling_failed" }]);
    await system.within(orchestrator.close());
  });
});

test("a foreign driver: plain records, its summary, and an honest report", async () => {
  const send = (topic: "register" | "heartbeat" | "metrics", record: object) => system.bus.append(topic, new TextEncoder().encode(JSON.stringify(record)));
  await send("register", { node_id: "py-1", node_IP: "10.0.0.9", message_type: "DRIVER_NODE_REGISTER" });
  const beat = () => send("heartbeat", { node_id: "py-1", heartbeat: "YES", timestamp: String(Math.floor(system.clock.now_ms() / 1000)) });
  const orchestrator = await system.orchestrate({ store });
  for (let i = 0; i < 3; i++) {
    await beat();
    await system.clock.advance(4_000);
  }
  await beat();
  const { test_id } = await system.within(orchestrator.createTest(system.plan({ requests: 20 })));
  const triggered = orchestrator.trigger(test_id);
  triggered.catch(() => {});
  await system.clock.advance(3_900);
  await beat();
  const { start_at } = await system.within(triggered);
  await system.clock.advance(start_at - system.clock.now_ms() + 200);
  const copies = orchestrator.state().runs.get(test_id)!.copied;
  expect(copies).toEqual({ test_config: true, trigger: true });
  await beat();
  await send("metrics", {
    node_id: "py-1",
    test_id,
    report_id: 1,
    metrics: { mean_latency: "1.5ms", median_latency: "1.2", min_latency: "563.3µs", max_latency: "2s" },
  });
  for (let i = 0; i < 4; i++) {
    await beat();
    await system.clock.advance(2_000);
  }
  const report = await system.within(orchestrator.ended(test_id));
  expect(report).toMatchObject({
    complete: false,
    incomplete_reasons: [{ node_id: "py-1", reason: "foreign_summary" }],
    totals: { planned: 20, unknown: 20, ok: 0 },
    nodes: [{ node_id: "py-1", source: "summary", state: "finished", latency: { response: { min_ms: 0.563, max_ms: 2000, mean_ms: 1.5, median_ms: 1.2 } } }],
    bugs: [],
  });
  await system.within(orchestrator.close());
});
