import { afterEach, describe, expect, test } from "vitest";
import { createCrew } from "../load/pool.ts";
import { startTarget, type Target } from "../target/target.ts";
import { parseAllow } from "./allow.ts";
import type { JobSpec } from "./job.ts";
import { createLoadHost } from "./load-host.ts";
import type { DriverEvent } from "./state.ts";
import { until } from "./testing/system.ts";

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function target(): Promise<Target> {
  const started = await startTarget();
  stops.push(() => started.close());
  return started;
}

function specFor({ url }: Target, change: Partial<JobSpec> = {}): JobSpec {
  return {
    test_id: "t1",
    target: { url: `${url}/ping`, method: "GET", headers: {}, body: null, insecure: false },
    schedule: { kind: "closed", rate_urps: null, slots: 40, window_us: null },
    ranges: [{ range_id: "r0", share: 0, from: 0, to: 40, step: 1 }],
    connections: 4,
    workers: null,
    timeout_ms: 5_000,
    backlog: 1_000,
    pacing: "timer",
    warmup_ms: 0,
    ...change,
  };
}

function hostWith(entry?: URL, workers: number | null = null, allow: string[] = []) {
  const events: DriverEvent[] = [];
  const crew = createCrew({ ready: 0, warm: false, ...(entry && { entry }) });
  const taken: number[] = [];
  const host = createLoadHost({
    rules: parseAllow(allow),
    own: [],
    crew: { ...crew, take: (count) => (taken.push(count), crew.take(count)) },
    workers,
    drivers: 1,
    engine: {},
    emit: (event) => events.push(event),
  });
  stops.push(() => host.close());
  return { host, taken, types: () => events.map(({ type }) => type), find: (type: DriverEvent["type"]) => events.find((event) => event.type === type) };
}

test("a job from its preparation to its end, by as many threads as are asked for and allowed", async () => {
  for (const [asked, cap, workers] of [[null, null, 1], [3, null, 3], [3, 2, 2]] as const) {
    const served = await target();
    const { host, taken, types, find } = hostWith(undefined, cap);
    host.prepare(1, specFor(served, { workers: asked }));
    await until(() => types().includes("prepared"), "prepared");
    expect(find("prepared")).toMatchObject({ job_id: 1, result: { ok: true, connected: 4 } });
    host.start(1, performance.now());
    await until(() => types().includes("finished"), "finished");
    expect(find("finished")).toMatchObject({ job_id: 1, snapshot: { counts: { sent: 40, ok: 40 } } });
    expect(served.counters().requests_received).toBe(40);
    expect(taken).toEqual([workers]);
  }
});

describe("where a plan says to hit", () => {
  async function refusalOf(change: Partial<JobSpec["target"]>, allow: string[]): Promise<unknown> {
    const { host, types, find } = hostWith(undefined, null, allow);
    const served = await target();
    const spec = specFor(served);
    host.prepare(1, { ...spec, target: { ...spec.target, ...change, url: served.url.replace("127.0.0.1", "some.test") } });
    await until(() => types().includes("prepared"), "prepared");
    return find("prepared");
  }

  test("an address that it pins is judged itself, whatever the name is allowed", async () => {
    const resolve = "some.test:127.0.0.1";
    expect(await refusalOf({ resolve }, [])).toMatchObject({ result: { ok: true } });
    expect(await refusalOf({ resolve }, ["some.test"])).toMatchObject({
      result: { ok: false, code: "target_not_allowed", message: expect.stringContaining("start it with --allow 127.0.0.1") as string },
    });
  });

  test("unix sockets need their flag", async () => {
    const unix_socket = "/nowhere/socket";
    expect(await refusalOf({ unix_socket }, [])).toMatchObject({
      result: { code: "target_not_allowed", message: "this driver may not hit unix sockets such as /nowhere/socket; start it with --allow unix" },
    });
    expect(await refusalOf({ unix_socket }, ["unix"])).toMatchObject({
      result: { code: "target_unreachable", message: expect.stringContaining("there is no such socket") as string },
    });
  });
});

describe("a thread that breaks", () => {
  test("is told of, and the load does not hang", async () => {
    const { host, types, find } = hostWith(new URL("../load/testing/breaking-worker.ts", import.meta.url), 2);
    host.prepare(1, specFor(await target(), { workers: 2 }));
    await until(() => types().includes("prepared"), "prepared");
    host.start(1, performance.now());
    await until(() => types().includes("load_failed"), "load_failed");
    expect(find("load_failed")).toMatchObject({ job_id: 1, message: "a load thread broke: out of order" });
    expect(types()).toEqual(["prepared", "load_failed"]);
  });
});
