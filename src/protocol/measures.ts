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

const orNone = count.default(0);

/** `completed_in_window`, where it is left out: all that completed. */
const counts = z
  .object({
    scheduled: count,
    sent: count,
    dropped: orNone,
    ok: count,
    http_error: orNone,
    network_error: orNone,
    timeout: orNone,
    aborted: orNone,
    in_flight: orNone,
    waiting: orNone,
    completed_in_window: count.optional(),
    bytes_in: orNone,
    bytes_out: orNone,
    reconnects: orNone,
    waited_for_connection: orNone,
    backlog_max: orNone,
    last_end_us: tolerantNonNegative.default(0),
  })
  .transform((given) => ({ ...given, completed_in_window: given.completed_in_window ?? given.ok + given.http_error }));

const EMPTY = { count: 0, sum_us: 0, min_us: null, max_us: null, clamped: 0, buckets: "" };

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

const tls = z.object({
  protocol: boundedText(200),
  cipher: boundedText(500),
  handshakes: count,
  resumed: orNone,
  duration: encodedHistogram,
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

/** What a node need not say of itself. */
type Unsaid = "generator" | "start_offset_us";
type Said = Omit<Snapshot, Unsaid> & { [K in Unsaid]: Snapshot[K] | null };

/** The measured part of a metrics record: a load engine's Snapshot. Optional on input where a default stands. */
export const measures = z.object({
  counts,
  statuses: boundedMap(z.string().regex(/^[1-9]\d\d$/), count, 900).default({}),
  errors: boundedArray(errorCount, 256).default([]),
  response: encodedHistogram,
  service: encodedHistogram.default(EMPTY),
  connect: encodedHistogram.default(EMPTY),
  tls: tls.nullable().optional(),
  failed: encodedHistogram.default(EMPTY),
  send_lateness: encodedHistogram.default(EMPTY),
  ranges: boundedArray(rangeProgress, 10_000).default([]),
  rows: boundedArray(row, 64).default([]),
  generator: z
    .object({
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
    })
    .nullable()
    .default(null),
  start_offset_us: tolerantNumber.nullable().default(null),
  warmup: z.object({ counts, response: encodedHistogram }).nullable().default(null),
}) satisfies z.ZodType<Said>;

export type Measures = z.infer<typeof measures>;
