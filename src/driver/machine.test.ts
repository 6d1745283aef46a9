import { describe, expect, it } from "vitest";
import { decodeMessage, encodeMessage } from "../protocol/codec.ts";
import { bench, logged, of, reports } from "./testing/bench.ts";
import { createLeader } from "./testing/leader.ts";
import { heartbeats, ME, PLAN, ready, running } from "./testing/run.ts";

describe("registration and heartbeat", () => {
  it("says nothing before its own record was read back, then at once and each second", () => {
    const node = bench();
    const begun = node.send({ type: "begin" });
    expect(of(begun, "publish_register")[0]!.message).toMatchObject({ node_id: "d1", boot_id: "boot.1", node_ip: "10.0.0.1" });
    expect(heartbeats(node.pass(3000))).toEqual([]);
    node.send({ type: "registered", node_id: "d2", boot_id: "boot.1", offset: 3 });
    expect(node.state().epoch).toBe(null);
    expect(heartbeats(node.registered(7))[0]).toMatchObject({ epoch: 7, state: "idle", timestamp: node.now(), role: "driver" });
    expect(heartbeats(node.pass(3000))).toHaveLength(3);
  });

  it("registers again under the same boot_id when the record never comes back", () => {
    const node = bench();
    node.send({ type: "begin" });
    expect(of(node.pass(5000), "publish_register")).toMatchObject([{ message: { boot_id: "boot.1" } }]);
  });

  it("takes the first of two copies of its registration", () => {
    const node = bench().live(7);
    node.send({ type: "registered", node_id: "d1", boot_id: "boot.1", offset: 8 });
    expect(node.state().epoch).toBe(7);
  });

  it("leaves when another process registers under its name", () => {
    const node = bench().live(7);
    const effects = node.send({ type: "registered", node_id: "d1", boot_id: "other.1", offset: 9 });
    expect(logged(effects)).toContain("node_id_taken");
    expect(of(effects, "exit")).toEqual([{ type: "exit", code: 4 }]);
  });

  it("reports the smallest of the last 30 delays of the current leader", () => {
    const node = bench().live();
    node.control(createLeader(1).claim());
    node.leaderBeats(1, node.now() - 3);
    for (let i = 0; i < 10; i++) node.leaderBeats(1, node.now() - 20);
    expect(heartbeats(node.pass(1000))[0]!.clock).toEqual({ term: 1, delay_ms: 3 });
    for (let i = 0; i < 30; i++) node.leaderBeats(1, node.now() - 20);
    expect(heartbeats(node.pass(1000))[0]!.clock).toEqual({ term: 1, delay_ms: 20 });
    node.leaderBeats(2, node.now() + 5_000);
    node.control(createLeader(2).claim());
    node.leaderBeats(2, node.now() + 500);
    node.leaderBeats(1, node.now() - 1);
    expect(heartbeats(node.pass(1000))[0]!.clock).toEqual({ term: 2, delay_ms: -500 });
  });

  it("says at once that it knows the leader's clock: a start is planned by it", () => {
    const node = bench().live();
    node.control(createLeader(1).claim());
    node.pass(100);
    expect(heartbeats(node.leaderBeats(1, node.now() - 3))).toMatchObject([{ clock: { term: 1, delay_ms: 3 } }]);
    expect(heartbeats(node.leaderBeats(1, node.now() - 2))).toEqual([]);
  });

  it("writes records that its own protocol can read", () => {
    const { node } = running();
    node.progress();
    node.finished();
    for (const { message } of of(node.all, "publish_heartbeat")) {
      expect(decodeMessage("heartbeat", encodeMessage("heartbeat", message)).kind).toBe("driver");
    }
    for (const report of reports(node.all)) {
      expect(decodeMessage("metrics", encodeMessage("metrics", report))).toMatchObject({ kind: "snapshot", epoch: 7, v: 1 });
    }
  });
});

