import { describe, expect, it } from "vitest";
import type { TestConfig } from "../protocol/messages.ts";
import { bench, logged, of, reports } from "./testing/bench.ts";
import { createLeader } from "./testing/leader.ts";

const CONFIG: TestConfig = {
  test_id: "p1",
  test_type: "TSUNAMI",
  test_message_delay: 10,
  message_count_per_driver: 50,
  test_server: "http://127.0.0.1:8088/ping",
};
type Bench = ReturnType<typeof bench>;
let offset = 100;

const configure = (node: Bench, change: Partial<TestConfig> = {}, after_start = true) =>
  node.send({ type: "test_config", message: { ...CONFIG, ...change }, offset: offset++, after_start });
const trigger = (node: Bench, test_id = "p1", after_start = true, term?: number) =>
  node.send({ type: "trigger", message: { test_id, trigger: "YES", ...(term !== undefined && { term }) }, after_start });

describe("a test in the common format", () => {
  it("is prepared, started at once by its trigger, and reported three times", () => {
    const node = bench().live();
    expect(of(configure(node), "prepare")).toMatchObject([
      { spec: { schedule: { kind: "delay", delay_us: 10_000, drivers: 1, slots: 50 }, ranges: [{ from: 0, to: 50, step: 1 }] } },
    ]);
    node.prepared();
    node.pass(60_000);
    expect(of(trigger(node), "start")).toEqual([{ type: "start", job_id: 1, zero_ms: node.now() }]);
    expect(reports(node.pass(50))).toEqual([]);
    const [final] = reports(node.finished());
    expect(final).toMatchObject({ test_id: "p1", final: true, revision: 0 });
    node.published(final!);
    for (let copy = 1; copy < 3; copy++) {
      expect(reports(node.pass(1000))).toHaveLength(1);
      node.published(final!);
    }
    expect(node.phase()).toBe("idle");
    expect(reports(node.pass(3000))).toEqual([]);
  });

  it("has no lease", () => {
    const node = bench().live();
    configure(node, { message_count_per_driver: 1_000_000 });
    node.prepared();
    trigger(node);
    expect(of(node.pass(120_000), "stop")).toEqual([]);
  });

  it("may be triggered before it is ready, or before its config is read", () => {
    const node = bench().live();
    trigger(node);
    node.pass(1000);
    configure(node);
    node.pass(3000);
    expect(of(node.prepared(), "start")).toHaveLength(1);
  });

  it("is not started long after its trigger", () => {
    const node = bench().live();
    configure(node);
    trigger(node);
    const effects = node.pass(10_100);
    expect(reports(effects)[0]).toMatchObject({ end_reason: "late_start" });
    expect(of(node.prepared(), "start")).toEqual([]);
  });

  it("is not obeyed when it is older than the driver, a copy, or known", () => {
    const node = bench().live();
    expect(logged(configure(node, {}, false))).toEqual(["plain_refused"]);
    expect(configure(node, { term: 3 })).toEqual([]);
    expect(trigger(node, "p1", true, 3)).toEqual([]);
    configure(node);
    expect(logged(configure(node))).toEqual(["plain_refused"]);
    node.prepared();
    expect(logged(trigger(node, "p1", false))).toEqual(["plain_refused"]);
    expect(node.phase()).toBe("ready");
    trigger(node);
    node.finished();
    expect(logged(trigger(node))).toEqual(["plain_refused"]);
    expect(of(node.pass(1000), "start")).toEqual([]);
    expect(node.state().plain_refused).toBe(4);
  });

  it("is not obeyed while an Onrush orchestrator leads", () => {
    const node = bench().live();
    node.control(createLeader(1).claim());
    node.leaderBeats(1);
    node.pass(2900);
    expect(logged(configure(node))).toEqual(["plain_refused"]);
    node.pass(200);
    expect(of(configure(node), "prepare")).toHaveLength(1);
    node.prepared();
    node.leaderBeats(1);
    expect(of(trigger(node), "start")).toEqual([]);
    node.send({ type: "orchestrator_heartbeat", term: 1, state: "left", timestamp_ms: node.now(), received_ms: node.now() });
    expect(of(trigger(node), "start")).toHaveLength(1);
  });

  it("waits for a leader that was there before to be heard", () => {
    const node = bench();
    node.send({ type: "begin" });
    node.control(createLeader(1).claim());
    node.registered(7);
    node.send({ type: "caught_up" });
    expect(logged(configure(node))).toEqual(["plain_refused"]);
    node.pass(3000);
    expect(of(configure(node), "prepare")).toHaveLength(1);
  });

  it("is refused during a run", () => {
    const node = bench().live();
    configure(node);
    node.prepared();
    trigger(node);
    expect(logged(configure(node, { test_id: "p2" }))).toEqual(["plain_refused"]);
    expect(node.phase()).toBe("armed");
  });

  it("hits test_server, else the driver's own target, else nothing", () => {
    const url = (change: Partial<TestConfig>, target: string | null = null) => {
      const node = bench({ target }).live();
      const effects = configure(node, change);
      return of(effects, "prepare")[0]?.spec.target.url ?? logged(effects)[0];
    };
    expect(url({ test_server: "10.0.0.9:8080" })).toBe("http://10.0.0.9:8080/");
    expect(url({ test_server: "http://10.0.0.9/a?b" }, "http://own/")).toBe("http://10.0.0.9/a?b");
    expect(url({ test_server: undefined }, "http://own/x")).toBe("http://own/x");
    expect(url({ test_server: " " }, "http://own/x")).toBe("http://own/x");
    expect(url({ test_server: undefined })).toBe("no_target");
    expect(url({ test_server: "ftp://x" })).toBe("bad_plan");
    expect(url({ test_server: "http://" })).toBe("bad_plan");
  });

  it("runs for ten seconds without a count", () => {
    const node = bench().live();
    const effects = configure(node, { test_type: "AVALANCHE", test_message_delay: 0, message_count_per_driver: undefined });
    expect(of(effects, "prepare")[0]!.spec.schedule).toEqual({ kind: "closed", rate_urps: null, slots: null, window_us: 10_000_000 });
  });
});
