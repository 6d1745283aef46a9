/** Something has changed: whoever waits looks again. */
export interface Signal {
  notify(): void;
  /** Resolves at the next notify. */
  next(): Promise<void>;
}

export function createSignal(): Signal {
  let waiting: (() => void)[] = [];
  return {
    notify: () => {
      const all = waiting;
      waiting = [];
      for (const resolve of all) resolve();
    },
    next: () => new Promise((resolve) => void waiting.push(resolve)),
  };
}