describe("authority", () => {
  it("refuses and counts what is not of the current term and owner, repeated or out of order", () => {
    const node = bench().live();
    const first = createLeader(1, "a");
    const claim = first.claim();
    node.control(claim);
    node.control(createLeader(1, "b").claim());
    node.control(createLeader(3, "c").claim());
    const config = first.config("t1", PLAN, ME);
    node.control({ ...config, owner: "b" });
    node.control({ ...config, command_seq: 2 });
    expect(node.state().commands_refused).toBe(4);
    expect(of(node.control(config), "prepare")).toHaveLength(1);
    expect(logged(node.control(config))).toEqual(["command_refused"]);
    const second = createLeader(2, "b");
    node.control(second.claim());
    node.control(first.stop("t1"));
    expect(node.state().commands_refused).toBe(6);
    expect(node.state().job).not.toBe(null);
    expect(node.state().authority).toMatchObject({ term: 2, owner: "b", command_seq: 0 });
  });

  it("ignores a record that is delivered twice", () => {
    const node = bench().live();
    const leader = createLeader(1);
    node.control(leader.claim(), 0);
    node.control(leader.config("t1", PLAN, ME), 1);
    node.control(leader.stop("t1"), 2);
    expect(of(node.control(leader.config("t2", PLAN, ME), 2), "prepare")).toEqual([]);
  });

  it("prepares of its history only what is still open, as the epoch that it is now", () => {
    const node = bench();
    node.send({ type: "begin" });
    const leader = createLeader(1, "leader", node.now);
    const old = [{ node_id: "d1", epoch: 2 }];
    node.control(leader.claim());
    node.control(leader.config("replaced", PLAN, old));
    node.control(leader.config("run", PLAN, old));
    node.control(leader.trigger("run", node.now() - 60_000, old));
    node.control(leader.ended("run", []));
    node.control(leader.config("open", PLAN, old));
    node.registered(7);
    expect(of(node.all, "prepare")).toEqual([]);
    node.send({ type: "caught_up" });
    expect(of(node.all, "prepare")).toMatchObject([{ spec: { test_id: "open" } }]);
    expect(heartbeats(node.prepared())[0]!.ready).toEqual({ test_id: "open", config_offset: 5, epoch: 7 });
  });

  it("does nothing about an old trigger that names another epoch", () => {
    const node = bench();
    node.send({ type: "begin" });
    const leader = createLeader(1, "leader", node.now);
    node.control(leader.claim());
    node.control(leader.config("t1", PLAN, [{ node_id: "d1", epoch: 2 }]));
    node.control(leader.trigger("t1", node.now() - 60_000, [{ node_id: "d1", epoch: 2 }]));
    node.registered(7);
    node.send({ type: "caught_up" });
    node.pass(2000);
    expect(of(node.all, "prepare")).toEqual([]);
    expect(reports(node.all)).toEqual([]);
  });
});

describe("config", () => {
  it("is nothing to a node that is no member", () => {
    const node = bench().live();
    const leader = createLeader(1);
    node.control(leader.claim());
    expect(of(node.control(leader.config("t1", PLAN, [{ node_id: "d2", epoch: 7 }])), "prepare")).toEqual([]);
  });

  it("shows ready at once, with the config's offset and its epoch", () => {
    const node = bench().live();
    const leader = createLeader(1);
    node.control(leader.claim());
    expect(heartbeats(node.control(leader.config("t1", PLAN, ME)))[0]).toMatchObject({ state: "preparing", test_id: "t1", ready: null });
    expect(heartbeats(node.prepared())[0]).toMatchObject({
      state: "ready",
      ready: { test_id: "t1", config_offset: 1, epoch: 7 },
      refused: null,
    });
  });

  it("replaces an older one that was never triggered", () => {
    const { node, leader } = ready();
    const effects = node.control(leader.config("t2", PLAN, ME));
    expect(of(effects, "discard")).toEqual([{ type: "discard", job_id: 1 }]);
    expect(of(effects, "prepare")).toMatchObject([{ job_id: 2, spec: { test_id: "t2" } }]);
    expect(of(node.control(leader.trigger("t1", node.now() + 1000, ME)), "start")).toEqual([]);
  });

  it("refuses at once what is over a cap, and says so", () => {
    const { node } = ready({ caps: { max_rate_rps: 99 } });
    expect(heartbeats(node.all).at(-1)).toMatchObject({ state: "idle", refused: { test_id: "t1", code: "rate_over_cap", config_offset: 1 } });
    expect(of(node.all, "prepare")).toEqual([]);
    expect(heartbeats(ready({ caps: { max_duration_ms: 9999 } }).node.all).at(-1)!.refused!.code).toBe("duration_over_cap");
    expect(heartbeats(ready({ caps: { max_rate_rps: 100, max_duration_ms: 10_000 } }).node.all).at(-1)!.state).toBe("ready");
  });

  it("tries an unreachable target again each second, a target that is not allowed never", () => {
    const node = bench().live();
    const leader = createLeader(1);
    node.control(leader.claim());
    node.control(leader.config("t1", PLAN, ME));
    expect(heartbeats(node.prepared(false))[0]!.refused).toEqual({
      test_id: "t1",
      config_offset: 1,
      code: "target_unreachable",
      message: "nobody listens",
    });
    expect(of(node.pass(950), "prepare")).toEqual([]);
    expect(of(node.pass(100), "prepare")).toHaveLength(1);
    expect(logged(node.prepared(false))).toEqual([]);
    node.pass(1000);
    expect(heartbeats(node.prepared(true))[0]).toMatchObject({ state: "ready", refused: null });

    node.control(leader.config("t2", PLAN, ME));
    node.send({ type: "prepared", job_id: 2, result: { ok: false, code: "target_not_allowed", message: "use --allow x" } });
    expect(of(node.pass(5000), "prepare")).toEqual([]);
    expect(heartbeats(node.all).at(-1)).toMatchObject({ state: "idle", refused: { code: "target_not_allowed", test_id: "t2" } });
  });
});

