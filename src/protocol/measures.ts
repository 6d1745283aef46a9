import { z } from "zod";
import { isHistogram } from "../metrics/codec.ts";
import { FAILURE_KINDS, type Snapshot } from "../metrics/snapshot.ts";
import {
  boundedArray,
  boundedMap,
  boundedText,
  tolerantCount as count,
  tolerantInteger,
  tolerantNonNegative,
  tolerantNumber,
  tolerantPositive,
} from "./scalars.ts";

/** A histogram on the wire, looked at to its last byte: whoever is given one may decode it. */
export const encodedHistogram = z
  .object({
    count,
    sum_us: tolerantNonNegative,
    min_us: count.nullable(),
    max_us: count.nullable(),
    clamped: count.default(0),
    buckets: z.string(),
  })
  .refine(isHistogram, "expected a histogram");

const counts = z.object({
  scheduled: count,
  sent: count,
  dropped: count,
  ok: count,
  http_error: count,
  network_error: count,
  timeout: count,
  aborted: count,
  in_flight: count,
  waiting: count,
  completed_in_window: count,
  bytes_in: count,
  bytes_out: count,
  reconnects: count,
  waited_for_connection: count,
  backlog_max: count,
  last_end_us: tolerantNonNegative,
});

/** Kinds that a later version may add count as `other`. */
const errorCount = z.object({
  kind: z.enum([...FAILURE_KINDS, "timeout", "aborted"]).catch("other"),
  message: boundedText(500),
  count,
});

const row = z.object({
  t_s: count,
  scheduled: count,
  sent: count,
  completed: count,
  errors: count,
  response: encodedHistogram,
});

export const range = z.object({
  range_id: z.string().min(1).max(64),
  share: count,
  from: tolerantInteger,
  to: tolerantInteger.nullable(),
  step: tolerantPositive,
});

/** How far a node came in a range; `given_back`: what is left of it is free for others (a leaver's final). */
const rangeProgress = z.object({ range_id: z.string().min(1).max(64), taken: count, given_back: z.boolean().optional() });

/** The measured part of a metrics record: a load engine's Snapshot. Optional on input where a default stands. */
export const measures = z.object({
  counts,
  statuses: boundedMap(z.string().regex(/^[1-9]\d\d$/), count, 900).default({}),
  errors: boundedArray(errorCount, 256).default([]),
  response: encodedHistogram,
  service: encodedHistogram,
  connect: encodedHistogram,
  failed: encodedHistogram,
  send_lateness: encodedHistogram,
  ranges: boundedArray(rangeProgress, 10_000).default([]),
  rows: boundedArray(row, 64).default([]),
  generator: z.object({
    cpu: tolerantNumber,
    utilisation: tolerantNumber,
    seconds: count,
    saturated_seconds: count,
    due_while_free: count,
    sent_while_free: count,
    gc_pauses: count.optional(),
    gc_us: tolerantNumber.optional(),
    gc_max_us: tolerantNumber.optional(),
    pacing: z.enum(["precise", "timer"]),
  }),
  start_offset_us: tolerantNumber,
  warmup: z.object({ counts, response: encodedHistogram }).nullable().default(null),
}) satisfies z.ZodType<Snapshot>;

export type Measures = z.infer<typeof measures>;
