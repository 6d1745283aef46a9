import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Reader } from "@platformatic/kafka";
import type { Topic } from "../../protocol/topics.ts";
import type { ReadFrom, Subscriber, Subscription } from "../bus.ts";
import { createCatchUp, deliver, reportOutOfRange } from "../deliver.ts";
import { closedError } from "../errors.ts";
import { KAFKA, reasonOf, refused, type Cluster } from "./cluster.ts";
import { showAddress, type Address } from "./link.ts";
import { decodeBatches } from "./records.ts";

// A fetch waits at the broker until there is a byte, so a record is on its way as soon as it was appended.
const FETCH = { max_wait_ms: 1_000, min_bytes: 1, max_bytes: 8 << 20, partition_max_bytes: 1 << 20 };
const API = { key: 1, version: 11 };

interface FetchedPartition {
  partition: number;
  error: number;
  bytes: Buffer | null;
}

interface ReadOptions {
  cluster: Cluster;
  topic: Topic;
  from: ReadFrom;
  subscriber: Subscriber;
  onSkipped: (records: number) => void;
  onClose: (subscription: Subscription) => void;
}

let readers = 0;

/**
 * Reads all partitions of a topic without a consumer group, for ever: one long-polling fetch per leading broker, on a
 * connection of its own. Whatever fails, it asks for the metadata again, backs off and goes on at its position.
 */
export async function readTopic(options: ReadOptions): Promise<Subscription> {
  const { cluster, topic, from, subscriber, onSkipped, onClose } = options;
  const purpose = `fetch-${readers++}`;
  const position = await startingPosition(cluster, topic, from);
  const catchUp = createCatchUp(position);
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);
  const isClosed = () => closing.signal.aborted || cluster.closing.aborted;

  async function fetchOnce(leader: Address, partitions: number[]): Promise<void> {
    const link = await cluster.pool.get(purpose, leader);
    if (isClosed()) return;
    const fetched = await link.request(FETCH.max_wait_ms + cluster.request_timeout_ms, (connection) => {
      const { promise, resolve, reject } = Promise.withResolvers<FetchedPartition[]>();
      const wanted = partitions.map((partition) => ({
        partition,
        currentLeaderEpoch: -1,
        fetchOffset: BigInt(position[partition] ?? 0),
        lastFetchedEpoch: -1,
        partitionMaxBytes: FETCH.partition_max_bytes,
      }));
      const { createRequest } = cluster.client.fetchV11;
      const topics = [{ topicId: cluster.names[topic], partitions: wanted }];
      connection.send(
        API.key,
        API.version,
        () => createRequest(FETCH.max_wait_ms, FETCH.min_bytes, FETCH.max_bytes, 0, 0, -1, topics, [], ""),
        (_correlation_id, _key, _version, reader) => parseFetch(reader),
        false,
        false,
        (error, response) => (error ? reject(error) : resolve(response ?? [])),
      );
      return promise;
    });
    for (const { partition, error, bytes } of fetched) {
      if (isClosed()) return;
      if (error === KAFKA.OFFSET_OUT_OF_RANGE) await goToEarliest(partition);
      else if (error !== 0) throw refused(cluster, topic, error);
      else if (bytes && bytes.length > 0) take(partition, bytes);
    }
  }

  function take(partition: number, bytes: Buffer): void {
    const { records, next, skipped } = decodeBatches(cluster.client, bytes, position[partition] ?? 0);
    if (skipped > 0) onSkipped(skipped);
    position[partition] = next;
    if (records.length > 0) deliver(subscriber, records.map((record) => ({ topic, partition, ...record })));
    if (!isClosed()) catchUp.moved();
  }

  async function goToEarliest(partition: number): Promise<void> {
    const [earliest = 0] = await cluster.offsets(topic, -2n, [partition]);
    if (isClosed()) return;
    const lost = { partition, from: position[partition] ?? 0, earliest };
    position[partition] = earliest;
    reportOutOfRange(subscriber, lost);
    catchUp.moved();
  }

  // One round: a loop per leader, until the first of them fails. Then who leads what is looked up again.
  async function round(onAnswer: () => void): Promise<void> {
    const failed = new AbortController();
    const { groups, leaderless } = byLeader(cluster, topic);
    cluster.partitions(topic).forEach((_, partition) => (position[partition] ??= 0));
    const loops = groups.map(async ({ leader, partitions }) => {
      while (!failed.signal.aborted && !isClosed()) {
        await fetchOnce(leader, rotate(partitions));
        if (leaderless.length === 0) onAnswer();
      }
    });
    if (leaderless.length > 0 || groups.length === 0) {
      loops.push(
        sleep(FETCH.max_wait_ms, undefined, { signal: failed.signal }).then(() => {
          throw new Error(`no broker leads partition ${leaderless[0] ?? 0} of ${cluster.names[topic]} at the moment`);
        }),
      );
    }
    try {
      await Promise.all(loops);
    } finally {
      failed.abort();
      await Promise.allSettled(loops);
    }
  }

  async function run(): Promise<void> {
    const who = {};
    let attempt = 0;
    const onAnswer = () => {
      attempt = 0;
      cluster.health.working(who);
    };
    while (!isClosed()) {
      try {
        await round(onAnswer);
      } catch (error) {
        if (isClosed()) break;
        cluster.health.failing(who, reasonOf(error));
        await cluster.backOff(attempt++).catch(() => {});
      }
    }
    cluster.health.working(who);
  }

  const subscription: Subscription = {
    topic,
    position: () => [...position],
    async caughtUp() {
      if (isClosed()) throw closedError();
      const target = await unlessAborted(closing.signal, cluster.offsets(topic, -1n, [...position.keys()]));
      if (isClosed()) throw closedError();
      await catchUp.until(target);
    },
    async close() {
      if (closing.signal.aborted) return;
      closing.abort();
      cluster.pool.drop(purpose);
      catchUp.fail(closedError());
      onClose(subscription);
    },
  };
  void run();
  return subscription;
}

