import { PerformanceObserver } from "node:perf_hooks";
import type { GeneratorHealth } from "../metrics/snapshot.ts";

const SATURATED = 0.95;
const SECOND_MS = 1000;

type Load = Pick<
  GeneratorHealth,
  "cpu" | "utilisation" | "seconds" | "saturated_seconds" | "gc_pauses" | "gc_us" | "gc_max_us"
>;

interface Sample {
  at_ms: number;
  /** CPU time of this thread, user and system. */
  cpu_us: number;
  active_ms: number;
  idle_ms: number;
  empty_spin_us: number;
}

/**
 * How busy this thread is between `begin` and `end`, and how long its garbage collector stopped it.
 *
 *     cpu         = CPU time of the thread / elapsed (before Node 23.9: the time its event loop was active)
 *     utilisation = (time the event loop was active - empty spin) / (active + idle)
 */
export function createHealth(clock: () => number, emptySpin: () => number) {
  let first: Sample | null = null;
  let last: Sample | null = null;
  let second: Sample | null = null;
  let seconds = 0;
  let saturated_seconds = 0;
  let timer: NodeJS.Timeout | undefined;
  const gc = { gc_pauses: 0, gc_us: 0, gc_max_us: 0 };
  const observer = new PerformanceObserver((pauses) => {
    for (const { duration } of pauses.getEntries()) {
      gc.gc_pauses++;
      gc.gc_us += duration * 1000;
      gc.gc_max_us = Math.max(gc.gc_max_us, duration * 1000);
    }
  });

  function sample(): Sample {
    const { active, idle } = performance.eventLoopUtilization();
    const empty_spin_us = emptySpin();
    return { at_ms: clock(), cpu_us: threadCpuUs() ?? active * 1000, active_ms: active, idle_ms: idle, empty_spin_us };
  }

  function tick(): void {
    const now = sample();
    if (second === null || now.at_ms - second.at_ms < 0.99 * SECOND_MS) return;
    seconds++;
    if (utilisation(second, now) > SATURATED) saturated_seconds++;
    second = now;
  }

  return {
    /** `delay_ms` from now. */
    begin(delay_ms: number): void {
      timer = setTimeout(() => {
        first = second = sample();
        observer.observe({ entryTypes: ["gc"] });
        timer = setInterval(tick, SECOND_MS);
      }, Math.max(0, delay_ms));
    },
    end(): void {
      clearTimeout(timer);
      observer.disconnect();
      if (first === null || last !== null) return;
      tick();
      last = sample();
    },
    read(): Load {
      const now = last ?? sample();
      const since = first ?? now;
      const elapsed_us = (now.at_ms - since.at_ms) * 1000;
      return {
        cpu: elapsed_us > 0 ? (now.cpu_us - since.cpu_us) / elapsed_us : 0,
        utilisation: utilisation(since, now),
        seconds,
        saturated_seconds,
        ...gc,
      };
    },
  };
}

function threadCpuUs(): number | null {
  const usage = (process as Partial<Pick<NodeJS.Process, "threadCpuUsage">>).threadCpuUsage?.();
  return usage ? usage.user + usage.system : null;
}

function utilisation(from: Sample, to: Sample): number {
  const active_ms = to.active_ms - from.active_ms;
  const total_ms = active_ms + to.idle_ms - from.idle_ms;
  if (total_ms <= 0) return 0;
  const empty_ms = (to.empty_spin_us - from.empty_spin_us) / 1000;
  return Math.min(1, Math.max(0, (active_ms - empty_ms) / total_ms));
}
