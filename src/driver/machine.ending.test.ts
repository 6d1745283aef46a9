import { describe, expect, it } from "vitest";
import { emptySnapshot } from "./report.ts";
import { bench, logged, of, reports } from "./testing/bench.ts";
import { createLeader } from "./testing/leader.ts";
import { heartbeats, ME, PLAN, ready, running } from "./testing/run.ts";

describe("lease", () => {
  it("ends the run when the leader falls silent; the clock is the leader's", () => {
    const { node, leader } = ready({}, { lease_ms: 5000, duration_s: 60 });
    node.control(leader.trigger("t1", node.now() + 1000, ME, 100));
    for (let i = 0; i < 10; i++) {
      node.pass(1000);
      node.leaderBeats(1, node.now() - 100);
    }
    expect(node.phase()).toBe("running");
    expect(of(node.pass(5000), "stop")).toEqual([]);
    const effects = node.pass(50);
    expect(of(effects, "stop")).toHaveLength(1);
    expect(logged(effects)).toContain("lease_expired");
    expect(reports(node.finished())[0]).toMatchObject({ end_reason: "lease_expired", final: true });
  });

  it("is not renewed by another term, by a standby or by an old heartbeat", () => {
    const { node } = running({}, { lease_ms: 5000, duration_s: 60 });
    node.pass(3500);
    node.leaderBeats(2);
    node.leaderBeats(1, node.now() - 60_000);
    node.send({ type: "orchestrator_heartbeat", term: 1, state: "standby", timestamp_ms: node.now(), received_ms: node.now() });
    expect(of(node.pass(550), "stop")).toHaveLength(1);
  });

  it("is renewed by its leader although somebody writes heartbeats of a term that nobody has claimed", () => {
    const { node } = running({}, { lease_ms: 5000, duration_s: 60 });
    node.leaderBeats(9_000_000_000);
    for (let i = 0; i < 8; i++) {
      node.pass(1000);
      node.leaderBeats(1);
    }
    expect(node.phase()).toBe("running");
  });

  it("goes on under the next leader", () => {
    const { node } = running({}, { lease_ms: 5000, duration_s: 60 });
    node.pass(3000);
    node.control(createLeader(2, "standby").claim());
    node.leaderBeats(2, node.now() + 3_600_000);
    expect(of(node.pass(4950), "stop")).toEqual([]);
    expect(of(node.pass(150), "stop")).toHaveLength(1);
  });
});

describe("lost", () => {
  it("stops, reports, registers again, and is idle under a new epoch", () => {
    const { node, leader } = running();
    const effects = node.control(leader.lost({ test_id: "t1", node_id: "d1", epoch: 7, reason: "silent" }));
    expect(of(effects, "stop")).toHaveLength(1);
    expect(heartbeats(node.pass(1500))).toEqual([]);
    const finished = node.finished();
    expect(reports(finished)).toMatchObject([{ epoch: 7, final: true }]);
    expect(of(finished, "publish_register")).toMatchObject([{ message: { boot_id: "boot.2" } }]);
    expect(heartbeats(node.registered(20))[0]).toMatchObject({ epoch: 20, state: "idle" });
    expect(reports(node.pass(1000))).toMatchObject([{ epoch: 7, final: true }]);
    node.control(leader.ended("t1", [{ node_id: "d1", epoch: 7, seq: 0, final: true }]));
    expect(node.state().results).toEqual([]);
  });

  it("prepares an open test again under its new epoch", () => {
    const { node, leader } = ready();
    const effects = node.control(leader.lost({ test_id: "t0", node_id: "d1", epoch: 7, reason: "silent" }));
    expect(of(effects, "discard")).toHaveLength(1);
    expect(of(effects, "publish_register")).toHaveLength(1);
    expect(of(node.registered(20), "prepare")).toHaveLength(1);
    expect(of(node.control(leader.trigger("t1", node.now(), ME)), "start")).toEqual([]);
  });

  it("is nothing to it when it is about another node or an older epoch", () => {
    const { node, leader } = running();
    node.control(leader.lost({ test_id: "t1", node_id: "d2", epoch: 7, reason: "silent" }));
    node.control(leader.lost({ test_id: "t1", node_id: "d1", epoch: 6, reason: "newer_epoch" }));
    expect(node.phase()).toBe("running");
  });
});

