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

test("auto falls back to the timer when the spinning shows gaps", async () => {
  let hogging = true;
  const hog = () => {
    const until = performance.now() + 4;
    while (performance.now() < until);
    if (hogging) setTimeout(hog, 0);
  };
  const time = makeTime(() => performance.now());
  waker = createWaker({
    time,
    pacing: "auto",
    core_to_spare: true,
    activity: () => 0,
    onWake: () => waker!.wakeAt(time.now() + 1500),
  });
  expect(waker.pacing()).toBe("precise");
  waker.wakeAt(0);
  hog();
  await expect.poll(() => waker!.pacing(), { timeout: 20_000 }).toBe("timer");
  hogging = false;
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
