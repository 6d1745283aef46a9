import { z } from "zod";
import {
  labels,
  nodeId,
  tolerantCount,
  tolerantLatencyMs,
  tolerantNodeId,
  tolerantNumber,
  tolerantOffset,
  tolerantTestId,
  tolerantTimestampMs,
  testId,
} from "./scalars.ts";
import { measures } from "./measures.ts";

/** The version of Onrush's extensions that this code speaks. */
export const PROTOCOL_VERSION = 1;

const version = z.int().min(1);

/** register: a node says that it exists. Its epoch is the offset of this record. */
export const register = z
  .object({
    node_id: tolerantNodeId,
    node_IP: z.string().max(256).optional(),
    node_ip: z.string().max(256).optional(),
    message_type: z.string().max(64).regex(/^DRIVER_NODE_REGISTER$/i, "expected DRIVER_NODE_REGISTER"),
    v: version.optional(),
    boot_id: z.string().min(1).max(128).optional(),
    labels: labels.optional(),
  })
  .transform(({ node_IP, node_ip, ...rest }) => ({ ...rest, node_ip: node_IP ?? node_ip ?? "" }));
export type Register = z.infer<typeof register>;

export const TEST_TYPES = ["AVALANCHE", "TSUNAMI"] as const;
const testType = z
  .string()
  .max(32)
  .transform((text) => text.trim().toUpperCase())
  .pipe(z.enum(TEST_TYPES));

/** test_config in the common format. TSUNAMI with delay 0 is AVALANCHE. `+term`: a copy; Onrush drivers ignore it. */
export const testConfig = z
  .object({
    test_id: tolerantTestId,
    test_type: testType,
    test_message_delay: z.union([z.literal("").transform(() => 0), tolerantNumber.pipe(z.number().min(0))]).default(0),
    message_count_per_driver: tolerantNumber.pipe(z.int().min(1)).optional(),
    test_server: z.string().max(4096).optional(),
    term: tolerantCount.optional(),
  })
  .transform((config) => ({
    ...config,
    test_type: config.test_message_delay === 0 ? ("AVALANCHE" as const) : config.test_type,
  }));
export type TestConfig = z.infer<typeof testConfig>;

export const trigger = z.object({
  test_id: tolerantTestId,
  trigger: z.union([z.literal(true).transform(() => "YES" as const), z.string().regex(/^yes$/i, "expected YES").transform(() => "YES" as const)]),
  term: tolerantCount.optional(),
});
export type Trigger = z.infer<typeof trigger>;

/** Why a driver ended: its schedule was done, or what cut it short. */
export const END_REASONS = ["schedule", "stopped", "left", "late_start", "lease_expired"] as const;
export type EndReason = (typeof END_REASONS)[number];

const commonMetrics = z.object({
  mean_latency: tolerantLatencyMs.default(null),
  median_latency: tolerantLatencyMs.default(null),
  min_latency: tolerantLatencyMs.default(null),
  max_latency: tolerantLatencyMs.default(null),
  mode_latency: tolerantLatencyMs.default(null),
});
export type CommonMetrics = z.infer<typeof commonMetrics>;

const reportId = z.union([z.number().transform(String), z.string().max(256)]).default("");

const plainMetrics = z.object({ node_id: tolerantNodeId, test_id: tolerantTestId, report_id: reportId, metrics: commonMetrics });
/** metrics of a node without Onrush's extensions: a summary only. */
export type PlainMetrics = z.infer<typeof plainMetrics> & { kind: "plain" };

const extendedMetrics = measures.extend({
  node_id: nodeId,
  test_id: testId,
  report_id: reportId,
  metrics: commonMetrics,
  v: version,
  epoch: tolerantOffset,
  seq: tolerantCount,
  final: z.boolean().default(false),
  /** The highest revision of its ranges (the command_seq of config or assign) that the node has seen. */
  revision: tolerantCount.default(0),
  end_reason: z.enum(END_REASONS).optional(),
});
/** metrics of an Onrush node: a cumulative, numbered snapshot. The highest seq of (test, node, epoch) wins. */
export type ExtendedMetrics = z.infer<typeof extendedMetrics> & { kind: "snapshot" };
export type Metrics = PlainMetrics | ExtendedMetrics;

/** A record speaks the extensions when it says so by `v`; without it, extra fields are somebody else's and ignored. */
export const metrics = z.union([
  z.looseObject({ v: version }).pipe(extendedMetrics).transform((message) => ({ ...message, kind: "snapshot" as const })),
  z.looseObject({ v: z.undefined().optional() }).pipe(plainMetrics).transform((message) => ({ ...message, kind: "plain" as const })),
]);

const ready = z.object({ test_id: testId, config_offset: tolerantOffset, epoch: tolerantOffset });
/** Why a driver will not run a test that was sent to it. */
const refusal = z.object({ test_id: testId, config_offset: tolerantOffset, code: z.string().max(64), message: z.string().max(1000) });
export type Refusal = z.infer<typeof refusal>;

export const DRIVER_STATES = ["idle", "preparing", "ready", "running", "left"] as const;
export type DriverState = (typeof DRIVER_STATES)[number];

const heartbeatBase = z.object({
  node_id: tolerantNodeId,
  heartbeat: z.union([z.literal(true).transform(() => "YES" as const), z.string().regex(/^yes$/i, "expected YES").transform(() => "YES" as const)]),
  timestamp: tolerantTimestampMs,
});

/** The smallest one-way delay seen from the leader of `term` to this node: receive (own clock) - timestamp (leader's). */
const clock = z.object({ term: tolerantCount, delay_ms: z.number() });

const driverHeartbeat = heartbeatBase.extend({
  role: z.literal("driver"),
  epoch: tolerantOffset,
  state: z.enum(DRIVER_STATES).default("idle"),
  node_ip: z.string().max(256).optional(),
  labels: labels.optional(),
  test_id: testId.nullable().default(null),
  ready: ready.nullable().default(null),
  refused: refusal.nullable().default(null),
  clock: clock.nullable().default(null),
  health: z.record(z.string().max(64), z.number()).default({}),
});
export type DriverHeartbeat = z.infer<typeof driverHeartbeat> & { kind: "driver" };

const orchestratorHeartbeat = heartbeatBase.extend({
  role: z.literal("orchestrator"),
  term: tolerantCount,
  state: z.enum(["leader", "standby", "left"]).default("leader"),
});
export type OrchestratorHeartbeat = z.infer<typeof orchestratorHeartbeat> & { kind: "orchestrator" };

const plainHeartbeat = heartbeatBase;
export type PlainHeartbeat = z.infer<typeof plainHeartbeat> & { kind: "plain" };
export type Heartbeat = DriverHeartbeat | OrchestratorHeartbeat | PlainHeartbeat;

/** A heartbeat speaks the extensions when it names a role that Onrush knows. */
export const heartbeat = z.union([
  z.looseObject({ role: z.literal("driver"), epoch: z.unknown() }).pipe(driverHeartbeat).transform((message) => ({ ...message, kind: "driver" as const })),
  z.looseObject({ role: z.literal("orchestrator"), term: z.unknown() }).pipe(orchestratorHeartbeat).transform((message) => ({ ...message, kind: "orchestrator" as const })),
  z.looseObject({ role: z.unknown().optional() }).refine(({ role }) => role !== "driver" && role !== "orchestrator").pipe(plainHeartbeat).transform((message) => ({ ...message, kind: "plain" as const })),
]);
