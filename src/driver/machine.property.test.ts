import fc from "fast-check";
import { expect, it } from "vitest";
import type { Control } from "../protocol/control.ts";
import { step } from "./machine.ts";
import { emptySnapshot, reportKey } from "./report.ts";
import { initialState, type DriverEvent, type NodeState } from "./state.ts";
import { OPTIONS } from "./testing/bench.ts";
import { createLeader, type Leader } from "./testing/leader.ts";

const PLAN = { target: { url: "http://127.0.0.1:8088/ping" }, rate_rps: 100, duration_s: 2, lease_ms: 1000 };
const TESTS = ["t1", "t2", "p1"];

const small = fc.nat(9);
const test_id = fc.constantFrom(...TESTS);
const epoch = fc.integer({ min: 1, max: 3 });

type Act = { wait_ms: number; act: (world: World) => DriverEvent | null };

/** What is true beside the machine: the log, and what really happened. */
interface World {
  leader: Leader;
  term: number;
  sent: Control[];
  offset: number;
  now_ms: number;
  state: NodeState;
}

function say(world: World, command: Control): DriverEvent {
  world.sent.push(command);
  return { type: "control", command, offset: world.offset++ };
}

/** Commands of one term in order; repeated, stale and foreign ones; anything else at any time. */
const act: fc.Arbitrary<(world: World) => DriverEvent | null> = fc.oneof(
  { weight: 6, arbitrary: fc.constant((): DriverEvent => ({ type: "tick", health: {} })) },
  fc.constant((world: World) => say(world, ((world.leader = createLeader(++world.term, `o${world.term}`, () => world.now_ms)), world.leader.claim()))),
  { weight: 4, arbitrary: fc.tuple(test_id, epoch).map(([id, e]) => (w: World) => say(w, w.leader.config(id, PLAN, [{ node_id: "d1", epoch: e }]))) },
  {
    weight: 6,
    arbitrary: fc.tuple(test_id, epoch, fc.integer({ min: -3000, max: 2000 })).map(([id, e, in_ms]) => (w: World) => {
      return say(w, w.leader.trigger(id, w.now_ms + in_ms, [{ node_id: "d1", epoch: e }]));
    }),
  },
  test_id.map((id) => (w: World) => say(w, w.leader.stop(id))),
  fc.tuple(test_id, epoch, fc.boolean()).map(([id, e, final]) => (w: World) => {
    return say(w, w.leader.ended(id, [{ node_id: "d1", epoch: e, seq: 0, final }]));
  }),
  fc.tuple(test_id, epoch).map(([id, e]) => (w: World) => say(w, w.leader.lost({ test_id: id, node_id: "d1", epoch: e, reason: "silent" }))),
  test_id.map((id) => (w: World) => say(w, w.leader.assign(id, { node_id: "d1", epoch: 1 }))),
  small.map((i) => (w: World): DriverEvent | null => {
    const command = w.sent[i % Math.max(1, w.sent.length)];
    return command ? { type: "control", command, offset: w.offset++ } : null;
  }),
  { weight: 3, arbitrary: epoch.map((e) => (w: World): DriverEvent => ({ type: "registered", node_id: "d1", boot_id: `boot.${w.state.registrations}`, offset: e })) },
  fc.constant((): DriverEvent => ({ type: "begin" })),
  { weight: 3, arbitrary: fc.constant((): DriverEvent => ({ type: "caught_up" })) },
  {
    weight: 6,
    arbitrary: fc.boolean().map((ok) => (w: World): DriverEvent => ({
      type: "prepared",
      job_id: w.state.jobs,
      result: ok ? { ok, connected: 1 } : { ok, code: "target_unreachable", message: "no" },
    })),
  },
  { weight: 3, arbitrary: fc.constant((w: World): DriverEvent => ({ type: "progress", job_id: w.state.jobs, snapshot: emptySnapshot([]) })) },
  { weight: 2, arbitrary: fc.constant((w: World): DriverEvent => ({ type: "finished", job_id: w.state.jobs, snapshot: emptySnapshot([]) })) },
  fc.constant((w: World): DriverEvent => ({ type: "load_failed", job_id: w.state.jobs, message: "x" })),
  fc.tuple(fc.nat(3), fc.integer({ min: -5000, max: 100 })).map(([term, ago]) => (w: World): DriverEvent => {
    return { type: "orchestrator_heartbeat", term, state: "leader", timestamp_ms: w.now_ms + ago, received_ms: w.now_ms };
  }),
  fc.tuple(test_id, fc.boolean()).map(([id, after_start]) => (): DriverEvent => ({
    type: "test_config",
    message: { test_id: id, test_type: "AVALANCHE", test_message_delay: 0, test_server: "127.0.0.1:1" },
    offset: 1,
    after_start,
  })),
  fc.tuple(test_id, fc.boolean()).map(([id, after_start]) => (): DriverEvent => ({ type: "trigger", message: { test_id: id, trigger: "YES" }, after_start })),
  fc.tuple(test_id, epoch, small).map(([id, e, seq]) => (): DriverEvent => ({ type: "published", key: `${id} d1 ${e}`, seq })),
  fc.boolean().map((connected) => (): DriverEvent => ({ type: "bus", connected, reason: "x" })),
  { weight: 1, arbitrary: fc.constantFrom<() => DriverEvent | null>(() => null, () => null, () => null, () => ({ type: "leave" })) },
);
const acts: fc.Arbitrary<Act[]> = fc.array(fc.record({ wait_ms: fc.constantFrom(0, 1, 50, 300, 1000), act }), { maxLength: 120, size: "max" });

