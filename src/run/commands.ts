import { layOut, LayoutError } from "../plan/layout.ts";
import type { Plan } from "../plan/plan.ts";
import type { CommandBody } from "./decide.ts";
import { clockOf, isAlive, notReady, type Moment, type NotReady } from "./presence.ts";
import { sinceZeroUs } from "./run-clock.ts";
import { busyRun, phaseOf, type NodeState, type RunState, type SystemState } from "./state.ts";
import { parseThreshold, ThresholdError } from "./thresholds.ts";

export const COMMAND_ERROR_CODES = [
  "no_drivers",
  "not_enough_drivers",
  "unknown_driver",
  "driver_not_alive",
  "foreign_needs_count",
  "bad_layout",
  "bad_threshold",
  "busy",
  "duplicate_test",
  "unknown_test",
  "test_ended",
  "test_replaced",
  "not_ready",
  "target_unreachable",
  "target_not_allowed",
] as const;
export type CommandErrorCode = (typeof COMMAND_ERROR_CODES)[number];

/** What was asked for cannot be done now. `details` is data for whoever asked (missing drivers, the busy test). */
export class CommandError extends Error {
  readonly code: CommandErrorCode;
  readonly details: Record<string, unknown>;

  constructor(code: CommandErrorCode, message: string, details: Record<string, unknown> = {}) {
    super(message);
    this.name = "CommandError";
    this.code = code;
    this.details = details;
  }
}

type Body<T extends CommandBody["type"]> = Extract<CommandBody, { type: T }>;

/** The thresholds of a plan are read before anything starts. @throws {CommandError} `bad_threshold` */
export function checkThresholds(plan: Plan): void {
  try {
    plan.thresholds?.forEach(parseThreshold);
  } catch (error) {
    if (error instanceof ThresholdError) throw new CommandError("bad_threshold", error.message);
    throw error;
  }
}

/**
 * The config that makes a test: its members and what each one owns. `metrics_from`: the next offset of each partition of
 * the metrics topic, so that a restart need not read what came before.
 * @throws {CommandError} `busy`, `duplicate_test`, `no_drivers`, `not_enough_drivers`, `unknown_driver`, ...
 */
export function configBody(
  state: SystemState,
  plan: Plan,
  test_id: string,
  moment: Moment,
  metrics_from: readonly number[],
): Body<"config"> {
  const busy = busyRun(state);
  if (busy) throw new CommandError("busy", `test ${busy.test_id} is running: one at a time`, { test_id: busy.test_id });
  if (state.known.has(test_id)) throw new CommandError("duplicate_test", `there is a test ${test_id} already`, { test_id });
  checkThresholds(plan);
  const members = chooseMembers(state, plan, moment);
  const epochs = new Map(members.map((node) => [node.node_id, node.epoch]));
  try {
    const layout = layOut(plan, members);
    return {
      type: "config",
      test_id,
      plan,
      model: layout.model,
      schedule: layout.schedule,
      planned: layout.planned,
      members: layout.members.map(({ node_id, foreign, share, ranges }) => ({
        node_id,
        epoch: epochs.get(node_id)!,
        foreign,
        share,
        ranges,
      })),
      common: layout.common,
      bystanders: bystandersOf(state, members, moment),
      metrics_from: [...metrics_from],
    };
  } catch (error) {
    if (!(error instanceof LayoutError)) throw error;
    throw new CommandError(error.code === "foreign_needs_count" ? error.code : "bad_layout", error.message);
  }
}

/** Foreign drivers that would obey the copies although they are no members: the common format names nobody. */
function bystandersOf(state: SystemState, members: readonly NodeState[], moment: Moment): string[] {
  if (!members.some((node) => node.foreign)) return [];
  const others = [...state.nodes.values()].filter((node) => node.foreign && !members.includes(node) && isAlive(node, moment));
  return others.map((node) => node.node_id).sort();
}

