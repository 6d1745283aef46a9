import type { z } from "zod";
import { control, type Control } from "./control.ts";
import {
  heartbeatSchema,
  metricsSchema,
  registerSchema,
  testConfig,
  trigger,
  type DriverHeartbeat,
  type ExtendedMetrics,
  type Fields,
  type Heartbeat,
  type Metrics,
  type OrchestratorHeartbeat,
  type PlainHeartbeat,
  type PlainMetrics,
  type Register,
  type TestConfig,
  type Trigger,
} from "./messages.ts";
import { isRecord } from "./scalars.ts";
import type { Topic } from "./topics.ts";

/** What a record of each topic means, after decoding. */
export interface MessageOf {
  register: Register;
  test_config: TestConfig;
  trigger: Trigger;
  metrics: Metrics;
  heartbeat: Heartbeat;
  control: Control;
}

/** What is given to encode: the same without what decoding adds. */
export interface OutgoingOf {
  register: Register;
  test_config: TestConfig;
  trigger: Trigger;
  metrics: Omit<ExtendedMetrics, "kind"> | Omit<PlainMetrics, "kind">;
  heartbeat: Omit<DriverHeartbeat, "kind"> | Omit<OrchestratorHeartbeat, "kind"> | Omit<PlainHeartbeat, "kind">;
  control: Control;
}

/** The largest record that is looked at. */
export const MAX_RECORD_BYTES = 4_000_000;

/** A record that is none of ours. The only error that decoding throws. */
export class ProtocolError extends Error {
  readonly code = "bad_record";
  readonly topic: Topic;
  /** What kind of mistake it was, without the record's own content: safe to count and to log once. */
  readonly reason: string;

  constructor(topic: Topic, reason: string) {
    super(`a record on ${topic} was skipped: ${reason}`);
    this.name = "ProtocolError";
    this.topic = topic;
    this.reason = reason;
  }
}

/** The schema of a record: chosen by what the record says that it is, so that nothing is validated twice. */
const SCHEMAS: { [T in Topic]: (record: Fields) => z.ZodType<MessageOf[T]> } = {
  register: registerSchema,
  test_config: () => testConfig,
  trigger: () => trigger,
  metrics: metricsSchema,
  heartbeat: heartbeatSchema,
  control: () => control,
};

const decoder = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

/**
 * Reads one record's value (JSON in UTF-8). Unknown fields are ignored, numbers may come as numeric strings.
 * @throws {ProtocolError} for everything that is not such a message, whatever it is.
 */
export function decodeMessage<T extends Topic>(topic: T, value: Uint8Array | null): MessageOf[T] {
  if (value === null || value.byteLength === 0) throw new ProtocolError(topic, "no value");
  if (value.byteLength > MAX_RECORD_BYTES) throw new ProtocolError(topic, `larger than ${MAX_RECORD_BYTES} bytes`);
  const parsed = parseJson(topic, textOf(topic, value));
  if (!isRecord(parsed)) throw new ProtocolError(topic, "expected a JSON object");
  const result = SCHEMAS[topic](parsed).safeParse(parsed);
  if (result.success) return result.data;
  throw new ProtocolError(topic, reasonOf(result.error.issues[0]));
}

function textOf(topic: Topic, value: Uint8Array): string {
  try {
    return decoder.decode(value);
  } catch {
    throw new ProtocolError(topic, "not UTF-8");
  }
}

function parseJson(topic: Topic, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    if (text.length > MAX_REPAIRED_LENGTH || !/NaN|Infinity/.test(text)) throw new ProtocolError(topic, "not JSON");
  }
  try {
    return JSON.parse(text.replace(NOT_A_NUMBER, (found) => (found.startsWith('"') ? found : "null")));
  } catch {
    throw new ProtocolError(topic, "not JSON");
  }
}

// Python writes NaN and Infinity as they are: no JSON, but common where nothing was measured. Strings are passed over;
// their closing quote is optional so that the time is linear in the length.
const NOT_A_NUMBER = /"(?:[^"\\]|\\.)*"?|-?\b(?:NaN|Infinity)\b/g;
const MAX_REPAIRED_LENGTH = 16_384;

/** Fields whose keys are the sender's own words. */
const MAPS = new Set<PropertyKey>(["labels", "statuses", "headers"]);

/** A mistake by place and expectation: field names that the schema has, and nothing that the record says. */
function reasonOf(issue: z.core.$ZodIssue | undefined): string {
  if (!issue) return "invalid";
  let place = "";
  issue.path.forEach((key, at) => {
    const own = at > 0 && MAPS.has(issue.path[at - 1]!);
    place += typeof key === "number" ? "[]" : `${place === "" ? "" : "."}${own ? "*" : String(key)}`;
  });
  return `${place === "" ? "record" : place}: ${expectationOf(issue)}`;
}

function expectationOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "custom") return issue.message;
  return issue.code === "invalid_type" ? `expected ${issue.expected}` : issue.code;
}

/** One record's value. The plain fields stand first, under the names of the common format. */
export function encodeMessage<T extends Topic>(topic: T, message: OutgoingOf[T]): Uint8Array {
  return encoder.encode(JSON.stringify(wireOf(topic, message)));
}

function wireOf<T extends Topic>(topic: T, message: OutgoingOf[T]): object {
  if (topic === "register") {
    const { node_id, node_ip, message_type, ...rest } = message as Register;
    return { node_id, node_IP: node_ip, message_type, ...rest };
  }
  if (topic === "metrics") {
    const { node_id, test_id, report_id, metrics, ...rest } = message as OutgoingOf["metrics"];
    return { node_id, test_id, report_id, metrics, ...rest, kind: undefined };
  }
  if (topic === "heartbeat") {
    const { node_id, heartbeat, timestamp, ...rest } = message as OutgoingOf["heartbeat"];
    return { node_id, heartbeat, timestamp, ...rest, kind: undefined };
  }
  return message;
}
