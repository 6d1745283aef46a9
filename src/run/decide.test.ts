import { describe, expect, test } from "vitest";
import { decide, type Decision } from "./decide.ts";
import { heartbeatIntervalMs } from "./presence.ts";
import { reportOf } from "./project.ts";
import { answered, measuring, script, type Script } from "./testing/log.ts";

const TARGET = { url: "http://127.0.0.1:1/" };

function apply(log: Script, decisions: Decision[]): string[] {
  return decisions.map((decision) => {
    if (decision.topic === "control") log.command(decision.body);
    else log.append(decision.topic, decision.message);
    return decision.topic === "control" ? decision.body.type : decision.topic;
  });
}

function running(plan: object = { rate_rps: 100, duration_s: 10 }, nodes = ["a", "b"]): { log: Script; epochs: number[] } {
  const log = script();
  log.claim();
  const epochs = nodes.map((node_id) => log.join(node_id));
  log.config("t", { target: TARGET, ...plan });
  log.trigger("t");
  return { log, epochs };
}

describe("decide: who is lost", () => {
  test("a driver that is silent for three heartbeats, with the basis of the decision", () => {
    const { log, epochs } = running();
    const zero = log.state.runs.get("t")!.trigger!.start_at;
    const { recorder, snapshot } = measuring(10e6);
    answered(recorder, 0, 500);
    log.snapshot("b", epochs[1]!, "t", snapshot(1e6));
    log.now_ms += 3_001;
    log.beat("a", epochs[0]!, "running");
    const decisions = decide(log.state, log.moment());
    expect(decisions).toEqual([
      {
        topic: "control",
        body: {
          type: "lost",
          test_id: "t",
          node_id: "b",
          epoch: epochs[1],
          cut_us: Math.round((log.now_ms + 500 - zero) * 1000),
          reason: "silent",
          basis: { seq: 0 },
        },
      },
    ]);
    apply(log, decisions);
    expect(apply(log, decide(log.state, log.moment()))).toEqual(["assign"]);
    expect(decide(log.state, log.moment())).toEqual([]);
  });

  test("nobody while the orchestrator itself cannot hear, nor in the grace after that", () => {
    const { log } = running();
    log.now_ms += 60_000;
    expect(decide(log.state, { now_ms: log.now_ms, hearing_since_ms: null })).toEqual([]);
    expect(decide(log.state, { now_ms: log.now_ms, hearing_since_ms: log.now_ms - 4_900 })).toEqual([]);
    expect(decide(log.state, { now_ms: log.now_ms, hearing_since_ms: log.now_ms - 5_100 })).toHaveLength(2);
  });

  test("the old epoch of a driver that registered again", () => {
    const { log } = running();
    log.now_ms += 500;
    log.join("a");
    expect(decide(log.state, log.moment())).toMatchObject([{ body: { type: "lost", node_id: "a", reason: "newer_epoch" } }]);
  });

  test("a driver that left without a final", () => {
    const { log, epochs } = running();
    log.now_ms += 100;
    log.beat("a", epochs[0]!, "left");
    expect(decide(log.state, log.moment())).toEqual([]);
    log.now_ms += 1_001;
    expect(decide(log.state, log.moment())).toMatchObject([{ body: { type: "lost", node_id: "a", reason: "left" } }]);
  });
});

describe("decide: when a run has ended", () => {
  test("when every member has sent its final", () => {
    const { log, epochs } = running();
    const { snapshot } = measuring(10e6);
    log.snapshot("a", epochs[0]!, "t", snapshot(0), { final: true });
    expect(decide(log.state, log.moment())).toEqual([]);
    log.snapshot("b", epochs[1]!, "t", snapshot(0), { final: true });
    expect(apply(log, decide(log.state, log.moment()))).toEqual(["ended"]);
    expect(log.state.runs.get("t")!.ended).toMatchObject({ status: "completed", basis: [{ node_id: "a", final: true }, { node_id: "b", final: true }] });
  });

  test("when all are lost: failed, and every slot is accounted for", () => {
    const { log } = running();
    log.now_ms += 4_000;
    expect(apply(log, decide(log.state, log.moment()))).toEqual(["lost", "lost"]);
    expect(apply(log, decide(log.state, log.moment()))).toEqual(["ended"]);
    const report = reportOf(log.state, "t")!;
    expect(report).toMatchObject({ status: "failed", complete: false, bugs: [] });
    // The cut lies 4 s + 0.5 s after the trigger, whose start was 1 s ahead.
    expect(report.totals).toMatchObject({ planned: 2_000, unknown: 700, sent: 700, never_sent: 1_300 });
  });

  test("at the latest 10 s after the last possible response", () => {
    const { log, epochs } = running({ rate_rps: 100, duration_s: 10, target: { ...TARGET, timeout_ms: 1_000 } });
    log.now_ms += 1_000 + 10_000 + 2_000 + 10_001;
    for (const [i, node_id] of ["a", "b"].entries()) log.beat(node_id, epochs[i]!, "running");
    expect(apply(log, decide(log.state, log.moment()))).toEqual(["ended"]);
    const report = reportOf(log.state, "t")!;
    expect(report.incomplete_reasons).toEqual([
      { node_id: "a", reason: "no_final" },
      { node_id: "b", reason: "no_final" },
    ]);
    expect(report.bugs).toEqual([]);
  });

  test("a test that was stopped before it was triggered ends without a run", () => {
    const log = script();
    log.claim();
    log.join("a");
    log.config("t", { target: TARGET, rate_rps: 1 });
    log.command({ type: "stop", test_id: "t", reason: "changed my mind" });
    expect(apply(log, decide(log.state, log.moment()))).toEqual(["ended"]);
    const report = reportOf(log.state, "t")!;
    expect(report).toMatchObject({ status: "stopped", started_at: null, bugs: [] });
    expect(report.totals).toMatchObject({ planned: 10, never_sent: 10, sent: 0 });
  });
});

