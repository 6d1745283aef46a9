import fc from "fast-check";
import { expect, test } from "vitest";
import { createRecorder, type Recorder } from "../metrics/recorder.ts";
import type { GeneratorHealth, Snapshot } from "../metrics/snapshot.ts";
import { mergeSnapshots, type WorkerSnapshot } from "./merge.ts";

const HEALTH: GeneratorHealth = {
  cpu: 0.5,
  utilisation: 0.25,
  seconds: 4,
  saturated_seconds: 1,
  due_while_free: 10,
  sent_while_free: 9,
  pacing: "precise",
};

function snapshotOf(recorder: Recorder, t_us: number, change: Partial<Snapshot> = {}): WorkerSnapshot {
  const snapshot = { ...recorder.snapshot(t_us), ranges: [], generator: HEALTH, start_offset_us: 0, warmup: null, ...change };
  return { snapshot, taken_us: t_us };
}

const request = fc.record({
  worker: fc.nat(2),
  t_us: fc.integer({ min: 0, max: 6e6 }),
  took_us: fc.integer({ min: 1, max: 1e6 }),
  end: fc.constantFrom(200, 301, 404, 503, "timeout", "reset", "aborted", "open"),
});

test("the merged snapshots of several recorders are the snapshot of one that recorded everything", () => {
  fc.assert(
    fc.property(fc.array(request, { maxLength: 60 }), (requests) => {
      const one = createRecorder({ window_us: 5e6 });
      const workers = [0, 1, 2].map(() => createRecorder({ window_us: 5e6 }));
      const inOrder = requests.sort((a, b) => a.t_us - b.t_us);
      for (const { worker, t_us, took_us, end } of inOrder) {
        for (const recorder of [one, workers[worker]!]) {
          recorder.scheduled(t_us);
          recorder.sent(t_us, took_us / 1000);
          recorder.bytes(10, 20);
          recorder.connected(took_us, t_us % 2 === 0);
          if (typeof end === "number") recorder.completed(t_us, end, took_us, took_us / 2);
          else if (end !== "open") recorder.failed(t_us, end as "reset", `${end} it was`, took_us);
        }
      }
      const { snapshot: whole } = snapshotOf(one, 6e6);
      const merged = mergeSnapshots(workers.map((recorder) => snapshotOf(recorder, 6e6)));
      const byText = (errors: Snapshot["errors"]) => [...errors].sort((a, b) => (a.message < b.message ? -1 : 1));
      expect({ ...merged, errors: byText(merged.errors), generator: null }).toEqual({ ...whole, errors: byText(whole.errors), generator: null });
    }),
    { numRuns: 200 },
  );
});

test("a single worker's snapshot is the node's", () => {
  const part = snapshotOf(createRecorder({ window_us: null }), 0);
  expect(mergeSnapshots([part])).toBe(part.snapshot);
  expect(() => mergeSnapshots([])).toThrow(RangeError);
});

test("a second that one worker has let go of is not told again, smaller", () => {
  const recorders = [createRecorder({ window_us: null }), createRecorder({ window_us: null })];
  for (const recorder of recorders) for (let s = 0; s < 6; s++) recorder.scheduled(s * 1e6);
  const [early, late] = [snapshotOf(recorders[0]!, 5.99e6), snapshotOf(recorders[1]!, 6.01e6)];
  expect(early.snapshot.rows.map(({ t_s }) => t_s)).toEqual([2, 3, 4, 5]);
  expect(mergeSnapshots([early, late]).rows.map(({ t_s, scheduled }) => [t_s, scheduled])).toEqual([[3, 2], [4, 2], [5, 2]]);
});

test("what is no count", () => {
  const recorder = createRecorder({ window_us: null });
  const health = (change: Partial<GeneratorHealth>) => ({ generator: { ...HEALTH, ...change } });
  const merged = mergeSnapshots([
    snapshotOf(recorder, 0, { ...health({ seconds: 9, saturated_seconds: 2 }), start_offset_us: 30, ranges: [{ range_id: "a", taken: 3 }] }),
    snapshotOf(recorder, 0, { ...health({ seconds: 5, saturated_seconds: 2, cpu: 0.7, pacing: "timer" }), start_offset_us: -90 }),
    snapshotOf(recorder, 0, { ...health({ utilisation: 0.9, gc_pauses: 5, gc_us: 500, gc_max_us: 300 }), ranges: [{ range_id: "a", taken: 4 }, { range_id: "b", taken: 1 }] }),
  ]);
  expect(merged.generator).toEqual({
    cpu: 1.7,
    utilisation: 0.9,
    seconds: 5,
    saturated_seconds: 2,
    due_while_free: 30,
    sent_while_free: 27,
    gc_pauses: 5,
    gc_us: 500,
    gc_max_us: 300,
    pacing: "timer",
  });
  expect(merged.start_offset_us).toBe(-90);
  expect(merged.ranges).toEqual([{ range_id: "a", taken: 7 }, { range_id: "b", taken: 1 }]);
});

test("different messages are bounded, their counts are not", () => {
  const parts = [0, 1, 2].map((w) => {
    const recorder = createRecorder({ window_us: null });
    for (let i = 0; i < 90; i++) {
      recorder.scheduled(0);
      recorder.sent(0, 1);
      recorder.failed(0, "other", `message ${w} ${i}`, 1);
    }
    return snapshotOf(recorder, 0);
  });
  const { errors } = mergeSnapshots(parts);
  expect(errors).toHaveLength(101);
  expect(errors.reduce((sum, { count }) => sum + count, 0)).toBe(270);
  expect(errors.find(({ message }) => message === "other messages")?.count).toBe(170);
});