async function startingPosition(cluster: Cluster, topic: Topic, from: ReadFrom): Promise<number[]> {
  const all = [...cluster.partitions(topic).keys()];
  if (from === "end") return cluster.offsets(topic, -1n, all);
  if (from === "earliest") return cluster.offsets(topic, -2n, all);
  const unnamed = all.filter((partition) => from[partition] === undefined);
  const earliest = await cluster.offsets(topic, -2n, unnamed);
  return all.map((partition) => from[partition] ?? earliest[unnamed.indexOf(partition)] ?? 0);
}

function byLeader(cluster: Cluster, topic: Topic) {
  const groups = new Map<string, { leader: Address; partitions: number[] }>();
  const leaderless: number[] = [];
  cluster.partitions(topic).forEach(({ leader }, partition) => {
    if (!leader) {
      leaderless.push(partition);
      return;
    }
    const name = showAddress(leader);
    const group = groups.get(name) ?? { leader, partitions: [] };
    group.partitions.push(partition);
    groups.set(name, group);
  });
  return { groups: [...groups.values()], leaderless };
}

// A broker fills its response in the order asked for, so whoever comes first must change.
function rotate(partitions: number[]): number[] {
  const first = partitions.shift();
  if (first !== undefined) partitions.push(first);
  return partitions;
}

async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(closedError());
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

// The client's own parser decodes every batch at once and rejects the whole response for a single bad one.
function parseFetch(reader: Reader): FetchedPartition[] {
  reader.readInt32();
  const error = reader.readInt16();
  reader.readInt32();
  const topics = reader.readArray(
    (r) => {
      r.readString(false);
      return r.readArray(parsePartition, false, false);
    },
    false,
    false,
  );
  if (error !== 0) throw new Error(`the broker refuses to be read: error ${error}`);
  return topics.flat();
}

function parsePartition(reader: Reader): FetchedPartition {
  const partition = reader.readInt32();
  const error = reader.readInt16();
  reader.skip(3 * 8);
  reader.readNullableArray((r) => r.skip(2 * 8), false, false);
  reader.readInt32();
  return { partition, error, bytes: reader.readNullableBytes(false) };
}
