import type { TestConfig, Trigger } from "../protocol/messages.ts";
import { isNew } from "./commands.ts";
import { specOfCommon } from "./job.ts";
import { armIfTriggered, refuse } from "./lifecycle.ts";
import { hasBegun, type NodeState } from "./state.ts";
import { log, type Turn } from "./turn.ts";

/** A leader that was silent for this long does not lead. */
const LEADER_SILENCE_MS = 3_000;
/** A trigger may be read this long before its config: the log keeps no order between topics. */
const EARLY_TRIGGER_MS = 5_000;

/** A test in the common format. Copies (with a term) mean nothing: `control` has said it. */
export function onTestConfig(turn: Turn, config: TestConfig, offset: number, after_start: boolean): void {
  const { state, now_ms } = turn;
  if (config.term !== undefined) return;
  const { test_id } = config;
  const reason = refusalOfPlain(turn, after_start) ?? (isNew(state, test_id) ? null : "its test_id was used before");
  if (reason !== null) {
    refusePlain(turn, "test_config", test_id, reason);
    return;
  }
  state.refused = null;
  state.wanted = null;
  const spec = specOfCommon(config, state.options.target);
  if ("code" in spec) {
    refuse(turn, { test_id, offset }, spec.code, spec.message);
    return;
  }
  state.wanted = { origin: "plain", test_id, offset, revision: 0, inherited: [], lease_ms: null, spec, start: null, refused: false };
  if (state.early?.test_id === test_id && now_ms - state.early.at_ms < EARLY_TRIGGER_MS) begin(turn);
  state.early = null;
}

/** A plain trigger starts its test at once, or as soon as that is ready. */
export function onPlainTrigger(turn: Turn, { test_id, term }: Trigger, after_start: boolean): void {
  const { state, now_ms } = turn;
  if (term !== undefined) return;
  const reason = refusalOfPlain(turn, after_start);
  if (reason !== null) {
    refusePlain(turn, "trigger", test_id, reason);
    return;
  }
  const { wanted } = state;
  if (wanted?.origin === "plain" && wanted.test_id === test_id && !wanted.start && !wanted.refused) begin(turn);
  else if (state.seen.includes(test_id)) refusePlain(turn, "trigger", test_id, "its test was triggered, replaced or refused before");
  else state.early = { test_id, at_ms: now_ms };
}

function begin(turn: Turn): void {
  const { state, now_ms } = turn;
  if (!state.wanted) return;
  state.wanted = { ...state.wanted, start: { start_ms: now_ms, term: 0, clock_offset_ms: 0, lease: null } };
  armIfTriggered(turn);
}

function refusalOfPlain({ state, now_ms }: Turn, after_start: boolean): string | null {
  if (!after_start) return "it is older than this driver";
  if (leads(state, now_ms)) return "an Onrush orchestrator leads";
  if (state.leaving) return "this driver is leaving";
  if (hasBegun(state.job)) return "another test is running";
  return null;
}

/** Whether an Onrush orchestrator leads: heard lately; right after the start, where there was one before, supposed. */
function leads({ leader_heard_ms, authority, begun_ms }: NodeState, now_ms: number): boolean {
  const supposed_ms = authority.term > 0 ? begun_ms : Number.NEGATIVE_INFINITY;
  return now_ms - Math.max(leader_heard_ms, supposed_ms) < LEADER_SILENCE_MS;
}

function refusePlain(turn: Turn, topic: string, test_id: string, reason: string): void {
  turn.state.plain_refused += 1;
  log(turn, "warn", "plain_refused", `a ${topic} of ${test_id} is not obeyed: ${reason}`, { test_id });
}
