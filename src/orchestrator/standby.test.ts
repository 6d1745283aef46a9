import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isVacant } from "./leader.ts";
import type { Orchestrator } from "./orchestrator.ts";
import { sleeper } from "./testing/sleeper.ts";
import { testSystem, type TestSystem } from "./testing/system.ts";

let system: TestSystem;

beforeEach(() => {
  system = testSystem();
});
afterEach(() => system.close());

async function started(orchestrator: Orchestrator, test_id: string): Promise<void> {
  await system.within(orchestrator.createTest(system.plan({ duration_s: 30 }), test_id));
  await system.within(orchestrator.trigger(test_id));
}

/** Lets time pass until it leads; answers how long that took. */
async function untilLeads(...standbys: Orchestrator[]): Promise<number> {
  const begun_ms = system.clock.now_ms();
  while (!standbys.some((one) => one.leads())) {
    if (system.clock.now_ms() - begun_ms > 20_000) throw new Error("nobody took over");
    await system.clock.advance(50);
  }
  return system.clock.now_ms() - begun_ms;
}

test("vacant is who left, or was silent for 3 s in which everything was heard", () => {
  expect(isVacant({ heard_ms: 0, has_left: false }, 10_000, null)).toBe(false);
  expect(isVacant({ heard_ms: 0, has_left: true }, 10_000, null)).toBe(false);
  expect(isVacant({ heard_ms: 0, has_left: false }, 10_000, 8_000)).toBe(false);
  expect(isVacant({ heard_ms: 8_000, has_left: false }, 10_000, 0)).toBe(false);
  expect(isVacant({ heard_ms: 6_900, has_left: false }, 10_000, 0)).toBe(true);
  expect(isVacant({ heard_ms: 9_900, has_left: true }, 10_000, 0)).toBe(true);
});

describe("a standby", () => {
  test("where nobody leads it claims after 3 s", async () => {
    const standby = await system.orchestrate({ standby: true });
    expect(standby.leads()).toBe(false);
    await expect(system.within(standby.createTest(system.plan()))).rejects.toMatchObject({ code: "not_leader" });
    expect(await untilLeads(standby)).toBeGreaterThanOrEqual(3_000);
    expect(standby.term()).toBe(1);
    await system.within(standby.close());
  });

  test("follows the leader for as long as it beats, and says only that it stands by", async () => {
    const leader = await system.orchestrate();
    const standby = await system.orchestrate({ node_id: "orchestrator-2", standby: true });
    await system.clock.advance(20_000);
    expect([leader.leads(), standby.leads()]).toEqual([true, false]);
    expect(leader.state().orchestrators.get("orchestrator-2")!.heartbeat).toMatchObject({ state: "standby", term: 1 });
    expect((await system.control()).map(({ type }) => type)).toEqual(["claim"]);
    await system.within(leader.close());
    expect(await untilLeads(standby)).toBeLessThanOrEqual(200);
    await system.within(standby.close());
  });

  test("takes over within 5 s of the leader's death, and goes on with the run: nobody is lost, the report is the same", async () => {
    const [a, b] = await system.drivers("a", "b");
    const bus = system.memory.connect();
    const leader = await system.orchestrate({ bus });
    const standby = await system.orchestrate({ node_id: "orchestrator-2", standby: true });
    await started(leader, "t1");
    await system.clock.advance(2_000);
    await Promise.all([a!.report("t1", 5), b!.report("t1", 6)]);
    await bus.close();
    const took_ms = await untilLeads(standby);
    expect(took_ms).toBeLessThanOrEqual(5_000);
    expect(standby.term()).toBe(2);
    await system.clock.advance(200);
    expect(standby.history("t1").at(-1)!.event).toMatchObject({ type: "progress", totals: { completed: 11 } });
    await Promise.all([a!.report("t1", 300, { final: true }), b!.report("t1", 300, { final: true })]);
    expect(await system.within(standby.ended("t1"))).toMatchObject({ complete: true, totals: { planned: 600, ok: 600, unknown: 0 }, bugs: [] });
    expect((await system.control()).map(({ type, term }) => `${type} ${term}`)).toEqual(["claim 1", "config 1", "trigger 1", "claim 2", "ended 2"]);
    await system.within(standby.close());
  });

  test("after a takeover everyone gets 5 s: who died with the leader is lost, but not at once", async () => {
    const [a] = await system.drivers("a", "b");
    const bus = system.memory.connect();
    const leader = await system.orchestrate({ bus });
    const standby = await system.orchestrate({ node_id: "orchestrator-2", standby: true });
    await started(leader, "t1");
    await bus.close();
    a!.die();
    await untilLeads(standby);
    const taken_ms = system.clock.now_ms();
    const run = () => standby.state().runs.get("t1")!;
    while (run().lost.size === 0) await system.clock.advance(50);
    expect(system.clock.now_ms() - taken_ms).toBeGreaterThanOrEqual(4_900);
    expect([...run().lost.values()].map(({ node_id }) => node_id)).toEqual(["a"]);
    await system.within(standby.close());
  });

  test("of two exactly one wins; the other goes on standing by, and takes over in its turn", async () => {
    const bus = system.memory.connect();
    await system.orchestrate({ bus });
    const second_bus = system.memory.connect();
    const standbys = [
      await system.orchestrate({ node_id: "orchestrator-2", standby: true, bus: second_bus }),
      await system.orchestrate({ node_id: "orchestrator-3", standby: true }),
    ];
    await bus.close();
    await untilLeads(...standbys);
    await system.clock.advance(10_000);
    const winners = standbys.filter((one) => one.leads());
    expect(winners).toHaveLength(1);
    const claims = (await system.control()).filter(({ type }) => type === "claim").map(({ term }) => term);
    expect([...new Set(claims)]).toEqual([1, 2]);
    if (winners[0] === standbys[0]) {
      await second_bus.close();
      expect(await untilLeads(standbys[1]!)).toBeLessThanOrEqual(5_000);
      expect(standbys[1]!.term()).toBe(3);
    }
    await system.within(standbys[1]!.close());
  });

  test("keeps the reports of runs that ended under the leader", async () => {
    const [a] = await system.drivers("a");
    const bus = system.memory.connect();
    const leader = await system.orchestrate({ bus });
    const standby = await system.orchestrate({ node_id: "orchestrator-2", standby: true });
    await started(leader, "t1");
    await a!.report("t1", 300, { final: true });
    const report = await system.within(leader.ended("t1"));
    await system.clock.advance(1_000);
    expect(standby.report("t1")).toEqual(report);
    await bus.close();
    await untilLeads(standby);
    expect(standby.tests()).toMatchObject([{ test_id: "t1", state: "ended" }]);
    await system.within(standby.close());
  });
});

