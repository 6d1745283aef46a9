import type { Connection } from "./connection.ts";

/**
 * One timer for the timeouts of all connections. As every deadline is "now + timeout", the earliest one known when the
 * timer is set stays the earliest: a sweep looks at all connections once a timeout, not once a request.
 */
export function createSweep(connections: readonly Connection[], clock: () => number) {
  let armed_ms = Infinity;
  let timer: NodeJS.Timeout | undefined;

  function arm(at_ms: number): void {
    clearTimeout(timer);
    armed_ms = at_ms;
    if (at_ms < Infinity) timer = setTimeout(sweep, Math.min(Math.max(0, Math.ceil(at_ms - clock())), 2 ** 31 - 1));
  }

  function sweep(): void {
    const now_ms = clock();
    armed_ms = Infinity;
    let earliest_ms = Infinity;
    for (const connection of connections) {
      if (connection.deadline_ms <= now_ms) connection.expire();
      if (connection.deadline_ms < earliest_ms) earliest_ms = connection.deadline_ms;
    }
    arm(earliest_ms);
  }

  return {
    /** There is a connection to be looked at by then. */
    deadline(at_ms: number): void {
      if (at_ms < armed_ms) arm(at_ms);
    },
    close(): void {
      arm(Infinity);
    },
  };
}
