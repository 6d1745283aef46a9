import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { decodeMessage, encodeMessage, ProtocolError, type OutgoingOf } from "./codec.ts";
import { messages } from "./testing/arbitraries.ts";
import { TOPICS, type Topic } from "./topics.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const decoder = new TextDecoder();

/** Decodes; what is refused must be refused in the one way, with a reason that is safe to log. */
function survive(topic: Topic, value: Uint8Array): unknown {
  try {
    return decodeMessage(topic, value);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    expect(error.topic).toBe(topic);
    expect(error.reason).toMatch(REASON);
    return error;
  }
}

// Field names, expectations: letters and a little punctuation (and the micro sign of an example).
const REASON = /^[A-Za-z0-9_.,:*µ[\] -]{2,160}$/;

const SECRET = "s3cr3t-t0ken";

const PROTOTYPE = JSON.stringify(Object.getOwnPropertyNames(Object.prototype));
afterEach(() => {
  expect(JSON.stringify(Object.getOwnPropertyNames(Object.prototype))).toBe(PROTOTYPE);
  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
});

test.each(TOPICS)("%s: any bytes", (topic) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void survive(topic, bytes)));
});

test.each(TOPICS)("%s: any JSON", (topic) => {
  fc.assert(fc.property(fc.json({ maxDepth: 6 }), (text) => void survive(topic, bytesOf(text))));
});

const anything = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom<unknown>(null, "", 0, -1, 1.5, 1e300, true, [], {}, [[]], SECRET, "x".repeat(2_000), "__proto__", "constructor"),
  fc.constant({ [SECRET]: SECRET, url: SECRET }),
  fc.constant(JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}')),
);

/** Every place of a JSON value, as the keys that lead there. */
function places(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, child]) => places(child, [...path, key]))];
}

/** The same with one place replaced, or left out. */
function changed(value: unknown, path: string[], by: { replaced: unknown } | "deleted"): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return by === "deleted" ? {} : by.replaced;
  const copy: Record<string, unknown> = Array.isArray(value) ? ([...value] as never) : { ...(value as object) };
  if (rest.length === 0 && by === "deleted") delete copy[key];
  else copy[key] = changed(copy[key], rest, by);
  return copy;
}

test.each(TOPICS)("%s: a valid message with one place changed", (topic) => {
  const changes = fc.oneof(fc.constant("deleted" as const), anything.map((replaced) => ({ replaced })));
  fc.assert(
    fc.property(messages[topic] as fc.Arbitrary<OutgoingOf[Topic]>, fc.nat(), changes, (message, nth, change) => {
      const sent: unknown = JSON.parse(decoder.decode(encodeMessage(topic, message)));
      const all = places(sent);
      const mutated = changed(sent, all[nth % all.length]!, change);
      const outcome = survive(topic, bytesOf(JSON.stringify(mutated)));
      if (outcome instanceof ProtocolError) expect(outcome.message).not.toContain(SECRET);
    }),
    { numRuns: 300 },
  );
});

const EVIL = ['"__proto__":{"polluted":1}', '"constructor":{"prototype":{"polluted":1}}', '"prototype":{"polluted":1}', '"toString":1'];

test.each(TOPICS)("%s: keys of the prototype do no harm, wherever they stand", (topic) => {
  fc.assert(
    fc.property(
      messages[topic] as fc.Arbitrary<OutgoingOf[Topic]>,
      fc.constantFrom(...EVIL),
      fc.nat(),
      (message, evil, nth) => {
        const sent = decoder.decode(encodeMessage(topic, message));
        const braces = [...sent.matchAll(/\{/g)].map((match) => match.index);
        const at = braces[nth % braces.length]! + 1;
        const joined = `${sent.slice(0, at)}${evil}${sent[at] === "}" ? "" : ","}${sent.slice(at)}`;
        const outcome = survive(topic, bytesOf(joined));
        if (!(outcome instanceof ProtocolError)) everyObject(outcome, (object) => {
          expect([Object.prototype, Array.prototype]).toContain(Object.getPrototypeOf(object));
          expect(object).not.toHaveProperty("polluted");
        });
      },
    ),
  );
});

function everyObject(value: unknown, look: (object: object) => void): void {
  if (typeof value !== "object" || value === null) return;
  look(value);
  for (const child of Object.values(value)) everyObject(child, look);
}

test("maps keep their own prototype", () => {
  const heartbeat = decodeMessage(
    "heartbeat",
    bytesOf(
      '{"node_id":"n","heartbeat":"YES","timestamp":1700000000,"role":"driver","epoch":1,' +
        '"labels":{"__proto__":"x","a":"b"},"health":{"__proto__":3,"constructor":4}}',
    ),
  );
  expect(heartbeat).toMatchObject({ labels: { a: "b" }, health: { constructor: 4 } });
  if (heartbeat.kind !== "driver") throw new Error("expected a driver");
  for (const map of [heartbeat.labels!, heartbeat.health]) {
    expect(Object.getPrototypeOf(map)).toBe(Object.prototype);
    expect(Object.keys(map)).not.toContain("__proto__");
  }
});

test.each(["__proto__", ".", "..", "", "a/b", "a b", "ü"])("%j is no node id", (node_id) => {
  const record = JSON.stringify({ node_id, message_type: "DRIVER_NODE_REGISTER" });
  expect(survive("register", bytesOf(record))).toBeInstanceOf(ProtocolError);
});

/** One field of each sort. */
const FIELDS: Partial<Record<Topic, string[]>> = {
  metrics: ["v", "rows", "statuses", "node_id", "report_id", "response"],
  heartbeat: ["role", "epoch", "labels", "health", "timestamp"],
  control: ["type", "members", "plan", "owner"],
};

const DEPTH = 200_000;
const DEEP: [string, string][] = [
  ["brackets", "[".repeat(DEPTH)],
  ["closed brackets", "[".repeat(DEPTH) + "]".repeat(DEPTH)],
  ["objects", '{"a":'.repeat(DEPTH) + "1" + "}".repeat(DEPTH)],
];

test.each(DEEP)("deep nesting: %s", (_what, deep) => {
  expect(survive("control", bytesOf(deep))).toBeInstanceOf(ProtocolError);
  for (const [topic, fields] of Object.entries(FIELDS) as [Topic, string[]][]) {
    for (const field of ["x", ...fields]) survive(topic, bytesOf(`{"v":1,"role":"driver","type":"config","${field}":${deep}}`));
  }
});

test("what is huge is refused before its parts are looked at", () => {
  const many = `[${"{},".repeat(300_000)}{}]`;
  const keys = `{${Array.from({ length: 100_000 }, (_, at) => `"key ${at}":{}`).join(",")}}`;
  const long = JSON.stringify("é".repeat(1_500_000));
  for (const huge of [many, keys, long]) {
    for (const [topic, fields] of Object.entries(FIELDS) as [Topic, string[]][]) {
      for (const field of fields) survive(topic, bytesOf(`{"epoch":1,"v":1,"role":"driver","type":"config","${field}":${huge}}`));
    }
  }
});

test("a text that never ends is passed over in linear time", () => {
  expect(survive("trigger", bytesOf(`{"a":NaN,"b":"${'\\"'.repeat(8_000)}`))).toBeInstanceOf(ProtocolError);
});
