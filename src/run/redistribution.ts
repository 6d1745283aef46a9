import { makePacer, rangeLength, rangeSlot } from "../plan/pacer.ts";
import type { Range, Schedule } from "../plan/schedule.ts";
import type { ControlOf } from "../protocol/control.ts";
import type { Owned } from "./ownership.ts";

type Assign = ControlOf<"assign">;

/**
 * What a member gives up, interleaved over those who go on. Of each of its ranges the slots due before `cut_us` stay its
 * own (closed: those that it had taken); the rest keeps its due times, survivor s of m getting every m-th slot:
 *
 *     range      from, from + step, ...            kept = slots due before the cut (or taken)
 *     moves      first + s * step, by step * m     first = from + kept * step
 *
 * So the total rate stays what it was, there is no burst, and a second loss is split the same way. null: nothing moves.
 */
export function redistribute(
  schedule: Schedule,
  owned: readonly Owned[],
  taken: (range_id: string) => number,
  cut_us: number,
  survivors: readonly { node_id: string; epoch: number }[],
): Pick<Assign, "kept" | "moves"> | null {
  const kept: Assign["kept"] = [];
  const moves: Assign["moves"] = [];
  const m = survivors.length;
  for (const { range, moved } of owned) {
    const length = rangeLength(range, schedule.slots);
    if (moved || m === 0 || isBoundless(schedule)) continue;
    const stays = Math.min(length, staying(schedule, range, taken(range.range_id), cut_us));
    if (stays === length) continue;
    kept.push({ range_id: range.range_id, slots: stays });
    survivors.forEach(({ node_id, epoch }, s) => {
      const part: Range = {
        range_id: `${range.range_id}.${s}`,
        share: range.share,
        from: rangeSlot(range, stays + s),
        to: range.to,
        step: range.step * m,
      };
      if (rangeLength(part, schedule.slots) > 0) moves.push({ node_id, epoch, range: part });
    });
  }
  return moves.length === 0 ? null : { kept, moves };
}

/** Closed by duration: whoever is left sends what it can, and there is nothing to move. */
export function isBoundless(schedule: Schedule): boolean {
  return schedule.kind === "closed" && schedule.window_us !== null;
}

function staying(schedule: Schedule, range: Range, taken: number, cut_us: number): number {
  return schedule.kind === "closed" ? taken : makePacer(schedule).rangeDueBefore(range, cut_us);
}
