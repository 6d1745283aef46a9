import type { z } from "zod";
import { control, type Control } from "./control.ts";
import {
  heartbeat,
  metrics,
  register,
  testConfig,
  trigger,
  type DriverHeartbeat,
  type ExtendedMetrics,
  type Heartbeat,
  type Metrics,
  type OrchestratorHeartbeat,
  type PlainHeartbeat,
  type PlainMetrics,
  type Register,
  type TestConfig,
  type Trigger,
} from "./messages.ts";
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

const SCHEMAS: { [T in Topic]: z.ZodType<MessageOf[T]> } = {
  register,
  test_config: testConfig,
  trigger,
  metrics,
  heartbeat,
  control,
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
  const parsed = parseJson(topic, value);
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new ProtocolError(topic, "expected a JSON object");
  }
  const result = SCHEMAS[topic].safeParse(parsed);
  if (result.success) return result.data;
  throw new ProtocolError(topic, firstIssue(result.error.issues));
}

function parseJson(topic: Topic, value: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(value));
  } catch {
    throw new ProtocolError(topic, "not JSON");
  }
}

type Issues = z.core.$ZodIssue[];

/** The first mistake, by place and expectation. In a union: of the alternative that came furthest. */
function firstIssue(issues: Issues, path: PropertyKey[] = []): string {
  const issue = issues[0];
  if (!issue) return "invalid";
  const at = [...path, ...issue.path];
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    const furthest = issue.errors.reduce((best, alternative) => (depth(alternative) > depth(best) ? alternative : best));
    return firstIssue(furthest, at);
  }
  const place = at.map(String).join(".").replace(/[^A-Za-z0-9_.-]/g, "?").slice(0, 80);
  return `${place === "" ? "record" : place}: ${issue.code === "custom" ? issue.message : issue.code}`;
}

function depth(issues: Issues): number {
  return issues[0]?.path.length ?? 0;
}

/** One record's value. The plain fields stand first, under the names of the common format. */
export function encodeMessage<T extends Topic>(topic: T, message: OutgoingOf[T]): Uint8Array {
  if (topic === "register") {
    const { node_id, node_ip, message_type, ...rest } = message as Register;
    return encoder.encode(JSON.stringify({ node_id, node_IP: node_ip, message_type, ...rest }));
  }
  return encoder.encode(JSON.stringify(message));
}
