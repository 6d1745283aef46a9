import { z } from "zod";
import { measures } from "./measures.ts";
import { tolerantLatencyMs, tolerantTimestampMs } from "./quantities.ts";
import {
  address,
  boundedText,
  isRecord,
  labels,
  readCount,
  readNumber,
  scalar,
  testId,
  tolerantCount,
  tolerantNodeId,
  tolerantNumber,
  tolerantPositive,
  tolerantTestId,
  yes,
} from "./scalars.ts";

/** The version of Onrush's extensions that this code speaks. Of a higher one it reads what it knows. */
export const PROTOCOL_VERSION = 1;

/** A record as it came: an object of anything. */
export type Fields = Record<string, unknown>;

/** A register or metrics record speaks the extensions when it says so by `v`; else extra fields are somebody else's. */
function speaksExtensions(record: Fields): boolean {
  return (readCount(record["v"]) ?? 0) >= 1;
}

/** A field that others also leave out as null or as an empty text. */
function leftOut<T extends z.ZodType>(schema: T) {
  return z.preprocess((value) => (value === null || value === "" ? undefined : value), schema.optional()).optional();
}

const commonRegister = z.object({
  node_id: tolerantNodeId,
  node_IP: address.optional(),
  node_ip: address.optional(),
  message_type: scalar("expected DRIVER_NODE_REGISTER", (value): string | undefined => {
    const text = typeof value === "string" ? value.trim().toUpperCase() : "";
    return text === "DRIVER_NODE_REGISTER" ? text : undefined;
  }),
});
const bootId = z.string().min(1).max(128).optional();
const extendedRegister = commonRegister
  .extend({ v: tolerantPositive.optional(), boot_id: bootId, labels: labels.optional() })
  .transform(({ node_IP, node_ip, ...rest }) => ({ ...rest, node_ip: node_IP || node_ip || "" }));
/** register: a node says that it exists. Its epoch is the offset of this record. */
export type Register = z.infer<typeof extendedRegister>;

const plainRegister: z.ZodType<Register> = commonRegister
  .extend({ boot_id: bootId.catch(undefined), labels: labels.optional().catch(undefined) })
  .transform(({ node_IP, node_ip, ...rest }) => ({ ...rest, node_ip: node_IP || node_ip || "" }));

export function registerSchema(record: Fields): z.ZodType<Register> {
  return speaksExtensions(record) ? extendedRegister : plainRegister;
}

export const TEST_TYPES = ["AVALANCHE", "TSUNAMI"] as const;
const testType = scalar("expected AVALANCHE or TSUNAMI", (value) => {
  const text = typeof value === "string" ? value.trim().toUpperCase() : "";
  return TEST_TYPES.find((type) => type === text);
});
/** Says that a config or trigger is a copy of an Onrush orchestrator's. What is no term is somebody else's field. */
const copyTerm = tolerantCount.optional().catch(undefined);

const delayMs = tolerantLatencyMs.default(null).transform((delay_ms) => delay_ms ?? 0);

/** test_config in the common format. TSUNAMI with delay 0 is AVALANCHE. `+term`: a copy; Onrush drivers ignore it. */
export const testConfig = z
  .object({
    test_id: tolerantTestId,
    test_type: testType,
    test_message_delay: delayMs,
    message_count_per_driver: leftOut(tolerantPositive),
    test_server: leftOut(z.string()),
    term: copyTerm,
  })
  .transform((config) => ({
    ...config,
    test_type: config.test_message_delay === 0 ? ("AVALANCHE" as const) : config.test_type,
  }));
export type TestConfig = z.infer<typeof testConfig>;

export const trigger = z.object({ test_id: tolerantTestId, trigger: yes, term: copyTerm });
export type Trigger = z.infer<typeof trigger>;

/** Why a driver ended: its schedule was done, or what cut it short. */
export const END_REASONS = ["schedule", "stopped", "left", "late_start", "lease_expired"] as const;
export type EndReason = (typeof END_REASONS)[number];

const latency = tolerantLatencyMs.default(null);
const commonMetrics = z.object({
  mean_latency: latency,
  median_latency: latency,
  min_latency: latency,
  max_latency: latency,
  mode_latency: latency,
});
export type CommonMetrics = z.infer<typeof commonMetrics>;

/** Only shown: whatever is neither a text nor a number counts as none. */
const reportId = scalar("expected a text", (value) =>
  typeof value === "string" ? value.slice(0, 256) : typeof value === "number" ? String(value) : "",
).default("");

const plainMetrics = z.object({ node_id: tolerantNodeId, test_id: tolerantTestId, report_id: reportId, metrics: commonMetrics });
/** metrics of a node without Onrush's extensions: a summary only. */
export type PlainMetrics = z.infer<typeof plainMetrics> & { kind: "plain" };

