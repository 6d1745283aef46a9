import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { PlanInput } from "../plan/plan.ts";
import { startTarget, type Target } from "../target/target.ts";
import { createSystem, until } from "./testing/system.ts";

let system: Awaited<ReturnType<typeof createSystem>>;
let target: Target;
beforeEach(async () => {
  target = await startTarget();
  system = await createSystem();
});
afterEach(async () => {
  await system.close();
  await target.close();
});

const plan = (change: Partial<PlanInput> = {}): PlanInput => ({
  target: { url: `${target.url}/ping` },
  rate_rps: 200,
  duration_s: 1,
  connections: 4,
  pacing: "timer",
  ...change,
});

/** Starts drivers, makes t1 theirs, and waits until all are ready. */
async function prepared(ids: string[], change: Partial<PlanInput> = {}, options: Parameters<typeof system.start>[1] = {}) {
  const started = ids.map((id) => system.start(id, options));
  await until(() => started.every(({ driver }) => driver.epoch() !== null), "registered");
  const members = started.map(({ driver }) => ({ node_id: driver.node_id, epoch: driver.epoch()! }));
  await system.put("control", system.leader.claim());
  await system.put("control", system.leader.config("t1", plan(change), members));
  await until(() => ids.every((id) => system.isReady(id, "t1")), "ready");
  return { started, members };
}

async function run(members: { node_id: string; epoch: number }[], in_ms = 150) {
  const start_at = system.clock.now_ms() + in_ms;
  await system.put("control", system.leader.trigger("t1", start_at, members));
  return start_at;
}

const basis = (members: { node_id: string; epoch: number }[]) =>
  members.map((member) => ({ ...member, seq: 99, final: true }));

it("runs a test over two drivers: exact counts, numbered snapshots, a final until it is acknowledged", async () => {
  const { started, members } = await prepared(["d1", "d2"]);
  expect(target.counters().requests_received).toBe(0);
  const start_at = await run(members);
  await until(() => system.finals("t1").length >= 4, "two finals, repeated");
  const finals = ["d1", "d2"].map((id) => system.finals("t1").find(({ node_id }) => node_id === id)!);
  for (const final of finals) {
    expect(final).toMatchObject({ end_reason: "schedule", counts: { scheduled: 200, sent: 200, ok: 200, in_flight: 0, waiting: 0 } });
    expect(final.metrics.mean_latency).toBeGreaterThan(0);
    const seqs = system.reports("t1", final.node_id).map(({ seq }) => seq);
    expect([...new Set(seqs)]).toEqual([...Array(final.seq + 1).keys()]);
  }
  expect(target.counters().requests_received).toBe(400);
  expect(system.clock.now_ms()).toBeGreaterThan(start_at + 1000);
  await system.put("control", system.leader.ended("t1", basis(members)));
  await until(() => started.every(({ driver }) => driver.state().phase === "idle"), "idle");
});

it("stops on command and is stopped by a lost lease, keeping every count", async () => {
  const { members } = await prepared(["d1"], { duration_s: 60 });
  await run(members);
  await until(() => target.counters().requests_received > 20, "under load");
  await system.put("control", system.leader.stop("t1"));
  await until(() => system.finals("t1").length > 0, "final");
  const [final] = system.finals("t1");
  expect(final).toMatchObject({ end_reason: "stopped" });
  expect(final!.counts.sent).toBe(target.counters().requests_received);

  await system.put("control", system.leader.ended("t1", basis(members)));
  await system.put("control", system.leader.config("t2", plan({ duration_s: 60, lease_ms: 1000 }), members));
  await until(() => system.isReady("d1", "t2"), "ready again");
  await system.put("control", system.leader.trigger("t2", system.clock.now_ms() + 100, members));
  await until(() => system.finals("t2").length > 0, "lease expired");
  expect(system.finals("t2")[0]).toMatchObject({ end_reason: "lease_expired" });
});

