import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makePacer, rangeLength, rangeSlot } from "../plan/pacer.ts";
import { accountOf, membersOf } from "./accounts.ts";
import { decide } from "./decide.ts";
import { ownershipOf } from "./ownership.ts";
import { reportOf } from "./project.ts";
import { measuring, script, type Script } from "./testing/log.ts";

const TARGET = { url: "http://127.0.0.1:1/" };

function started(plan: object, count: number): { log: Script; epochs: Map<string, number> } {
  const log = script();
  log.claim();
  const ids = Array.from({ length: count }, (_, i) => `n${i}`);
  const epochs = new Map(ids.map((node_id) => [node_id, log.join(node_id)]));
  log.config("t", { target: TARGET, ...plan });
  log.trigger("t");
  return { log, epochs };
}

/** Applies all decisions until there is none left. */
function settle(log: Script): string[] {
  const said: string[] = [];
  for (;;) {
    const decisions = decide(log.state, log.moment());
    if (decisions.length === 0) return said;
    for (const decision of decisions) {
      if (decision.topic !== "control") throw new Error("no foreign drivers here");
      log.command(decision.body);
      said.push(decision.body.type);
    }
  }
}

/** Lets `ms` pass in which only these are heard. */
function pass(log: Script, ms: number, alive: readonly string[], epochs: Map<string, number>): void {
  log.now_ms += ms;
  for (const node_id of alive) log.beat(node_id, epochs.get(node_id)!, "running");
}

/** What a node that takes every slot it owns has counted when all is over: `taken` per range. */
function finish(log: Script, node_id: string, epoch: number, options: { until_us?: number; end_reason?: "left" | "stopped" } = {}): void {
  const run = log.state.runs.get("t")!;
  const { schedule } = run.config;
  const pacer = makePacer(schedule);
  const { owned, revision } = ownershipOf(run).get(`${node_id}@${epoch}`)!;
  const { recorder, snapshot } = measuring(schedule.window_us);
  const ranges = owned.map(({ range, kept }) => {
    const limit = options.until_us === undefined || pacer.model === "closed" ? kept : pacer.rangeDueBefore(range, options.until_us);
    for (let i = 0; i < limit; i++) {
      const t_us = pacer.model === "closed" ? i * 1000 : pacer.dueUs(rangeSlot(range, i));
      recorder.scheduled(t_us);
      recorder.sent(t_us, 0);
      recorder.completed(t_us + 500, 200, 500, 500);
    }
    return { range_id: range.range_id, taken: limit };
  });
  log.snapshot(node_id, epoch, "t", { ...snapshot(10e6), ranges }, { final: true, revision, ...(options.end_reason && { end_reason: options.end_reason }) });
}

/** Every slot of the schedule and who owns it; throws where one has two owners. */
function owners(log: Script): Map<number, string> {
  const run = log.state.runs.get("t")!;
  const found = new Map<number, string>();
  for (const [key, { owned }] of ownershipOf(run)) {
    for (const { range, kept } of owned) {
      for (let i = 0; i < kept; i++) {
        const slot = rangeSlot(range, i);
        if (found.has(slot)) throw new Error(`slot ${slot} belongs to ${found.get(slot)} and to ${key}`);
        found.set(slot, key);
      }
    }
  }
  return found;
}

