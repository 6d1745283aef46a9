import type { Time } from "./time.ts";

/** How long before the moment asked for a precise waker leaves its timer and spins: timers wake up to 1.1 ms late. */
const SPIN_US = 1500;
/** A turn of the loop in which nothing happened takes some us; whatever takes longer was not empty. */
const EMPTY_TURN_US = 100;
/** Judged after so much spinning: when the thread had no core for over a twentieth of it, there is a core too few. */
const JUDGED_US = 500_000;
const LOST_SHARE = 0.05;
/** setTimeout takes no more than 2^31 - 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface Waker {
  /** Calls `onWake` at that moment or right after it, never before; it replaces the one set before. Infinity: never. */
  wakeAt(t_us: number): void;
  pacing(): "precise" | "timer";
  /** us spent spinning in turns that found nothing to do. */
  emptySpin(): number;
}

export interface WakerOptions {
  time: Time;
  pacing: "auto" | "precise" | "timer";
  /** auto: whether there is a core to burn (threads that load + 2 <= cores). */
  core_to_spare: boolean;
  /** CPU time (us) that this thread has used. Default: the system's. */
  cpuUs?: () => number;
  /** A number that changes whenever the load thread did something: a turn in which it did not was empty. */
  activity: () => number;
  onWake: () => void;
}

/**
 * Wakes the load loop. `precise`: a timer until 1.5 ms before, then setImmediate turns, so that sockets are served
 * meanwhile. `timer`: a timer only; about a millisecond late. `auto`: precise where a core is to spare, and until the
 * spinning shows that it is not: a thread that spins uses all of its time, so what it did not use others had.
 *
 *     lost = time spent spinning - CPU time used in it
 */
export function createWaker(options: WakerOptions): Waker {
  const { time, activity, onWake, cpuUs = threadCpuUs } = options;
  let precise = options.pacing === "precise" || (options.pacing === "auto" && options.core_to_spare);
  let wake_us = Infinity;
  let timer: NodeJS.Timeout | undefined;
  let immediate: NodeJS.Immediate | undefined;

  let empty_us = 0;
  /** The last turn spun; NaN: the one before this was not a spinning one. */
  let turn_us = NaN;
  let turn_activity = 0;

  /** Since when it spins, with the CPU time used until then; NaN: it does not. */
  let spinning_since_us = NaN;
  let spinning_cpu_us = 0;
  /** Not judged yet. */
  let spun_us = 0;
  let lost_us = 0;

  function judgeTurn(now_us: number): void {
    if (Number.isNaN(turn_us)) return;
    const took_us = now_us - turn_us;
    if (took_us < EMPTY_TURN_US && activity() === turn_activity) empty_us += took_us;
    if (now_us - spinning_since_us >= JUDGED_US) stopSpinning(now_us);
  }

  /** Work between two spins is part of the stretch: the thread does not wait in it either. */
  function startSpinning(now_us: number): void {
    if (!Number.isNaN(spinning_since_us)) return;
    spinning_since_us = now_us;
    spinning_cpu_us = cpuUs();
  }

  function stopSpinning(now_us: number): void {
    if (Number.isNaN(spinning_since_us)) return;
    const took_us = now_us - spinning_since_us;
    spun_us += took_us;
    lost_us += took_us - (cpuUs() - spinning_cpu_us);
    spinning_since_us = NaN;
    if (spun_us < JUDGED_US) return;
    if (options.pacing === "auto" && lost_us > LOST_SHARE * spun_us) precise = false;
    spun_us = 0;
    lost_us = 0;
  }

  function turn(): void {
    immediate = undefined;
    timer = undefined;
    const now_us = time.now();
    judgeTurn(now_us);
    turn_us = NaN;
    if (now_us < wake_us) {
      sleep(now_us);
      return;
    }
    wake_us = Infinity;
    onWake();
  }

  function sleep(now_us: number): void {
    const left_us = wake_us - now_us;
    if (left_us <= 0) {
      immediate = setImmediate(turn);
    } else if (precise && left_us < SPIN_US + 1000) {
      startSpinning(now_us);
      turn_us = now_us;
      turn_activity = activity();
      immediate = setImmediate(turn);
    } else {
      stopSpinning(now_us);
      const ms = precise ? Math.floor((left_us - SPIN_US) / 1000) : Math.ceil(left_us / 1000);
      timer = setTimeout(turn, Math.min(ms, LONGEST_TIMER_MS));
    }
  }

  return {
    wakeAt(t_us) {
      clearTimeout(timer);
      clearImmediate(immediate);
      timer = undefined;
      immediate = undefined;
      wake_us = t_us;
      const now_us = time.now();
      if (t_us < Infinity) sleep(now_us);
      else stopSpinning(now_us);
    },
    pacing: () => (precise ? "precise" : "timer"),
    emptySpin: () => empty_us,
  };
}

function threadCpuUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}