it("starts nothing that does not name it, repeated or stale", async () => {
  const { members } = await prepared(["d1"]);
  await system.put("control", { ...system.leader.trigger("t1", 0, members), term: 9 });
  await run([{ node_id: "d1", epoch: members[0]!.epoch + 100 }], 0);
  await system.put("trigger", { test_id: "t1", trigger: "YES", term: 1 });
  await system.put("trigger", { test_id: "t1", trigger: "YES" });
  await until(() => system.heartbeats("d1").at(-1)?.health["commands_refused"] === 2, "refused");
  expect(target.counters().requests_received).toBe(0);
});

it("says which target it may not hit and which it cannot reach, and takes it up when it is there", async () => {
  const { driver } = system.start("d1");
  await until(() => driver.epoch() !== null, "registered");
  const members = [{ node_id: "d1", epoch: driver.epoch()! }];
  await system.put("control", system.leader.claim());
  const refused = () => system.heartbeats("d1").at(-1)?.refused;
  for (const url of ["http://169.254.169.254/", "http://2852039166/latest", "http://[::ffff:169.254.169.254]/", "http://8.8.8.8/"]) {
    const test_id = `t-${url.length}`;
    await system.put("control", system.leader.config(test_id, plan({ target: { url } }), members));
    await until(() => refused()?.test_id === test_id, url);
    expect(refused()!.code).toBe("target_not_allowed");
  }
  expect(refused()!.message).toContain("--allow 8.8.8.8");

  const { port } = target;
  await target.close();
  await system.put("control", system.leader.config("t9", plan({ target: { url: `http://127.0.0.1:${port}/` } }), members));
  await until(() => refused()?.test_id === "t9", "unreachable");
  expect(refused()).toMatchObject({ code: "target_unreachable" });
  target = await startTarget({ port });
  await until(() => system.isReady("d1", "t9"), "ready at last");
  expect(refused()).toBe(null);
});

it("obeys the common format where nobody leads, and rubbish on any topic does not hurt it", async () => {
  const { driver, log } = system.start("d1");
  await until(() => driver.epoch() !== null, "registered");
  for (const topic of ["test_config", "trigger", "control", "heartbeat", "register"] as const) {
    for (const text of ["", "{", "[]", '{"test_id": []}', "\u0000\u0001"]) await system.bus.append(topic, new TextEncoder().encode(text));
  }
  await system.put("test_config", {
    test_id: "p1",
    test_type: "TSUNAMI",
    test_message_delay: 5,
    message_count_per_driver: 60,
    test_server: `127.0.0.1:${target.port}/ping`,
  });
  await system.put("trigger", { test_id: "p1", trigger: "YES" });
  await until(() => system.finals("p1").length === 3, "three finals");
  expect(system.finals("p1")[0]).toMatchObject({ counts: { ok: 60, scheduled: 60 }, revision: 0 });
  expect(target.counters().requests_received).toBe(60);
  await until(() => driver.state().phase === "idle", "idle");
  const rejected = log.entries.filter(({ code }) => code === "bad_record").map(({ message }) => message);
  expect(new Set(rejected).size).toBe(rejected.length);
  await until(() => (system.heartbeats("d1").at(-1)?.health["records_rejected"] ?? 0) >= 25, "counted");

  await system.put("control", system.leader.claim());
  await until(() => {
    void system.beat();
    return system.heartbeats("d1").at(-1)?.clock !== null;
  }, "leader heard");
  await system.put("test_config", { test_id: "p2", test_type: "AVALANCHE", test_message_delay: 0, test_server: target.url });
  await until(() => log.codes().includes("plain_refused"), "refused");
});

it("leaves on its own feet: nothing is sent any more, a final, then left and 0", async () => {
  const { started, members } = await prepared(["d1"], { duration_s: 60 });
  await run(members);
  await until(() => target.counters().requests_received > 20, "under load");
  const { driver } = started[0]!;
  const left = driver.leave();
  await until(() => system.finals("t1").length > 0, "final");
  const { requests_received: received } = target.counters();
  expect(system.finals("t1")[0]).toMatchObject({ end_reason: "left", counts: { sent: received }, ranges: [{ given_back: true }] });
  await left;
  expect(await driver.stopped).toEqual({ code: 0 });
  expect(target.counters().requests_received).toBe(received);
  await until(() => system.heartbeats("d1").at(-1)?.state === "left", "left");
});