describe("takeover", () => {
  test("open: the slots due after the cut move to the survivors, interleaved, on their due times", () => {
    const { log, epochs } = started({ rate_rps: 100, duration_s: 10 }, 4);
    pass(log, 3_500, ["n0", "n1", "n2"], epochs);
    expect(settle(log)).toEqual(["lost", "assign"]);
    const run = log.state.runs.get("t")!;
    const [assign] = run.assigns;
    // 2.5 s after the start it was decided; the cut is 0.5 s later: 300 of 1,000 slots stay.
    expect(assign).toMatchObject({ from: { node_id: "n3" }, cut_us: 3e6, kept: [{ range_id: "r3", slots: 300 }] });
    expect(assign!.moves.map(({ node_id, range }) => [node_id, range.from, range.step])).toEqual([
      ["n0", 1_203, 12],
      ["n1", 1_207, 12],
      ["n2", 1_211, 12],
    ]);
    expect(owners(log).size).toBe(4_000);
    for (const node_id of ["n0", "n1", "n2"]) finish(log, node_id, epochs.get(node_id)!);
    expect(settle(log)).toEqual(["ended"]);
    const report = reportOf(log.state, "t")!;
    expect(report.bugs).toEqual([]);
    expect(report.totals).toMatchObject({ planned: 4_000, scheduled: 4_000, ok: 3_700, unknown: 300, never_sent: 0, overlap: 0 });
    expect(report.totals.overlap_max).toBe(700);
    expect(report.nodes.map((node) => node.totals.planned)).toEqual([1_234, 1_233, 1_233, 300]);
  });

  test("a second and a third loss split what was inherited the same way", () => {
    const { log, epochs } = started({ rate_rps: 50, duration_s: 20 }, 5);
    pass(log, 3_500, ["n0", "n1", "n2", "n3"], epochs);
    expect(settle(log)).toEqual(["lost", "assign"]);
    pass(log, 3_500, ["n0", "n1", "n2"], epochs);
    expect(settle(log)).toEqual(["lost", "assign"]);
    pass(log, 3_500, ["n0"], epochs);
    expect(settle(log)).toEqual(["lost", "lost", "assign", "assign"]);
    expect(owners(log).size).toBe(5_000);
    finish(log, "n0", epochs.get("n0")!);
    expect(settle(log)).toEqual(["ended"]);
    const { totals, bugs } = reportOf(log.state, "t")!;
    expect(bugs).toEqual([]);
    expect(totals).toMatchObject({ planned: 5_000, scheduled: 5_000, never_sent: 0 });
  });

  test("a final that does not know of what was given since is not the last word", () => {
    const { log, epochs } = started({ rate_rps: 100, duration_s: 4 }, 2);
    pass(log, 3_500, ["n0"], epochs);
    const revision = log.state.runs.get("t")!.config_offset;
    log.snapshot("n0", epochs.get("n0")!, "t", measuring(4e6).snapshot(0), { revision });
    expect(settle(log)).toEqual(["lost", "assign"]);
    log.snapshot("n0", epochs.get("n0")!, "t", measuring(4e6).snapshot(0), { final: true, revision });
    expect(settle(log)).toEqual([]);
    finish(log, "n0", epochs.get("n0")!);
    expect(settle(log)).toEqual(["ended"]);
    expect(reportOf(log.state, "t")!.bugs).toEqual([]);
  });

  test("it was only cut off: what it sent of slots that had moved is overlap, and nothing is unknown", () => {
    const { log, epochs } = started({ rate_rps: 100, duration_s: 10 }, 2);
    pass(log, 3_500, ["n0"], epochs);
    expect(settle(log)).toEqual(["lost", "assign"]);
    finish(log, "n0", epochs.get("n0")!);
    finish(log, "n1", epochs.get("n1")!, { until_us: 4.2e6, end_reason: "stopped" });
    expect(reportAfter(log)).toMatchObject({ planned: 2_000, sent: 2_120, ok: 2_120, unknown: 0, overlap: 120, overlap_max: 0, never_sent: 0 });
  });

  test("it slept and came back: what it did not send before the cut is never sent", () => {
    const { log, epochs } = started({ rate_rps: 100, duration_s: 10 }, 2);
    pass(log, 3_500, ["n0"], epochs);
    expect(settle(log)).toEqual(["lost", "assign"]);
    finish(log, "n0", epochs.get("n0")!);
    finish(log, "n1", epochs.get("n1")!, { until_us: 1e6, end_reason: "stopped" });
    expect(reportAfter(log)).toMatchObject({ planned: 2_000, sent: 1_800, unknown: 0, overlap: 0, never_sent: 200, never_sent_reasons: { driver_lost: 200 } });
  });

  test("a leaver's ranges move; what was due before they could is never sent", () => {
    const { log, epochs } = started({ rate_rps: 100, duration_s: 10 }, 2);
    pass(log, 3_000, ["n0", "n1"], epochs);
    finish(log, "n1", epochs.get("n1")!, { until_us: 2e6, end_reason: "left" });
    expect(settle(log)).toEqual(["assign"]);
    finish(log, "n0", epochs.get("n0")!);
    expect(reportAfter(log)).toMatchObject({ planned: 2_000, unknown: 0, never_sent: 50, never_sent_reasons: { driver_left: 50 }, sent: 1_950 });
  });

  test("closed by count: what it had not taken moves, and is its overlap_max until it is back", () => {
    const { log, epochs } = started({ type: "avalanche", requests: 100 }, 3);
    const revision = log.state.runs.get("t")!.config_offset;
    const { recorder, snapshot } = measuring(null);
    for (let i = 0; i < 40; i++) {
      recorder.scheduled(i);
      recorder.sent(i, 0);
      if (i < 36) recorder.completed(i + 500, 200, 500, 500);
    }
    log.snapshot("n2", epochs.get("n2")!, "t", { ...snapshot(1e6), ranges: [{ range_id: "r2", taken: 40 }] }, { revision });
    pass(log, 3_500, ["n0", "n1"], epochs);
    expect(settle(log)).toEqual(["lost", "assign"]);
    expect(owners(log).size).toBe(300);
    finish(log, "n0", epochs.get("n0")!);
    finish(log, "n1", epochs.get("n1")!);
    expect(reportAfter(log)).toMatchObject({ planned: 300, ok: 296, unknown: 4, overlap: 0, overlap_max: 60, never_sent: 0 });
  });

  test("continue: nothing moves; stop: the run is stopped; nobody left: nothing to move to", () => {
    const quiet = started({ rate_rps: 10, duration_s: 10, on_driver_loss: "continue" }, 2);
    pass(quiet.log, 3_500, ["n0"], quiet.epochs);
    expect(settle(quiet.log)).toEqual(["lost"]);
    const strict = started({ rate_rps: 10, duration_s: 10, on_driver_loss: "stop" }, 2);
    pass(strict.log, 3_500, ["n0"], strict.epochs);
    expect(settle(strict.log)).toEqual(["lost", "stop"]);
    const alone = started({ rate_rps: 10, duration_s: 10 }, 1);
    pass(alone.log, 3_500, [], alone.epochs);
    expect(settle(alone.log)).toEqual(["lost", "ended"]);
    expect(reportOf(alone.log.state, "t")!.bugs).toEqual([]);
  });

  test("any sequence of losses and departures leaves every slot with one owner, and the ledger exact", () => {
    const fate = fc.record({ node: fc.nat(5), after_ms: fc.integer({ min: 100, max: 2_500 }), leaves: fc.boolean() });
    const plans = fc.constantFrom({ rate_rps: 17.3, duration_s: 20 }, { delay_ms: 31.7, requests: 600 }, { type: "avalanche", requests: 300 });
    fc.assert(
      fc.property(plans, fc.integer({ min: 1, max: 6 }), fc.array(fate, { maxLength: 6 }), (plan, count, fates) => {
        const { log, epochs } = started(plan, count);
        const alive = new Set(epochs.keys());
        const zero = log.state.runs.get("t")!.trigger!.start_at;
        for (const { node, after_ms, leaves } of fates) {
          const node_id = `n${node}`;
          pass(log, after_ms, [...alive], epochs);
          if (alive.delete(node_id) && leaves) finish(log, node_id, epochs.get(node_id)!, { until_us: (log.now_ms - zero) * 1000, end_reason: "left" });
          settle(log);
        }
        for (let i = 0; i < 4; i++) {
          pass(log, 1_000, [...alive], epochs);
          settle(log);
        }
        const { slots } = log.state.runs.get("t")!.config.schedule;
        expect(owners(log).size).toBe(slots);
        for (const node_id of alive) finish(log, node_id, epochs.get(node_id)!);
        const { totals, bugs } = report(log);
        expect(bugs).toEqual([]);
        expect(totals.planned).toBe(slots);
      }),
      { numRuns: 150 },
    );
  });

  function report(log: Script) {
    settle(log);
    if (!log.state.runs.get("t")!.ended) {
      log.now_ms += 200_000;
      settle(log);
    }
    return reportOf(log.state, "t")!;
  }

  function reportAfter(log: Script) {
    const { totals, bugs } = report(log);
    expect(bugs).toEqual([]);
    return totals;
  }
});

test("live accounts follow the ranges too", () => {
  const { log, epochs } = started({ rate_rps: 100, duration_s: 10 }, 2);
  pass(log, 3_500, ["n0"], epochs);
  settle(log);
  const run = log.state.runs.get("t")!;
  const planned = membersOf(run, log.state.measured.get("t")).map((member) => accountOf(run, member).planned);
  expect(planned).toEqual([1_700, 300]);
  expect(rangeLength(run.assigns[0]!.moves[0]!.range, 2_000)).toBe(700);
});
