import { setTimeout as sleep } from "node:timers/promises";
import { RETENTION_MS, TOPICS, type Topic, type TopicNames } from "../../protocol/topics.ts";
import type { BusStatus } from "../bus.ts";
import { BusError, closedError } from "../errors.ts";
import { showAddress, type Address, type KafkaClient, type Link, type LinkPool } from "./link.ts";

/** An answer of a broker that says no, by Kafka's own error code. */
export class BrokerError extends Error {
  readonly kafka_code: number;

  constructor(kafka_code: number, message: string) {
    super(message);
    this.kafka_code = kafka_code;
  }
}

/** Kafka's error codes that Onrush treats by name. */
export const KAFKA = {
  OFFSET_OUT_OF_RANGE: 1,
  UNKNOWN_TOPIC: 3,
  MESSAGE_TOO_LARGE: 10,
  INVALID_TOPIC: 17,
  RECORD_LIST_TOO_LARGE: 18,
  TOPIC_AUTHORIZATION: 29,
  CLUSTER_AUTHORIZATION: 31,
  INVALID_TIMESTAMP: 32,
  TOPIC_ALREADY_EXISTS: 36,
  INVALID_CONFIG: 40,
  POLICY_VIOLATION: 44,
  INVALID_RECORD: 87,
} as const;

/** The id of one of Kafka's error codes, such as NOT_LEADER_OR_FOLLOWER. */
export function kafkaErrorName(client: KafkaClient, code: number): string {
  return client.protocolErrorsCodesById[code] ?? `error ${code}`;
}

export interface PartitionView {
  /** null: none at the moment. */
  leader: Address | null;
}

interface View {
  brokers: Address[];
  controller: Address | null;
  /** Per topic Kafka's error code and the partitions by index. */
  topics: Map<Topic, { error: number; partitions: PartitionView[] }>;
}

/** What is known of the cluster, shared by all who read and write. */
export interface Cluster {
  readonly client: KafkaClient;
  readonly pool: LinkPool;
  readonly names: TopicNames;
  /** Aborted when the bus is closed for good. */
  readonly closing: AbortSignal;
  readonly request_timeout_ms: number;
  view(): View;
  /** Asks one broker after the other; those who ask at the same time share the answer. Rejects when none answers. */
  refresh(): Promise<View>;
  partitions(topic: Topic): PartitionView[];
  /** Offsets of partitions by time: -1 the next one (end), -2 the earliest that is kept. Tries until the bus closes. */
  offsets(topic: Topic, timestamp: -1n | -2n, partitions: readonly number[]): Promise<number[]>;
  /** Waits before the next attempt of someone who failed, and refreshes the view. Throws `closed`. */
  backOff(attempt: number): Promise<void>;
  health: Health;
}

/** Connected as long as nobody who reads or writes is failing. */
export interface Health {
  status(): BusStatus;
  failing(who: object, reason: string): void;
  working(who: object): void;
}

export function createHealth(on_status?: (status: BusStatus) => void): Health {
  const reasons = new Map<object, string>();
  const status = (): BusStatus => {
    const [reason] = reasons.values();
    return reason === undefined ? { connected: true } : { connected: false, reason };
  };
  return {
    status,
    failing(who, reason) {
      const was_connected = reasons.size === 0;
      reasons.set(who, reason);
      if (was_connected) on_status?.(status());
    },
    working(who) {
      if (reasons.delete(who) && reasons.size === 0) on_status?.(status());
    },
  };
}

interface ClusterOptions {
  client: KafkaClient;
  pool: LinkPool;
  bootstrap: Address[];
  names: TopicNames;
  closing: AbortSignal;
  request_timeout_ms: number;
  health: Health;
}

// What a broker answers from memory; one that cannot is no help to those who wait.
const QUICK_MS = 3_000;
const BACKOFF_MS = { first: 50, most: 1_000 };