describe("trigger", () => {
  it("starts at start_at on its own clock; the schedule's zero is a warm-up later", () => {
    const { node, leader } = ready({}, { warmup_s: 2 });
    const effects = node.control(leader.trigger("t1", node.now() + 1000, ME, 250));
    expect(of(effects, "start")).toEqual([{ type: "start", job_id: 1, zero_ms: node.now() + 1000 + 250 + 2000 }]);
    expect(node.phase()).toBe("armed");
    node.pass(1200);
    expect(node.phase()).toBe("armed");
    node.pass(50);
    expect(node.phase()).toBe("running");
  });

  it("is not for an epoch that it does not name", () => {
    const { node, leader } = ready();
    const effects = node.control(leader.trigger("t1", node.now() + 1000, [{ node_id: "d1", epoch: 6 }]));
    expect(of(effects, "start")).toEqual([]);
    expect(of(effects, "discard")).toHaveLength(1);
    expect(node.phase()).toBe("idle");
  });

  it("is refused when more than a second late, with a final report of nothing", () => {
    const { node, leader } = ready();
    const effects = node.control(leader.trigger("t1", node.now() - 1001, ME));
    expect(of(effects, "start")).toEqual([]);
    expect(reports(effects)).toMatchObject([{ final: true, end_reason: "late_start", seq: 0, ranges: [{ range_id: "r0", taken: 0 }] }]);
    expect(reports(effects)[0]!.counts.scheduled).toBe(0);
    expect(node.phase()).toBe("awaiting_ack");
    const other = ready();
    expect(of(other.node.control(other.leader.trigger("t1", other.node.now() - 999, ME)), "start")).toHaveLength(1);
  });

  it("waits for preparation, but not too long", () => {
    const node = bench().live();
    const leader = createLeader(1, "leader", node.now);
    node.control(leader.claim());
    node.control(leader.config("t1", PLAN, ME));
    expect(of(node.control(leader.trigger("t1", node.now() + 1000, ME)), "start")).toEqual([]);
    node.pass(1500);
    expect(of(node.prepared(), "start")).toHaveLength(1);

    node.control(leader.ended("t1", []));
    node.finished();
    node.control(leader.config("t2", PLAN, ME));
    node.control(leader.trigger("t2", node.now() + 1000, ME));
    const late = node.pass(2050);
    expect(reports(late).filter(({ test_id }) => test_id === "t2")).toMatchObject([{ end_reason: "late_start", final: true }]);
    expect(of(node.prepared(), "start")).toEqual([]);
  });

  it("means nothing a second time, or after the test is over", () => {
    const { node, leader } = running();
    expect(of(node.control(leader.trigger("t1", node.now() + 1000, ME)), "start")).toEqual([]);
    node.finished();
    node.control(leader.ended("t1", [{ node_id: "d1", epoch: 7, seq: 0, final: true }]));
    expect(node.phase()).toBe("idle");
    node.control(leader.trigger("t1", node.now() + 1000, ME));
    node.control(leader.config("t1", PLAN, ME));
    expect(of(node.pass(2000), "prepare")).toEqual([]);
  });
});

