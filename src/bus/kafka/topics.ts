import { TOPICS, type Topic } from "../../protocol/topics.ts";
import { BusError } from "../errors.ts";
import { answered, badTopic, KAFKA, kafkaErrorName, reasonOf, topicSettings, type Cluster } from "./cluster.ts";
import { showAddress } from "./link.ts";

/**
 * Creates the topics that are missing and waits until every partition has a leader that can be reached. Any number of
 * nodes may do it at once. Rejects with BusError bad_topic, auth_failed or unreachable.
 */
export async function ensureTopics(cluster: Cluster, deadline_ms: number): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    let waiting_for: string;
    try {
      const missing = inspect(cluster);
      if (missing.length > 0) await create(cluster, missing);
      const leaderless = TOPICS.find((topic) => !isLed(cluster, topic));
      if (leaderless === undefined) return await reachLeaders(cluster);
      waiting_for = `no broker leads the topic ${cluster.names[leaderless]}`;
    } catch (error) {
      if (error instanceof BusError) throw error;
      waiting_for = reasonOf(error);
    }
    if (performance.now() > deadline_ms) {
      throw new BusError("unreachable", `the Kafka cluster answers, but is not ready: ${waiting_for}`);
    }
    await cluster.backOff(attempt);
  }
}

function isLed(cluster: Cluster, topic: Topic): boolean {
  const partitions = cluster.partitions(topic);
  return partitions.length > 0 && partitions.every((partition) => partition.leader !== null);
}

// Which topics are missing; throws for those that can never be used.
function inspect(cluster: Cluster): Topic[] {
  const missing: Topic[] = [];
  for (const topic of TOPICS) {
    const { error, partitions } = cluster.view().topics.get(topic) ?? { error: KAFKA.UNKNOWN_TOPIC, partitions: [] };
    const name = cluster.names[topic];
    if (error === KAFKA.INVALID_TOPIC) throw badTopic(name, "Kafka allows at most 249 letters, digits, '.', '_' and '-'");
    if (error === KAFKA.TOPIC_AUTHORIZATION) throw notAllowed(`see the topic ${name}`);
    if (error === KAFKA.UNKNOWN_TOPIC && partitions.length === 0) missing.push(topic);
    if (topic === "control" && partitions.length > 1) {
      const remedy = "delete it, or choose another one with --topic control=NAME or --topic-prefix";
      throw badTopic(name, `control must have exactly one partition and it has ${partitions.length}; ${remedy}`);
    }
  }
  return missing;
}

async function create(cluster: Cluster, missing: Topic[]): Promise<void> {
  const { brokers, controller } = cluster.view();
  const address = controller ?? brokers[0];
  if (!address) throw new Error("the cluster names no broker yet");
  const link = await cluster.pool.get("metadata", address);
  const wanted = missing.map((topic) => ({
    name: cluster.names[topic],
    numPartitions: 1,
    replicationFactor: Math.min(3, brokers.length),
    assignments: [],
    configs: topicSettings(topic),
  }));
  const answer = await link.request(cluster.request_timeout_ms, (connection) =>
    answered(cluster.client.createTopicsV4.api.async(connection, wanted, Math.floor(cluster.request_timeout_ms * 0.75), false)),
  );
  for (const { name, errorCode, errorMessage } of answer.topics) {
    const why = errorMessage ?? kafkaErrorName(cluster.client, errorCode);
    if (errorCode === 0 || errorCode === KAFKA.TOPIC_ALREADY_EXISTS) continue;
    if (errorCode === KAFKA.TOPIC_AUTHORIZATION || errorCode === KAFKA.CLUSTER_AUTHORIZATION) {
      throw notAllowed(`create the topic ${name}; create it by hand, with 1 partition`);
    }
    if (errorCode === KAFKA.INVALID_TOPIC || errorCode === KAFKA.POLICY_VIOLATION || errorCode === KAFKA.INVALID_CONFIG) {
      throw badTopic(name, `the cluster refuses to create it: ${why}`);
    }
    throw new Error(`the topic ${name} could not be created: ${why}`);
  }
  await cluster.refresh();
}

// A cluster that advertises addresses which are of no use from here answers the first question and nothing after it.
async function reachLeaders(cluster: Cluster): Promise<void> {
  const leaders = new Map(
    TOPICS.flatMap((topic) => cluster.partitions(topic))
      .flatMap((partition) => partition.leader ?? [])
      .map((leader) => [showAddress(leader), leader]),
  );
  for (const [name, leader] of leaders) {
    await cluster.pool.get("metadata", leader).catch((error: unknown) => {
      const hint = "check advertised.listeners on the brokers";
      throw new Error(`it names a broker at ${name}, which cannot be reached from here (${reasonOf(error)}); ${hint}`);
    });
  }
}

function notAllowed(what: string): BusError {
  return new BusError("auth_failed", `the Kafka user is not allowed to ${what}`);
}
