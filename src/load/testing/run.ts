import { expect } from "vitest";
import { decodeHistogram, type EncodedHistogram } from "../../metrics/codec.ts";
import type { Counts, Snapshot } from "../../metrics/snapshot.ts";
import { percentileUs } from "../../metrics/statistics.ts";
import type { Schedule } from "../../plan/schedule.ts";
import { createLoadEngine, type LoadEngine, type LoadJob, type LoadTarget } from "../engine.ts";

export function loadTarget(port: number, path = "/ping", change: Partial<LoadTarget> = {}): LoadTarget {
  return {
    protocol: "http:",
    hostname: "127.0.0.1",
    address: "127.0.0.1",
    port,
    path,
    method: "GET",
    headers: {},
    body: null,
    insecure: false,
    ...change,
  };
}

/** A job of one node that owns the whole schedule. */
export function loadJob(target: LoadTarget, schedule: Schedule, change: Partial<LoadJob> = {}): LoadJob {
  return {
    test_id: "test",
    target,
    schedule,
    ranges: [{ range_id: "r0", share: 0, from: 0, to: schedule.slots, step: 1 }],
    connections: 4,
    timeout_us: 5_000_000,
    backlog: 10_000,
    pacing: "timer",
    warmup_us: 0,
    ...change,
  };
}

/** So many requests per second (an integer) for a window of ms. */
export function rate(rate_rps: number, window_ms: number): Extract<Schedule, { kind: "rate" }> {
  const slots = Math.ceil((rate_rps * window_ms) / 1000);
  return { kind: "rate", total_rate_urps: rate_rps * 1e6, slots, window_us: window_ms * 1000 };
}

/** A gap of ms for a number of requests. */
export function delay(delay_ms: number, slots: number): Extract<Schedule, { kind: "delay" }> {
  return { kind: "delay", delay_us: delay_ms * 1000, drivers: 1, slots, window_us: slots * delay_ms * 1000 };
}

export function closed(slots: number | null, window_ms: number | null, rate_rps: number | null = null): Schedule {
  return {
    kind: "closed",
    rate_urps: rate_rps === null ? null : rate_rps * 1e6,
    slots,
    window_us: window_ms === null ? null : window_ms * 1000,
  };
}

/** Runs a job to its end; `meanwhile` once it has started. The counts are checked against the invariants. */
export async function runJob(job: LoadJob, meanwhile?: (engine: LoadEngine) => Promise<void> | void): Promise<Snapshot> {
  const engine = createLoadEngine(job);
  try {
    expect(await engine.prepare()).toMatchObject({ ok: true });
    engine.start(performance.now() + 20 + job.warmup_us / 1000);
    await meanwhile?.(engine);
    await engine.finished;
    const snapshot = await engine.snapshot();
    expectBalanced(snapshot);
    expect(snapshot.counts).toMatchObject({ in_flight: 0, waiting: 0 });
    return snapshot;
  } finally {
    await engine.close();
  }
}

export function expectBalanced({ counts, response, service, failed, send_lateness }: Snapshot): void {
  const ended = counts.ok + counts.http_error + counts.network_error + counts.timeout + counts.aborted;
  expect(counts.sent + counts.dropped + counts.waiting).toBe(counts.scheduled);
  expect(ended + counts.in_flight).toBe(counts.sent);
  expect(response.count).toBe(counts.ok + counts.http_error);
  expect(service.count).toBe(response.count);
  expect(failed.count).toBe(ended - response.count);
  expect(send_lateness.count).toBe(counts.sent);
}

/** What a run must have counted; all that is not named must be 0. */
export function expectEnds(counts: Counts, ends: Partial<Counts>): void {
  const { sent, dropped, ok, http_error, network_error, timeout, aborted } = counts;
  const none = { sent: 0, dropped: 0, ok: 0, http_error: 0, network_error: 0, timeout: 0, aborted: 0 };
  expect({ sent, dropped, ok, http_error, network_error, timeout, aborted }).toEqual({ ...none, ...ends });
}

export function percentileMs(histogram: EncodedHistogram, q: number): number {
  return (percentileUs(decodeHistogram(histogram), q) ?? Infinity) / 1000;
}
