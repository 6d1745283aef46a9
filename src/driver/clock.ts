/** Wire time: what goes on the bus as a timestamp. */
export interface WireClock {
  /** Wall clock (ms since 1970) as it was at process start + monotonic time since: a step of the wall clock changes nothing. */
  now_ms(): number;
  /** The moment of performance.now() (ms) at which the wire time is `wire_ms`. */
  toMonotonic(wire_ms: number): number;
}

/** The wire clock of this process. */
export function wireClock(): WireClock {
  const origin_ms = performance.timeOrigin;
  return {
    now_ms: () => origin_ms + performance.now(),
    toMonotonic: (wire_ms) => wire_ms - origin_ms,
  };
}
