import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { reportOf } from "./project.ts";
import { standingOf } from "./report.ts";
import { answered, measuring, script, type Script } from "./testing/log.ts";
import type { Report } from "./report-schema.ts";

const TARGET = { url: "http://127.0.0.1:1/" };

function started(plan: object, nodes = ["a", "b"]): { log: Script; epochs: number[] } {
  const log = script();
  log.claim();
  const epochs = nodes.map((node_id) => log.join(node_id));
  log.config("t", { target: TARGET, ...plan });
  log.trigger("t");
  return { log, epochs };
}

function lose(log: Script, node_id: string, epoch: number, cut_us: number): void {
  log.command({ type: "lost", test_id: "t", node_id, epoch, cut_us, reason: "silent", basis: { seq: -1 } });
}

function end(log: Script, status: "completed" | "stopped" = "completed"): Report {
  log.command({ type: "ended", test_id: "t", status, reason: "", basis: [] });
  return reportOf(log.state, "t")!;
}

describe("accounts of a lost driver", () => {
  test("open: due before the cut and neither finished nor dropped is unknown; later ones are never sent", () => {
    const { log, epochs } = started({ rate_rps: 10, duration_s: 10 });
    const { recorder, snapshot } = measuring(10e6);
    for (let i = 0; i < 20; i++) answered(recorder, i * 1e5, 100);
    recorder.scheduled(2e6);
    recorder.scheduled(2.05e6);
    recorder.dropped(2.05e6);
    recorder.scheduled(2.1e6);
    recorder.sent(2.1e6, 0);
    log.snapshot("a", epochs[0]!, "t", snapshot(2.1e6));
    lose(log, "a", epochs[0]!, 5e6);
    const { totals, nodes, bugs } = end(log);
    expect(bugs).toEqual([]);
    // Driver a owns the slots at 0, 0.1, 0.2 ... s: 50 before the cut.
    expect(nodes[0]!.totals).toMatchObject({ planned: 100, scheduled: 50, dropped: 1, sent: 49, ok: 20, unknown: 29, never_sent: 50, in_flight: 0, waiting: 0 });
    expect(nodes[0]!.totals.never_sent_reasons).toEqual({ driver_lost: 50 });
    // Nothing stops it before its lease (30 s after the decision) ends: it may send all that is left.
    expect(nodes[0]!.totals.overlap_max).toBe(50);
    expect(totals.planned).toBe(200);
  });

  test("closed by count: only what was in flight is unknown, the rest of its count may still be sent", () => {
    const { log, epochs } = started({ type: "avalanche", requests: 100, connections: 4 });
    const { recorder, snapshot } = measuring(null);
    for (let i = 0; i < 10; i++) answered(recorder, i * 1e4, 100);
    for (let i = 0; i < 4; i++) {
      recorder.scheduled(2e5);
      recorder.sent(2e5, 0);
    }
    log.snapshot("a", epochs[0]!, "t", snapshot(2e5));
    lose(log, "a", epochs[0]!, 5e6);
    const { nodes, bugs } = end(log);
    expect(bugs).toEqual([]);
    expect(nodes[0]!.totals).toMatchObject({ planned: 100, scheduled: 14, sent: 14, ok: 10, unknown: 4, never_sent: 86, overlap_max: 86 });
  });

  test("closed by duration: planned is what was scheduled, and what it may still send has no bound", () => {
    const { log, epochs } = started({ type: "avalanche", duration_s: 5 });
    const { recorder, snapshot } = measuring(5e6);
    answered(recorder, 0, 100);
    recorder.scheduled(200);
    recorder.sent(200, 0);
    log.snapshot("a", epochs[0]!, "t", snapshot(1e6));
    lose(log, "a", epochs[0]!, 5e6);
    const { totals, bugs } = end(log);
    expect(bugs).toEqual([]);
    expect(totals).toMatchObject({ planned: 2, scheduled: 2, sent: 2, unknown: 1, never_sent: 0, overlap_max: null });
  });

  test("its late final brings unknown down to nothing", () => {
    const { log, epochs } = started({ rate_rps: 10, duration_s: 10 });
    const { recorder, snapshot } = measuring(10e6);
    lose(log, "a", epochs[0]!, 5e6);
    expect(reportAfter(log).nodes[0]!.totals).toMatchObject({ scheduled: 50, unknown: 50 });
    for (let i = 0; i < 60; i++) answered(recorder, i * 1e5, 100);
    log.snapshot("a", epochs[0]!, "t", snapshot(6e6), { final: true, end_reason: "stopped" });
    const { totals } = reportAfter(log).nodes[0]!;
    expect(totals).toMatchObject({ planned: 100, scheduled: 60, sent: 60, ok: 60, unknown: 0, never_sent: 40 });
    expect(totals.never_sent_reasons).toEqual({ driver_lost: 40 });
    expect(reportAfter(log).bugs).toEqual([]);
  });

  function reportAfter(log: Script): Report {
    if (!log.state.runs.get("t")!.ended) end(log);
    return reportOf(log.state, "t")!;
  }
});