describe("a run", () => {
  it("takes a snapshot every 500 ms and publishes it, numbered", () => {
    const { node } = running();
    expect(of(node.pass(2000), "snapshot")).toHaveLength(4);
    const [first] = reports(node.progress());
    expect(first).toMatchObject({ report_id: "d1-7-0", seq: 0, epoch: 7, final: false, revision: 1, v: 1 });
    expect(first!.metrics.median_latency).toBe(null);
    expect(reports(node.progress())[0]).toMatchObject({ report_id: "d1-7-1", seq: 1 });
    expect(of(node.all, "save")).toHaveLength(2);
  });

  it("prepares nothing else meanwhile, and what is open afterwards", () => {
    const { node, leader } = running();
    expect(of(node.control(leader.config("t2", PLAN, ME)), "prepare")).toEqual([]);
    expect(of(node.finished(), "prepare")).toMatchObject([{ spec: { test_id: "t2" } }]);
  });

  it("repeats its final each second until ended names it, then forgets it", () => {
    const { node, leader } = running();
    node.pass(10_500);
    expect(node.phase()).toBe("draining");
    const [final] = reports(node.finished());
    expect(final).toMatchObject({ final: true, end_reason: "schedule", seq: 0 });
    expect(node.phase()).toBe("awaiting_ack");
    expect(reports(node.pass(5000))).toEqual(Array(5).fill(final));
    node.published(final!);
    node.control(leader.ended("other", [{ node_id: "d1", epoch: 7, seq: 0, final: true }]));
    expect(node.phase()).toBe("awaiting_ack");
    const effects = node.control(leader.ended("t1", [{ node_id: "d1", epoch: 7, seq: 0, final: true }]));
    expect(of(effects, "forget")).toEqual([{ type: "forget", node_id: "d1", test_id: "t1", epoch: 7, seq: 0 }]);
    expect(node.phase()).toBe("idle");
    expect(reports(node.pass(3000))).toEqual([]);
  });

  it("publishes its final three times more when ended came without it", () => {
    const { node, leader } = running();
    const [final] = reports(node.finished());
    node.control(leader.ended("t1", [{ node_id: "d1", epoch: 7, seq: -1, final: false }]));
    for (let copy = 0; copy < 3; copy++) {
      expect(node.phase()).toBe("awaiting_ack");
      expect(reports(node.pass(1000))).toHaveLength(1);
      node.published(final!);
    }
    expect(node.phase()).toBe("idle");
    expect(logged(node.all)).not.toContain("result_dropped");
  });

  it("stops when the test ended without it", () => {
    const { node, leader } = running();
    const effects = node.control(leader.ended("t1", []));
    expect(of(effects, "stop")).toHaveLength(1);
    node.finished();
    expect(node.state().results).toMatchObject([{ copies: 3, report: { end_reason: "stopped" } }]);
  });

  it("repeats nothing while the log is away", () => {
    const { node } = running();
    node.finished();
    node.send({ type: "bus", connected: false, reason: "gone" });
    expect(reports(node.pass(10_000))).toEqual([]);
    node.send({ type: "bus", connected: true, reason: "" });
    expect(reports(node.pass(1000)).length).toBeGreaterThan(0);
    expect(logged(node.all).filter((code) => code.startsWith("bus"))).toEqual(["bus_away", "bus_back"]);
  });

  it("stops on command, with two seconds for what is in flight", () => {
    const { node, leader } = running();
    node.control(leader.stop("t0"));
    expect(node.phase()).toBe("running");
    expect(of(node.control(leader.stop("t1")), "stop")).toEqual([{ type: "stop", job_id: 1, grace_ms: 2000 }]);
    expect(node.phase()).toBe("draining");
    expect(reports(node.finished())[0]).toMatchObject({ final: true, end_reason: "stopped" });
  });

  it("is dropped by a stop before its trigger", () => {
    const { node, leader } = ready();
    expect(of(node.control(leader.stop("t1")), "discard")).toHaveLength(1);
    expect(node.phase()).toBe("idle");
  });

  it("of a test that was triggered and then stopped before it could be prepared again tells a final of nothing", () => {
    const node = bench().live();
    const leader = createLeader(1, "leader", node.now);
    node.control(leader.claim());
    node.control(leader.config("t1", PLAN, ME));
    node.control(leader.trigger("t1", node.now() + 1000, ME));
    expect(reports(node.control(leader.stop("t1")))).toMatchObject([{ final: true, end_reason: "stopped", counts: { scheduled: 0 } }]);
  });

  it("does not crash on what this version cannot do", () => {
    const { node, leader } = running();
    const { term, owner, command_seq, at_ms, schedule } = leader.config("t2", PLAN, ME);
    const retarget = { type: "retarget" as const, term, owner, command_seq, at_ms, test_id: "t1", from_us: 0, schedule };
    expect(logged(node.control(retarget))).toEqual(["unsupported"]);
    expect(node.phase()).toBe("running");
  });

  it("publishes what it had when its engine breaks, but not as a final", () => {
    const { node } = running();
    node.progress();
    const effects = node.send({ type: "load_failed", job_id: 1, message: "broken" });
    expect(logged(effects)).toContain("load_failed");
    expect(reports(effects)).toMatchObject([{ seq: 0, final: false }]);
    expect(of(effects, "publish_register")).toHaveLength(1);
    expect(node.phase()).toBe("idle");
  });

  it("is ended by a cap on its duration when only a count would end it", () => {
    const { node } = running({ caps: { max_duration_ms: 5000 } }, { type: "avalanche", rate_rps: 1, requests: 100, duration_s: undefined });
    expect(of(node.pass(5000), "stop")).toEqual([]);
    expect(of(node.pass(50), "stop")).toHaveLength(1);
  });
});

