import type { LoadJob, LoadTarget } from "../load/engine.ts";
import { planFromCommon } from "../plan/foreign.ts";
import { layOut, LayoutError } from "../plan/layout.ts";
import { rangeLength } from "../plan/pacer.ts";
import { durationMs, parsePlan, rateUrps, type Plan } from "../plan/plan.ts";
import { PlanError } from "../plan/problem.ts";
import type { Range, Schedule } from "../plan/schedule.ts";
import type { ConfigCommand, ConfigMember } from "../protocol/control.ts";
import type { TestConfig } from "../protocol/messages.ts";

/** What one driver is to do in a test, before its target is resolved. */
export interface JobSpec {
  test_id: string;
  target: Omit<Plan["target"], "timeout_ms">;
  schedule: Schedule;
  ranges: Range[];
  connections: number;
  /** Load threads; null: by cores and rate. */
  workers: number | null;
  timeout_ms: number;
  backlog: number;
  pacing: "auto" | "precise" | "timer";
  warmup_ms: number;
}

/** Limits that the operator of a driver sets, whatever a test asks for. */
export interface Caps {
  /** Requests per second of this driver. */
  max_rate_rps?: number;
  /** Warm-up and window together. */
  max_duration_ms?: number;
}

/** Why a test will not be run here: a stable code, and what the operator can do. */
export interface Refused {
  code: string;
  message: string;
}

const BACKLOG_MIN = 1_000;
const BACKLOG_MAX = 1_000_000;

/** What a member of a configured test is to do. */
export function specOfConfig({ test_id, plan, schedule }: ConfigCommand, { ranges }: ConfigMember): JobSpec {
  return specOf(test_id, plan, schedule, ranges);
}

/**
 * What a test in the common format asks of this driver, which owns every slot of it. The target is `test_server` (a
 * URL, or host:port with or without a path, taken as http and hit as it was given), else `own_target`.
 */
export function specOfCommon(config: TestConfig, own_target: string | null): JobSpec | Refused {
  const given = config.test_server?.trim() ?? "";
  const test_server = given === "" ? own_target : given;
  if (test_server === null) {
    return { code: "no_target", message: `${config.test_id} names no test_server; start this driver with --target URL` };
  }
  try {
    const plan = parsePlan(planFromCommon({ ...config, test_server }));
    const { schedule, members } = layOut(plan, [{ node_id: "self", foreign: false }]);
    return specOf(config.test_id, plan, schedule, members[0]?.ranges ?? []);
  } catch (error) {
    if (error instanceof PlanError || error instanceof LayoutError) {
      return { code: "bad_plan", message: `${config.test_id} cannot be run: ${error.message}` };
    }
    throw error;
  }
}

function specOf(test_id: string, plan: ConfigCommand["plan"], schedule: Schedule, ranges: Range[]): JobSpec {
  const { timeout_ms, ...target } = plan.target;
  return {
    test_id,
    target,
    schedule,
    ranges,
    connections: plan.connections,
    workers: plan.workers ?? null,
    timeout_ms,
    backlog: plan.backlog ?? defaultBacklog(ownRateRps(schedule, ranges), timeout_ms),
    pacing: plan.pacing,
    warmup_ms: durationMs(plan.warmup_s ?? 0),
  };
}

/** clamp(rate x timeout, 1,000, 1,000,000); a closed test has no backlog to speak of. */
function defaultBacklog(rate_rps: number | null, timeout_ms: number): number {
  return Math.min(Math.max(Math.ceil(((rate_rps ?? 0) * timeout_ms) / 1e3), BACKLOG_MIN), BACKLOG_MAX);
}

/**
 * Requests per second that the ranges make at most; null: closed without a rate.
 *
 *     open     rate of all x sum of 1 / step      over the ranges with more than one slot
 */
export function ownRateRps(schedule: Schedule, ranges: readonly Range[]): number | null {
  if (schedule.kind === "closed") return schedule.rate_urps === null ? null : schedule.rate_urps / 1e6;
  const all_rps = schedule.kind === "rate" ? schedule.total_rate_urps / 1e6 : (schedule.drivers * 1e6) / schedule.delay_us;
  const part = ranges
    .filter((range) => rangeLength(range, schedule.slots) > 1)
    .reduce((sum, range) => sum + 1 / range.step, 0);
  return all_rps * part;
}

/** Holds a test against the caps; null when it keeps them. A count without a window is capped while it runs. */
export function overCap({ test_id, schedule, ranges, warmup_ms }: JobSpec, caps: Caps): Refused | null {
  const { max_rate_rps, max_duration_ms } = caps;
  if (max_rate_rps !== undefined) {
    const rate_rps = ownRateRps(schedule, ranges);
    // Shares of a total are rounded to micro-rps.
    if (rate_rps === null || rateUrps(rate_rps) > rateUrps(max_rate_rps) + 1) {
      const asks = rate_rps === null ? "sets no rate" : `asks for ${rounded(rate_rps)} requests per second`;
      return {
        code: "rate_over_cap",
        message: `${test_id} ${asks}, this driver is capped at ${rounded(max_rate_rps)}; lower the rate or raise the cap`,
      };
    }
  }
  if (max_duration_ms !== undefined && schedule.window_us !== null) {
    const duration_ms = warmup_ms + schedule.window_us / 1e3;
    if (duration_ms > max_duration_ms) {
      return {
        code: "duration_over_cap",
        message: `${test_id} takes ${rounded(duration_ms / 1e3)} s, this driver is capped at ${rounded(max_duration_ms / 1e3)} s; shorten the test or raise the cap`,
      };
    }
  }
  return null;
}

/** The job of a load engine, for a target that was resolved and allowed. */
export function loadJob(spec: JobSpec, target: LoadTarget): LoadJob {
  return {
    test_id: spec.test_id,
    target,
    schedule: spec.schedule,
    ranges: spec.ranges,
    connections: spec.connections,
    timeout_us: spec.timeout_ms * 1e3,
    backlog: spec.backlog,
    pacing: spec.pacing,
    warmup_us: spec.warmup_ms * 1e3,
  };
}

function rounded(value: number): number {
  return Math.round(value * 1e3) / 1e3;
}
