import { makePacer, rangeLength, rangeSlot, warmupRange, type OpenSchedule } from "../plan/pacer.ts";
import type { Range } from "../plan/schedule.ts";
import type { RangeProgress } from "../metrics/snapshot.ts";

/** The due slots of an open schedule that one node owns: its ranges merged by due moment, each after its warm-up. */
export interface SlotSource {
  /** When the next slot is due; Infinity when there is none any more. */
  next_us: number;
  /** Takes that slot from the schedule. */
  take(): void;
  /** More slots of the same schedule; `onLate` is called with each that was due before `now_us`: it is taken. */
  add(ranges: readonly Range[], now_us: number, onLate: (due_us: number) => void): void;
  /** There is no next one from now on. */
  close(): void;
  progress(): RangeProgress[];
}

/** A place in a range: slot `taken` of `length` is the next one. */
interface Cursor {
  range: Range;
  taken: number;
  length: number;
  next_us: number;
}

/** All slots of `ranges`, and those of their warm-up of `warmup_us`. Throws RangeError when there is no end to them. */
export function createSlotSource(schedule: OpenSchedule, ranges: readonly Range[], warmup_us: number): SlotSource {
  const pacer = makePacer(schedule);
  const cursor = (range: Range): Cursor => {
    const length = rangeLength(range, schedule.slots);
    if (!Number.isFinite(length)) throw new RangeError("an open schedule must have a number of slots");
    return { range, taken: 0, length, next_us: length > 0 ? pacer.dueUs(range.from) : Infinity };
  };
  const main = ranges.map(cursor);
  const warmups = ranges.map((range) => warmupRange(schedule, warmup_us, range)).filter((range) => range !== null);
  const cursors = [...warmups.map(cursor), ...main];
  let next: Cursor | undefined;

  function choose(): void {
    next = undefined;
    source.next_us = Infinity;
    for (const candidate of cursors) {
      if (candidate.next_us >= source.next_us) continue;
      next = candidate;
      source.next_us = candidate.next_us;
    }
  }

  function advance(at: Cursor): void {
    at.taken++;
    at.next_us = at.taken < at.length ? pacer.dueUs(rangeSlot(at.range, at.taken)) : Infinity;
  }

  const source: SlotSource = {
    next_us: Infinity,
    take() {
      if (next === undefined) return;
      advance(next);
      choose();
    },
    add(ranges, now_us, onLate) {
      for (const added of ranges.map(cursor)) {
        for (; added.next_us < now_us; advance(added)) onLate(added.next_us);
        main.push(added);
        cursors.push(added);
      }
      choose();
    },
    close() {
      cursors.length = 0;
      choose();
    },
    progress: () => main.map(({ range, taken }) => ({ range_id: range.range_id, taken })),
  };
  choose();
  return source;
}
