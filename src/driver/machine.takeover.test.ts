import { describe, expect, it } from "vitest";
import { emptySnapshot } from "./report.ts";
import { logged, of, reports } from "./testing/bench.ts";
import { ME, ready, running } from "./testing/run.ts";

const TO_ME = { node_id: "d1", epoch: 7 };
const RANGE = { range_id: "r9", share: 1, from: 1, to: null, step: 2 };

describe("what is taken over", () => {
  it("is given to the engine, and from then on every snapshot knows of it", () => {
    const { node, leader } = running();
    expect(reports(node.progress())[0]).toMatchObject({ revision: 1 });
    expect(of(node.control(leader.assign("t1", { node_id: "d2", epoch: 3 })), "assign")).toEqual([]);
    expect(of(node.control(leader.assign("t1", { node_id: "d1", epoch: 6 })), "assign")).toEqual([]);
    expect(of(node.control(leader.assign("t1", TO_ME), 17), "assign")).toEqual([{ type: "assign", job_id: 1, ranges: [RANGE] }]);
    expect(reports(node.progress())[0]).toMatchObject({ revision: 17 });
  });

  it("waits for the start of a test that is triggered and not ready yet", () => {
    const { node, leader } = ready();
    node.send({ type: "load_failed", job_id: 1, message: "once more" });
    expect(node.phase()).toBe("idle");
    const second = leader.config("t2", { target: { url: "http://127.0.0.1:1/" }, rate_rps: 1, duration_s: 5 }, ME);
    node.control(second);
    node.control(leader.trigger("t2", node.now() + 500, ME));
    expect(of(node.control(leader.assign("t2", TO_ME), 30), "assign")).toEqual([]);
    const effects = node.prepared();
    expect(effects.filter(({ type }) => type === "start" || type === "assign").map(({ type }) => type)).toEqual(["start", "assign"]);
    node.pass(1_000);
    expect(reports(node.progress())[0]).toMatchObject({ revision: 30 });
  });

  it("sets a finished job to work again, and another final follows", () => {
    const { node, leader } = running();
    node.progress();
    expect(reports(node.finished())[0]).toMatchObject({ final: true, seq: 1 });
    expect(node.phase()).toBe("awaiting_ack");
    const effects = node.control(leader.assign("t1", TO_ME), 21);
    expect(of(effects, "assign")).toHaveLength(1);
    expect(of(effects, "discard")).toEqual([]);
    expect(node.phase()).toBe("running");
    expect(reports(node.pass(3_000))).toEqual([]);
    expect(reports(node.progress())[0]).toMatchObject({ final: false, seq: 2, revision: 21 });
    expect(reports(node.finished())[0]).toMatchObject({ final: true, seq: 3, revision: 21 });
    const ended = node.control(leader.ended("t1", [{ node_id: "d1", epoch: 7, seq: 3, final: true }]), 22);
    expect(of(ended, "discard")).toEqual([{ type: "discard", job_id: 1 }]);
    expect(node.phase()).toBe("idle");
  });

  it("is not sent by whoever was stopped, but its final says that it knows", () => {
    const { node, leader } = running();
    node.control(leader.stop("t1"));
    expect(of(node.control(leader.assign("t1", TO_ME), 8), "assign")).toEqual([]);
    expect(reports(node.finished())[0]).toMatchObject({ final: true, revision: 8, end_reason: "stopped" });
    const effects = node.control(leader.assign("t1", TO_ME), 9);
    expect(of(effects, "assign")).toEqual([]);
    expect(reports(effects)[0]).toMatchObject({ final: true, seq: 1, revision: 9, ranges: [{ range_id: "r9", taken: 0 }] });
  });

  it("is given back by a leaver whose final did not know of it", () => {
    const { node, leader } = running();
    node.send({ type: "leave" });
    node.finished(emptySnapshot([]));
    expect(reports(node.control(leader.assign("t1", TO_ME), 9))[0]).toMatchObject({
      end_reason: "left",
      revision: 9,
      ranges: [{ range_id: "r9", taken: 0, given_back: true }],
    });
  });
});

describe("after a gap", () => {
  it("nothing is sent before control was read to its end", () => {
    const { node } = running();
    const effects = node.send({ type: "gap", job_id: 1, gap_ms: 6_000 });
    expect(logged(effects)).toEqual(["gap"]);
    expect(of(effects, "read_control_to_end")).toEqual([{ type: "read_control_to_end", read: 1 }]);
    expect(of(node.pass(500), "resume")).toEqual([]);
    expect(of(node.send({ type: "control_read", read: 1 }), "resume")).toEqual([{ type: "resume", job_id: 1 }]);
    expect(node.send({ type: "control_read", read: 1 })).toEqual([]);
  });

  it("it stops where it reads that it is lost, or where its lease is over", () => {
    const lost = running();
    lost.node.send({ type: "gap", job_id: 1, gap_ms: 6_000 });
    expect(of(lost.node.control(lost.leader.lost({ test_id: "t1", node_id: "d1", epoch: 7, reason: "silent" })), "stop")).toHaveLength(1);
    expect(of(lost.node.send({ type: "control_read", read: 1 }), "resume")).toEqual([]);
    const expired = running({}, { lease_ms: 1_000 });
    expired.node.send({ type: "gap", job_id: 1, gap_ms: 6_000 });
    expect(of(expired.node.pass(1_500), "stop")).toHaveLength(1);
    expect(reports(expired.node.finished())[0]).toMatchObject({ end_reason: "lease_expired" });
  });

  it("while the log is away a short one is forgiven, a long one waits", () => {
    const away = { type: "bus", connected: false, reason: "x" } as const;
    const short = running();
    short.node.send({ type: "gap", job_id: 1, gap_ms: 2_000 });
    short.node.send(away);
    expect(of(short.node.tick(), "resume")).toHaveLength(1);
    const long = running();
    long.node.send({ type: "gap", job_id: 1, gap_ms: 4_000 });
    long.node.send(away);
    expect(of(long.node.pass(1_000), "resume")).toEqual([]);
    // What was known of the log before the gap says nothing.
    const stale = running();
    stale.node.send(away);
    expect(of(stale.node.send({ type: "gap", job_id: 1, gap_ms: 2_000 }), "resume")).toEqual([]);
  });
});