const extendedMetrics = plainMetrics.extend(measures.shape).extend({
  v: tolerantPositive,
  epoch: tolerantCount,
  seq: tolerantCount,
  final: z.boolean().default(false),
  /** The highest revision of its ranges (the command_seq of config or assign) that the node has seen. */
  revision: tolerantCount.default(0),
  end_reason: z.enum(END_REASONS).optional().catch(undefined),
});
/** metrics of an Onrush node: a cumulative, numbered snapshot. The highest seq of (test, node, epoch) wins. */
export type ExtendedMetrics = z.infer<typeof extendedMetrics> & { kind: "snapshot" };
export type Metrics = PlainMetrics | ExtendedMetrics;

/** Each decoder names the kind that it found: a field that no wire format has. */
function ofKind<T extends z.ZodType<object>, const K extends string>(schema: T, kind: K) {
  return schema.transform((message): z.infer<T> & { kind: K } => Object.assign(message, { kind }));
}

const snapshotSchema = ofKind(extendedMetrics, "snapshot");
const summarySchema = ofKind(plainMetrics, "plain");

export function metricsSchema(record: Fields): z.ZodType<Metrics> {
  return speaksExtensions(record) ? snapshotSchema : summarySchema;
}

const ready = z.object({ test_id: testId, config_offset: tolerantCount, epoch: tolerantCount });
/** Why a driver will not run a test that was sent to it. */
const refusal = z.object({ test_id: testId, config_offset: tolerantCount, code: boundedText(64), message: boundedText(1000) });
export type Refusal = z.infer<typeof refusal>;

export const DRIVER_STATES = ["idle", "preparing", "ready", "running", "left"] as const;
export type DriverState = (typeof DRIVER_STATES)[number];

const plainHeartbeat = z.object({ node_id: tolerantNodeId, heartbeat: yes, timestamp: tolerantTimestampMs });

/** The smallest one-way delay seen from the leader of `term` to this node: receive (own clock) - timestamp (leader's). */
const clock = z.object({ term: tolerantCount, delay_ms: tolerantNumber });

const MAX_HEALTH_FIELDS = 64;

/** What a node says of itself. A value that is no number is left out: nobody is taken for dead because of it. */
const health = scalar("expected an object", (value) => {
  if (!isRecord(value)) return undefined;
  const kept: Record<string, number> = {};
  for (const [name, given] of Object.entries(value).slice(0, MAX_HEALTH_FIELDS)) {
    const number = readNumber(given);
    if (number !== undefined && name.length <= 64 && name !== "__proto__") kept[name] = number;
  }
  return kept;
}).default({});

const driverHeartbeat = plainHeartbeat.extend({
  role: z.literal("driver"),
  epoch: tolerantCount,
  /** A state that a later version may add: neither free nor ready. */
  state: z.enum(DRIVER_STATES).catch("preparing").default("idle"),
  node_ip: address.optional(),
  labels: labels.optional(),
  test_id: testId.nullable().default(null),
  ready: ready.nullable().default(null),
  refused: refusal.nullable().default(null),
  clock: clock.nullable().default(null),
  health,
});
export type DriverHeartbeat = z.infer<typeof driverHeartbeat> & { kind: "driver" };

const orchestratorHeartbeat = plainHeartbeat.extend({
  role: z.literal("orchestrator"),
  term: tolerantCount,
  state: z.enum(["leader", "standby", "left"]).default("leader"),
  /** The last command of its term that it has read back: only who has read that far has its lease renewed. */
  command_seq: tolerantCount.optional(),
});
export type OrchestratorHeartbeat = z.infer<typeof orchestratorHeartbeat> & { kind: "orchestrator" };

export type PlainHeartbeat = z.infer<typeof plainHeartbeat> & { kind: "plain" };
export type Heartbeat = DriverHeartbeat | OrchestratorHeartbeat | PlainHeartbeat;

const driverSchema = ofKind(driverHeartbeat, "driver");
const orchestratorSchema = ofKind(orchestratorHeartbeat, "orchestrator");
const signOfLifeSchema = ofKind(plainHeartbeat, "plain");

/** A heartbeat speaks the extensions when it names a role that Onrush knows, and with it an epoch or a term. */
export function heartbeatSchema(record: Fields): z.ZodType<Heartbeat> {
  if (record["role"] === "driver" && isGiven(record["epoch"])) return driverSchema;
  if (record["role"] === "orchestrator" && isGiven(record["term"])) return orchestratorSchema;
  return signOfLifeSchema;
}

const isGiven = (value: unknown) => value !== undefined && value !== null;
