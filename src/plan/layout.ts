import { grouped } from "./grouped.ts";
import { countWindowUs, rangeLength, slotsBefore, type OpenSchedule } from "./pacer.ts";
import { delayUs, durationMs, rateUrps, type Plan } from "./plan.ts";
import type { Model, Range, Schedule } from "./schedule.ts";
import { MAX_SLOTS } from "./schema.ts";

export type LayoutErrorCode = "no_members" | "foreign_needs_count" | "too_many_requests" | "too_few_requests";

/** A plan that cannot be spread over the members that it was given. */
export class LayoutError extends Error {
  readonly code: LayoutErrorCode;

  constructor(code: LayoutErrorCode, message: string) {
    super(message);
    this.name = "LayoutError";
    this.code = code;
  }
}

export interface LaidOutMember {
  node_id: string;
  foreign: boolean;
  /** Its place k in the interleaving. */
  index: number;
  /** How many slots it owns; null: closed without a count. */
  share: number | null;
  ranges: Range[];
}

/** What drivers that know only the common format are told. */
export interface CommonTerms {
  test_type: "AVALANCHE" | "TSUNAMI";
  delay_ms: number;
  message_count_per_driver: number | null;
}

/** A plan spread over its members: who owns which slots of which schedule. */
export interface Layout {
  model: Model;
  schedule: Schedule;
  /** All slots, known beforehand; null: closed with a duration (planned is what gets scheduled). */
  planned: number | null;
  members: LaidOutMember[];
  common: CommonTerms;
}

/**
 * Lays a plan out over n members: Onrush drivers first, each group by node_id (code units). Driver k owns the slots
 * j = k (mod n). Foreign drivers get floor(slots / n) each, and nothing but a count; the slots above that which the
 * interleaving would give them go to the Onrush drivers in turn, one extra range each:
 *
 *     slots = 11, n = 4, member 2 and 3 foreign      0:  0 4 8        2:  2 6
 *                                                    1:  1 5 9        3:  3 7      extra: 10 -> driver 0
 *
 * Throws LayoutError: `no_members`; `foreign_needs_count` (foreign drivers and a closed test with a duration);
 * `too_many_requests`; `too_few_requests` (a foreign driver's share would be 0, or a total rate is below what can be
 * split).
 */
export function layOut(plan: Plan, members: readonly { node_id: string; foreign: boolean }[]): Layout {
  const n = members.length;
  if (n === 0) throw new LayoutError("no_members", "expected at least one driver, got none");
  const ordered = [...members].sort(
    (a, b) => Number(a.foreign) - Number(b.foreign) || (a.node_id < b.node_id ? -1 : a.node_id > b.node_id ? 1 : 0),
  );
  const onrush = ordered.filter((member) => !member.foreign).length;

  const schedule = scheduleOf(plan, n, onrush === 0);
  const { slots } = schedule;
  if (schedule.kind === "closed" && schedule.window_us !== null && onrush < n) {
    throw new LayoutError(
      "foreign_needs_count",
      "an avalanche with a duration cannot include drivers of other implementations: they only know a count (requests)",
    );
  }
  const floor = slots === null ? null : Math.floor(slots / n);
  if (floor === 0 && onrush < n) {
    throw new LayoutError("too_few_requests", `expected at least ${n} requests for ${n} drivers, got ${slots}`);
  }

  const laidOut = ordered.map(({ node_id, foreign }, index): LaidOutMember => {
    const to = foreign && floor !== null ? floor * n : slots;
    return { node_id, foreign, index, share: null, ranges: [{ range_id: `r${index}`, share: index, from: index, to, step: n }] };
  });
  if (slots !== null && floor !== null && onrush > 0) {
    for (let slot = floor * n + onrush; slot < slots; slot++) {
      const place = slot % n;
      laidOut[(place - onrush) % onrush]?.ranges.push({ range_id: `r${place}x`, share: place, from: slot, to: slot + 1, step: n });
    }
  }
  for (const member of laidOut) {
    if (slots !== null) member.share = member.ranges.reduce((sum, range) => sum + rangeLength(range, slots), 0);
  }
  return {
    model: schedule.kind === "closed" ? "closed" : "open",
    schedule,
    planned: schedule.kind === "closed" && schedule.window_us !== null ? null : slots,
    members: laidOut,
    common: commonTerms(schedule, n, floor),
  };
}

function scheduleOf(plan: Plan, n: number, allForeign: boolean): Schedule {
  const window_us = plan.duration_s === undefined ? null : durationMs(plan.duration_s) * 1_000;
  const counted = plan.total_requests ?? (plan.requests === undefined ? null : plan.requests * n);
  if (plan.type === "avalanche") {
    const slots = counted === null ? null : checkedSlots(BigInt(counted), n, allForeign);
    return { kind: "closed", rate_urps: closedRateUrps(plan, n), slots, window_us };
  }

  const open: OpenSchedule =
    plan.delay_ms === undefined
      ? { kind: "rate", total_rate_urps: totalRateUrps(plan, n), slots: 0, window_us: 0 }
      : { kind: "delay", delay_us: delayUs(plan.delay_ms), drivers: n, slots: 0, window_us: 0 };
  const timed = window_us === null ? null : slotsBefore(open, window_us);
  const ended = timed === null || (counted !== null && BigInt(counted) < timed) ? BigInt(counted ?? 0) : timed;
  const slots = checkedSlots(ended, n, allForeign);
  const full = window_us !== null && timed === BigInt(slots);
  return { ...open, slots, window_us: full ? window_us : countWindowUs(open, slots) };
}

/** Foreign drivers alone have nobody to take the remainder: slots = n * floor(T / n). */
function checkedSlots(total: bigint, n: number, allForeign: boolean): number {
  if (total > BigInt(MAX_SLOTS)) {
    throw new LayoutError("too_many_requests", `expected at most ${grouped(MAX_SLOTS)} requests in all, got ${total}`);
  }
  const slots = Number(total);
  return allForeign ? slots - (slots % n) : slots;
}

function totalRateUrps(plan: Plan, n: number): number {
  const total = plan.total_rate_rps === undefined ? rateUrps(plan.rate_rps ?? 0) * n : rateUrps(plan.total_rate_rps);
  if (!Number.isSafeInteger(total)) {
    throw new LayoutError("too_many_requests", `expected at most 9,007,199,254 rps in all, got ${total / 1e6}`);
  }
  return total;
}

/** The cap of each driver: all alike, so a total is rounded down (by less than n micro-rps) and never exceeded. */
function closedRateUrps(plan: Plan, n: number): number | null {
  if (plan.rate_rps !== undefined) return rateUrps(plan.rate_rps);
  if (plan.total_rate_rps === undefined) return null;
  const each = Math.floor(rateUrps(plan.total_rate_rps) / n);
  if (each > 0) return each;
  throw new LayoutError("too_few_requests", `expected at least ${n / 1e6} rps for ${n} drivers, got ${plan.total_rate_rps}`);
}

/** The common format knows a delay (here to the us) and no rate; a closed test's cap is told as a delay too. */
function commonTerms(schedule: Schedule, n: number, message_count_per_driver: number | null): CommonTerms {
  const gap_us =
    schedule.kind === "delay"
      ? schedule.delay_us
      : schedule.kind === "rate"
        ? Math.round((n * 1e12) / schedule.total_rate_urps)
        : schedule.rate_urps === null
          ? 0
          : Math.ceil(1e12 / schedule.rate_urps);
  return { test_type: gap_us === 0 ? "AVALANCHE" : "TSUNAMI", delay_ms: gap_us / 1e3, message_count_per_driver };
}
