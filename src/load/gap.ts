/** A gap in a loop that is longer than this may have cost it its slots. */
const GAP_US = 500_000;
/** A loop that has something to send takes a turn at least this often, so that a gap shows. */
const LONGEST_SLEEP_US = 200_000;

/**
 * Whether a loop may send. It watches the time between two turns of the loop: after a gap (the process was suspended,
 * its thread was blocked) nothing may be sent until `resume`, for the slots may belong to others by now.
 */
export interface GapGuard {
  /** To be called before anything is sent; false: not now. One comparison where all is well. */
  maySend(now_us: number): boolean;
  /** When the loop has to be awake again at the latest. */
  wakeBefore(now_us: number): number;
  resume(now_us: number): void;
}

/** `onGap` (ms) is called once for each gap; without it there is nothing to wait for, and sending is always allowed. */
export function createGapGuard(onGap: ((gap_ms: number) => void) | undefined): GapGuard {
  if (!onGap) return { maySend: () => true, wakeBefore: () => Infinity, resume: () => {} };
  let held = false;
  let last_us = Infinity;
  return {
    maySend(now_us) {
      const gap_us = now_us - last_us;
      last_us = now_us;
      if (gap_us > GAP_US && !held) {
        held = true;
        onGap(gap_us / 1000);
      }
      return !held;
    },
    wakeBefore: (now_us) => (held ? Infinity : now_us + LONGEST_SLEEP_US),
    resume(now_us) {
      held = false;
      last_us = now_us;
    },
  };
}
