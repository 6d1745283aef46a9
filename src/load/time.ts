/**
 * The one clock of an engine. The schedule's zero is not known until `start`; before that `now` counts from the
 * engine's making, and nothing is due.
 */
export interface Time {
  /** performance.now(): ms, monotonic. */
  readonly clock: () => number;
  /** The schedule's zero on that clock. */
  zero_ms: number;
  /** us since the schedule's zero. */
  now(): number;
}

/** A Time whose zero is now. */
export function makeTime(clock: () => number): Time {
  const time: Time = { clock, zero_ms: clock(), now: () => (clock() - time.zero_ms) * 1000 };
  return time;
}
