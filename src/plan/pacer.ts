import type { Range, Schedule } from "./schedule.ts";

/** When slots of an open schedule are due. Only answers questions: no clock, no state. */
export interface OpenPacer {
  model: "open";
  /**
   * us from the schedule's zero at which a slot is due; negative slots are the warm-up. Never decreasing, and below
   * the window for every slot of the test.
   *
   *     rate   j * 1e12 / total_rate_urps          delay   j * delay_us / drivers
   */
  dueUs(slot: number): number;
  /** The slot that is due at exactly `due_us`: the inverse of dueUs. */
  slotAt(due_us: number): number;
  /** How many slots j of the test, from 0 on, have dueUs(j) < t_us. */
  dueBefore(t_us: number): number;
  /** How many slots of a range, from its first on, have dueUs(slot) < t_us. */
  rangeDueBefore(range: Range, t_us: number): number;
}

/** A closed schedule: requests wait for answers; with a rate they also keep a distance. */
export interface ClosedPacer {
  model: "closed";
  /** us between two requests of one driver at least: 1e12 / rate_urps; 0 without a rate. */
  gap_us: number;
  /**
   * us at which the next request may go out: max(now, last allowed + gap). It gives no credit: what was not sent in
   * time is not caught up, so no stretch of time holds more than the rate allows. `last_us`: the answer before this
   * one, -Infinity at first.
   */
  nextAllowedUs(last_us: number, now_us: number): number;
}

export type Pacer = OpenPacer | ClosedPacer;
export type OpenSchedule = Exclude<Schedule, { kind: "closed" }>;

/** A slot's distance as a fraction of integers: due(j) = j * numerator / denominator us. */
function distance(schedule: OpenSchedule): { numerator: number; denominator: number } {
  return schedule.kind === "rate"
    ? { numerator: 1e12, denominator: schedule.total_rate_urps }
    : { numerator: schedule.delay_us, denominator: schedule.drivers };
}

export function makePacer(schedule: OpenSchedule): OpenPacer;
export function makePacer(schedule: Schedule): Pacer;
export function makePacer(schedule: Schedule): Pacer {
  return schedule.kind === "closed" ? closedPacer(schedule.rate_urps) : openPacer(schedule);
}

function closedPacer(rate_urps: number | null): ClosedPacer {
  const gap_us = rate_urps === null ? 0 : 1e12 / rate_urps;
  return { model: "closed", gap_us, nextAllowedUs: (last_us, now_us) => Math.max(now_us, last_us + gap_us) };
}

function openPacer(schedule: OpenSchedule): OpenPacer {
  const { numerator, denominator } = distance(schedule);
  const { slots, window_us } = schedule;
  // Slots end before the window exactly (integers); a rounded quotient may touch it: the last double below it, then.
  const last_us = window_us * (1 - Number.EPSILON / 2);

  const dueUs = (slot: number): number => {
    const due_us = (slot * numerator) / denominator;
    return due_us >= window_us && slot < slots ? last_us : due_us;
  };

  // The inverse of dueUs in doubles is off by less than one slot (MAX_SLOTS), so each loop turns at most once or twice.
  const rangeDueBefore = (range: Range, t_us: number): number => {
    const length = rangeLength(range, slots);
    const estimate = Math.ceil(((t_us * denominator) / numerator - range.from) / range.step);
    let count = Math.min(Math.max(estimate, 0), length);
    while (count > 0 && dueUs(range.from + (count - 1) * range.step) >= t_us) count--;
    while (count < length && dueUs(range.from + count * range.step) < t_us) count++;
    return count;
  };

  const everySlot: Range = { range_id: "", share: 0, from: 0, to: slots, step: 1 };
  // Rounded, so that what the quotient above was rounded by does not matter; + 0 is no -0.
  const slotAt = (due_us: number): number => Math.round((due_us * denominator) / numerator) + 0;

  return { model: "open", dueUs, slotAt, rangeDueBefore, dueBefore: (t_us) => rangeDueBefore(everySlot, t_us) };
}

/** us at which slot `slots` would be due: the window of a test that a count ends, so that slots / window is its rate. */
export function countWindowUs(schedule: OpenSchedule, slots: number): number {
  const { numerator, denominator } = distance(schedule);
  return (slots * numerator) / denominator;
}

/** Slots due before `window_us` (an integer), exactly: ceil(window_us * denominator / numerator). */
export function slotsBefore(schedule: OpenSchedule, window_us: number): bigint {
  const { numerator, denominator } = distance(schedule);
  return (BigInt(window_us) * BigInt(denominator) + BigInt(numerator) - 1n) / BigInt(numerator);
}

/** Slot i of a range. */
export function rangeSlot(range: Range, i: number): number {
  return range.from + i * range.step;
}

/** How many slots a range has in a test of `slots` (null: without end): ceil((min(to, slots) - from) / step). */
export function rangeLength(range: Range, slots: number | null): number {
  const end = Math.min(range.to ?? Infinity, slots ?? Infinity);
  return Math.max(0, Math.ceil((end - range.from) / range.step));
}

/**
 * The warm-up of a range: its slots continued below zero, j = from (mod step), down to the first that is due at
 * -warmup_us or later. null: none, as for ranges that do not begin their place in the interleaving (moved ones, extra
 * ones), for a closed schedule (its warm-up has a duration and no slots) and for a warm-up too short for one slot.
 *
 *     W = floor(warmup_us * denominator / numerator) slots of all drivers, warmup_us an integer
 */
export function warmupRange(schedule: Schedule, warmup_us: number, range: Range): Range | null {
  if (schedule.kind === "closed" || range.from !== range.share) return null;
  const { numerator, denominator } = distance(schedule);
  const all = Number((BigInt(warmup_us) * BigInt(denominator)) / BigInt(numerator));
  const own = Math.floor((range.from + all) / range.step);
  return own > 0 ? { ...range, from: range.from - own * range.step, to: 0 } : null;
}
