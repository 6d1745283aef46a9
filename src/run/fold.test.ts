import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TOPICS } from "../protocol/topics.ts";
import { toEntry, type Entry } from "./entry.ts";
import { fold } from "./fold.ts";
import { reportOf } from "./project.ts";
import { initialState, type SystemState } from "./state.ts";
import { decide } from "./decide.ts";
import { answered, LEADER, measuring, script } from "./testing/log.ts";

/** A run of three drivers, one of which is lost, with rubbish, stale commands and a second test. */
function eventfulLog(): Entry[] {
  const log = script();
  log.claim();
  const epochs = ["a", "b", "c"].map((node_id) => log.join(node_id));
  log.config("t0", { target: { url: "http://h/" }, rate_rps: 10, duration_s: 2 });
  log.config("t1", { target: { url: "http://h/" }, rate_rps: 10, duration_s: 2, name: "eventful" });
  log.trigger("t1");
  log.rubbish("metrics", "{not json");
  log.rubbish("control", '{"type":"ended","term":9}');
  log.append("control", { type: "stop", test_id: "t1", reason: "zombie", term: 7, owner: "other", command_seq: 1, at_ms: 0 });
  const nodes = epochs.map((epoch, i) => ({ node_id: "abc"[i]!, epoch, ...measuring(2e6) }));
  for (let second = 0; second < 2; second++) {
    for (const { node_id, epoch, recorder, snapshot } of nodes) {
      for (let i = 0; i < 10; i++) answered(recorder, second * 1e6 + i * 1e5, 1000 + i);
      log.now_ms += 100;
      log.snapshot(node_id, epoch, "t1", snapshot((second + 1) * 1e6));
      log.beat(node_id, epoch, "running");
    }
  }
  log.now_ms += 20_000;
  log.beat("a", epochs[0]!, "running");
  log.beat("b", epochs[1]!, "running");
  for (const decision of decide(log.state, log.moment())) if (decision.topic === "control") log.command(decision.body);
  for (const { node_id, epoch, snapshot } of nodes.slice(0, 2)) log.snapshot(node_id, epoch, "t1", snapshot(3e6), { final: true });
  for (const decision of decide(log.state, log.moment())) if (decision.topic === "control") log.command(decision.body);
  log.snapshot("c", epochs[2]!, "t1", nodes[2]!.snapshot(3e6), { final: true });
  return log.entries;
}

function foldAll(entries: readonly Entry[]): SystemState {
  return entries.reduce(fold, initialState());
}

/** Without what counts repetitions, which are meant to be counted. */
function essence(state: SystemState): unknown {
  const { rejected: _, stale: __, ...rest } = state;
  return rest;
}

