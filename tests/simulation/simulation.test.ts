import { expect, test } from "vitest";
import { simulate } from "./simulate.ts";

const FIRST_SEED = 1;
const SEEDS = 300;

test(`${SEEDS} stories of drivers, orchestrators and a log that fail: nothing is lost, nothing is counted twice`, () => {
  const happened = new Map<string, number>();
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    const { failures, counts } = simulate(seed);
    expect(failures, `node scripts/launch.js tests/simulation/run.ts --seed ${seed} --trace`).toEqual([]);
    for (const [what, times] of counts) happened.set(what, (happened.get(what) ?? 0) + times);
  }
  // It tells nothing if nothing happens.
  for (const what of ["runs", "complete", "drivers lost", "takeovers", "with something unknown", "resumed after a gap", "over several terms"]) {
    expect(happened.get(what) ?? 0, what).toBeGreaterThan(SEEDS / 100);
  }
});

test("a seed tells the same story each time", () => {
  const [once, again] = [simulate(7, true), simulate(7, true)];
  expect(once.lines.length).toBeGreaterThan(20);
  expect(again.lines).toEqual(once.lines);
});
