import { expect, it } from "vitest";
import type { PlanInput } from "../plan/plan.ts";
import { loadJob, overCap, ownRateRps, specOfConfig } from "./job.ts";
import { createLeader } from "./testing/leader.ts";

const TARGET = { url: "http://127.0.0.1:8088/ping", timeout_ms: 2000 };

function specs(plan: Omit<PlanInput, "target">, drivers = 3) {
  const members = Array.from({ length: drivers }, (_, k) => ({ node_id: `d${k}`, epoch: k }));
  const command = createLeader(1).config("t1", { target: TARGET, ...plan }, members);
  return command.members.map((member) => specOfConfig(command, member));
}

it("takes the member's ranges and the plan's settings, and a backlog by rate and timeout", () => {
  const [spec] = specs({ rate_rps: 10_000, duration_s: 1, warmup_s: 0.5, connections: 8, pacing: "timer" });
  expect(spec).toMatchObject({ test_id: "t1", backlog: 20_000, warmup_ms: 500, connections: 8, pacing: "timer", timeout_ms: 2000 });
  const target = {
    protocol: "http:" as const,
    hostname: "x",
    port: 80,
    address: "127.0.0.1",
    path: "/",
    method: "GET",
    headers: {},
    body: null,
    insecure: false,
  };
  expect(loadJob(spec!, target)).toMatchObject({ target, timeout_us: 2_000_000, warmup_us: 500_000, ranges: [{ step: 3, from: 0 }] });
  expect(specs({ rate_rps: 10, duration_s: 1 })[0]!.backlog).toBe(1000);
  expect(specs({ rate_rps: 10, duration_s: 1, backlog: 0 })[0]!.backlog).toBe(0);
});

it("knows its own rate of every kind of schedule", () => {
  const rates = (plan: Omit<PlanInput, "target">) => specs(plan).map(({ schedule, ranges }) => ownRateRps(schedule, ranges));
  expect(rates({ rate_rps: 100, duration_s: 1 }).map((rate) => Math.round(rate! * 1e6))).toEqual([100e6, 100e6, 100e6]);
  expect(rates({ delay_ms: 20, duration_s: 1 })).toEqual([50, 50, 50]);
  expect(rates({ type: "avalanche", rate_rps: 7 })).toEqual([7, 7, 7]);
  expect(rates({ type: "avalanche" })).toEqual([null, null, null]);
});

it("holds tests against caps: an unpaced one is over every cap on the rate", () => {
  const over = (plan: Omit<PlanInput, "target">, caps: Parameters<typeof overCap>[1]) => overCap(specs(plan)[0]!, caps)?.code ?? null;
  expect(over({ rate_rps: 100, duration_s: 10 }, { max_rate_rps: 100, max_duration_ms: 10_000 })).toBe(null);
  expect(over({ rate_rps: 100.001, duration_s: 10 }, { max_rate_rps: 100 })).toBe("rate_over_cap");
  expect(over({ type: "avalanche", duration_s: 10 }, { max_rate_rps: 100 })).toBe("rate_over_cap");
  expect(over({ rate_rps: 100, duration_s: 10, warmup_s: 0.001 }, { max_duration_ms: 10_000 })).toBe("duration_over_cap");
  expect(over({ rate_rps: 100, requests: 1001 }, { max_duration_ms: 10_000 })).toBe("duration_over_cap");
  expect(over({ type: "avalanche", requests: 1001 }, { max_duration_ms: 10_000 })).toBe(null);
});
