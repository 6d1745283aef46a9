/** Time as an orchestrator uses it: injected, so that tests need not wait. */
export interface Clock {
  /** Wire time, ms: wall clock as it was at process start + monotonic time since. */
  now_ms(): number;
  /** Calls back once; the result cancels it. */
  after(delay_ms: number, callback: () => void): () => void;
}

export function systemClock(): Clock {
  const origin_ms = performance.timeOrigin;
  return {
    now_ms: () => origin_ms + performance.now(),
    after: (delay_ms, callback) => {
      const timer = setTimeout(callback, Math.max(0, delay_ms));
      return () => clearTimeout(timer);
    },
  };
}

/** Resolves when the work is done or the time is up, whichever comes first. */
export function within(clock: Clock, limit_ms: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(limit_ms, resolve);
    work.then(
      () => (cancel(), resolve()),
      (error: unknown) => (cancel(), reject(error instanceof Error ? error : new Error(String(error)))),
    );
  });
}

export function sleep(clock: Clock, delay_ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(delay_ms, resolve));
}

/** Calls back every `interval_ms` from now on, whatever the calls take; the result ends it. */
export function every(clock: Clock, interval_ms: number, callback: () => void): () => void {
  let cancel = () => {};
  const next = () => {
    cancel = clock.after(interval_ms, () => {
      next();
      callback();
    });
  };
  next();
  return () => cancel();
}