describe("fold", () => {
  const entries = eventfulLog();
  const byTopic = TOPICS.map((topic) => entries.filter((entry) => entry.topic === topic));

  /** Any order that keeps each topic's own: picks tell from which topic the next record comes. */
  function interleaved(picks: readonly number[]): Entry[] {
    const queues = byTopic.map((queue) => [...queue]);
    const merged: Entry[] = [];
    for (let i = 0; queues.some((queue) => queue.length > 0); i++) {
      const left = queues.filter((queue) => queue.length > 0);
      merged.push(left[(picks[i % picks.length] ?? 0) % left.length]!.shift()!);
    }
    return merged;
  }

  test("any interleaving across topics gives the same state", () => {
    const expected = foldAll(entries);
    fc.assert(
      fc.property(fc.array(fc.nat(11), { minLength: 1, maxLength: 60 }), (picks) => {
        expect(foldAll(interleaved(picks))).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  });

  test("records delivered again change nothing", () => {
    const expected = essence(foldAll(entries));
    fc.assert(
      fc.property(fc.array(fc.nat(3), { minLength: 1, maxLength: 40 }), (repeats) => {
        const repeated = entries.flatMap((entry, i) => Array.from({ length: 1 + (repeats[i % repeats.length] ?? 0) }, () => entry));
        expect(essence(foldAll(repeated))).toEqual(expected);
      }),
      { numRuns: 100 },
    );
  });

  test("a lost snapshot is repaired by a later one", () => {
    const metrics = entries.filter((entry) => entry.topic === "metrics" && "message" in entry);
    const expected = reportOf(foldAll(entries), "t1")!;
    for (const gone of metrics.filter((entry) => "message" in entry && entry.topic === "metrics" && entry.message.kind === "snapshot" && !entry.message.final)) {
      const report = reportOf(foldAll(entries.filter((entry) => entry !== gone)), "t1")!;
      expect(report.totals).toEqual(expected.totals);
      expect(report.latency).toEqual(expected.latency);
    }
  });

  test("the report of that log is exact, and the late final of the lost driver made a second revision", () => {
    const report = reportOf(foldAll(entries), "t1")!;
    expect(report.bugs).toEqual([]);
    expect(report.revision).toBe(2);
    expect(report.totals).toMatchObject({ planned: 60, scheduled: 60, sent: 60, ok: 60, unknown: 0, never_sent: 0 });
    expect(report.latency.response.count).toBe(60);
    expect(report.complete).toBe(true);
    expect(report.nodes.map((node) => node.totals.ok)).toEqual([20, 20, 20]);
  });

  test("a registration that the log holds twice is one: nobody is replaced by it", () => {
    const log = script();
    const message = { node_id: "a", node_ip: "", message_type: "DRIVER_NODE_REGISTER", v: 1, boot_id: "b1" };
    const { offset } = log.append("register", message);
    log.beat("a", offset);
    log.append("register", message);
    expect(log.state.nodes.get("a")!.epoch).toBe(offset);
    const next = log.append("register", { ...message, boot_id: "b2" });
    expect(log.state.nodes.get("a")!.epoch).toBe(next.offset);
  });

  test("of two heartbeats of the same moment the later one counts: clocks may know only seconds", () => {
    const log = script();
    const epoch = log.join("a");
    log.beat("a", epoch, "left");
    expect(log.state.nodes.get("a")!.heartbeat!.state).toBe("left");
  });

  test("of a foreign driver's summaries the newest counts, whichever partition it is in", () => {
    const state = initialState();
    const summary = (partition: number, offset: number, timestamp_ms: number, mean_latency: number) => {
      const value = new TextEncoder().encode(JSON.stringify({ node_id: "f", test_id: "t", metrics: { mean_latency } }));
      fold(state, toEntry({ topic: "metrics", partition, offset, timestamp_ms, value }, 0));
    };
    summary(0, 100, 1_000, 1);
    summary(1, 3, 2_000, 2);
    summary(0, 99, 900, 3);
    expect(state.measured.get("t")!.get("f")!.plain!.metrics.mean_latency).toBe(2);
  });

  test("a command about a test that is not known takes its number like any other: drivers count so too", () => {
    const log = script();
    log.claim();
    log.command({ type: "stop", test_id: "never-heard-of", reason: "x" });
    log.command({ type: "stop", test_id: "never-heard-of", reason: "y" });
    expect(log.state.leadership.command_seq).toBe(2);
    expect(log.state.stale.size).toBe(0);
  });

  test("configs and triggers that are repeated or of another orchestrator are counted as stale", () => {
    const log = script();
    const trigger = { test_id: "t", trigger: "YES" as const };
    for (const message of [{ ...trigger, term: 1 }, { ...trigger, term: 1 }, trigger]) log.append("trigger", message);
    expect(Object.fromEntries(log.state.stale)).toEqual({ "trigger repeated": 1, "trigger of another orchestrator": 1 });
  });

  test("rubbish is counted, and commands of others are refused and counted", () => {
    const state = foldAll(entries);
    expect([...state.rejected.values()].reduce((sum, count) => sum + count, 0)).toBe(2);
    expect([...state.stale.entries()]).toEqual([["command of another term", 1]]);
    expect(state.leadership).toMatchObject({ term: 1, owner: LEADER.owner });
  });

  test("a claim counts only for the next term, a command only in its order", () => {
    const log = script();
    log.claim();
    const claim = { type: "claim" as const, owner: "b", command_seq: 0, at_ms: 0 };
    log.append("control", { ...claim, term: 3 });
    log.append("control", { ...claim, term: 1 });
    expect(log.state.leadership).toMatchObject({ term: 1, owner: LEADER.owner });
    log.append("control", { ...claim, term: 2 });
    expect(log.state.leadership).toMatchObject({ term: 2, owner: "b", command_seq: 0 });
    expect(log.state.stale.size).toBe(1);
  });
});
