import { expect } from "vitest";
import type { PlanInput } from "../../plan/plan.ts";
import type { OutgoingOf } from "../../protocol/codec.ts";
import type { DriverHeartbeat } from "../../protocol/messages.ts";
import type { Effect, NodeOptions } from "../state.ts";
import { bench, of } from "./bench.ts";
import { createLeader } from "./leader.ts";

export const PLAN: PlanInput = { target: { url: "http://127.0.0.1:8088/ping" }, rate_rps: 100, duration_s: 10 };
export const ME = [{ node_id: "d1", epoch: 7 }];

/** Ready for t1, control led by term 1. */
export function ready(options: Partial<NodeOptions> = {}, plan: Partial<PlanInput> = {}) {
  const node = bench(options).live();
  const leader = createLeader(1, "leader", node.now);
  node.control(leader.claim());
  node.control(leader.config("t1", { ...PLAN, ...plan }, ME));
  node.prepared();
  return { node, leader };
}

/** Running t1; its schedule began at start_ms. */
export function running(options: Partial<NodeOptions> = {}, plan: Partial<PlanInput> = {}) {
  const { node, leader } = ready(options, plan);
  node.control(leader.trigger("t1", node.now() + 1000, ME));
  const start_ms = node.now() + 1000;
  node.pass(1000);
  expect(node.phase()).toBe("running");
  return { node, leader, start_ms };
}


/** The heartbeats among effects: all of them of a driver. */
export function heartbeats(effects: readonly Effect[]): Omit<DriverHeartbeat, "kind">[] {
  return of(effects, "publish_heartbeat").map(({ message }: { message: OutgoingOf["heartbeat"] }) => message as DriverHeartbeat);
}