function chooseMembers(state: SystemState, plan: Plan, moment: Moment): NodeState[] {
  const byId = (a: NodeState, b: NodeState) => (a.node_id < b.node_id ? -1 : 1);
  const alive = [...state.nodes.values()].filter((node) => isAlive(node, moment)).sort(byId);
  if (Array.isArray(plan.drivers)) return plan.drivers.map((node_id) => named(state, node_id, moment));
  const able = isClosedByDuration(plan) ? alive.filter((node) => !node.foreign) : alive;
  const wanted = plan.drivers ?? able.length;
  if (able.length === 0) {
    const why = alive.length > 0 ? ", but those of other implementations, which need a count (requests)" : "";
    throw new CommandError("no_drivers", `no driver is alive${why}: start one with \`onrush driver\``);
  }
  if (able.length < wanted) {
    throw new CommandError("not_enough_drivers", `${wanted} drivers are wanted, ${able.length} are alive`, {
      wanted,
      alive: able.map((node) => node.node_id),
    });
  }
  // Onrush's own first: they measure more.
  return [...able].sort((a, b) => Number(a.foreign) - Number(b.foreign) || byId(a, b)).slice(0, wanted);
}

function named(state: SystemState, node_id: string, moment: Moment): NodeState {
  const node = state.nodes.get(node_id);
  if (!node) throw new CommandError("unknown_driver", `there is no driver ${node_id}`, { node_id });
  if (!isAlive(node, moment)) throw new CommandError("driver_not_alive", `driver ${node_id} is silent or has left`, { node_id });
  return node;
}

function isClosedByDuration(plan: Plan): boolean {
  return plan.type === "avalanche" && plan.duration_s !== undefined;
}

/** A test that can still be triggered. @throws {CommandError} */
export function triggerable(state: SystemState, test_id: string): RunState {
  const run = state.runs.get(test_id);
  if (!run) throw absentTest(state, test_id);
  if (phaseOf(run) === "ended" || (run.stop && !run.trigger)) throw new CommandError("test_ended", `test ${test_id} has ended: create a new one`, { test_id });
  if (run.replaced) throw new CommandError("test_replaced", `a newer test took the place of ${test_id}`, { test_id });
  return run;
}

/** A test that was configured and is in the state no more was replaced, or ended long ago. */
export function absentTest(state: SystemState, test_id: string): CommandError {
  return state.known.has(test_id)
    ? new CommandError("test_replaced", `test ${test_id} is over: a newer one took its place`, { test_id })
    : new CommandError("unknown_test", `there is no test ${test_id}`, { test_id });
}

/**
 * The trigger that names every member with its epoch of now and its clock.
 * @throws {CommandError} `not_ready` (or `target_unreachable`, `target_not_allowed`, when that is why) with who is missing and why
 */
export function triggerBody(state: SystemState, run: RunState, moment: Moment, start_at: number): Body<"trigger"> {
  const missing = notReady(state, run, moment);
  if (missing.length > 0) throw missingError(run, missing);
  return {
    type: "trigger",
    test_id: run.test_id,
    start_at,
    members: run.config.members.map(({ node_id, share }) => {
      const node = state.nodes.get(node_id)!;
      const clock = clockOf(node, state.leadership.term);
      return { node_id, epoch: node.epoch, share, clock_offset_ms: clock?.offset_ms ?? 0, clock_error_ms: clock?.error_ms ?? 0 };
    }),
  };
}

function missingError(run: RunState, missing: NotReady[]): CommandError {
  // A driver's own refusal says more than that it is not ready.
  const refusal = (["target_not_allowed", "target_unreachable"] as const).find((code) => missing.some((node) => node.code === code));
  const messages = [...new Set(missing.map(({ message }) => message))];
  const text = messages.slice(0, 5).join("; ");
  const more = messages.length > 5 ? ` and ${messages.length - 5} more` : "";
  return new CommandError(
    refusal ?? "not_ready",
    `test ${run.test_id} did not start: ${text}${more}`,
    { test_id: run.test_id, missing },
  );
}

/** A stop; null: there is nothing to stop any more. @throws {CommandError} `unknown_test` */
export function stopBody(state: SystemState, test_id: string, reason: string, moment: Moment): Body<"stop"> | null {
  const run = state.runs.get(test_id);
  if (run === undefined && !state.known.has(test_id)) throw absentTest(state, test_id);
  if (run === undefined || run.ended || run.stop || run.replaced) return null;
  return { type: "stop", test_id, reason, ...(run.trigger && { t_us: sinceZeroUs(state, run, moment) }) };
}
