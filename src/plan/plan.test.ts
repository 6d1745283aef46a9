import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { planFromCommon } from "./foreign.ts";
import { NODE_ID_PATTERN, TEST_ID_PATTERN } from "./ids.ts";
import { parsePlan } from "./plan.ts";
import { PlanError, type Problem } from "./problem.ts";
import { planSchema } from "./schema.ts";

const target = { url: "http://127.0.0.1:8088/ping" };

function problems(input: unknown): Problem[] {
  try {
    parsePlan(input);
  } catch (error) {
    if (error instanceof PlanError) return error.problems;
    throw error;
  }
  return [];
}
const options = (input: unknown) => problems(input).map((problem) => problem.option);
const message = (input: unknown) => problems(input).map((problem) => problem.message).join("\n");

describe("defaults", () => {
  test("a URL is enough", () => {
    expect(parsePlan({ target })).toEqual({
      target: { ...target, method: "GET", headers: {}, body: null, timeout_ms: 30_000, insecure: false },
      type: "avalanche",
      duration_s: 10,
      connections: 64,
      pacing: "auto",
      lease_ms: 30_000,
      on_driver_loss: "redistribute",
    });
  });

  test("the type follows from rate and delay", () => {
    const typeOf = (rest: object) => parsePlan({ target, ...rest }).type;
    expect(typeOf({ rate_rps: 5 })).toBe("tsunami");
    expect(typeOf({ total_rate_rps: 5 })).toBe("tsunami");
    expect(typeOf({ delay_ms: 5 })).toBe("tsunami");
    expect(typeOf({ type: "Avalanche", rate_rps: 5 })).toBe("avalanche");
    expect(typeOf({ type: "TSUNAMI", rate_rps: 5 })).toBe("tsunami");
    expect(typeOf({ delay_ms: 0 })).toBe("avalanche");
    const still = parsePlan({ target, type: "TSUNAMI", delay_ms: 0 });
    expect(still.type).toBe("avalanche");
    expect(still.delay_ms).toBeUndefined();
  });

  test("a count alone gets no duration", () => {
    expect(parsePlan({ target, requests: 5 }).duration_s).toBeUndefined();
    expect(parsePlan({ target, total_requests: 5 }).duration_s).toBeUndefined();
    expect(parsePlan({ target, requests: 5, duration_s: 3 })).toMatchObject({ requests: 5, duration_s: 3 });
  });

  test("values are rounded to what is computed with", () => {
    const plan = parsePlan({ target, rate_rps: 1.23456789, duration_s: 1.00049 });
    expect(plan).toMatchObject({ rate_rps: 1.234568, duration_s: 1 });
    expect(parsePlan({ target, delay_ms: 0.33333 }).delay_ms).toBe(0.333);
  });

  test("method in upper case, fragment away", () => {
    const plan = parsePlan({ target: { url: "https://h/a?b=c#d", method: "post", headers: { Host: "x" }, body: "{}" } });
    expect(plan.target).toMatchObject({ url: "https://h/a?b=c", method: "POST", headers: { Host: "x" }, body: "{}" });
  });

  test.each([
    ["http://me:p%40ss@h/a", "me:p@ss"],
    ["http://j%C3%B6rg@h/a", "jörg:"],
    ["http://:%zz@h/a", ":%zz"],
  ])("credentials in a URL become a header: %s", (url, credentials) => {
    const plan = parsePlan({ target: { url, headers: { A: "b" } } });
    expect(plan.target.url).toBe("http://h/a");
    expect(plan.target.headers).toEqual({ A: "b", Authorization: `Basic ${Buffer.from(credentials).toString("base64")}` });
    expect(parsePlan(plan)).toEqual(plan);
  });
});

