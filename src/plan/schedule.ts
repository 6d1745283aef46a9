/** How work is offered: `open` holds its gaps whatever the target does, `closed` waits for answers. */
export type Model = "open" | "closed";

/**
 * When each slot (one due request) of a test is due. One schedule for all drivers: of n drivers, driver k owns the
 * slots j = k (mod n). Times count from the schedule's zero; slots with a negative number are the warm-up.
 *
 *     rate    due(j) = j * 1e12 / total_rate_urps    us      (never accumulated: computed from j)
 *     delay   due(j) = j * delay_us / drivers        us      (an integer gap per driver, never turned into a rate)
 *     closed  due    = when the previous request on that connection ended; never faster than rate_urps per driver
 */
export type Schedule =
  | { kind: "rate"; total_rate_urps: number; slots: number; window_us: number }
  | { kind: "delay"; delay_us: number; drivers: number; slots: number; window_us: number }
  | { kind: "closed"; rate_urps: number | null; slots: number | null; window_us: number | null };
// `slots`: all slots of the test, over all drivers (null: as many as fit into the window).
// `window_us`: open: slots end before it, and it is the window that rates refer to; closed: null when only a count ends it.

/** Slots from, from + step, from + 2 step, ... below `to` (null: without end). */
export interface Range {
  range_id: string;
  /** The place in the interleaving that this range had at first (k of n); it keeps it however often it moves. */
  share: number;
  from: number;
  to: number | null;
  step: number;
}
