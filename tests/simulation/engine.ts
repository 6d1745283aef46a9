import { encodeHistogram, type EncodedHistogram } from "../../src/metrics/codec.ts";
import { createHistogram, record } from "../../src/metrics/histogram.ts";
import { zeroCounts } from "../../src/metrics/recorder.ts";
import type { Counts, Snapshot } from "../../src/metrics/snapshot.ts";
import { rangeLength } from "../../src/plan/pacer.ts";
import type { Range } from "../../src/plan/schedule.ts";
import type { JobSpec } from "../../src/driver/job.ts";
import { createGapGuard } from "../../src/load/gap.ts";
import { createSlotSource } from "../../src/load/slots.ts";
import type { Host, World } from "./world.ts";

/** What really happened, whoever knows of it. */
export interface Truth {
  test_id: string;
  node_id: string;
  epoch: number;
  counts: Counts;
  received: number;
}

/** How the target behaves. Probabilities of a request, and ms. */
export interface TargetBehaviour {
  fastest_ms: number;
  slowest_ms: number;
  http_error: number;
  refused: number;
  reset: number;
  hang: number;
}

export interface SimEngine {
  start(zero_world_ms: number): void;
  assign(ranges: readonly Range[]): void;
  resume(): void;
  stop(grace_ms: number): void;
  snapshot(): Snapshot;
  close(): void;
}

const SENDS_PER_TURN = 256;

