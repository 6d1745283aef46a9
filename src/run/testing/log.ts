import { createRecorder, type Recorder } from "../../metrics/recorder.ts";
import type { Snapshot } from "../../metrics/snapshot.ts";
import { parsePlan, type PlanInput } from "../../plan/plan.ts";
import { encodeMessage, type OutgoingOf } from "../../protocol/codec.ts";
import type { EndReason } from "../../protocol/messages.ts";
import type { Topic } from "../../protocol/topics.ts";
import { configBody, triggerBody } from "../commands.ts";
import type { CommandBody } from "../decide.ts";
import { toEntry, type Entry } from "../entry.ts";
import { fold } from "../fold.ts";
import type { Moment } from "../presence.ts";
import { initialState, type SystemState } from "../state.ts";

export const LEADER = { owner: "orchestrator-1/boot", node_id: "orchestrator-1" };

/** A log written by hand, folded as it grows: what an orchestrator would see, with a clock that the test moves. */
export interface Script {
  state: SystemState;
  entries: Entry[];
  now_ms: number;
  moment(): Moment;
  append<T extends Topic>(topic: T, message: OutgoingOf[T]): Entry;
  rubbish(topic: Topic, text: string): void;
  claim(): void;
  command(body: CommandBody): void;
  join(node_id: string): number;
  joinForeign(node_id: string): void;
  beat(node_id: string, epoch: number, state?: "idle" | "ready" | "running" | "left"): void;
  ready(node_id: string, epoch: number, test_id: string): void;
  config(test_id: string, plan: PlanInput): void;
  /** Everybody says ready, then the trigger is read. */
  trigger(test_id: string): void;
  snapshot(node_id: string, epoch: number, test_id: string, measured: Snapshot, options?: { final?: boolean; end_reason?: EndReason; revision?: number }): void;
}

const START_MS = 1_700_000_000_000;

export function script(): Script {
  const offsets: Partial<Record<Topic, number>> = {};
  const sequences = new Map<string, number>();
  let command_seq = 0;
  let term = 0;

  const self: Script = {
    state: initialState(),
    entries: [],
    now_ms: START_MS,
    moment: () => ({ now_ms: self.now_ms, hearing_since_ms: START_MS - 60_000 }),
    append(topic, message) {
      return put(topic, encodeMessage(topic, message));
    },
    rubbish(topic, text) {
      put(topic, new TextEncoder().encode(text));
    },
    claim() {
      term++;
      command_seq = 0;
      self.append("control", { type: "claim", term, owner: LEADER.owner, command_seq, at_ms: self.now_ms });
    },
    command(body) {
      command_seq++;
      self.append("control", { ...body, term, owner: LEADER.owner, command_seq, at_ms: self.now_ms });
    },
    join(node_id) {
      const { offset } = self.append("register", {
        node_id,
        node_ip: "127.0.0.1",
        message_type: "DRIVER_NODE_REGISTER",
        v: 1,
        boot_id: `boot-${node_id}-${self.now_ms}`,
      });
      self.beat(node_id, offset);
      return offset;
    },
    joinForeign(node_id) {
      self.append("register", { node_id, node_ip: "10.0.0.9", message_type: "DRIVER_NODE_REGISTER" });
    },
    beat(node_id, epoch, state = "idle") {
      self.append("heartbeat", heartbeat(node_id, epoch, state));
    },
    ready(node_id, epoch, test_id) {
      const ready = { test_id, config_offset: self.state.runs.get(test_id)!.config_offset, epoch };
      self.now_ms += 1;
      self.append("heartbeat", { ...heartbeat(node_id, epoch, "ready"), test_id, ready });
    },
    config(test_id, plan) {
      self.command(configBody(self.state, parsePlan(plan), test_id, self.moment(), [0]));
    },
    trigger(test_id) {
      const run = self.state.runs.get(test_id)!;
      for (const { node_id, foreign } of run.config.members) {
        if (!foreign) self.ready(node_id, self.state.nodes.get(node_id)!.epoch, test_id);
      }
      self.command(triggerBody(self.state, run, self.moment(), self.now_ms + 1000));
    },
    snapshot(node_id, epoch, test_id, measured, { final = false, end_reason, revision } = {}) {
      const key = `${node_id}@${epoch}/${test_id}`;
      const seq = sequences.get(key) ?? 0;
      sequences.set(key, seq + 1);
      self.append("metrics", {
        node_id,
        test_id,
        report_id: `${node_id}-${epoch}-${seq}`,
        metrics: { mean_latency: null, median_latency: null, min_latency: null, max_latency: null, mode_latency: null },
        v: 1,
        epoch,
        seq,
        final,
        revision: revision ?? self.state.runs.get(test_id)?.config_offset ?? 1,
        ...(end_reason && { end_reason }),
        ...measured,
      });
    },
  };

  function heartbeat(node_id: string, epoch: number, state: "idle" | "ready" | "running" | "left") {
    return {
      node_id,
      heartbeat: "YES" as const,
      timestamp: self.now_ms,
      role: "driver" as const,
      epoch,
      state,
      test_id: null,
      ready: null,
      refused: null,
      clock: { term, delay_ms: 2 },
      health: {},
    };
  }

  function put(topic: Topic, value: Uint8Array): Entry {
    const offset = offsets[topic] ?? 0;
    offsets[topic] = offset + 1;
    const entry = toEntry({ topic, partition: 0, offset, timestamp_ms: self.now_ms, value }, self.now_ms);
    self.entries.push(entry);
    fold(self.state, entry);
    return entry;
  }

  return self;
}

/** A recorder with the parts of a snapshot that an engine adds. */
export function measuring(window_us: number | null): { recorder: Recorder; snapshot: (t_us: number) => Snapshot } {
  const recorder = createRecorder({ window_us });
  return {
    recorder,
    snapshot: (t_us) => ({
      ...recorder.snapshot(t_us),
      ranges: [],
      generator: { cpu: 0.1, utilisation: 0.1, seconds: 1, saturated_seconds: 0, due_while_free: 0, sent_while_free: 0, pacing: "timer" },
      start_offset_us: 0,
      warmup: null,
    }),
  };
}

/** One request from due to its end, all at given moments (us since the schedule's zero). */
export function answered(recorder: Recorder, due_us: number, response_us: number, status = 200): void {
  recorder.scheduled(due_us);
  recorder.sent(due_us, 0);
  recorder.completed(due_us + response_us, status, response_us, response_us);
}
