import type { Bus, BusRecord } from "../../bus/bus.ts";
import type { Clock } from "../clock.ts";

/** A process that can be stopped as by SIGSTOP: its timers do not fire, and what the log brings waits in its socket. */
export interface Sleeper {
  clock: Clock;
  bus: Bus;
  sleep(): void;
  /** As Node does it: timers that are due come first, then what waits in the socket. */
  wake(): void;
}

export function sleeper(inner: { clock: Clock; bus: Bus }): Sleeper {
  let asleep = false;
  let timers: (() => void)[] = [];
  let deliveries: (() => void)[] = [];
  const later = (callback: () => void) => (asleep ? void timers.push(callback) : callback());

  const bus: Bus = {
    ...inner.bus,
    subscribe: async (topic, from, subscriber) => {
      let waiting = 0;
      const subscription = await inner.bus.subscribe(topic, from, {
        ...subscriber,
        onRecords: (records: BusRecord[]) => {
          if (!asleep && waiting === 0) return subscriber.onRecords(records);
          waiting++;
          deliveries.push(() => {
            waiting--;
            subscriber.onRecords(records);
          });
        },
      });
      return {
        ...subscription,
        caughtUp: async () => {
          await subscription.caughtUp();
          while (waiting > 0) await new Promise((resolve) => setImmediate(resolve));
        },
      };
    },
  };
  return {
    bus,
    clock: { now_ms: () => inner.clock.now_ms(), after: (delay_ms, callback) => inner.clock.after(delay_ms, () => later(callback)) },
    sleep: () => (asleep = true),
    wake: () => {
      asleep = false;
      const due = timers;
      timers = [];
      for (const callback of due) callback();
      setImmediate(() => {
        const all = deliveries;
        deliveries = [];
        for (const deliver of all) deliver();
      });
    },
  };
}
