import type { Range } from "../plan/schedule.ts";
import type { ControlOf } from "../protocol/control.ts";
import { raiseFinal, withdrawFinal } from "./results.ts";
import { isOpen, isRunning, type Wanted } from "./state.ts";
import { log, type Turn } from "./turn.ts";

/**
 * Ranges of another one are moved here. Whatever this driver is doing in that test, its next final tells that it knows:
 *
 *     about to start    they wait for the start           finished by its schedule    it goes on, and finishes once more
 *     running           the engine sends them             ended otherwise             none of them is sent
 */
export function inherit(turn: Turn, { test_id, moves }: ControlOf<"assign">, offset: number): void {
  const { state } = turn;
  const epoch = state.epoch;
  const ranges = moves.filter((move) => move.node_id === state.options.node_id && move.epoch === epoch).map(({ range }) => range);
  if (ranges.length === 0 || epoch === null) return;
  const { job, wanted, finished } = state;
  if (job && isRunning(state, test_id)) {
    state.job = { ...job, wanted: { ...job.wanted, revision: offset } };
    if (!job.stopped) give(turn, job.job_id, test_id, ranges);
  } else if (isOpen(wanted, test_id) && wanted.start) {
    state.wanted = waiting(wanted, ranges, offset);
  } else if (finished?.wanted.test_id === test_id) {
    withdrawFinal(turn, finished);
    state.job = { ...finished, wanted: { ...finished.wanted, revision: offset }, stage: "running" };
    state.finished = null;
    give(turn, finished.job_id, test_id, ranges);
  } else {
    raiseFinal(turn, { test_id, epoch }, ranges, offset);
  }
}

function waiting(wanted: Wanted, ranges: readonly Range[], revision: number): Wanted {
  return { ...wanted, revision, inherited: [...wanted.inherited, ...ranges] };
}

function give(turn: Turn, job_id: number, test_id: string, ranges: Range[]): void {
  log(turn, "info", "inherited", `${test_id}: takes over ${ranges.length} ranges`, { test_id, ranges: ranges.length });
  turn.effects.push({ type: "assign", job_id, ranges });
}
