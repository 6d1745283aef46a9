import type { BusRecord, Subscriber } from "./bus.ts";

const warned = new WeakSet<Subscriber>();

/** Hands records to a subscriber. One that throws gets a process warning, once, and goes on with what follows. */
export function deliver(subscriber: Subscriber, records: BusRecord[]): void {
  guard(subscriber, () => subscriber.onRecords(records));
}

/** Tells a subscriber that its position is no longer kept; as with deliver, what it throws hurts no one else. */
export function reportOutOfRange(subscriber: Subscriber, lost: { partition: number; from: number; earliest: number }) {
  guard(subscriber, () => subscriber.onOutOfRange?.(lost));
}

function guard(subscriber: Subscriber, call: () => void): void {
  try {
    call();
  } catch (error) {
    if (warned.has(subscriber)) return;
    warned.add(subscriber);
    process.emitWarning(error instanceof Error ? (error.stack ?? error.message) : String(error), "SubscriberError");
  }
}

/** Those who wait until everything below their target was delivered. */
export interface CatchUp {
  /** Resolves once every position has reached its target. */
  until(target: readonly number[]): Promise<void>;
  /** To be called whenever a position has moved. */
  moved(): void;
  fail(error: Error): void;
}

export function createCatchUp(position: readonly number[]): CatchUp {
  let waiters: { target: readonly number[]; resolve: () => void; reject: (error: Error) => void }[] = [];
  const reached = (target: readonly number[]) => target.every((offset, index) => (position[index] ?? 0) >= offset);
  return {
    until: (target) =>
      new Promise<void>((resolve, reject) => {
        if (reached(target)) resolve();
        else waiters.push({ target, resolve, reject });
      }),
    moved() {
      if (waiters.length === 0) return;
      waiters = waiters.filter((waiter) => {
        if (!reached(waiter.target)) return true;
        waiter.resolve();
        return false;
      });
    },
    fail(error) {
      for (const waiter of waiters) waiter.reject(error);
      waiters = [];
    },
  };
}
