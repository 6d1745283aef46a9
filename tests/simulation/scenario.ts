import { parsePlan, type Plan, type PlanInput } from "../../src/plan/plan.ts";
import type { TargetBehaviour } from "./engine.ts";
import { TOPICS, type Topic } from "../../src/protocol/topics.ts";
import type { Random } from "./random.ts";

export type Fault =
  | { type: "crash"; who: string; at_ms: number; for_ms: number | null }
  | { type: "sleep" | "cut" | "mute" | "deaf"; who: string; at_ms: number; for_ms: number }
  | { type: "stall"; who: string; topic: Topic; at_ms: number; for_ms: number }
  | { type: "outage"; at_ms: number; for_ms: number }
  | { type: "all_asleep"; at_ms: number; for_ms: number }
  | { type: "leave" | "break"; who: string; at_ms: number }
  | { type: "lossy" | "twice"; at_ms: number; for_ms: number; probability: number }
  | { type: "slow"; at_ms: number; for_ms: number; slow: number; slow_ms: number }
  | { type: "rubbish" | "replay"; at_ms: number; records: number }
  | { type: "stop"; at_ms: number }
  | { type: "late_driver"; who: string; at_ms: number };

/** One story: who takes part, what is to be run, and what goes wrong. All of it follows from the seed. */
export interface Scenario {
  drivers: { node_id: string; clock_offset_ms: number }[];
  orchestrators: { node_id: string; standby: boolean; clock_offset_ms: number }[];
  log_clock_offset_ms: number;
  plan: Plan;
  target: TargetBehaviour;
  /** The user wants the test from then on. */
  wanted_at_ms: number;
  /** One after the other. */
  runs: number;
  faults: Fault[];
  /** From then on nothing goes wrong any more. */
  calm_at_ms: number;
}

const FAULTS_FROM_MS = 1_500;
const FAULTS_UNTIL_MS = 10_000;
const MOST_FAULTS = 8;

export function writeScenario(random: Random): Scenario {
  const drivers = Array.from({ length: random.whole(1, 6) }, (_, i) => ({ node_id: `d${i + 1}`, clock_offset_ms: clockOffset(random) }));
  const orchestrators = [{ node_id: "o1", standby: false, clock_offset_ms: clockOffset(random) }];
  if (random.chance(0.5)) orchestrators.push({ node_id: "o2", standby: true, clock_offset_ms: clockOffset(random) });
  const clean = random.chance(0.5);
  const fastest_ms = random.between(0.5, 40);
  const target: TargetBehaviour = {
    fastest_ms,
    slowest_ms: fastest_ms + random.pick([5, 50, 300]),
    http_error: random.chance(0.3) ? 0.1 : 0,
    refused: clean ? 0 : 0.02,
    reset: clean ? 0 : 0.02,
    hang: clean ? 0 : 0.02,
  };
  const faults = Array.from({ length: random.whole(0, MOST_FAULTS) }, () => fault(random, drivers, orchestrators));
  // A leader that sleeps for longer than a standby waits wakes up as one that no longer leads.
  if (orchestrators.length > 1 && random.chance(0.4)) {
    const type = random.pick(["sleep", "cut"] as const);
    faults.push({ type, who: "o1", at_ms: random.between(2_500, 7_000), for_ms: random.between(3_500, 9_000) });
  }
  // It may be heard again before it hears what was decided without it.
  if (random.chance(0.1)) {
    const who = random.pick(drivers).node_id;
    const at_ms = random.between(2_500, 4_000);
    const for_ms = random.between(3_500, 5_000);
    faults.push({ type: "cut", who, at_ms, for_ms }, { type: "stall", who, topic: "control", at_ms, for_ms: for_ms + random.between(1_000, 9_000) });
    if (random.chance(0.5)) faults.push({ type: "crash", who, at_ms: at_ms + for_ms + random.between(1_000, 8_000), for_ms: null });
  }
  const calm_at_ms = Math.max(0, ...faults.map((one) => one.at_ms + ("for_ms" in one ? (one.for_ms ?? 0) : 0)));
  return {
    drivers,
    orchestrators,
    log_clock_offset_ms: random.between(-3_000, 3_000),
    plan: parsePlan(plan(random, drivers.length)),
    target,
    runs: random.chance(0.25) ? 2 : 1,
    wanted_at_ms: random.between(1_200, 2_500),
    faults: faults.sort((a, b) => a.at_ms - b.at_ms),
    calm_at_ms,
  };
}

