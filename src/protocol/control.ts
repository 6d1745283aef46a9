import { z } from "zod";
import { planSchema } from "../plan/plan.ts";
import { range } from "./measures.ts";
import { nodeId, testId } from "./scalars.ts";

const count = z.int().min(0);

/** What every command says: who decided it, as which command of its term, and when (wall clock of the leader, ms). */
const command = z.object({
  term: z.int().min(1),
  owner: z.string().min(1).max(128),
  /** 0 for the claim itself, then last + 1. */
  command_seq: count,
  at_ms: z.number(),
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
  ranges: z.array(range).max(10_000),
});

const schedule = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("rate"), total_rate_urps: z.int().min(1), slots: count, window_us: z.number().min(0) }),
  z.object({ kind: z.literal("delay"), delay_us: z.int().min(1), drivers: z.int().min(1), slots: count, window_us: z.number().min(0) }),
  z.object({ kind: z.literal("closed"), rate_urps: z.int().min(1).nullable(), slots: count.nullable(), window_us: z.number().min(0).nullable() }),
]);

/** A test exists, with its members and what each owns. Replaces a test that was never triggered. */
const config = command.extend({
  type: z.literal("config"),
  test_id: testId,
  plan: planSchema,
  model: z.enum(["open", "closed"]),
  schedule,
  planned: count.nullable(),
  members: z.array(configMember).min(1).max(100_000),
  /** What foreign drivers are told (the copy on test_config). */
  common: z.object({
    test_type: z.enum(["AVALANCHE", "TSUNAMI"]),
    delay_ms: z.number().min(0),
    message_count_per_driver: count.nullable(),
  }),
  /** The next offset of each metrics partition when the test was made: all its metrics lie from there on. */
  metrics_from: z.array(count),
});

/** Only the members named here start, at `start_at` (wall clock of the leader, ms): the schedule's zero less the warm-up. */
const trigger = command.extend({
  type: z.literal("trigger"),
  test_id: testId,
  start_at: z.number(),
  members: z
    .array(
      z.object({
        node_id: nodeId,
        epoch: count,
        share: count.nullable(),
        /** The member's clock minus the leader's, and the most by which that may be wrong. */
        clock_offset_ms: z.number(),
        clock_error_ms: z.number().min(0),
      }),
    )
    .min(1),
});

/** A member is taken for dead. Of its slots those due before `cut_us` (since the schedule's zero) stay its own. */
const lost = command.extend({
  type: z.literal("lost"),
  test_id: testId,
  node_id: nodeId,
  epoch: count,
  cut_us: z.number(),
  reason: z.enum(["silent", "newer_epoch", "left"]),
  /** The highest seq of its metrics known at the decision (-1: none). */
  basis: z.object({ seq: z.int().min(-1) }),
});

/** Ranges move to others. */
const assign = command.extend({
  type: z.literal("assign"),
  test_id: testId,
  cut_us: z.number(),
  from: z.object({ node_id: nodeId, epoch: count }),
  moves: z.array(z.object({ node_id: nodeId, epoch: count, range })).max(100_000),
});

/** The rate of a running test changes for all at once. */
const retarget = command.extend({ type: z.literal("retarget"), test_id: testId, from_us: z.number(), schedule });

const stop = command.extend({ type: z.literal("stop"), test_id: testId, reason: z.string().max(200) });

/** A test is over; acknowledges every final named in its basis. Never judged again: replay only reads it. */
const ended = command.extend({
  type: z.literal("ended"),
  test_id: testId,
  status: z.enum(["completed", "stopped", "failed"]),
  reason: z.string().max(1000).default(""),
  basis: z.array(z.object({ node_id: nodeId, epoch: count, seq: z.int().min(-1), final: z.boolean() })),
});

export const control = z.discriminatedUnion("type", [claim, config, trigger, lost, assign, retarget, stop, ended]);

export type Control = z.infer<typeof control>;
export type ControlOf<T extends Control["type"]> = Extract<Control, { type: T }>;
export type ConfigCommand = ControlOf<"config">;
export type ConfigMember = z.infer<typeof configMember>;
export type TriggerCommand = ControlOf<"trigger">;
export type LostCommand = ControlOf<"lost">;
export type EndedCommand = ControlOf<"ended">;
