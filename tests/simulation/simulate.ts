import { CommandError, configBody, stopBody, triggerBody } from "../../src/run/commands.ts";
import { notReady } from "../../src/run/presence.ts";
import { phaseOf } from "../../src/run/state.ts";
import { TOPICS } from "../../src/protocol/topics.ts";
import { check, isReplayable } from "./check.ts";
import { createSimDriver, type SimDriver } from "./driver.ts";
import type { Truth } from "./engine.ts";
import { createLog, USUAL_DELAYS } from "./log.ts";
import { createSimOrchestrator, type SimOrchestrator } from "./orchestrator.ts";
import { writeScenario, type Fault, type Scenario } from "./scenario.ts";
import { createWorld } from "./world.ts";

export interface Outcome {
  seed: number;
  failures: readonly string[];
  lines: readonly string[];
  /** How often something worth knowing happened. */
  counts: ReadonlyMap<string, number>;
  /** ms in the simulated world. */
  took_ms: number;
}

const USER_POLL_MS = 150;
/** A test that does not become ready is made anew after this. */
const USER_PATIENCE_MS = 5_000;
const LEAD_MS = 1_000;
/** Within this after the last fault everything has ended and was told: takeover 8 s, grace 5 s, overdue 10 s + 2 time-outs, results repeated seldom 30 s. */
const BOUND_MS = 60_000;
const REST_MS = 1_500;

