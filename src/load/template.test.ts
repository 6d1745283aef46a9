import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { makePacer } from "../plan/pacer.ts";
import type { Schedule } from "../plan/schedule.ts";
import { createValues } from "./numbering.ts";
import { buildRequest } from "./request.ts";
import { createCrew, createLoadPool, type Crew } from "./pool.ts";
import { splitJob } from "./split.ts";
import { exampleOf, templatePath } from "./template.ts";
import { closed, loadJob, loadTarget, rate, runJob } from "./testing/run.ts";

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

interface Seen {
  url: string;
  id: string;
  body: string;
}

/** A real HTTP server that notes what it was asked. */
async function listener(): Promise<{ port: number; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    let body = "";
    request.on("data", (data: Buffer) => (body += data.toString()));
    request.on("end", () => {
      seen.push({ url: request.url!, id: String(request.headers["x-id"]), body });
      response.end("ok");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(() => new Promise((resolve) => server.close(resolve)));
  return { port: (server.address() as AddressInfo).port, seen };
}

const BODY = '{"n": {{counter}}, "id": "{{random_id}}", "text": "hä{{else}}"}';
const target = (port: number) =>
  loadTarget(port, new URL("http://h/items/{{counter}}?id={{random_id}}").pathname + "?id={{random_id}}", {
    method: "POST",
    headers: { "X-Id": "a-{{random_id}}" },
    body: BODY,
  });

/** Every request is like itself, and unlike every other. */
function expectDifferent(seen: readonly Seen[]): number[] {
  const numbers = seen.map(({ url, id, body }) => {
    const [, n, random_id] = /^\/items\/(-?\d+)\?id=([0-9a-f]{32})$/.exec(url)!;
    expect(id).toBe(`a-${random_id}`);
    expect(body).toBe(BODY.replace("{{counter}}", n!).replace("{{random_id}}", random_id!));
    return Number(n);
  });
  expect(new Set(numbers).size).toBe(seen.length);
  expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length);
  return numbers.sort((a, b) => a - b);
}

test.each<[string, Schedule]>([
  ["open", rate(500, 300)],
  ["closed", closed(150, null)],
])("%s: numbers are the schedule's slots, ids are random, and both agree within a request", async (_name, schedule) => {
  const { port, seen } = await listener();
  const { counts } = await runJob(loadJob(target(port), schedule));
  expect(counts).toMatchObject({ sent: 150, ok: 150 });
  expect(expectDifferent(seen)).toEqual(Array.from({ length: 150 }, (_, i) => i));
  expect(counts.bytes_out).toBeGreaterThan(150 * 150);
});

describe("over workers", () => {
  let crew: Crew;
  test.each<[string, Schedule, number]>([
    ["open", rate(500, 300), 50_000],
    ["closed", closed(150, null), 0],
    ["closed by time", closed(null, 100), 50_000],
  ])("%s: no number and no id twice", async (_name, schedule, warmup_us) => {
    const { port, seen } = await listener();
    crew = createCrew({ ready: 0, warm: false });
    stops.unshift(() => crew.close());
    const engine = createLoadPool(loadJob(target(port), schedule, { warmup_us }), crew, 3);
    await engine.prepare();
    engine.start(performance.now() + 100);
    await engine.finished;
    const { counts, warmup } = await engine.snapshot();
    const numbers = expectDifferent(seen);
    expect(numbers).toHaveLength(counts.sent + (warmup?.counts.sent ?? 0));
    expect(numbers.filter((n) => n >= 0)).toHaveLength(counts.sent);
    if (schedule.slots !== null) expect(numbers.at(-1)).toBe(149);
  });
});

test("every slot is found again by the moment when it is due", () => {
  const schedules = fc.oneof(
    fc.integer({ min: 1, max: 10_000_000_000_000 }).map((total_rate_urps) => ({ kind: "rate" as const, total_rate_urps })),
    fc.record({ kind: fc.constant("delay" as const), delay_us: fc.integer({ min: 1, max: 86_400_000_000 }), drivers: fc.integer({ min: 1, max: 1000 }) }),
  );
  fc.assert(
    fc.property(schedules, fc.integer({ min: -1e9, max: 1e12 - 1 }), (schedule, slot) => {
      const pacer = makePacer({ ...schedule, slots: 1e12, window_us: 1e30 });
      expect(pacer.slotAt(pacer.dueUs(slot))).toBe(slot);
    }),
    { numRuns: 2000 },
  );
});

test("workers of several drivers have numbers of their own", () => {
  const schedule = closed(null, 1000);
  const jobs = [0, 1, 2].flatMap((from) => {
    const ranges = [{ range_id: `r${from}`, share: from, from, to: null, step: 3 }];
    return splitJob(loadJob(loadTarget(80), schedule, { ranges, connections: 64 }), 2);
  });
  const numbers = jobs.flatMap((job) => {
    const { counter } = createValues(job);
    return Array.from({ length: 20 }, (_, i) => counter(i % 2 === 0 ? 5 : -5));
  });
  expect(new Set(numbers).size).toBe(120);
});

describe("the request", () => {
  const values = () => ({ counter: () => 12_345, random: () => 0xabc });
  const build = (change: Parameters<typeof loadTarget>[2]) => buildRequest(loadTarget(80, "/", change), "t", values);
  const rendered = (change: Parameters<typeof loadTarget>[2]) => build(change).template!.render(0).toString();

  test("is made of fixed bytes unless it holds a placeholder", () => {
    expect(build({ path: "/{{other}}", body: "{counter}" }).template).toBeNull();
    expect(build({ path: "/%7B%7Bcounter%7D%7D" }).template).not.toBeNull();
    expect(build({ headers: { a: "{{random_id}}" } }).template).not.toBeNull();
  });

  test("has the length of the body that it really has", () => {
    expect(rendered({ method: "POST", body: "ä{{counter}}{{random_id}}" })).toMatch(/\r\nContent-Length: 39\r\n\r\nä1234500000abc[0-9a-f]{24}$/);
    expect(rendered({ method: "POST", path: "/{{counter}}" })).toMatch(/^POST \/12345 HTTP\/1\.1\r\n[^]*\r\nContent-Length: 0\r\n\r\n$/);
    expect(rendered({ path: "/{{counter}}" })).not.toContain("Content-Length");
  });

  test("bytes that are still being written are not written over", () => {
    const { template } = buildRequest(loadTarget(80, "/{{counter}}"), "t", () => ({ counter: (due_us) => due_us, random: () => 0 }));
    const first = template!.render(1);
    template!.keep();
    const second = template!.render(2);
    const third = template!.render(3);
    expect(first.toString()).toMatch(/^GET \/1 /);
    expect(second.toString()).toMatch(/^GET \/3 /);
    expect(third.buffer).toBe(second.buffer);
  });
});

test("placeholders in a URL's own encoding", () => {
  expect(templatePath("/%7b%7bcounter%7D%7D/%7B%7Bfoo%7D%7D?a={{random_id}}")).toBe("/{{counter}}/%7B%7Bfoo%7D%7D?a={{random_id}}");
  expect(exampleOf('{"a": {{counter}}}')).toBe('{"a": 0}');
});
