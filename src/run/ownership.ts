import { rangeLength } from "../plan/pacer.ts";
import type { Range } from "../plan/schedule.ts";
import { memberKey, type RunState } from "./state.ts";

/** A range in somebody's hands. */
export interface Owned {
  range: Range;
  /** How many of its slots, from the first on, are still its owner's: all of them, until the rest moves to others. */
  kept: number;
  moved: boolean;
}

/** What a member of a run owns, and the newest command that gave it something. */
export interface Ownership {
  owned: Owned[];
  /** Offset of the config, or of the latest assign in its favour: its final has to know of that. */
  revision: number;
}

/**
 * Who owns which slots, by member key: what the config gave, less what each `assign` took away (`kept`), plus what it gave
 * (`moves`). Every slot has one owner at any time.
 */
export function ownershipOf(run: RunState): Map<string, Ownership> {
  const { slots } = run.config.schedule;
  const whole = (range: Range): Owned => ({ range, kept: rangeLength(range, slots), moved: false });
  const epochs = new Map((run.trigger?.members ?? run.config.members).map(({ node_id, epoch }) => [node_id, epoch]));
  const ownership = new Map<string, Ownership>();
  for (const { node_id, epoch, ranges } of run.config.members) {
    const key = memberKey(node_id, epochs.get(node_id) ?? epoch);
    ownership.set(key, { owned: ranges.map(whole), revision: run.config_offset });
  }
  for (const { from, kept, moves, offset } of run.assigns) {
    const giver = ownership.get(memberKey(from.node_id, from.epoch));
    for (const { range_id, slots } of kept) {
      const owned = giver?.owned.find(({ range }) => range.range_id === range_id);
      if (owned) Object.assign(owned, { kept: slots, moved: true });
    }
    for (const { node_id, epoch, range } of moves) {
      const taker = ownership.get(memberKey(node_id, epoch));
      if (!taker) continue;
      taker.owned.push(whole(range));
      taker.revision = offset;
    }
  }
  return ownership;
}
