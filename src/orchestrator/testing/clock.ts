import { setImmediate as turn } from "node:timers/promises";
import type { Clock } from "../clock.ts";

/** A clock that only a test moves. */
export interface ManualClock extends Clock {
  /** Lets time pass: every timer at its moment, with what it sets off on a log in memory. */
  advance(ms: number): Promise<void>;
  /** Time passes at once, as for a process that slept. */
  jump(ms: number): void;
}

/** Turns of the event loop in which a log in memory delivers, and what waited goes on. */
const TURNS = 6;

export function manualClock(start_ms = 1_795_000_000_000): ManualClock {
  let now_ms = start_ms;
  let count = 0;
  const timers = new Map<number, { at_ms: number; callback: () => void }>();

  async function settle(): Promise<void> {
    for (let i = 0; i < TURNS; i++) await turn();
  }

  return {
    now_ms: () => now_ms,
    after: (delay_ms, callback) => {
      const id = count++;
      timers.set(id, { at_ms: now_ms + delay_ms, callback });
      return () => timers.delete(id);
    },
    jump: (ms) => {
      now_ms += ms;
    },
    advance: async (ms) => {
      const until_ms = now_ms + ms;
      await settle();
      for (;;) {
        const [next] = [...timers].filter(([, { at_ms }]) => at_ms <= until_ms).sort(([a, x], [b, y]) => x.at_ms - y.at_ms || a - b);
        if (!next) break;
        const [id, { at_ms, callback }] = next;
        timers.delete(id);
        now_ms = Math.max(now_ms, at_ms);
        callback();
        await settle();
      }
      now_ms = Math.max(now_ms, until_ms);
    },
  };
}
