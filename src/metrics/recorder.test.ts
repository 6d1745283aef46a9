import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeHistogram, encodeHistogram } from "./codec.ts";
import { createRecorder, type Recorder, type Recording } from "./recorder.ts";
import { FAILURE_KINDS, type EndKind, type Row } from "./snapshot.ts";
import { contentOf, histogramOf } from "./testing/samples.ts";

const SECOND_US = 1_000_000;

function complete(recorder: Recorder, t_us: number, status = 200, response_us = 1000): void {
  recorder.scheduled(t_us);
  recorder.sent(t_us, 5);
  recorder.completed(t_us, status, response_us, response_us);
}

describe("recorder", () => {
  it("starts at zero", () => {
    const { counts, rows, errors, statuses, response } = createRecorder({ window_us: null }).snapshot(0);
    expect(new Set(Object.values(counts))).toEqual(new Set([0]));
    expect({ rows, errors, statuses }).toEqual({ rows: [], errors: [], statuses: {} });
    expect(response.count).toBe(0);
  });

  it("counts each thing where it belongs", () => {
    const recorder = createRecorder({ window_us: 2 * SECOND_US });
    recorder.connected(300, true);
    recorder.connected(400, false);
    for (let n = 0; n < 8; n++) recorder.scheduled(10);
    recorder.waitedForConnection();
    recorder.backlog(3);
    recorder.backlog(1);
    for (let n = 0; n < 6; n++) recorder.sent(20, n);
    recorder.dropped(30);
    recorder.completed(1_500_000.5, 204, 1000, 900);
    recorder.completed(2_000_000, 503, 2000, 1900);
    recorder.failed(2_100_000, "reset", "the peer closed the connection", 77);
    recorder.failed(2_200_000, "timeout", "no answer", 88);
    recorder.failed(2_200_000, "aborted", "stopped", 99);
    recorder.bytes(100, 10);
    recorder.bytes(1, 2);
    const recording = recorder.snapshot(2_300_000);
    expect(recording.counts).toEqual({
      scheduled: 8,
      sent: 6,
      dropped: 1,
      ok: 1,
      http_error: 1,
      network_error: 1,
      timeout: 1,
      aborted: 1,
      in_flight: 1,
      waiting: 1,
      completed_in_window: 1,
      bytes_in: 101,
      bytes_out: 12,
      reconnects: 1,
      waited_for_connection: 1,
      backlog_max: 3,
      last_end_us: 2_200_000,
    });
    expect(recording.statuses).toEqual({ "204": 1, "503": 1 });
    expect(recording.errors).toEqual([
      { kind: "reset", message: "the peer closed the connection", count: 1 },
      { kind: "timeout", message: "no answer", count: 1 },
      { kind: "aborted", message: "stopped", count: 1 },
    ]);
    expect(recording.response).toEqual(encodeHistogram(histogramOf([1000, 2000])));
    expect(recording.service).toEqual(encodeHistogram(histogramOf([900, 1900])));
    expect(recording.connect).toEqual(encodeHistogram(histogramOf([300, 400])));
    expect(recording.failed).toEqual(encodeHistogram(histogramOf([77, 88, 99])));
    expect(recording.send_lateness).toEqual(encodeHistogram(histogramOf([0, 1, 2, 3, 4, 5])));
    const nothing = encodeHistogram(histogramOf([]));
    expect(recording.rows).toEqual([
      { t_s: 0, scheduled: 8, sent: 6, completed: 0, errors: 0, response: nothing },
      { t_s: 1, scheduled: 0, sent: 0, completed: 1, errors: 0, response: encodeHistogram(histogramOf([1000])) },
      { t_s: 2, scheduled: 0, sent: 0, completed: 1, errors: 4, response: encodeHistogram(histogramOf([2000])) },
    ]);
  });

  it("gives snapshots that later events don't change", () => {
    const recorder = createRecorder({ window_us: null });
    complete(recorder, 5);
    recorder.scheduled(6);
    recorder.sent(6, 0);
    recorder.failed(6, "tls", "bad certificate", 1);
    const before = recorder.snapshot(10);
    const copy = structuredClone(before);
    complete(recorder, 20, 500, 7000);
    recorder.scheduled(21);
    recorder.sent(21, 0);
    recorder.failed(21, "tls", "bad certificate", 1);
    expect(before).toEqual(copy);
  });

  it("refuses what is no status", () => {
    const recorder = createRecorder({ window_us: null });
    recorder.scheduled(0);
    recorder.sent(0, 0);
    for (const status of [0, 99, 1000, 200.5, NaN]) {
      expect(() => recorder.completed(1, status, 1, 1)).toThrow(RangeError);
    }
    expect(recorder.snapshot(1).counts).toMatchObject({ ok: 0, http_error: 0, in_flight: 1 });
  });

  it("is loud when an engine breaks the accounting", () => {
    const ended = createRecorder({ window_us: null });
    ended.completed(1, 200, 1, 1);
    expect(() => ended.snapshot(1)).toThrow(/invariant/);
    const sent = createRecorder({ window_us: null });
    sent.sent(1, 1);
    expect(() => sent.snapshot(1)).toThrow(/invariant/);
  });

  it("bounds the messages that it tells apart, and counts the rest by kind", () => {
    const recorder = createRecorder({ window_us: null });
    const fail = (kind: EndKind, message: string) => {
      recorder.scheduled(0);
      recorder.sent(0, 0);
      recorder.failed(0, kind, message, 1);
    };
    for (let round = 0; round < 2; round++) {
      for (let n = 0; n < 150; n++) fail(n % 2 === 0 ? "dns" : "tls", `message ${n}`);
    }
    fail("reset", "late");
    fail("dns", "x".repeat(1000));
    const { errors, counts } = recorder.snapshot(0);
    expect(errors.length).toBe(103);
    expect(errors.filter(({ message }) => message === "other messages")).toEqual([
      { kind: "dns", message: "other messages", count: 51 },
      { kind: "tls", message: "other messages", count: 50 },
      { kind: "reset", message: "other messages", count: 1 },
    ]);
    expect(errors.reduce((sum, { count }) => sum + count, 0)).toBe(counts.network_error);
  });

  it("cuts long messages", () => {
    const recorder = createRecorder({ window_us: null });
    for (const tail of ["a", "b"]) {
      recorder.scheduled(0);
      recorder.sent(0, 0);
      recorder.failed(0, "other", "x".repeat(300) + tail, 1);
    }
    expect(recorder.snapshot(0).errors).toEqual([{ kind: "other", message: "x".repeat(200), count: 2 }]);
  });
});

