import type { Cadence } from "./state.ts";

const RECENT = 6;
/** Records closer than this are taken for one that was delivered twice. */
const SHORTEST_INTERVAL_MS = 100;

export function emptyCadence(): Cadence {
  return { count: 0, interval_ms: null, recent_ms: [] };
}

/**
 * Takes the time stamp (log's, ms) of one more record of a node. The interval is the median gap (of two the smaller) of
 * the last few records: neither a late one nor the time for which a node was away counts as its interval.
 */
export function addObservation(cadence: Cadence, timestamp_ms: number): void {
  if (cadence.recent_ms.includes(timestamp_ms)) return;
  cadence.count++;
  cadence.recent_ms.push(timestamp_ms);
  cadence.recent_ms.sort((a, b) => a - b);
  if (cadence.recent_ms.length > RECENT) cadence.recent_ms.shift();
  const gaps = cadence.recent_ms.slice(1).map((at_ms, i) => at_ms - cadence.recent_ms[i]!);
  const told = gaps.filter((gap_ms) => gap_ms >= SHORTEST_INTERVAL_MS).sort((a, b) => a - b);
  cadence.interval_ms = told[(told.length - 1) >> 1] ?? null;
}