/** A load engine without sockets: the real schedule, slots and gap guard; its requests go to the oracle. */
export function createSimEngine(options: {
  world: World;
  host: Host;
  spec: JobSpec;
  truth: Truth;
  target: TargetBehaviour;
  onSend: () => void;
  onGap: (gap_ms: number) => void;
  onFinished: () => void;
}): SimEngine {
  const { world, host, spec, truth, target, onSend, onFinished } = options;
  const { random } = world;
  const { schedule } = spec;
  const { counts } = truth;
  const guard = createGapGuard(options.onGap);
  const source = schedule.kind === "closed" ? null : createSlotSource(schedule, spec.ranges, 0);
  const owned: { range_id: string; length: number }[] = [];
  let count = 0;
  const backlog: number[] = [];
  let free = spec.connections;
  let zero_ms = 0;
  let started = false;
  let stopped = false;
  let finished = false;
  let closed = false;
  let in_flight = 0;
  let wake = 0;
  const aborts = new Set<() => void>();
  const now_us = () => (world.now_ms - zero_ms) * 1000;
  const end_us = (schedule.window_us ?? Infinity) + spec.timeout_ms * 1000;

  if (schedule.kind === "closed") own(spec.ranges);

  function own(ranges: readonly Range[]): void {
    for (const range of ranges) {
      const length = rangeLength(range, schedule.slots);
      owned.push({ range_id: range.range_id, length });
      count += length;
    }
  }

  function over(): boolean {
    if (stopped) return true;
    if (source) return source.next_us === Infinity && backlog.length === 0;
    return counts.scheduled >= count || now_us() >= (schedule.window_us ?? Infinity);
  }

  function wakeAt(t_us: number): void {
    const own_wake = ++wake;
    if (t_us === Infinity) return;
    // Doubles: a moment that is nearer than this may never come.
    host.after(Math.max(0.001, (t_us - now_us()) / 1000), () => {
      if (own_wake === wake && !closed) turn();
    });
  }

  function turn(): void {
    if (closed || finished || stopped) return;
    const t_us = now_us();
    const may_send = guard.maySend(t_us);
    let next_us = Infinity;
    if (source) {
      for (let taken = 0; may_send && taken < SENDS_PER_TURN && source.next_us <= t_us; taken++) {
        const due_us = source.next_us;
        source.take();
        counts.scheduled++;
        if (t_us >= end_us) counts.dropped++;
        else if (free > 0) send();
        else if (backlog.length < spec.backlog) backlog.push(due_us);
        else counts.dropped++;
      }
      if (t_us >= end_us) dropWaiting();
      next_us = may_send ? source.next_us : Infinity;
      if (backlog.length > 0) next_us = Math.min(next_us, end_us);
    } else {
      while (may_send && t_us >= 0 && free > 0 && !over()) {
        counts.scheduled++;
        send();
      }
      if (t_us < 0) next_us = 0;
      else if (schedule.window_us !== null) next_us = schedule.window_us;
    }
    wakeAt(over() ? Infinity : Math.min(next_us, guard.wakeBefore(t_us)));
    settle();
  }

  function dropWaiting(): void {
    counts.dropped += backlog.length;
    backlog.length = 0;
  }

  function send(): void {
    if (now_us() < 0) world.fail("sends before the schedule's zero");
    onSend();
    counts.sent++;
    in_flight++;
    free--;
    let open = true;
    const end = (how: "ok" | "http_error" | "network_error" | "timeout" | "aborted") => {
      if (!open || closed) return;
      open = false;
      aborts.delete(abort);
      counts[how]++;
      counts.last_end_us = Math.max(counts.last_end_us, now_us());
      if ((how === "ok" || how === "http_error") && now_us() < (schedule.window_us ?? Infinity)) counts.completed_in_window++;
      in_flight--;
      free++;
      next();
    };
    const abort = () => end("aborted");
    aborts.add(abort);
    const fate = random.unit();
    const way_ms = random.between(0.2, 3);
    const arrives = () => world.at(world.now_ms + way_ms, () => void truth.received++);
    const { refused, reset, hang, http_error } = target;
    if (fate < refused) {
      host.after(way_ms, () => end("network_error"));
    } else if (fate < refused + reset) {
      if (random.chance(0.5)) arrives();
      host.after(way_ms + random.between(1, 50), () => end("network_error"));
    } else {
      arrives();
      const takes_ms = way_ms + (fate < refused + reset + hang ? 1e6 : random.between(target.fastest_ms, target.slowest_ms));
      const timeout_ms = spec.timeout_ms;
      host.after(Math.min(takes_ms, timeout_ms), () => {
        end(takes_ms > timeout_ms ? "timeout" : random.chance(http_error) ? "http_error" : "ok");
      });
    }
  }

  /** A connection is free again. */
  function next(): void {
    const t_us = now_us();
    if (source && backlog.length > 0 && guard.maySend(t_us)) {
      backlog.shift();
      send();
    } else if (!source && !over() && guard.maySend(t_us)) {
      counts.scheduled++;
      send();
    }
    settle();
  }

  function settle(): void {
    if (!started || finished || !over() || in_flight > 0) return;
    finished = true;
    host.after(random.between(0, 3), () => {
      if (finished && !closed) onFinished();
    });
  }

  return {
    start(zero_world_ms) {
      zero_ms = zero_world_ms;
      started = true;
      guard.resume(now_us());
      wakeAt(Math.min(0, guard.wakeBefore(now_us())));
    },
    assign(ranges) {
      if (!started || stopped || closed) return;
      finished = false;
      if (source) {
        source.add(ranges, now_us(), () => {
          counts.scheduled++;
          counts.dropped++;
        });
      } else own(ranges);
      wakeAt(now_us());
    },
    resume() {
      if (stopped || closed) return;
      guard.resume(now_us());
      for (; backlog.length > 0 && free > 0; backlog.shift()) send();
      wakeAt(now_us());
    },
    stop(grace_ms) {
      if (!started || stopped) return;
      stopped = true;
      source?.close();
      dropWaiting();
      settle();
      host.after(grace_ms, () => {
        for (const abort of [...aborts]) abort();
      });
    },
    snapshot() {
      let left = counts.scheduled;
      const ranges = source
        ? source.progress()
        : owned.map(({ range_id, length }) => {
            const taken = Math.min(left, length);
            left -= taken;
            return { range_id, taken };
          });
      const answered = histogramOf(counts.ok + counts.http_error);
      return {
        counts: { ...counts, in_flight, waiting: backlog.length },
        statuses: {},
        errors: [],
        response: answered,
        service: answered,
        connect: histogramOf(0),
        failed: histogramOf(counts.network_error + counts.timeout + counts.aborted),
        send_lateness: histogramOf(counts.sent),
        ranges,
        rows: [],
        generator: { cpu: 0, utilisation: 0, seconds: 0, saturated_seconds: 0, due_while_free: 0, sent_while_free: 0, pacing: "timer" },
        start_offset_us: 0,
        warmup: null,
      };
    },
    close() {
      closed = true;
    },
  };
}

export function createTruth(test_id: string, node_id: string, epoch: number): Truth {
  return { test_id, node_id, epoch, counts: zeroCounts(), received: 0 };
}

const histograms = new Map<number, EncodedHistogram>();
const growing = createHistogram();

/** A histogram of so many values, all alike: its count is what matters here. */
function histogramOf(count: number): EncodedHistogram {
  const known = histograms.get(count);
  if (known) return known;
  for (let n = growing.count; n <= count; n++) {
    if (!histograms.has(n)) histograms.set(n, encodeHistogram(growing));
    if (n < count) record(growing, 1000);
  }
  return histograms.get(count)!;
}
