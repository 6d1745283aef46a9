import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { reportOf } from "../run/project.ts";
import { StoreError } from "./store-error.ts";
import { openStore, type Store } from "./store.ts";
import { testSystem, type TestSystem } from "./testing/system.ts";

let system: TestSystem;
let data_dir: string;
let store: Store;

beforeEach(() => {
  system = testSystem();
  data_dir = mkdtempSync(join(tmpdir(), "onrush-"));
  store = openStore(data_dir);
});
afterEach(async () => {
  await system.close();
  store.close();
  rmSync(data_dir, { recursive: true });
});

/** A run of two drivers and a plain one that is under way for 12 s; its leader is dead then. */
async function diedUnderWay(kept: Store) {
  const drivers = await system.drivers("a", "b");
  const bus = system.memory.connect();
  const leader = await system.orchestrate({ store: kept, bus });
  await system.within(leader.createTest(system.plan({ duration_s: 30 }), "t1"));
  await system.within(leader.trigger("t1"));
  for (let second = 1; second <= 12; second++) {
    for (const driver of drivers) await driver.report("t1", second * 10);
    await system.clock.advance(1_000);
  }
  await bus.close();
  return drivers;
}

test("a restart from a checkpoint reads only what came after it, and has the same state and report as from the log alone", async () => {
  const drivers = await diedUnderWay(store);
  const read: number[] = [];
  const bus = system.memory.connect();
  const counting = {
    ...bus,
    subscribe: ((topic, from, subscriber) =>
      bus.subscribe(topic, from, {
        ...subscriber,
        onRecords: (records) => {
          if (topic === "metrics") read.push(records.length);
          subscriber.onRecords(records);
        },
      })) as typeof bus.subscribe,
  };
  const resumed = await system.orchestrate({ store, bus: counting });
  const records = read.reduce((sum, count) => sum + count, 0);
  expect(records).toBeGreaterThan(0);
  expect(records).toBeLessThan(12);

  const whole = await system.orchestrate({ node_id: "whole", standby: true });
  const seen = (of: typeof whole) => [...of.state().measured.get("t1")!].map(([key, { heard_ms: _, ...rest }]) => [key, rest]);
  expect(seen(resumed)).toEqual(seen(whole));

  for (const driver of drivers) await driver.report("t1", 300, { final: true });
  const report = await system.within(resumed.ended("t1"));
  expect(report).toMatchObject({ complete: true, totals: { ok: 600 }, bugs: [] });
  expect(reportOf(whole.state(), "t1") ?? whole.report("t1")).toEqual(report);
  await system.clock.advance(10_000);
  expect(store.checkpoint("t1", "any")).toBeNull();
  await system.within(Promise.all([resumed.close(), whole.close()]));
});

test("a checkpoint of another config of that name is not taken", async () => {
  await diedUnderWay(store);
  const again = testSystem();
  const [a] = await again.drivers("a");
  const leader = await again.orchestrate({ store });
  await again.within(leader.createTest(again.plan(), "t1"));
  await again.within(leader.trigger("t1"));
  await a!.report("t1", 20, { final: true });
  expect(await again.within(leader.ended("t1"))).toMatchObject({ complete: true, totals: { planned: 20, ok: 20 } });
  await again.within(leader.close());
  await again.close();
});

test("a store that takes no checkpoint is reported once, and the log is read instead", async () => {
  const full = () => {
    throw new StoreError("disk_full", "no space is left");
  };
  const failing: Store = { ...store, saveCheckpoint: full, checkpoint: full };
  const drivers = await diedUnderWay(failing);
  expect(system.logged.filter(({ code }) => code === "disk_full")).toHaveLength(1);
  const resumed = await system.orchestrate({ store: failing });
  for (const driver of drivers) await driver.report("t1", 300, { final: true });
  expect(await system.within(resumed.ended("t1"))).toMatchObject({ complete: true, totals: { ok: 600 } });
  await system.within(resumed.close());
});
