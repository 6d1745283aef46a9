import { layOut } from "../../plan/layout.ts";
import { parsePlan, type PlanInput } from "../../plan/plan.ts";
import type { ConfigCommand, Control, EndedCommand, LostCommand, TriggerCommand } from "../../protocol/control.ts";

type Told<T extends Control> = Omit<T, "term" | "owner" | "command_seq" | "at_ms" | "type">;

/** Writes commands as an orchestrator would: numbered, of one term. */
export interface Leader {
  claim(): Control;
  config(test_id: string, plan: PlanInput, members: { node_id: string; epoch: number }[]): ConfigCommand;
  trigger(test_id: string, start_at: number, members: { node_id: string; epoch: number }[], clock_offset_ms?: number): TriggerCommand;
  lost(told: Pick<LostCommand, "test_id" | "node_id" | "epoch" | "reason">): Control;
  stop(test_id: string): Control;
  ended(test_id: string, basis: EndedCommand["basis"]): Control;
  assign(test_id: string, to: { node_id: string; epoch: number }): Control;
}

export function createLeader(term: number, owner = "leader", now_ms: () => number = () => 0): Leader {
  let command_seq = -1;
  const command = () => {
    command_seq += 1;
    return { term, owner, command_seq, at_ms: now_ms() };
  };
  return {
    claim: () => ({ ...command(), type: "claim" }),
    config(test_id, input, members) {
      const plan = parsePlan(input);
      const layout = layOut(
        plan,
        members.map(({ node_id }) => ({ node_id, foreign: false })),
      );
      const told: Told<ConfigCommand> = {
        test_id,
        plan,
        model: layout.model,
        schedule: layout.schedule,
        planned: layout.planned,
        members: layout.members.map(({ node_id, foreign, share, ranges }) => ({
          node_id,
          foreign,
          share,
          ranges,
          epoch: members.find((member) => member.node_id === node_id)!.epoch,
        })),
        common: layout.common,
        bystanders: [],
        metrics_from: [0],
      };
      return { ...command(), type: "config", ...told };
    },
    trigger: (test_id, start_at, members, clock_offset_ms = 0) => ({
      ...command(),
      type: "trigger",
      test_id,
      start_at,
      members: members.map((member) => ({ ...member, share: null, clock_offset_ms, clock_error_ms: 1 })),
    }),
    lost: (told) => ({ ...command(), type: "lost", cut_us: 0, basis: { seq: -1 }, ...told }),
    stop: (test_id) => ({ ...command(), type: "stop", test_id, reason: "asked" }),
    ended: (test_id, basis) => ({ ...command(), type: "ended", test_id, status: "completed", reason: "", basis }),
    assign: (test_id, to) => ({
      ...command(),
      type: "assign",
      kept: [],
      test_id,
      cut_us: 0,
      from: { node_id: "other", epoch: 1 },
      moves: [{ ...to, range: { range_id: "r9", share: 1, from: 1, to: null, step: 2 } }],
    }),
  };
}
