import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeMessage, encodeMessage, type OutgoingOf } from "./codec.ts";
import { messages, plan } from "./testing/arbitraries.ts";
import { topicNames, TOPICS, type Topic } from "./topics.ts";

const wire = (topic: Topic, message: OutgoingOf[Topic]) => JSON.parse(new TextDecoder().decode(encodeMessage(topic, message))) as object;

/** Decoding names the kind of what may come in several. */
function kindOf(topic: Topic, message: object): object {
  if (topic === "metrics") return { kind: "v" in message ? "snapshot" : "plain" };
  if (topic === "heartbeat") return { kind: "role" in message ? message.role : "plain" };
  return {};
}

test.each(TOPICS)("every %s message survives encoding and decoding", (topic) => {
  fc.assert(
    fc.property(messages[topic] as fc.Arbitrary<OutgoingOf[Topic]>, (message) => {
      const decoded = decodeMessage(topic, encodeMessage(topic, message));
      expect(decoded).toStrictEqual({ ...structuredClone(message), ...kindOf(topic, message) });
      expect(decodeMessage(topic, encodeMessage(topic, decoded as OutgoingOf[Topic]))).toStrictEqual(decoded);
    }),
    { numRuns: 150 },
  );
});

const COMMON: [Topic, string[]][] = [
  ["register", ["node_id", "node_IP", "message_type"]],
  ["test_config", ["test_id", "test_type", "test_message_delay"]],
  ["trigger", ["test_id", "trigger"]],
  ["metrics", ["node_id", "test_id", "report_id", "metrics"]],
  ["heartbeat", ["node_id", "heartbeat", "timestamp"]],
];

test.each(COMMON)("%s: the plain fields stand first on the wire, under their common names", (topic, names) => {
  fc.assert(
    fc.property(messages[topic] as fc.Arbitrary<OutgoingOf[Topic]>, (message) => {
      const sent = wire(topic, message);
      expect(Object.keys(sent).slice(0, names.length)).toEqual(names);
      expect(sent).not.toHaveProperty("kind");
      if (topic === "register") expect(sent).not.toHaveProperty("node_ip");
    }),
    { numRuns: 30 },
  );
});

test("the copy of a test for foreign drivers is the common format", () => {
  expect(
    wire("test_config", {
      test_id: "t1",
      test_type: "TSUNAMI",
      test_message_delay: 5,
      message_count_per_driver: 200,
      test_server: "http://target:8088/ping",
      term: 3,
    }),
  ).toEqual({
    test_id: "t1",
    test_type: "TSUNAMI",
    test_message_delay: 5,
    message_count_per_driver: 200,
    test_server: "http://target:8088/ping",
    term: 3,
  });
  expect(wire("trigger", { test_id: "t1", trigger: "YES", term: 3 })).toEqual({ test_id: "t1", trigger: "YES", term: 3 });
});

test("a plan in a config is the same plan after any number of journeys", () => {
  fc.assert(
    fc.property(plan, (validated) => {
      const config = {
        type: "config" as const,
        term: 1,
        owner: "o",
        command_seq: 1,
        at_ms: 1,
        test_id: "t",
        plan: validated,
        model: "open" as const,
        schedule: { kind: "rate" as const, total_rate_urps: 1, slots: 1, window_us: 1 },
        planned: 1,
        members: [{ node_id: "a", epoch: 0, foreign: false, share: 1, ranges: [] }],
        common: { test_type: "TSUNAMI" as const, delay_ms: 1, message_count_per_driver: 1 },
        bystanders: [],
        metrics_from: [],
      };
      const once = decodeMessage("control", encodeMessage("control", config));
      expect(once).toStrictEqual(config);
      expect(decodeMessage("control", encodeMessage("control", once))).toStrictEqual(config);
    }),
  );
});

test("topics are named by prefix, single ones by their own name", () => {
  expect(topicNames("staging.", { register: "drivers" })).toEqual({
    register: "drivers",
    test_config: "staging.test_config",
    trigger: "staging.trigger",
    metrics: "staging.metrics",
    heartbeat: "staging.heartbeat",
    control: "staging.control",
  });
});
