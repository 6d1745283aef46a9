import { afterEach, expect, test } from "vitest";
import { makeTime } from "./time.ts";
import { createWaker, type Waker, type WakerOptions } from "./waker.ts";

let waker: Waker | undefined;
afterEach(() => waker?.wakeAt(Infinity));

/** Wakes each ms, `times` times; resolves with how late each was (us). */
function wakeUps(times: number, options: Pick<WakerOptions, "pacing" | "core_to_spare">): Promise<number[]> {
  const time = makeTime(() => performance.now());
  const late: number[] = [];
  return new Promise((resolve) => {
    const next = () => 5000 + 1000 * late.length;
    waker = createWaker({
      ...options,
      time,
      activity: () => late.length,
      onWake: () => {
        late.push(time.now() - next());
        if (late.length === times) resolve(late);
        else waker!.wakeAt(next());
      },
    });
    waker.wakeAt(next());
  });
}

test.each(["precise", "timer"] as const)("never wakes before the moment asked for (%s)", async (pacing) => {
  const late = await wakeUps(200, { pacing, core_to_spare: false });
  expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
  expect(waker!.pacing()).toBe(pacing);
  if (pacing === "timer") expect(waker!.emptySpin()).toBe(0);
  else expect(waker!.emptySpin()).toBeGreaterThan(0);
});

/**
 * A waker on a clock of its own, on which each look takes 100 us; of that time the thread gets `share_of_core`. It is
 * woken every `gap_us` until `until_us`; resolves with the waker.
 */
function spin(options: Pick<WakerOptions, "pacing" | "core_to_spare">, share_of_core: number, gap_us: number, until_us = 3e6) {
  let now_us = 0;
  let cpu_us = 0;
  const clock = () => {
    now_us += 100;
    cpu_us += 100 * share_of_core;
    return now_us / 1000;
  };
  return new Promise<Waker>((resolve) => {
    waker = createWaker({
      ...options,
      time: makeTime(clock),
      activity: () => 0,
      cpuUs: () => cpu_us,
      onWake: () => {
        if (now_us > until_us || waker!.pacing() === "timer") resolve(waker!);
        else waker!.wakeAt(now_us + gap_us);
      },
    });
    waker.wakeAt(gap_us);
  });
}

test.each([100, 1500])("auto falls back to the timer when others have the core it spins on (each %i us)", async (gap_us) => {
  expect((await spin({ pacing: "auto", core_to_spare: true }, 0.9, gap_us)).pacing()).toBe("timer");
});

test.each([100, 1500])("auto stays precise where it has its core (each %i us)", async (gap_us) => {
  expect((await spin({ pacing: "auto", core_to_spare: true }, 0.99, gap_us)).pacing()).toBe("precise");
});

test("precise stays precise, whoever else wants the core", async () => {
  expect((await spin({ pacing: "precise", core_to_spare: false }, 0.5, 1500)).pacing()).toBe("precise");
});

test("auto without a core to spare does not begin to spin", async () => {
  expect((await spin({ pacing: "auto", core_to_spare: false }, 1, 1500)).emptySpin()).toBe(0);
  expect(waker!.pacing()).toBe("timer");
});

test("a later wakeAt replaces the one before", async () => {
  const time = makeTime(() => performance.now());
  const woken: number[] = [];
  await new Promise<void>((resolve) => {
    const onWake = () => {
      woken.push(time.now());
      resolve();
    };
    waker = createWaker({ time, pacing: "timer", core_to_spare: false, activity: () => 0, onWake });
    waker.wakeAt(1000);
    waker.wakeAt(Infinity);
    waker.wakeAt(30_000);
  });
  expect(woken).toHaveLength(1);
  expect(woken[0]).toBeGreaterThanOrEqual(30_000);
});