function clockOffset(random: Random): number {
  const kind = random.unit();
  if (kind < 0.4) return 0;
  if (kind < 0.85) return random.between(-2_000, 2_000);
  return random.between(-600_000, 600_000);
}

function plan(random: Random, drivers: number): PlanInput {
  const base = {
    target: { url: "http://127.0.0.1:1/", timeout_ms: random.whole(400, 1_500) },
    connections: random.whole(1, 12),
    lease_ms: random.whole(3_000, 9_000),
    on_driver_loss: random.pick(["redistribute", "redistribute", "redistribute", "redistribute", "continue", "stop"] as const),
  };
  const rate_rps = random.pick([3, 10, 17.3, 40]) / Math.sqrt(drivers);
  const duration_s = random.chance(0.15) ? random.between(9, 18) : random.between(1, 9);
  const kind = random.unit();
  if (kind < 0.6) return { ...base, type: "tsunami", rate_rps: Math.round(rate_rps * 1000) / 1000, duration_s: Math.round(duration_s * 1000) / 1000 };
  if (kind < 0.75) return { ...base, type: "tsunami", delay_ms: random.whole(20, 150), requests: random.whole(5, 60) };
  if (kind < 0.9) return { ...base, type: "avalanche", connections: random.whole(1, 3), requests: random.whole(1, 80) };
  return { ...base, type: "avalanche", connections: 1, duration_s: Math.round(duration_s * 500) / 1000 };
}

function fault(random: Random, drivers: Scenario["drivers"], orchestrators: Scenario["orchestrators"]): Fault {
  const at_ms = random.chance(0.7) ? random.between(3_000, 7_000) : random.between(FAULTS_FROM_MS, FAULTS_UNTIL_MS);
  const driver = random.pick(drivers).node_id;
  const orchestrator = random.pick(orchestrators).node_id;
  const anyone = random.chance(0.65) ? driver : orchestrator;
  const kind = random.unit();
  if (kind < 0.2) {
    const for_ms = anyone === driver && random.chance(0.4) ? null : random.between(200, 6_000);
    return { type: "crash", who: anyone, at_ms, for_ms };
  }
  if (kind < 0.38) return { type: "sleep", who: anyone, at_ms, for_ms: random.between(300, 9_000) };
  if (kind < 0.42) return { type: random.pick(["mute", "deaf"] as const), who: anyone, at_ms, for_ms: random.between(1_000, 9_000) };
  if (kind < 0.56) return { type: "cut", who: anyone, at_ms, for_ms: random.between(300, 10_000) };
  if (kind < 0.59) return { type: "stall", who: anyone, topic: random.pick(TOPICS), at_ms, for_ms: random.between(500, 8_000) };
  if (kind < 0.63) return { type: "outage", at_ms, for_ms: random.between(200, 6_000) };
  if (kind < 0.65) return { type: "all_asleep", at_ms, for_ms: random.between(400, 6_000) };
  if (kind < 0.67) return { type: "break", who: driver, at_ms };
  if (kind < 0.73) return { type: "leave", who: driver, at_ms };
  if (kind < 0.78) return { type: "lossy", at_ms, for_ms: random.between(500, 5_000), probability: random.between(0.05, 0.5) };
  if (kind < 0.84) return { type: "twice", at_ms, for_ms: random.between(500, 5_000), probability: random.between(0.05, 0.5) };
  if (kind < 0.89) return { type: "slow", at_ms, for_ms: random.between(500, 4_000), slow: random.between(0.1, 0.6), slow_ms: random.pick([100, 400, 1_500]) };
  if (kind < 0.92) return { type: "rubbish", at_ms, records: random.whole(1, 10) };
  if (kind < 0.95) return { type: "replay", at_ms, records: random.whole(1, 10) };
  if (kind < 0.97) return { type: "stop", at_ms };
  return { type: "late_driver", who: "d9", at_ms };
}
