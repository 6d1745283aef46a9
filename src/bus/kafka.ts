import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { ConnectionOptions as TlsOptions } from "node:tls";
import { TOPICS, type Topic, type TopicNames } from "../protocol/topics.ts";
import type { Bus, BusStatus, Subscription } from "./bus.ts";
import { BusError, closedError } from "./errors.ts";
import { createCluster, createHealth, badTopic, reasonOf, type Cluster } from "./kafka/cluster.ts";
import { readTopic } from "./kafka/fetch.ts";
import { createLinkPool, parseAddress, type SaslOptions } from "./kafka/link.ts";
import { createAppender } from "./kafka/produce.ts";
import { ensureTopics } from "./kafka/topics.ts";

export interface KafkaOptions {
  /** HOST:PORT of some brokers; the others are found through them. */
  brokers: readonly string[];
  client_id: string;
  topics: TopicNames;
  tls?: TlsOptions;
  sasl?: SaslOptions;
  /** How long the first connection may take. Later the bus tries for ever. */
  connect_timeout_ms?: number;
  /** A request without an answer for so long is abandoned, and its connection opened anew. */
  request_timeout_ms?: number;
  max_record_bytes?: number;
  /** Told whenever the bus loses or regains its brokers. Must not throw. */
  on_status?: (status: BusStatus) => void;
}

export interface KafkaBus extends Bus {
  /** Records passed over because they could not be decoded. */
  skipped_records(): number;
}

const TOPICS_READY_MS = 20_000;
const DIAL_TIMEOUT_MS = 3_000;
const CLOSE_GRACE_MS = 2_000;

/**
 * A bus over Apache Kafka (2.4 and newer). Missing topics are created. Rejects with BusError `unreachable`,
 * `auth_failed`, `bad_topic` or `bad_broker_address`; once connected it never gives up.
 */
export async function connectKafka(options: KafkaOptions): Promise<KafkaBus> {
  const { connect_timeout_ms = 10_000, request_timeout_ms = 8_000, max_record_bytes = 1_000_000 } = options;
  const bootstrap = options.brokers.map(parseAddress);
  if (bootstrap.length === 0) throw new BusError("bad_broker_address", "no broker was named: give at least one HOST:PORT");
  for (const topic of TOPICS) refuseDuplicate(options.topics, topic);

  const client = await import("@platformatic/kafka");
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);
  const pool = createLinkPool(client, {
    client_id: options.client_id,
    tls: options.tls,
    sasl: options.sasl,
    // Brokers are tried one after the other, and the last one must have its turn too.
    dial_timeout_ms: Math.min(DIAL_TIMEOUT_MS, Math.ceil(connect_timeout_ms / bootstrap.length)),
  });
  let is_ready = false;
  const health = createHealth((status) => {
    if (is_ready && !closing.signal.aborted) options.on_status?.(status);
  });
  const { topics: names } = options;
  const cluster = createCluster({ client, pool, bootstrap, names, closing: closing.signal, request_timeout_ms, health });
  const shutDown = () => {
    closing.abort(closedError());
    pool.close();
  };

  try {
    await firstAnswer(cluster, options.brokers, connect_timeout_ms);
    await ensureTopics(cluster, performance.now() + TOPICS_READY_MS);
  } catch (error) {
    shutDown();
    throw error;
  }
  is_ready = true;

  const appender = createAppender(cluster, max_record_bytes);
  const subscriptions = new Set<Subscription>();
  let closed = false;
  let skipped = 0;

  async function whileOpen<T>(work: () => Promise<T>): Promise<T> {
    if (closed) throw closedError();
    return work();
  }

  return {
    append: (topic, value) => whileOpen(() => appender.append(topic, value)),
    end: (topic) => whileOpen(() => cluster.offsets(topic, -1n, [...cluster.partitions(topic).keys()])),
    subscribe: (topic, from, subscriber) =>
      whileOpen(async () => {
        const subscription = await readTopic({
          cluster,
          topic,
          from,
          subscriber,
          onSkipped: (records) => (skipped += records),
          onClose: (self) => subscriptions.delete(self),
        });
        if (closed) {
          await subscription.close();
          throw closedError();
        }
        subscriptions.add(subscription);
        return subscription;
      }),
    trim: () => whileOpen(() => Promise.resolve()),
    status: () => (closed ? { connected: false, reason: "closed" } : health.status()),
    async close(grace_ms = CLOSE_GRACE_MS) {
      if (closed) return;
      closed = true;
      await Promise.all([...subscriptions].map((subscription) => subscription.close()));
      const grace = new AbortController();
      const timeUp = sleep(grace_ms, undefined, { signal: grace.signal }).catch(() => {});
      await Promise.race([appender.idle(), timeUp]);
      grace.abort();
      shutDown();
      appender.fail(closedError());
    },
    skipped_records: () => skipped,
  };
}

function refuseDuplicate(names: TopicNames, topic: Topic): void {
  const other = TOPICS.find((candidate) => candidate !== topic && names[candidate] === names[topic]);
  if (other) throw badTopic(names[topic], `both ${topic} and ${other} are called so; each needs a name of its own`);
}

// The first answer of any broker. Refused credentials are final at once; everything else is tried until the deadline.
async function firstAnswer(cluster: Cluster, brokers: readonly string[], timeout_ms: number): Promise<void> {
  const deadline = performance.now() + timeout_ms;
  let reason = "no answer";
  for (;;) {
    try {
      await Promise.race([cluster.refresh(), timesUp(deadline - performance.now())]);
      return;
    } catch (error) {
      if (!(error instanceof TimesUp)) reason = reasonOf(error);
      if (isAuthFailure(error)) {
        throw new BusError("auth_failed", `Kafka refused the credentials (${reason}): check the SASL mechanism, user and password`);
      }
      if (performance.now() < deadline) {
        await sleep(Math.min(250, Math.max(0, deadline - performance.now())));
        continue;
      }
      const advice = "check the address, that the broker runs, and whether it wants TLS or SASL";
      const message = `no Kafka broker answered at ${brokers.join(", ")} within ${timeout_ms / 1_000} s (${reason}): ${advice}`;
      throw new BusError("unreachable", message, { cause: error });
    }
  }
}

async function timesUp(after_ms: number): Promise<never> {
  await sleep(Math.max(0, after_ms), undefined, { ref: false });
  throw new TimesUp();
}

class TimesUp extends Error {}

function isAuthFailure(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ((error as { code?: unknown }).code === "PLT_KFK_AUTHENTICATION") return true;
  if (error instanceof AggregateError && error.errors.some(isAuthFailure)) return true;
  return isAuthFailure(error.cause);
}