describe("an old leader that wakes up", () => {
  test.each([true, false])("appends nothing before it has read control (standby: %s)", async (standby) => {
    const [a] = await system.drivers("a", "b");
    const old_process = sleeper({ clock: system.clock, bus: system.memory.connect() });
    // It has led a while: a standby that claimed, or one that was started to lead.
    const old = await system.orchestrate({ node_id: "old", standby, ...old_process });
    if (standby) await untilLeads(old);
    const deposed: unknown[] = [];
    old.onDeposed((by) => deposed.push(by.term));
    const young = await system.orchestrate({ node_id: "young", standby: true });
    await started(old, "t1");
    old_process.sleep();
    await untilLeads(young);
    // While it sleeps a driver dies: by its own clock it would have much to decide.
    a!.die();
    await system.clock.advance(8_000);
    const stopping = old.stop("t1", "zombie").catch((error: { code: string }) => error.code);
    old_process.wake();
    await system.clock.advance(3_000);

    expect(await stopping).toBe("not_leader");
    expect([old.leads(), young.leads(), deposed]).toEqual([false, true, [2]]);
    const commands = await system.control();
    const claimed = commands.findIndex(({ type, term }) => type === "claim" && term === 2);
    expect(commands.slice(claimed).map(({ owner }) => owner.split("/")[0])).toEqual(commands.slice(claimed).map(() => "young"));
    expect(young.state().stale.size).toBe(0);
    const last = young.state().orchestrators.get("old")!.heartbeat;
    if (standby) expect(last).toMatchObject({ state: "standby", term: 2 });
    else expect(last.timestamp).toBeLessThan(system.clock.now_ms() - 3_000);

    await system.within(young.close());
    if (standby) {
      expect(await untilLeads(old)).toBeLessThanOrEqual(5_000);
      expect(old.term()).toBe(3);
    }
    await system.within(old.close());
  });
});
