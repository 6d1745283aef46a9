import { every, type Clock } from "./clock.ts";
import type { Reader } from "./reader.ts";

/** Whether this process was held up, and has not read yet what was decided meanwhile. */
export interface Vigil {
  /**
   * Resolves once control was read to its end after the last gap; at once where there was none. Whoever appends waits
   * for this first: while this process slept another one may have taken over.
   */
  awake(): Promise<void>;
  close(): void;
}

/** Longer than this between two looks at the clock is a gap: a stopped process, a sleeping machine, a blocked loop. */
const GAP_MS = 500;
const LOOK_MS = 100;

export function keepVigil(reader: Reader, clock: Clock): Vigil {
  let looked_ms = clock.now_ms();
  let gaps = 0;
  let read_after = 0;

  function look(): void {
    const now_ms = clock.now_ms();
    if (now_ms - looked_ms > GAP_MS) gaps++;
    looked_ms = now_ms;
  }

  return {
    awake: async () => {
      for (look(); read_after < gaps; look()) {
        const seen = gaps;
        await reader.caughtUp("control");
        read_after = Math.max(read_after, seen);
      }
    },
    close: every(clock, LOOK_MS, look),
  };
}