describe("rows", () => {
  const seconds = (recording: Recording) => recording.rows.map(({ t_s }) => t_s);

  it("are of the current second and the three before it, where anything happened", () => {
    const recorder = createRecorder({ window_us: null });
    for (const t_s of [0, 1, 3, 4]) complete(recorder, t_s * SECOND_US);
    expect(seconds(recorder.snapshot(4.5 * SECOND_US))).toEqual([1, 3, 4]);
    expect(seconds(recorder.snapshot(6 * SECOND_US))).toEqual([3, 4]);
    recorder.scheduled(6.5 * SECOND_US);
    recorder.dropped(7.9 * SECOND_US);
    expect(seconds(recorder.snapshot(7.9 * SECOND_US))).toEqual([4, 6, 7]);
    expect(seconds(recorder.snapshot(60 * SECOND_US))).toEqual([]);
  });

  it("don't change after they fell out", () => {
    const recorder = createRecorder({ window_us: null });
    complete(recorder, 0);
    recorder.snapshot(4 * SECOND_US);
    complete(recorder, 0.9 * SECOND_US);
    const recording = recorder.snapshot(4 * SECOND_US);
    expect(recording.rows).toEqual([]);
    expect(recording.counts).toMatchObject({ scheduled: 2, ok: 2 });
  });
});