/** Plays one seed's scenario to its end and checks what came of it. */
export function simulate(seed: number, traced = false): Outcome {
  const world = createWorld(seed, traced);
  const { random } = world;
  const scenario = writeScenario(random);
  world.trace("seed", () => `${seed} ${JSON.stringify(scenario, (key, value: unknown) => (key === "clock_offset_ms" || typeof value !== "number" ? value : Math.round(value * 1000) / 1000))}`);
  const log = createLog(world, scenario.log_clock_offset_ms);
  const truths: Truth[] = [];
  let leader_alive_ms = -Infinity;
  const surroundings = { world, log, target: scenario.target, truths, leaderAliveMs: () => leader_alive_ms };
  const drivers = new Map(scenario.drivers.map(({ node_id, clock_offset_ms }) => [node_id, createSimDriver(surroundings, node_id, clock_offset_ms)]));
  const onBeat = () => (leader_alive_ms = world.now_ms);
  const orchestrators = new Map(
    scenario.orchestrators.map(({ node_id, standby, clock_offset_ms }) => [
      node_id,
      createSimOrchestrator({ world, log, onBeat }, node_id, standby, clock_offset_ms),
    ]),
  );
  let faithful = true;

  for (const one of orchestrators.values()) world.at(random.between(0, 300), one.boot);
  for (const one of drivers.values()) world.at(random.between(0, 600), one.boot);
  for (const fault of scenario.faults) world.at(fault.at_ms, () => happen(fault));
  const user = startUser();

  function process(name: string): SimDriver | SimOrchestrator | undefined {
    return drivers.get(name) ?? orchestrators.get(name);
  }

  function everyone(): (SimDriver | SimOrchestrator)[] {
    return [...drivers.values(), ...orchestrators.values()];
  }

  function linksChanged(): void {
    for (const one of everyone()) one.link()?.changed();
  }

  function happen(fault: Fault): void {
    const who = "who" in fault ? process(fault.who) : undefined;
    world.trace("fault", () => JSON.stringify(fault));
    const afterwards = (act: () => void) => "for_ms" in fault && fault.for_ms !== null && world.at(world.now_ms + fault.for_ms, act);
    switch (fault.type) {
      case "crash":
        if (!who?.host.alive) return;
        if ("everCrashed" in who) who.everCrashed = true;
        who.link()?.close();
        who.host.crash();
        afterwards(() => !who.host.alive && who.boot());
        break;
      case "sleep":
        who?.host.sleep();
        afterwards(() => who?.host.wake());
        break;
      case "all_asleep":
        for (const one of everyone()) one.host.sleep();
        afterwards(() => {
          for (const one of everyone()) one.host.wake();
        });
        break;
      case "cut":
      case "mute":
      case "deaf": {
        const { type } = fault;
        const link = who?.link();
        if (!link) return;
        link[type] = true;
        link.changed();
        afterwards(() => {
          link[type] = false;
          link.changed();
        });
        break;
      }
      case "stall": {
        const link = who?.link();
        link?.stall(fault.topic, true);
        afterwards(() => link?.stall(fault.topic, false));
        break;
      }
      case "outage":
        log.up = false;
        linksChanged();
        afterwards(() => {
          log.up = true;
          linksChanged();
        });
        break;
      case "break":
        if (who && "leave" in who) who.breakEngine();
        break;
      case "leave":
        if (who && "leave" in who) who.leave();
        break;
      case "lossy":
        faithful = false;
        log.faults.metrics_lost = fault.probability;
        afterwards(() => (log.faults.metrics_lost = 0));
        break;
      case "twice":
        log.faults.twice = fault.probability;
        afterwards(() => (log.faults.twice = 0));
        break;
      case "slow": {
        Object.assign(log.delays, { slow: fault.slow, slow_ms: fault.slow_ms });
        afterwards(() => Object.assign(log.delays, USUAL_DELAYS));
        break;
      }
      case "rubbish":
        for (let i = 0; i < fault.records; i++) log.append(random.pick(TOPICS), null);
        break;
      case "replay":
        for (let i = 0; i < fault.records; i++) {
          const topic = random.pick(TOPICS);
          const records = log.records[topic];
          if (records.length === 0) continue;
          const { message } = random.pick(records as unknown as { message: never }[]);
          if (isReplayable(topic, message)) log.append(topic, message);
        }
        break;
      case "stop":
        user.stop();
        break;
      case "late_driver": {
        if (drivers.has(fault.who)) return;
        const late = createSimDriver(surroundings, fault.who, 0);
        drivers.set(fault.who, late);
        late.boot();
        break;
      }
    }
  }

  /** Somebody who wants one test to be run, whatever happens to the orchestrator that was asked. */
  function startUser() {
    let test_id: string | null = null;
    let made = 0;
    let made_ms = 0;
    let asked = false;
    let triggered = false;
    let stopping = false;
    let runs_left = scenario.runs - 1;

    function asksAt(delay_ms: number): void {
      world.at(world.now_ms + delay_ms, ask);
    }

    function ask(): void {
      if (triggered && !stopping && runs_left === 0) return;
      asksAt(USER_POLL_MS);
      const leader = [...orchestrators.values()].find((one) => one.leads() && !one.host.asleep && one.link()?.connected());
      if (!leader || asked) return;
      const state = leader.state();
      const run = test_id === null ? undefined : state.runs.get(test_id);
      if (run?.trigger) {
        triggered = true;
        if (run.ended && runs_left > 0) {
          runs_left--;
          triggered = false;
          test_id = null;
          return;
        }
        if (stopping && !run.ended && !run.stop) command(leader, () => stopBody(state, run.test_id, "asked", leader.moment()));
        return;
      }
      const given_up = test_id !== null && (world.now_ms - made_ms > USER_PATIENCE_MS || run?.replaced || run?.ended);
      if (test_id === null || given_up) {
        made++;
        test_id = `t${made}`;
        made_ms = world.now_ms;
        const name = test_id;
        command(leader, () => configBody(state, scenario.plan, name, leader.moment(), [log.end("metrics")]));
      } else if (!run && world.now_ms - made_ms > 1_000) {
        const name = test_id;
        command(leader, () => (state.known.has(name) ? null : configBody(state, scenario.plan, name, leader.moment(), [log.end("metrics")])));
      } else if (run && notReady(state, run, leader.moment()).length === 0) {
        command(leader, () => (run.trigger || run.replaced ? null : triggerBody(state, run, leader.moment(), Math.ceil(leader.host.now_ms() + LEAD_MS))));
      }
    }

    function command(leader: SimOrchestrator, make: Parameters<SimOrchestrator["command"]>[0]): void {
      asked = true;
      world.at(world.now_ms + 300, () => (asked = false));
      leader.command(() => {
        try {
          return make();
        } catch (error) {
          if (!(error instanceof CommandError)) throw error;
          world.trace("user", () => error.message);
          return null;
        }
      });
    }

    asksAt(scenario.wanted_at_ms);
    return {
      stop: () => {
        stopping = true;
        asksAt(0);
      },
      isDone: () => triggered && runs_left === 0,
    };
  }

  const able = () => [...drivers.values()].some(({ host, left }) => host.alive && !left);
  let rested_ms = 0;
  function done(): boolean {
    if (world.now_ms < scenario.calm_at_ms + REST_MS) return false;
    const leader = [...orchestrators.values()].find((one) => one.leads());
    const runs = leader ? [...leader.state().runs.values()] : [];
    const open = runs.some((run) => phaseOf(run) === "triggered") || (able() && !user.isDone());
    if (!leader || open || [...drivers.values()].some((driver) => !driver.atRest())) rested_ms = world.now_ms;
    return world.now_ms - rested_ms > REST_MS;
  }

  world.run(Math.max(scenario.calm_at_ms, scenario.wanted_at_ms + 10_000) + scenario.runs * BOUND_MS, done);
  if (world.failures.length === 0 && !done()) world.fail("it does not come to rest");
  check(world, log, truths, { faithful, steady: isSteady(scenario), survivors: survivorsOf(drivers.values(), truths) });
  return { seed, failures: world.failures, lines: world.lines, counts: world.counts, took_ms: world.now_ms };
}

/** Only drivers die, none leaves (a leaver takes nothing over), and the log is as usual. */
function isSteady({ faults }: Scenario): boolean {
  return faults.every((fault) => fault.type !== "leave" && ("who" in fault ? fault.who.startsWith("d") : fault.type === "rubbish"));
}

function survivorsOf(drivers: Iterable<SimDriver>, truths: readonly Truth[]): Set<string> {
  const alive = new Set([...drivers].filter(({ everCrashed }) => !everCrashed).map(({ host }) => host.name));
  return new Set(truths.filter(({ node_id }) => alive.has(node_id)).map(({ node_id, epoch }) => `${node_id}@${epoch}`));
}
