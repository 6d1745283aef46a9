import type { Snapshot } from "../../metrics/snapshot.ts";
import type { Control } from "../../protocol/control.ts";
import { step } from "../machine.ts";
import { emptySnapshot } from "../report.ts";
import { initialState, phaseOf, type DriverEvent, type Effect, type NodeOptions, type NodeState, type Report } from "../state.ts";

export const OPTIONS: NodeOptions = {
  node_id: "d1",
  node_ip: "10.0.0.1",
  labels: { zone: "a" },
  boot_id: "boot",
  target: null,
  caps: {},
  heartbeat_ms: 1000,
  snapshot_ms: 500,
};

export type EffectOf<T extends Effect["type"]> = Extract<Effect, { type: T }>;

/** A machine on a bench: time moves only when told. */
export function bench(options: Partial<NodeOptions> = {}, stored: Parameters<typeof initialState>[1] = []) {
  let state: NodeState = initialState({ ...OPTIONS, ...options }, stored);
  let now_ms = 1_000_000;
  let control_offset = 0;
  const all: Effect[] = [];

  function send(event: DriverEvent): Effect[] {
    const result = step(state, event, now_ms);
    state = result.state;
    all.push(...result.effects);
    return result.effects;
  }

  const self = {
    send,
    all,
    now: () => now_ms,
    state: () => state,
    phase: () => phaseOf(state),
    tick: () => send({ type: "tick", health: {} }),
    /** Lets time pass in ticks of 50 ms; returns what was done. */
    pass(ms: number): Effect[] {
      const done: Effect[] = [];
      for (const end = now_ms + ms; now_ms < end; ) {
        now_ms = Math.min(end, now_ms + 50);
        done.push(...self.tick());
      }
      return done;
    },
    control: (command: Control, offset = control_offset++) => send({ type: "control", command, offset }),
    /** Registered with an epoch, `control` read to its end. */
    live(epoch = 7) {
      send({ type: "begin" });
      self.registered(epoch);
      send({ type: "caught_up" });
      return self;
    },
    registered: (epoch: number) =>
      send({ type: "registered", node_id: "d1", boot_id: `boot.${state.registrations}`, offset: epoch }),
    prepared: (ok = true) =>
      send({
        type: "prepared",
        job_id: state.jobs,
        result: ok ? { ok, connected: 4 } : { ok, code: "target_unreachable", message: "nobody listens" },
      }),
    progress: (snapshot: Snapshot = emptySnapshot([])) => send({ type: "progress", job_id: state.jobs, snapshot }),
    finished: (snapshot: Snapshot = emptySnapshot([])) => send({ type: "finished", job_id: state.jobs, snapshot }),
    leaderBeats: (term: number, timestamp_ms = now_ms, received_ms = now_ms) =>
      send({ type: "orchestrator_heartbeat", term, state: "leader", timestamp_ms, received_ms }),
    published: (report: Report) =>
      send({ type: "published", key: `${report.test_id} ${report.node_id} ${report.epoch}`, seq: report.seq }),
  };
  return self;
}

export function of<T extends Effect["type"]>(effects: readonly Effect[], type: T): EffectOf<T>[] {
  return effects.filter((effect): effect is EffectOf<T> => effect.type === type);
}

export function reports(effects: readonly Effect[]): Report[] {
  return of(effects, "publish_metrics").map(({ message }) => message);
}

export function logged(effects: readonly Effect[]): string[] {
  return of(effects, "log").map(({ code }) => code);
}
