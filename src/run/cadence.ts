import type { Cadence } from "./state.ts";

const RECENT = 5;
/** Records closer than this are taken for one that was delivered twice. */
const SHORTEST_INTERVAL_MS = 100;

export function emptyCadence(): Cadence {
  return { count: 0, first_ms: Number.POSITIVE_INFINITY, last_ms: Number.NEGATIVE_INFINITY, interval_ms: null, recent_ms: [] };
}

/**
 * Takes the time stamp (log's, ms) of one more record of a node. `beats`: it is one of a regular series, which tells the
 * interval: the largest gap among the last few, so that one late record does not make its sender look lost.
 */
export function addObservation(cadence: Cadence, timestamp_ms: number, beats: boolean): void {
  cadence.last_ms = Math.max(cadence.last_ms, timestamp_ms);
  if (!beats || cadence.recent_ms.includes(timestamp_ms)) return;
  cadence.count++;
  cadence.first_ms = Math.min(cadence.first_ms, timestamp_ms);
  cadence.recent_ms.push(timestamp_ms);
  cadence.recent_ms.sort((a, b) => a - b);
  if (cadence.recent_ms.length > RECENT) cadence.recent_ms.shift();
  let largest = 0;
  for (let i = 1; i < cadence.recent_ms.length; i++) {
    largest = Math.max(largest, cadence.recent_ms[i]! - cadence.recent_ms[i - 1]!);
  }
  cadence.interval_ms = largest >= SHORTEST_INTERVAL_MS ? largest : null;
}