interface Step {
  advance_us: number;
  what: "scheduled" | "sent" | "dropped" | "completed" | "failed" | "snapshot";
  status: number;
  kind: EndKind;
  took_us: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  advance_us: fc.oneof(fc.integer({ min: 0, max: 50_000 }), fc.double({ min: 0, max: 3e6, noNaN: true })),
  what: fc.constantFrom("scheduled", "scheduled", "sent", "sent", "dropped", "completed", "failed", "snapshot"),
  status: fc.integer({ min: 200, max: 599 }),
  kind: fc.constantFrom<EndKind>(...FAILURE_KINDS, "timeout", "aborted"),
  took_us: fc.double({ min: 0, max: 1e8, noNaN: true }),
});

describe("under any sequence of events", () => {
  it("the counts balance, and the rows add up to them", () => {
    const expectBalanced = ({ counts, statuses, errors, response, service, failed, send_lateness, rows }: Recording) => {
      const completed = counts.ok + counts.http_error;
      const failures = counts.network_error + counts.timeout + counts.aborted;
      expect(counts.scheduled).toBe(counts.sent + counts.dropped + counts.waiting);
      expect(counts.sent).toBe(completed + failures + counts.in_flight);
      expect([response.count, service.count]).toEqual([completed, completed]);
      expect([failed.count, send_lateness.count]).toEqual([failures, counts.sent]);
      expect(Object.values(statuses).reduce((sum, n) => sum + n, 0)).toBe(completed);
      expect(errors.reduce((sum, { count }) => sum + count, 0)).toBe(failures);
      for (const row of rows) expect(row.response.count).toBe(row.completed);
    };

    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.double({ min: 0, max: 1e8, noNaN: true }), (steps, window_us) => {
        const recorder = createRecorder({ window_us });
        const last = new Map<number, Row>();
        const keep = (recording: Recording) => {
          expectBalanced(recording);
          for (const row of recording.rows) last.set(row.t_s, row);
        };
        let t_us = 0;
        let waiting = 0;
        let in_flight = 0;
        let in_window = 0;
        const responses: number[] = [];
        for (const { advance_us, what, status, kind, took_us } of steps) {
          // As an engine does: a snapshot at least every 500 ms, so that no second is lost.
          for (const until = t_us + advance_us; t_us < until; ) {
            t_us = Math.min(until, t_us + 500_000);
            keep(recorder.snapshot(t_us));
          }
          if (what === "scheduled") {
            recorder.scheduled(t_us);
            waiting += 1;
          } else if (what === "sent" && waiting > 0) {
            recorder.sent(t_us, took_us);
            waiting -= 1;
            in_flight += 1;
          } else if (what === "dropped" && waiting > 0) {
            recorder.dropped(t_us);
            waiting -= 1;
          } else if (what === "completed" && in_flight > 0) {
            recorder.completed(t_us, status, took_us, took_us / 2);
            responses.push(took_us);
            if (t_us < window_us) in_window += 1;
            in_flight -= 1;
          } else if (what === "failed" && in_flight > 0) {
            recorder.failed(t_us, kind, kind, took_us);
            in_flight -= 1;
          } else if (what === "snapshot") {
            keep(recorder.snapshot(t_us));
          }
        }
        const final = recorder.snapshot(t_us);
        keep(final);
        expect(final.counts).toMatchObject({ waiting, in_flight, completed_in_window: in_window });
        expect(contentOf(decodeHistogram(final.response))).toEqual(contentOf(histogramOf(responses)));
        const rows = [...last.values()];
        const total = (field: "scheduled" | "sent" | "completed" | "errors") =>
          rows.reduce((sum, row) => sum + row[field], 0);
        expect(total("scheduled")).toBe(final.counts.scheduled);
        expect(total("sent")).toBe(final.counts.sent);
        expect(total("completed")).toBe(responses.length);
        expect(total("errors")).toBe(final.counts.http_error + final.failed.count);
      }),
      { numRuns: 50 },
    );
  });
});
