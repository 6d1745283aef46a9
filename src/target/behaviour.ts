/** A time without answers: from `at_ms` after the first request on, or from the arrival of request `after_requests` + 1. */
export type Stall = { for_ms: number } & ({ at_ms: number } | { after_requests: number });

/** How the target treats requests; may change while it runs. */
export interface Behaviour {
  /** Every answer comes this much later (never earlier). */
  delay_ms: number;
  stall: Stall | null;
  /** The share of /ping that is answered with 500, evenly spread. */
  error_rate: number;
  /** The path of a misbehaviour (faulty.ts) that every request but /metrics gets, whatever its own path. */
  fault: string | null;
  /** Misbehaves on the paths of faulty.ts; otherwise they are 404. */
  faulty: boolean;
  record_arrivals: boolean;
}

export const DEFAULT_BEHAVIOUR: Behaviour = {
  delay_ms: 0,
  stall: null,
  error_rate: 0,
  fault: null,
  faulty: false,
  record_arrivals: false,
};

export interface StallClock {
  /** Request number n (from 1) arrived at `now_ms`. */
  arrived(n: number, now_ms: number): void;
  /** The end of the stall that `now_ms` lies in; null: in none. */
  endAt(now_ms: number): number | null;
}

export function makeStallClock(stall: Stall | null): StallClock {
  let begin_ms: number | null = null;
  return {
    arrived: (n, now_ms) => {
      if (stall === null || begin_ms !== null) return;
      if ("at_ms" in stall) begin_ms = now_ms + stall.at_ms;
      else if (n > stall.after_requests) begin_ms = now_ms;
    },
    endAt: (now_ms) => {
      if (stall === null || begin_ms === null) return null;
      return now_ms >= begin_ms && now_ms < begin_ms + stall.for_ms ? begin_ms + stall.for_ms : null;
    },
  };
}

const PARTS = 1_000_000;

/**
 * Says of each request in turn whether it fails, in integers: parts += rate x 10^6; at 10^6 one fails and 10^6 are
 * taken off. Of n requests floor(n x rate) fail.
 */
export function makeErrorPicker(error_rate: number): () => boolean {
  const step = Math.round(error_rate * PARTS);
  let parts = 0;
  return () => {
    parts += step;
    if (parts < PARTS) return false;
    parts -= PARTS;
    return true;
  };
}