export function createCluster(options: ClusterOptions): Cluster {
  const { client, pool, bootstrap, names, closing, request_timeout_ms, health } = options;
  let view: View = { brokers: [], controller: null, topics: new Map() };
  let refreshing: Promise<View> | null = null;
  let last_answer: Address | null = null;

  async function ask(address: Address): Promise<View> {
    const link = await pool.get("metadata", address);
    const asked = TOPICS.map((topic) => names[topic]);
    const answer = await link.request(Math.min(QUICK_MS, request_timeout_ms), (connection) =>
      answered(client.metadataV8.api.async(connection, asked, false)),
    );
    const addresses = new Map(answer.brokers.map((broker) => [broker.nodeId, { host: broker.host, port: broker.port }]));
    const topics: View["topics"] = new Map();
    for (const topic of TOPICS) {
      const found = answer.topics.find((candidate) => candidate.name === names[topic]);
      const partitions: PartitionView[] = [];
      for (const { partitionIndex, leaderId } of found?.partitions ?? []) {
        partitions[partitionIndex] = { leader: addresses.get(leaderId) ?? null };
      }
      topics.set(topic, { error: found?.errorCode ?? KAFKA.UNKNOWN_TOPIC, partitions });
    }
    return { brokers: [...addresses.values()], controller: addresses.get(answer.controllerId) ?? null, topics };
  }

  async function askAll(): Promise<View> {
    const candidates = new Map<string, Address>();
    for (const address of [...(last_answer ? [last_answer] : []), ...view.brokers, ...bootstrap]) {
      candidates.set(showAddress(address), address);
    }
    const failures: unknown[] = [];
    for (const address of candidates.values()) {
      try {
        const fresh = await ask(address);
        last_answer = address;
        // A broker that has only just started knows nothing yet: what is known stays until somebody knows better.
        for (const [topic, known] of view.topics) {
          if (known.partitions.length > 0 && fresh.topics.get(topic)?.partitions.length === 0) fresh.topics.set(topic, known);
        }
        return fresh;
      } catch (error) {
        closing.throwIfAborted();
        failures.push(error);
      }
    }
    throw new AggregateError(failures, failures.map(reasonOf).join("; "));
  }

  const self: Cluster = {
    client,
    pool,
    names,
    closing,
    request_timeout_ms,
    health,
    view: () => view,
    refresh() {
      refreshing ??= askAll()
        .then((fresh) => (view = fresh))
        .finally(() => (refreshing = null));
      return refreshing;
    },
    partitions: (topic) => view.topics.get(topic)?.partitions ?? [],
    async backOff(attempt) {
      const wait_ms = Math.min(BACKOFF_MS.most, BACKOFF_MS.first * 2 ** Math.min(attempt, 10)) * (0.75 + Math.random() / 2);
      await sleep(wait_ms, undefined, { signal: closing }).catch(() => {});
      if (closing.aborted) throw closedError();
      await self.refresh().catch(() => {});
      if (closing.aborted) throw closedError();
    },
    async offsets(topic, timestamp, partitions) {
      const who = {};
      for (let attempt = 0; ; attempt++) {
        if (closing.aborted) throw closedError();
        try {
          const found = await Promise.all(partitions.map((partition) => listOffset(self, topic, timestamp, partition)));
          health.working(who);
          return found;
        } catch (error) {
          if (!closing.aborted) health.failing(who, reasonOf(error));
          await self.backOff(attempt).catch((closed: unknown) => {
            health.working(who);
            throw closed;
          });
        }
      }
    },
  };
  return self;
}

async function listOffset(cluster: Cluster, topic: Topic, timestamp: bigint, partition: number): Promise<number> {
  const link = await leaderLink(cluster, "metadata", topic, partition);
  const { api } = cluster.client.listOffsetsV4;
  const asked = [{ partitionIndex: partition, currentLeaderEpoch: -1, timestamp }];
  const answer = await link.request(Math.min(QUICK_MS, cluster.request_timeout_ms), (connection) =>
    answered(api.async(connection, -1, 0, [{ name: cluster.names[topic], partitions: asked }])),
  );
  const found = answer.topics[0]?.partitions[0];
  if (!found || found.errorCode !== 0) throw refused(cluster, topic, found?.errorCode ?? KAFKA.UNKNOWN_TOPIC);
  return Number(found.offset);
}

/** A link to the broker that leads a partition. Rejects while there is none. */
export function leaderLink(cluster: Cluster, purpose: string, topic: Topic, partition: number): Promise<Link> {
  const leader = cluster.partitions(topic)[partition]?.leader;
  if (leader) return cluster.pool.get(purpose, leader);
  return Promise.reject(new Error(`no broker leads partition ${partition} of ${cluster.names[topic]} at the moment`));
}

export function refused(cluster: Cluster, topic: Topic, code: number): BrokerError {
  return new BrokerError(code, `${cluster.names[topic]}: ${kafkaErrorName(cluster.client, code)}`);
}

/** The response even where the client rejects because the response contains an error code. */
export async function answered<T>(response: Promise<T>): Promise<T> {
  try {
    return await response;
  } catch (error) {
    const inside = (error as { response?: T }).response;
    if (inside && typeof inside === "object") return inside;
    throw error;
  }
}

/** The innermost reason of an error, in one line. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    const reasons = error.errors.map(reasonOf);
    return [...new Set(reasons)].join("; ");
  }
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? reasonOf(error.cause) : error.message;
}

/** How a topic is created when it is missing. */
export function topicSettings(topic: Topic): { name: string; value: string }[] {
  return [
    { name: "cleanup.policy", value: "delete" },
    { name: "retention.ms", value: String(RETENTION_MS[topic]) },
    { name: "message.timestamp.type", value: "LogAppendTime" },
  ];
}

export function badTopic(name: string, why: string): BusError {
  return new BusError("bad_topic", `the topic ${name} cannot be used: ${why}`);
}
