const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** What a second signal ends the process with, at once. */
const SECOND_SIGNAL_EXIT = 130;

/**
 * Calls `first` once, at the first SIGINT, SIGTERM or SIGHUP; the second one ends the process at once, after `second`.
 * Gives back what takes the handlers away again.
 */
export function onSignal(first: (signal: NodeJS.Signals) => void, second: () => void = () => {}): () => void {
  let signalled = false;
  const handler = (signal: NodeJS.Signals) => {
    if (signalled) {
      second();
      process.exit(SECOND_SIGNAL_EXIT);
    }
    signalled = true;
    first(signal);
  };
  for (const signal of SIGNALS) process.on(signal, handler);
  return () => {
    for (const signal of SIGNALS) process.off(signal, handler);
  };
}

/** Resolves at the first signal. */
export function untilSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    onSignal(resolve);
  });
}
