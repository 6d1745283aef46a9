import { decodeInto, encodeHistogram, type EncodedHistogram } from "../metrics/codec.ts";
import { createHistogram } from "../metrics/histogram.ts";
import type { Counts, EndKind, ErrorCount, GeneratorHealth, RangeProgress, Row, Snapshot } from "../metrics/snapshot.ts";
import { mergeTls } from "../metrics/tls.ts";

/** What one worker measured, and when it was asked. */
export interface WorkerSnapshot {
  snapshot: Snapshot;
  /** us since the schedule's zero, not before the snapshot's own moment. */
  taken_us: number;
}

/** A recorder lets go of a second when it is this many seconds old. */
const ROWS_S = 4;
/** Different messages kept; the others are counted under their kind. */
const MAX_MESSAGES = 100;
const OTHER_MESSAGES = "other messages";

/**
 * The snapshots of a node's workers as one of the node. Everything countable is added; of what is no count:
 *
 *     last_end_us, utilisation, gc_max_us   the largest
 *     backlog_max                           the sum: at most so many waited at once
 *     cpu                                   the sum, as each worker tells that of its thread
 *     seconds, saturated_seconds            of the worker with the largest part saturated
 *     pacing                                timer, when any worker's is
 *     start_offset_us                       the one farthest from 0
 *     rows                                  the seconds that every worker still has
 */
export function mergeSnapshots(parts: readonly WorkerSnapshot[]): Snapshot {
  const snapshots = parts.map(({ snapshot }) => snapshot);
  const [first] = snapshots;
  if (first === undefined) throw new RangeError("expected at least one snapshot, got none");
  if (snapshots.length === 1) return first;
  const histogram = (of: (snapshot: Snapshot) => EncodedHistogram) => mergeHistograms(snapshots.map(of));
  const warmups = snapshots.map(({ warmup }) => warmup).filter((warmup) => warmup !== null);
  return {
    ...first,
    counts: mergeCounts(snapshots.map(({ counts }) => counts)),
    statuses: mergeStatuses(snapshots),
    errors: mergeErrors(snapshots.flatMap(({ errors }) => errors)),
    response: histogram(({ response }) => response),
    service: histogram(({ service }) => service),
    connect: histogram(({ connect }) => connect),
    tls: mergeTls(snapshots.map(({ tls }) => tls)),
    failed: histogram(({ failed }) => failed),
    send_lateness: histogram(({ send_lateness }) => send_lateness),
    ranges: mergeRanges(snapshots.flatMap(({ ranges }) => ranges)),
    rows: mergeRows(parts),
    generator: mergeHealth(snapshots.map(({ generator }) => generator)),
    start_offset_us: snapshots.reduce((far, { start_offset_us: us }) => (Math.abs(us) > Math.abs(far) ? us : far), 0),
    warmup:
      warmups.length === 0
        ? null
        : {
            counts: mergeCounts(warmups.map(({ counts }) => counts)),
            response: mergeHistograms(warmups.map(({ response }) => response)),
          },
  };
}

function mergeHistograms(parts: readonly EncodedHistogram[]): EncodedHistogram {
  const merged = createHistogram();
  for (const part of parts) decodeInto(merged, part);
  return encodeHistogram(merged);
}

function mergeCounts([first, ...others]: readonly Counts[]): Counts {
  const merged = { ...first! };
  for (const counts of others) {
    for (const key of Object.keys(merged) as (keyof Counts)[]) {
      merged[key] = key === "last_end_us" ? Math.max(merged[key], counts[key]) : merged[key] + counts[key];
    }
  }
  return merged;
}

function mergeStatuses(snapshots: readonly Snapshot[]): Record<string, number> {
  const merged: Record<string, number> = {};
  for (const { statuses } of snapshots) {
    for (const [status, count] of Object.entries(statuses)) merged[status] = (merged[status] ?? 0) + count;
  }
  return merged;
}

function mergeErrors(errors: readonly ErrorCount[]): ErrorCount[] {
  const merged = new Map<string, ErrorCount>();
  const add = (kind: EndKind, message: string, count: number): void => {
    const key = `${kind} ${message}`;
    const known = merged.get(key);
    if (known !== undefined) known.count += count;
    else if (merged.size < MAX_MESSAGES || message === OTHER_MESSAGES) merged.set(key, { kind, message, count });
    else add(kind, OTHER_MESSAGES, count);
  };
  for (const { kind, message, count } of errors) add(kind, message, count);
  return [...merged.values()];
}

function mergeRanges(ranges: readonly RangeProgress[]): RangeProgress[] {
  const taken = new Map<string, number>();
  for (const range of ranges) taken.set(range.range_id, (taken.get(range.range_id) ?? 0) + range.taken);
  return [...taken].map(([range_id, taken]) => ({ range_id, taken }));
}

/** A second that one worker has let go of would come back smaller than it was. */
function mergeRows(parts: readonly WorkerSnapshot[]): Row[] {
  const newest_s = Math.floor(Math.max(...parts.map(({ taken_us }) => taken_us)) / 1e6);
  const seconds = new Map<number, Row[]>();
  for (const row of parts.flatMap(({ snapshot }) => snapshot.rows)) {
    if (row.t_s > newest_s - ROWS_S) seconds.set(row.t_s, [...(seconds.get(row.t_s) ?? []), row]);
  }
  return [...seconds.values()].map(mergeRow).sort((a, b) => a.t_s - b.t_s);
}

function mergeRow(rows: readonly Row[]): Row {
  const sum = (of: (row: Row) => number) => rows.reduce((total, row) => total + of(row), 0);
  return {
    t_s: rows[0]!.t_s,
    scheduled: sum(({ scheduled }) => scheduled),
    sent: sum(({ sent }) => sent),
    completed: sum(({ completed }) => completed),
    errors: sum(({ errors }) => errors),
    response: mergeHistograms(rows.map(({ response }) => response)),
  };
}

function mergeHealth(parts: readonly GeneratorHealth[]): GeneratorHealth {
  const busiest = parts.reduce((one, other) => {
    const more = other.saturated_seconds * one.seconds - one.saturated_seconds * other.seconds;
    return more > 0 || (more === 0 && other.seconds > one.seconds) ? other : one;
  });
  return {
    ...busiest,
    cpu: parts.reduce((sum, { cpu }) => sum + cpu, 0),
    gc_pauses: parts.reduce((sum, { gc_pauses = 0 }) => sum + gc_pauses, 0),
    gc_us: parts.reduce((sum, { gc_us = 0 }) => sum + gc_us, 0),
    gc_max_us: Math.max(...parts.map(({ gc_max_us = 0 }) => gc_max_us)),
    utilisation: Math.max(...parts.map(({ utilisation }) => utilisation)),
    due_while_free: parts.reduce((sum, part) => sum + part.due_while_free, 0),
    sent_while_free: parts.reduce((sum, part) => sum + part.sent_while_free, 0),
    pacing: parts.some(({ pacing }) => pacing === "timer") ? "timer" : "precise",
  };
}