describe("leaving", () => {
  it("goes at once when it has nothing to tell", () => {
    const node = bench().live();
    const effects = node.send({ type: "leave" });
    expect(heartbeats(effects).at(-1)!.state).toBe("left");
    expect(of(effects, "exit")).toEqual([{ type: "exit", code: 0 }]);
    expect(node.pass(5000)).toEqual([]);
  });

  it("stops, gives its ranges back, repeats its final for three seconds, says left and exits", () => {
    const { node } = running();
    expect(of(node.send({ type: "leave" }), "stop")).toHaveLength(1);
    node.pass(500);
    const [final] = reports(node.finished({ ...emptySnapshot([]), ranges: [{ range_id: "r0", taken: 12 }] }));
    expect(final).toMatchObject({ final: true, end_reason: "left", ranges: [{ range_id: "r0", taken: 12, given_back: true }] });
    expect(of(node.pass(2950), "exit")).toEqual([]);
    const effects = node.pass(50);
    expect(heartbeats(effects).at(-1)).toMatchObject({ state: "left", epoch: 7 });
    expect(of(effects, "exit")).toEqual([{ type: "exit", code: 0 }]);
    expect(reports(node.all)).toHaveLength(4);
  });

  it("goes when its final is acknowledged, or when it is known to have left", () => {
    const acknowledged = running();
    acknowledged.node.send({ type: "leave" });
    acknowledged.node.finished();
    const ended = acknowledged.leader.ended("t1", [{ node_id: "d1", epoch: 7, seq: 0, final: true }]);
    expect(of(acknowledged.node.control(ended), "exit")).toHaveLength(1);

    const released = running();
    released.node.send({ type: "leave" });
    released.node.finished();
    const lost = released.leader.lost({ test_id: "t1", node_id: "d1", epoch: 7, reason: "left" });
    expect(of(released.node.control(lost), "exit")).toHaveLength(1);
  });

  it("goes within five seconds whatever its engine does", () => {
    const { node } = running();
    node.send({ type: "leave" });
    // Last words, closing and the bus's own grace come after it: 1.1 s at most.
    const effects = node.pass(3_700);
    expect(of(effects, "discard")).toHaveLength(1);
    expect(of(effects, "exit")).toEqual([{ type: "exit", code: 0 }]);
  });
});

describe("results of an earlier start", () => {
  const stored = () => {
    const { node } = running();
    node.finished();
    return node.state().results[0]!.report;
  };

  it("are published again until they are acknowledged", () => {
    const report = stored();
    const node = bench({ node_id: "d2" }, [{ report, origin: "control" }]);
    const leader = createLeader(1);
    node.send({ type: "begin" });
    node.control(leader.claim());
    node.control(leader.config("t1", PLAN, ME));
    expect(reports(node.pass(2000))).toEqual([]);
    node.send({ type: "caught_up" });
    expect(reports(node.pass(2000))).toEqual([report, report]);
    const effects = node.control(leader.ended("t1", [{ node_id: "d1", epoch: 7, seq: 0, final: true }]));
    expect(of(effects, "forget")).toHaveLength(1);
  });

  it("are published three times when this log has never heard of their test", () => {
    const report = stored();
    const node = bench({}, [{ report, origin: "control" }]).live(9);
    for (let copy = 0; copy < 3; copy++) {
      expect(reports(node.pass(1000))).toHaveLength(1);
      node.published(report);
    }
    expect(reports(node.pass(5000))).toEqual([]);
  });
});