describe("problems", () => {
  test("the words", () => {
    expect(message({ target, rate_rps: "fast" })).toBe(
      'rate_rps: expected a number above 0, got "fast" (requests per second and driver)',
    );
    expect(message({ target, rate_rps: 0 })).toBe(
      "rate_rps: expected a number above 0, got 0 (requests per second and driver)",
    );
    expect(message({ target, rate_rps: 1e9 })).toBe(
      "rate_rps: expected at most 10,000,000, got 1000000000 (requests per second and driver)",
    );
    expect(message({ target, conections: 5 })).toBe(
      "conections: expected an option that a plan has, got an unknown one; did you mean connections?",
    );
    expect(message({ target: { ...target, timeout: 5 } })).toContain("did you mean target.timeout_ms?");
    expect(message({ target, rate: 5 })).toContain("did you mean rate_rps?");
    expect(message({ target, drivers: ["a/b"] })).toBe(
      'drivers[0]: expected a node id (1 to 128 of A-Z a-z 0-9 . _ : -), got "a/b"',
    );
    expect(message({})).toBe("target: expected an object with a url, got nothing");
    expect(message("x")).toBe('plan: expected an object, got "x"');
    expect(message({ target: { url: "ftp://h" } })).toBe(
      'target.url: expected an http:// or https:// URL, got "ftp://h"',
    );
    expect(message({ target, shape: [] })).toBe(
      "shape: expected to be left out, got a list; it is reserved for load shapes, which this version does not support",
    );
  });

  test("all at once, each with its option", () => {
    const bad = {
      target: { url: "nowhere", method: "G E T", headers: { "a b": "x", ok: "a\r\nb", Connection: "close", n: 5 }, timeout_ms: 1.5 },
      type: "flood",
      rate_rps: -1,
      requests: 0,
      drivers: ["a", "a"],
      thresholds: ["p99 < 1s", " "],
      steps: [],
      typo: 1,
    };
    expect(options(bad).sort()).toEqual(
      [
        "target.url",
        "target.method",
        "target.headers.a b",
        "target.headers.ok",
        "target.headers.Connection",
        "target.headers.n",
        "target.timeout_ms",
        "type",
        "rate_rps",
        "requests",
        "drivers",
        "thresholds[1]",
        "steps",
        "typo",
      ].sort(),
    );
    for (const problem of problems(bad)) {
      expect(problem.message).toContain(`${problem.option}: expected ${problem.expected}, got ${problem.given}`);
    }
  });

  test.each([
    [{ type: "tsunami" }, ["type"]],
    [{ type: "tsunami", rate_rps: 1, delay_ms: 1 }, ["delay_ms"]],
    [{ type: "avalanche", delay_ms: 5 }, ["delay_ms"]],
    [{ rate_rps: 1, total_rate_rps: 1 }, ["total_rate_rps"]],
    [{ requests: 1, total_requests: 1 }, ["total_requests"]],
    [{ rate_rps: 10_000_000, duration_s: 1_000_000 }, ["duration_s"]],
    [{ duration_s: 0.0001 }, ["duration_s"]],
    [{ delay_ms: 0.0001 }, ["delay_ms"]],
    [{ drivers: 0 }, ["drivers"]],
    [{ drivers: [] }, ["drivers"]],
    [{ drivers: ["a", "."] }, ["drivers[1]"]],
    [{ connections: 0, lease_ms: 10, backlog: -1, workers: 0 }, ["connections", "workers", "backlog", "lease_ms"]],
  ])("%j", (rest, expected) => {
    expect(options({ target, ...rest })).toEqual(expected);
  });

  test("no secret in a message", () => {
    const text = message({
      target: { url: "http://me:hunter2@h/", headers: { Authorization: "Bearer hunter2\n", upgrade: "hunter2" }, body: 5 },
    });
    expect(text).not.toContain("hunter2");
    const twice = message({ target: { url: "http://me:hunter2@h:0/", headers: { authorization: "Bearer hunter2" } } });
    expect(twice).not.toContain("hunter2");
    const both = message({ target: { url: "http://me:hunter2@h/", headers: { authorization: "Bearer hunter2" } } });
    expect(both).toBe(
      'target.url: expected either a user name and password in the URL or an Authorization header, got "http://***@h/"',
    );
    expect(message({ target: { url: "me:hunter2@h", headers: { A: "1", a: "2" } } })).toContain("each header once");
  });

  test("anything at all is a plan or a PlanError", () => {
    const known = fc.dictionary(
      fc.constantFrom(...Object.keys(planSchema.shape), "steps", "__proto__", "constructor"),
      fc.oneof(fc.anything(), fc.constantFrom("tsunami", target, 5, "5", [""], { headers: { __proto__: 1 } })),
    );
    fc.assert(
      fc.property(fc.oneof(fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }), known), (input) => {
        try {
          const plan = parsePlan(input);
          expect(parsePlan(plan)).toEqual(plan);
        } catch (error) {
          if (!(error instanceof PlanError)) throw error;
          expect(error.problems.length).toBeGreaterThan(0);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("a parsed plan parses to itself, also through JSON", () => {
    const written = fc.record(
      {
        target: fc.constant(target),
        rate_rps: fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
        duration_s: fc.double({ min: 0.001, max: 1e5, noNaN: true }),
        requests: fc.integer({ min: 1, max: 1e9 }),
        type: fc.constantFrom("avalanche", "Tsunami"),
        drivers: fc.oneof(fc.integer({ min: 1, max: 99 }), fc.constant(["a", "b:1"])),
      },
      { requiredKeys: ["target", "rate_rps"] },
    );
    fc.assert(
      fc.property(written, (input) => {
        const plan = parsePlan(input);
        expect(parsePlan(JSON.parse(JSON.stringify(plan)))).toEqual(plan);
      }),
    );
  });
});

test("the schema can be shown as JSON schema", () => {
  const shown = z.toJSONSchema(planSchema, { io: "input" });
  expect(shown.properties?.["rate_rps"]).toMatchObject({ type: "number", description: expect.stringContaining("second") });
});

describe("the common format", () => {
  const common = { test_type: "TSUNAMI", test_message_delay: "20", message_count_per_driver: 500, test_server: "localhost:8080/ping" };

  test("becomes a plan", () => {
    expect(parsePlan(planFromCommon(common))).toMatchObject({
      type: "tsunami",
      delay_ms: 20,
      requests: 500,
      target: { url: "http://localhost:8080/ping" },
    });
  });

  test("TSUNAMI with delay 0 is AVALANCHE, whose delay means nothing", () => {
    expect(planFromCommon({ ...common, test_message_delay: 0 })).toMatchObject({ type: "avalanche" });
    const avalanche = planFromCommon({ ...common, test_type: "avalanche", test_message_delay: 20 });
    expect(avalanche).toMatchObject({ type: "avalanche" });
    expect(avalanche.delay_ms).toBeUndefined();
  });

  test("names its own fields when it is wrong", () => {
    expect.assertions(1);
    try {
      planFromCommon({ test_type: "X", test_message_delay: "y", message_count_per_driver: 0, test_server: 5 });
    } catch (error) {
      expect((error as PlanError).problems.map(({ option }) => option)).toEqual([
        "test_type",
        "test_message_delay",
        "message_count_per_driver",
        "test_server",
      ]);
    }
  });

  test("anything gives a plan input or a PlanError", () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), fc.anything(), fc.anything(), (a, b, c, d) => {
        try {
          planFromCommon({ test_type: a, test_message_delay: b, message_count_per_driver: c, test_server: d });
        } catch (error) {
          if (!(error instanceof PlanError)) throw error;
        }
      }),
    );
  });
});

test("ids", () => {
  for (const id of ["a", "host-1.2:3_x", "...", "a".repeat(128)]) expect(NODE_ID_PATTERN.test(id)).toBe(true);
  for (const id of ["", ".", "..", "a/b", "a b", "a\n", "a".repeat(129)]) expect(NODE_ID_PATTERN.test(id)).toBe(false);
  for (const id of ["a", "1.2_3-4", "a".repeat(64)]) expect(TEST_ID_PATTERN.test(id)).toBe(true);
  for (const id of ["", ".a", "-", "a:b", "a".repeat(65)]) expect(TEST_ID_PATTERN.test(id)).toBe(false);
});