it("never throws, never starts what no trigger names, numbers reports strictly, repeats only finals", () => {
  let starts = 0;
  let finals = 0;
  fc.assert(
    fc.property(acts, (sequence) => {
      const state = initialState(OPTIONS);
      const leader = createLeader(1, "o1");
      const world: World = { leader, term: 0, sent: [], offset: 0, now_ms: 1e6, state };
      const last = new Map<string, { seq: number; final: boolean }>();
      const triggered = new Set<string>();
      for (const { wait_ms, act } of sequence) {
        world.now_ms += wait_ms;
        const event = act(world);
        if (!event) continue;
        const before = world.state;
        const frozen = JSON.stringify(before);
        const { state: after, effects } = step(before, event, world.now_ms);
        expect(JSON.stringify(before)).toBe(frozen);
        world.state = after;
        if (event.type === "control" && event.command.type === "trigger" && after.commands_refused === before.commands_refused) {
          if (event.command.members.some(({ epoch }) => epoch === before.epoch)) triggered.add(event.command.test_id);
        }
        if (event.type === "trigger" && event.after_start) triggered.add(event.message.test_id);
        const inherits = before.finished !== null || (event.type === "control" && event.command.type === "assign");
        if (inherits) for (const key of last.keys()) last.set(key, { ...last.get(key)!, final: false });
        for (const effect of effects) {
          if (effect.type === "start") {
            starts += 1;
            expect(triggered).toContain(after.job!.wanted.test_id);
            expect(effect.zero_ms).toBeGreaterThanOrEqual(world.now_ms - 1000);
          }
          if (effect.type !== "publish_metrics") continue;
          const { seq, final } = effect.message;
          const earlier = last.get(effect.key);
          if (earlier) {
            if (final || seq === earlier.seq) expect(seq).toBeGreaterThanOrEqual(earlier.seq);
            else expect(seq).toBeGreaterThan(earlier.seq);
            // After a final only another one, that knows of more.
            if (earlier.final && !inherits) expect({ seq, final }).toEqual(earlier);
          }
          last.set(effect.key, { seq, final });
        }
        expect(after.results.length).toBeLessThanOrEqual(32);
        if (after.left) expect(step(after, event, world.now_ms).effects).toEqual([]);
      }
      const { state: end } = world;
      if (end.left || end.leaving || !end.caught_up || !end.bus_connected) return;
      const { effects } = step(end, { type: "tick", health: {} }, world.now_ms + 1000);
      const repeated = effects.flatMap((effect) => (effect.type === "publish_metrics" ? [effect.key] : []));
      for (const { report } of end.results.filter((result) => result.repeated < 59)) {
        expect(repeated).toContain(reportKey(report));
        finals += 1;
      }
    }),
    { numRuns: 400 },
  );
  expect(Math.min(starts, finals)).toBeGreaterThan(0);
});
