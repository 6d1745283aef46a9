import { z } from "zod";
import { parsePlan, type Plan } from "../plan/plan.ts";
import { planSchema } from "../plan/schema.ts";
import { range } from "./measures.ts";
import {
  boundedArray,
  boundedText,
  nodeId,
  testId,
  tolerantCount as count,
  tolerantInteger,
  tolerantNonNegative,
  tolerantNumber,
  tolerantPositive,
} from "./scalars.ts";

/** The most members, ranges or moves that one command may name. */
const MAX_ITEMS = 20_000;

/** A plan that was validated before it was published: parsing it once more gives the same plan. */
const plan = planSchema.transform((parsed, context): Plan => {
  try {
    return parsePlan(parsed);
  } catch {
    context.addIssue({ code: "custom", message: "expected a valid plan" });
    return z.NEVER;
  }
});

const AT_LEAST_ONE = "expected at least one";
const isNotEmpty = (items: unknown[]) => items.length > 0;

/** The highest seq known of a node's metrics; -1: none. */
const seqOrNone = tolerantInteger.refine((seq) => seq >= -1, "expected a whole number from -1");

/** What every command says: who decided it, as which command of its term, and when (wall clock of the leader, ms). */
const command = z.object({
  term: tolerantPositive,
  owner: z.string().min(1).max(128),
  /** 0 for the claim itself, then last + 1. */
  command_seq: count,
  at_ms: tolerantNumber,
});

/** A term begins. Valid if term = current + 1 at its offset. */
const claim = command.extend({ type: z.literal("claim") });

const configMember = z.object({
  node_id: nodeId,
  /** The offset of its register record. */
  epoch: count,
  foreign: z.boolean(),
  /** Exact number of its slots; null: closed by duration. */
  share: count.nullable(),
  ranges: boundedArray(range, MAX_ITEMS),
});

const schedule = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("rate"), total_rate_urps: tolerantPositive, slots: count, window_us: tolerantNonNegative }),
  z.object({ kind: z.literal("delay"), delay_us: tolerantPositive, drivers: tolerantPositive, slots: count, window_us: tolerantNonNegative }),
  z.object({ kind: z.literal("closed"), rate_urps: tolerantPositive.nullable(), slots: count.nullable(), window_us: tolerantNonNegative.nullable() }),
]);

/** A test exists, with its members and what each owns. Replaces a test that was never triggered. */
const config = command.extend({
  type: z.literal("config"),
  test_id: testId,
  plan,
  model: z.enum(["open", "closed"]),
  schedule,
  planned: count.nullable(),
  members: boundedArray(configMember, MAX_ITEMS).refine(isNotEmpty, AT_LEAST_ONE),
  /** What foreign drivers are told (the copy on test_config). */
  common: z.object({
    test_type: z.enum(["AVALANCHE", "TSUNAMI"]),
    delay_ms: tolerantNonNegative,
    message_count_per_driver: count.nullable(),
  }),
  /** Foreign drivers that are alive and no members: the copies name nobody, so they may start all the same. */
  bystanders: boundedArray(nodeId, MAX_ITEMS).default([]),
  /** The next offset of each metrics partition when the test was made: all its metrics lie from there on. */
  metrics_from: boundedArray(count, MAX_ITEMS),
});

/** Only the members named here start, at `start_at` (wall clock of the leader, ms): the schedule's zero less the warm-up. */
const trigger = command.extend({
  type: z.literal("trigger"),
  test_id: testId,
  start_at: tolerantNumber,
  members: boundedArray(
    z.object({
      node_id: nodeId,
      epoch: count,
      share: count.nullable(),
      /** The member's clock minus the leader's, and the most by which that may be wrong. */
      clock_offset_ms: tolerantNumber,
      clock_error_ms: tolerantNonNegative,
    }),
    MAX_ITEMS,
  ).refine(isNotEmpty, AT_LEAST_ONE),
});

/** A member is taken for dead. Of its slots those due before `cut_us` (since the schedule's zero) stay its own. */
const lost = command.extend({
  type: z.literal("lost"),
  test_id: testId,
  node_id: nodeId,
  epoch: count,
  cut_us: tolerantNumber,
  reason: z.enum(["silent", "newer_epoch", "left"]),
  /** The highest seq of its metrics known at the decision (-1: none). */
  basis: z.object({ seq: seqOrNone }),
});

/** Ranges move to others. */
const assign = command.extend({
  type: z.literal("assign"),
  test_id: testId,
  cut_us: tolerantNumber,
  from: z.object({ node_id: nodeId, epoch: count }),
  /** Of each range that is given up: how many slots, from its first on, stay with the one who had it. */
  kept: boundedArray(z.object({ range_id: z.string().min(1).max(64), slots: count }), MAX_ITEMS),
  moves: boundedArray(z.object({ node_id: nodeId, epoch: count, range }), MAX_ITEMS),
});

/** The rate of a running test changes for all at once. */
const retarget = command.extend({ type: z.literal("retarget"), test_id: testId, from_us: tolerantNumber, schedule });

/** `t_us`: when, since the schedule's zero (after the trigger): the clock of who stops may not be that of who triggered. */
const stop = command.extend({ type: z.literal("stop"), test_id: testId, reason: boundedText(200), t_us: tolerantNumber.optional() });

/** A test is over; acknowledges every final named in its basis. Never judged again: replay only reads it. */
const ended = command.extend({
  type: z.literal("ended"),
  test_id: testId,
  status: z.enum(["completed", "stopped", "failed"]),
  reason: boundedText(1000).default(""),
  basis: boundedArray(z.object({ node_id: nodeId, epoch: count, seq: seqOrNone, final: z.boolean() }), MAX_ITEMS),
});

export const control = z.discriminatedUnion("type", [claim, config, trigger, lost, assign, retarget, stop, ended]);

export type Control = z.infer<typeof control>;
export type ControlOf<T extends Control["type"]> = Extract<Control, { type: T }>;
export type ConfigCommand = ControlOf<"config">;
export type ConfigMember = z.infer<typeof configMember>;
export type TriggerCommand = ControlOf<"trigger">;
export type LostCommand = ControlOf<"lost">;
export type EndedCommand = ControlOf<"ended">;