it("registers again when it is taken for dead, and is idle", async () => {
  const { started, members } = await prepared(["d1"], { duration_s: 60 });
  const { driver } = started[0]!;
  await run(members);
  await until(() => target.counters().requests_received > 20, "under load");
  await system.put("control", system.leader.lost({ test_id: "t1", node_id: "d1", epoch: members[0]!.epoch, reason: "silent" }));
  await until(() => (driver.epoch() ?? 0) > members[0]!.epoch, "a new epoch");
  expect(system.finals("t1")[0]).toMatchObject({ epoch: members[0]!.epoch, counts: { sent: target.counters().requests_received } });
  await until(() => system.heartbeats("d1").at(-1)?.state === "idle", "idle");
});

it("publishes after a crash what it had kept, and keeps it no longer once it is acknowledged", async () => {
  const data_dir = mkdtempSync(join(tmpdir(), "onrush-driver-"));
  try {
    const { started, members } = await prepared(["d1"], {}, { data_dir });
    await run(members);
    await until(() => system.finals("t1").length > 0, "final");
    started[0]!.driver.kill();
    expect(await started[0]!.driver.stopped).toEqual({ code: 1 });

    const before = system.finals("t1").length;
    const again = system.start("d2", { data_dir });
    await until(() => system.finals("t1").length > before, "published again");
    expect(new Set(system.finals("t1").map(({ report_id }) => report_id)).size).toBe(1);
    await system.put("control", system.leader.ended("t1", basis(members)));
    await until(() => system.heartbeats("d2").length > 0, "alive");
    again.driver.kill();
    await again.driver.stopped;

    const third = system.start("d3", { data_dir });
    await until(() => third.driver.epoch() !== null, "registered");
    const known = system.finals("t1").length;
    await until(() => system.heartbeats("d3").length >= 3, "alive for a while");
    expect(system.finals("t1").length).toBe(known);
  } finally {
    await system.close();
    rmSync(data_dir, { recursive: true });
  }
});

it("takes over the slots of another on their due times, and goes on after its own schedule is done", async () => {
  const { started, members } = await prepared(["d1"], {}, {});
  const ghost = { node_id: "ghost", epoch: 999 };
  await system.put("control", system.leader.config("t2", plan(), [...members, ghost]));
  await until(() => system.isReady("d1", "t2"), "ready");
  const start_at = system.clock.now_ms() + 150;
  await system.put("control", system.leader.trigger("t2", start_at, [...members, ghost]));
  await until(() => target.counters().requests_received > 50, "it runs");
  const assigned = await system.put("control", system.leader.assign("t2", members[0]!));
  await until(() => system.finals("t2").length >= 1, "a final");
  const final = system.finals("t2")[0]!;
  expect(final).toMatchObject({ revision: assigned, end_reason: "schedule", counts: { scheduled: 400, waiting: 0, in_flight: 0 } });
  // Of the 200 slots some were due before it read of them.
  expect(final.counts.dropped).toBeGreaterThan(0);
  expect(final.counts.ok).toBe(400 - final.counts.dropped);
  expect(target.counters().requests_received).toBe(final.counts.sent);
  // Given once more after its final: all are past their time; the next final knows of them.
  const again = await system.put("control", { ...system.leader.assign("t2", members[0]!) });
  await until(() => system.finals("t2").some(({ revision }) => revision === again), "another final");
  const second = system.finals("t2").at(-1)!;
  expect(second.counts).toMatchObject({ scheduled: 600, sent: final.counts.sent, dropped: final.counts.dropped + 200 });
  expect(second.seq).toBeGreaterThan(final.seq);
  expect(started[0]!.driver.state().phase).toBe("awaiting_ack");
});

it("sends on while its own thread is blocked: the load has threads of its own", async () => {
  const { started, members } = await prepared(["d1"]);
  await run(members);
  await until(() => target.counters().requests_received > 20, "it runs");
  const blocked_until_ms = performance.now() + 700;
  while (performance.now() < blocked_until_ms);
  await until(() => system.finals("t1").length >= 1, "a final");
  expect(started[0]!.log.codes()).not.toContain("gap");
  expect(system.finals("t1")[0]).toMatchObject({ end_reason: "schedule", counts: { scheduled: 200, sent: 200, ok: 200 } });
});
