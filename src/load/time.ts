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

/**
 * ms on the system's monotonic clock, which all threads share, at which performance.now() of the calling thread was 0.
 * performance.timeOrigin is no such moment: each thread takes it from the wall clock, which may have been set meanwhile.
 * Of several readings of both clocks the closest pair counts: exact to the time that reading one takes (below 1 us).
 */
export function monotonicOriginMs(): number {
  let origin_ms = 0;
  let closest_ms = Infinity;
  for (let i = 0; i < 16; i++) {
    const before_ms = performance.now();
    const shared_ns = process.hrtime.bigint();
    const after_ms = performance.now();
    if (after_ms - before_ms >= closest_ms) continue;
    closest_ms = after_ms - before_ms;
    origin_ms = Number(shared_ns) / 1e6 - (before_ms + after_ms) / 2;
  }
  return origin_ms;
}
