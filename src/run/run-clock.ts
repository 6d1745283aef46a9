import { clockOf, type Moment } from "./presence.ts";
import { zeroMs, type RunState, type SystemState } from "./state.ts";

/**
 * us since the schedule's zero of a triggered run. Its zero is told in the clock of the leader that triggered it; another
 * one, which leads since, has another clock:
 *
 *     skew = this leader's clock - that leader's clock
 *          = median over the members of (its clock - that leader's, at the trigger) - (its clock - this leader's, now)
 *          = what each was ahead of the log's own clock, where no member was heard in this term
 */
export function sinceZeroUs(state: SystemState, run: RunState, moment: Moment): number {
  return Math.round((moment.now_ms - skewMs(state, run) - zeroMs(run)!) * 1000);
}

function skewMs(state: SystemState, run: RunState): number {
  const { leadership } = state;
  const trigger = run.trigger!;
  if (trigger.term === leadership.term) return 0;
  const skews = trigger.members.flatMap(({ node_id, epoch, clock_offset_ms }) => {
    const node = state.nodes.get(node_id);
    const clock = node?.epoch === epoch ? clockOf(node, leadership.term) : null;
    return clock ? clock_offset_ms - clock.offset_ms : [];
  });
  if (skews.length === 0) return leadership.ahead_ms - run.trigger_ahead_ms;
  return skews.sort((a, b) => a - b)[skews.length >> 1]!;
}