describe("decide: foreign drivers", () => {
  const plain = { mean_latency: 1.5, median_latency: 1.25, min_latency: 0.5, max_latency: 9, mode_latency: null };

  test("get copies, the trigger's at start_at, and have ended after 5 s without metrics", () => {
    const log = script();
    log.claim();
    log.joinForeign("f");
    log.config("t", { target: TARGET, delay_ms: 100, requests: 20 });
    expect(apply(log, decide(log.state, log.moment()))).toEqual(["test_config"]);
    expect(decide(log.state, log.moment())).toEqual([]);
    log.now_ms += 5_000;
    log.append("heartbeat", { node_id: "f", heartbeat: "YES", timestamp: log.now_ms });
    log.trigger("t");
    expect(decide(log.state, log.moment())).toEqual([]);
    log.now_ms += 1_000;
    expect(apply(log, decide(log.state, log.moment()))).toEqual(["trigger"]);
    for (let i = 0; i < 4; i++) {
      log.now_ms += 1_000;
      log.append("metrics", { node_id: "f", test_id: "t", report_id: `${i}`, metrics: plain });
      log.append("heartbeat", { node_id: "f", heartbeat: "YES", timestamp: log.now_ms });
      expect(decide(log.state, log.moment())).toEqual([]);
    }
    log.now_ms += 5_001;
    expect(apply(log, decide(log.state, log.moment()))).toEqual(["ended"]);
    const report = reportOf(log.state, "t")!;
    expect(report).toMatchObject({ complete: false, incomplete_reasons: [{ node_id: "f", reason: "foreign_summary" }], bugs: [] });
    expect(report.totals).toMatchObject({ planned: 20, sent: 20, unknown: 20, completed: 0 });
    expect(report.nodes[0]).toMatchObject({ source: "summary", foreign: true, state: "finished" });
    expect(report.nodes[0]!.latency.response).toMatchObject({ mean_ms: 1.5, median_ms: 1.25, min_ms: 0.5, max_ms: 9, mode_ms: null });
  });

  /** Onrush driver `a` and foreign driver `f`, triggered; the copy of the trigger is not out yet. */
  function mixed(): { log: Script; epoch: number } {
    const log = script();
    log.claim();
    const epoch = log.join("a");
    log.joinForeign("f");
    log.config("t", { target: TARGET, delay_ms: 100, requests: 20 });
    apply(log, decide(log.state, log.moment()));
    log.now_ms += 5_000;
    log.beat("a", epoch);
    log.append("heartbeat", { node_id: "f", heartbeat: "YES", timestamp: log.now_ms });
    log.trigger("t");
    return { log, epoch };
  }

  test("are not told to start a test that was stopped before its start, and did none of it", () => {
    const { log, epoch } = mixed();
    log.command({ type: "stop", test_id: "t", reason: "operator" });
    log.now_ms += 1_000;
    log.beat("a", epoch, "running");
    expect(decide(log.state, log.moment())).toEqual([]);
    log.snapshot("a", epoch, "t", measuring(2e6).snapshot(0), { final: true, end_reason: "stopped" });
    expect(apply(log, decide(log.state, log.moment()))).toEqual(["ended"]);
    const report = reportOf(log.state, "t")!;
    expect(report.bugs).toEqual([]);
    expect(report.nodes.find(({ node_id }) => node_id === "f")).toMatchObject({
      state: "finished",
      totals: { planned: 20, never_sent: 20, unknown: 0, never_sent_reasons: { stopped: 20 } },
    });
  });

  test("of a test that was stopped before its trigger nothing is unknown, and nobody is lost", () => {
    const log = script();
    log.claim();
    log.join("a");
    log.joinForeign("f");
    log.config("t", { target: TARGET, delay_ms: 100, requests: 20 });
    log.command({ type: "stop", test_id: "t", reason: "operator" });
    apply(log, decide(log.state, log.moment()));
    const report = reportOf(log.state, "t")!;
    expect(report).toMatchObject({ status: "stopped", bugs: [], totals: { planned: 40, never_sent: 40, unknown: 0 } });
    expect(report.nodes.map(({ state }) => state)).toEqual(["finished", "finished"]);
  });

  test("are told a target of any length once: a copy that could not be read back would be written for ever", () => {
    const log = script();
    log.claim();
    log.joinForeign("f");
    log.config("t", { target: { url: `http://127.0.0.1:1/?${"q".repeat(20_000)}` }, requests: 20 });
    expect(apply(log, decide(log.state, log.moment()))).toEqual(["test_config"]);
    expect(decide(log.state, log.moment())).toEqual([]);
  });

  test("that start anew in the middle without a report are lost: they know nothing of the test", () => {
    const { log } = mixed();
    log.now_ms += 1_000;
    apply(log, decide(log.state, log.moment()));
    log.now_ms += 1_000;
    log.joinForeign("f");
    expect(decide(log.state, log.moment())).toMatchObject([{ body: { type: "lost", node_id: "f", reason: "newer_epoch" } }]);
  });

  test("that were away for long are ready after their own interval, not after their absence", () => {
    const log = script();
    log.claim();
    log.joinForeign("f");
    for (const pause_ms of [1_000, 1_000, 90_000, 1_000]) {
      log.append("heartbeat", { node_id: "f", heartbeat: "YES", timestamp: log.now_ms });
      log.now_ms += pause_ms;
    }
    expect(heartbeatIntervalMs(log.state.nodes.get("f")!)).toBe(1_000);
  });

  test("get all of their own interval after an outage", () => {
    const { log } = mixed();
    const since_ms = log.now_ms + 60_000;
    const judged = (after_ms: number) => decide(log.state, { now_ms: since_ms + after_ms, hearing_since_ms: since_ms });
    const lost = (after_ms: number) => judged(after_ms).some((decision) => decision.topic === "control" && decision.body.type === "lost" && decision.body.node_id === "f");
    expect([lost(5_001), lost(14_900), lost(15_100)]).toEqual([false, false, true]);
  });

  test("that are no members may obey the copies all the same: the report says so, and bounds it", () => {
    const log = script();
    log.claim();
    log.joinForeign("f");
    log.joinForeign("g");
    const epoch = log.join("a");
    log.config("t", { target: TARGET, delay_ms: 100, requests: 20, drivers: ["a", "f"] });
    expect(log.state.runs.get("t")!.config.bystanders).toEqual(["g"]);
    log.now_ms += 5_000;
    log.append("heartbeat", { node_id: "f", heartbeat: "YES", timestamp: log.now_ms });
    log.beat("a", epoch);
    log.trigger("t");
    log.command({ type: "ended", test_id: "t", status: "completed", reason: "", basis: [] });
    const report = reportOf(log.state, "t")!;
    expect(report.totals.overlap_max).toBe(20);
    expect(report.incomplete_reasons).toContainEqual({ node_id: "g", reason: "foreign_bystander" });
    expect(report.bugs).toEqual([]);
  });

  test("are lost after three of their own heartbeat intervals", () => {
    const log = script();
    log.claim();
    log.joinForeign("f");
    for (let i = 0; i < 3; i++) {
      log.append("heartbeat", { node_id: "f", heartbeat: "YES", timestamp: log.now_ms });
      log.now_ms += 4_000;
    }
    log.config("t", { target: TARGET, delay_ms: 1_000, requests: 100 });
    apply(log, decide(log.state, log.moment()));
    log.append("heartbeat", { node_id: "f", heartbeat: "YES", timestamp: log.now_ms });
    log.now_ms += 4_000;
    log.trigger("t");
    log.now_ms += 7_900;
    expect(apply(log, decide(log.state, log.moment()))).toEqual(["trigger"]);
    expect(decide(log.state, log.moment())).toEqual([]);
    log.now_ms += 200;
    expect(decide(log.state, log.moment())).toMatchObject([{ body: { type: "lost", node_id: "f", reason: "silent" } }]);
  });
});
