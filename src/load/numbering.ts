import { makePacer, rangeLength, rangeSlot } from "../plan/pacer.ts";
import type { LoadJob } from "./engine.ts";
import type { TemplateValues } from "./template.ts";

/**
 * Numbers for the requests of a job, unlike those of every other job of the same test (driver, worker):
 *
 *     open      the slot that is due then; below 0 in the warm-up
 *     closed    the slots of the job's ranges, one after the other; in the warm-up -1 - those of its first range
 *
 * and random bits (xoshiro128**), seeded by the test and the first slot, so that a job repeats them.
 */
export function createValues({ test_id, schedule, ranges }: LoadJob): TemplateValues {
  const random = xoshiro128(`${test_id} ${ranges.map(({ range_id, from }) => `${range_id} ${from}`).join(" ")}`);
  if (schedule.kind !== "closed") {
    const pacer = makePacer(schedule);
    return { counter: (due_us) => pacer.slotAt(due_us), random };
  }
  const [first] = ranges;
  let sent = 0;
  let warmed = 0;
  let range = 0;
  return {
    random,
    counter(due_us) {
      if (due_us < 0) return first === undefined ? 0 : -1 - rangeSlot(first, warmed++);
      while (range < ranges.length - 1 && sent >= rangeLength(ranges[range]!, schedule.slots)) {
        range++;
        sent = 0;
      }
      return ranges.length === 0 ? 0 : rangeSlot(ranges[range]!, sent++);
    },
  };
}

/** 32 bits at a time; its state is four FNV-1a sums of the seed. */
function xoshiro128(seed: string): () => number {
  const state = new Int32Array(4);
  for (let word = 0; word < 4; word++) {
    let sum = 0x811c9dc5 ^ word;
    for (const byte of Buffer.from(seed)) sum = Math.imul(sum ^ byte, 0x01000193);
    state[word] = sum | 1;
  }
  const rotated = (x: number, by: number): number => (x << by) | (x >>> (32 - by));
  return () => {
    const result = Math.imul(rotated(Math.imul(state[1]!, 5), 7), 9);
    const shifted = state[1]! << 9;
    state[2]! ^= state[0]!;
    state[3]! ^= state[1]!;
    state[1]! ^= state[2]!;
    state[0]! ^= state[3]!;
    state[2]! ^= shifted;
    state[3] = rotated(state[3]!, 11);
    return result >>> 0;
  };
}