describe("accounts of drivers that ended", () => {
  test.each([
    ["stopped", "stopped"],
    ["left", "driver_left"],
    ["late_start", "late_start"],
    ["lease_expired", "lease_expired"],
  ] as const)("what a driver that was cut short (%s) did not send is never_sent: %s", (end_reason, heading) => {
    const { log, epochs } = started({ rate_rps: 10, duration_s: 1 }, ["a"]);
    const { recorder, snapshot } = measuring(1e6);
    for (let i = 0; i < 4; i++) answered(recorder, i * 1e5, 100);
    log.snapshot("a", epochs[0]!, "t", snapshot(4e5), { final: true, end_reason });
    const report = end(log, "stopped");
    expect(report.bugs).toEqual([]);
    expect(report.totals).toMatchObject({ planned: 10, scheduled: 4, never_sent: 6, never_sent_reasons: { [heading]: 6 } });
  });

  test("a driver that says it did all of its schedule and did not is a bug that the report shows", () => {
    const { log, epochs } = started({ rate_rps: 10, duration_s: 1 }, ["a"]);
    log.snapshot("a", epochs[0]!, "t", measuring(1e6).snapshot(0), { final: true, end_reason: "schedule" });
    expect(end(log).bugs).toContain("never_sent = sum of its reasons: 10 is not 0");
  });
});

test("the invariants hold for any history of snapshots, finals and losses", () => {
  const node = fc.record({
    sent: fc.nat(100),
    failed: fc.nat(20),
    dropped: fc.nat(20),
    inFlight: fc.nat(5),
    waiting: fc.nat(5),
    fate: fc.constantFrom("final", "lost", "silent" as const),
    cut_s: fc.double({ min: 0, max: 12, noNaN: true }),
  });
  const plans = fc.constantFrom(
    { rate_rps: 33.3, duration_s: 10 },
    { delay_ms: 7.7, requests: 900 },
    { type: "avalanche", requests: 200 },
    { type: "avalanche", duration_s: 3 },
  );
  fc.assert(
    fc.property(plans, fc.array(node, { minLength: 1, maxLength: 6 }), (plan, nodes) => {
      const ids = nodes.map((_, i) => `n${i}`);
      const { log, epochs } = started(plan, ids);
      nodes.forEach((history, i) => {
        const { recorder, snapshot } = measuring(10e6);
        for (let k = 0; k < history.sent; k++) answered(recorder, k * 1e4, 100 + k);
        for (let k = 0; k < history.failed; k++) {
          recorder.scheduled(1e6);
          recorder.sent(1e6, 0);
          recorder.failed(1.1e6, "reset", "connection reset", 1e5);
        }
        for (let k = 0; k < history.dropped; k++) {
          recorder.scheduled(1e6);
          recorder.dropped(1e6);
        }
        const over = history.fate === "final";
        for (let k = 0; !over && k < history.inFlight + history.waiting; k++) {
          recorder.scheduled(1.2e6);
          if (k < history.inFlight) recorder.sent(1.2e6, 0);
        }
        log.snapshot(ids[i]!, epochs[i]!, "t", snapshot(2e6), over ? { final: true, end_reason: "stopped" } : {});
        if (history.fate === "lost") lose(log, ids[i]!, epochs[i]!, history.cut_s * 1e6);
      });
      const report = end(log);
      expect(report.bugs).toEqual([]);
      expect(report.complete).toBe(nodes.every(({ fate }) => fate === "final"));
    }),
    { numRuns: 150 },
  );
});

test("the rate of answers refers to the time that has passed while the run is live, to the window when it has ended", () => {
  const { log, epochs } = started({ rate_rps: 10, duration_s: 10 }, ["a"]);
  const { recorder, snapshot } = measuring(10e6);
  for (let i = 0; i < 20; i++) answered(recorder, i * 1e5, 1e5);
  log.snapshot("a", epochs[0]!, "t", snapshot(2e6));
  const run = log.state.runs.get("t")!;
  expect(standingOf(run, log.state.measured.get("t")).totals.rps).toBe(10);
  expect(end(log).totals.rps).toBe(2);
});
