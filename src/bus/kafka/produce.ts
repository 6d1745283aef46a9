import type { Topic } from "../../protocol/topics.ts";
import { BusError, tooLargeError } from "../errors.ts";
import { answered, KAFKA, kafkaErrorName, leaderLink, reasonOf, refused, type Cluster } from "./cluster.ts";

interface Pending {
  value: Buffer;
  resolve: (offset: number) => void;
  reject: (error: Error) => void;
}

/** Appends to partition 0 of the topics, in order per topic, until the log has them. */
export interface Appender {
  append(topic: Topic, value: Uint8Array): Promise<number>;
  /** Resolves once nothing waits any more. */
  idle(): Promise<void>;
  /** Rejects whatever still waits. */
  fail(error: Error): void;
}

const BATCH_RECORDS = 5_000;
const RECORD_OVERHEAD_BYTES = 24;

// Those that another attempt cannot change.
const FOR_GOOD: readonly number[] = [
  KAFKA.INVALID_TOPIC,
  KAFKA.INVALID_TIMESTAMP,
  KAFKA.POLICY_VIOLATION,
  KAFKA.INVALID_RECORD,
];

/**
 * One lane per topic: a single request in flight, and what waits meanwhile goes as one batch. A request without an
 * answer is repeated, so a record may be appended twice, but an earlier one never overtakes a later one.
 *
 *     append -> queue -> [batch in flight] -> leader of partition 0 -> offset = base offset + index in the batch
 */
export function createAppender(cluster: Cluster, max_record_bytes: number): Appender {
  const lanes = new Map<Topic, Lane>();
  return {
    append(topic, value) {
      if (value.byteLength > max_record_bytes) {
        return Promise.reject(tooLargeError(cluster.names[topic], value.byteLength, max_record_bytes));
      }
      let lane = lanes.get(topic);
      if (!lane) lanes.set(topic, (lane = createLane(cluster, topic, max_record_bytes)));
      return lane.push(value);
    },
    async idle() {
      await Promise.all([...lanes.values()].map((lane) => lane.idle()));
    },
    fail(error) {
      for (const lane of lanes.values()) lane.fail(error);
    },
  };
}

type Lane = ReturnType<typeof createLane>;

function createLane(cluster: Cluster, topic: Topic, batch_bytes: number) {
  const who = {};
  let waiting: Pending[] = [];
  let in_flight: Pending[] = [];
  let most_records = BATCH_RECORDS;
  let is_running = false;
  let running = Promise.resolve();

  function nextBatch(): Pending[] {
    let bytes = 0;
    let count = 0;
    for (const { value } of waiting) {
      bytes += value.length + RECORD_OVERHEAD_BYTES;
      if (count > 0 && (bytes > batch_bytes || count >= most_records)) break;
      count += 1;
    }
    return waiting.splice(0, count);
  }

  async function send(batch: Pending[]): Promise<{ error: number; base_offset: number; message: string | null }> {
    const link = await leaderLink(cluster, "produce", topic, 0);
    const { api } = cluster.client.produceV7;
    const records = batch.map(({ value }) => ({ topic: cluster.names[topic], partition: 0, value }));
    // The broker gives up on its replicas before this side gives up on the broker.
    const broker_timeout_ms = Math.floor(cluster.request_timeout_ms * 0.9);
    const answer = await link.request(cluster.request_timeout_ms, (connection) =>
      answered(api.async(connection, -1, broker_timeout_ms, records, {})),
    );
    const result = typeof answer === "object" ? answer.responses[0]?.partitionResponses[0] : undefined;
    if (!result) throw new Error("the broker answered without a result");
    return { error: result.errorCode, base_offset: Number(result.baseOffset), message: result.errorMessage ?? null };
  }

  function settle(batch: Pending[], result: Awaited<ReturnType<typeof send>>): void {
    const [first] = batch;
    const is_too_large = result.error === KAFKA.MESSAGE_TOO_LARGE || result.error === KAFKA.RECORD_LIST_TOO_LARGE;
    if (result.error === 0) {
      batch.forEach(({ resolve }, index) => resolve(result.base_offset + index));
      most_records = Math.min(BATCH_RECORDS, most_records * 2);
    } else if ((is_too_large || FOR_GOOD.includes(result.error)) && batch.length > 1) {
      // One of them is at fault: smaller batches until it stands alone.
      most_records = Math.ceil(batch.length / 2);
      waiting = [...batch, ...waiting];
    } else if (is_too_large) {
      const limit = `the broker's limit for ${cluster.names[topic]} (max.message.bytes)`;
      const message = `a record of ${first?.value.length ?? 0} bytes is over ${limit}: make it smaller, or raise the limit`;
      first?.reject(new BusError("record_too_large", message));
    } else if (FOR_GOOD.includes(result.error)) {
      const why = result.message ?? kafkaErrorName(cluster.client, result.error);
      first?.reject(new BusError("rejected", `the broker refuses records for ${cluster.names[topic]}: ${why}`));
    } else {
      throw refused(cluster, topic, result.error);
    }
  }

  async function run(): Promise<void> {
    let attempt = 0;
    while (waiting.length > 0 || in_flight.length > 0) {
      if (in_flight.length === 0) in_flight = nextBatch();
      const batch = in_flight;
      try {
        const result = await send(batch);
        if (in_flight !== batch) continue;
        settle(batch, result);
        in_flight = [];
        attempt = 0;
        cluster.health.working(who);
      } catch (error) {
        if (cluster.closing.aborted) break;
        cluster.health.failing(who, reasonOf(error));
        await cluster.backOff(attempt++).catch(() => {});
      }
    }
    cluster.health.working(who);
    is_running = false;
  }

  return {
    push(value: Uint8Array): Promise<number> {
      const { promise, resolve, reject } = Promise.withResolvers<number>();
      waiting.push({ value: Buffer.from(value), resolve, reject });
      if (!is_running) {
        is_running = true;
        // In a later microtask: what is appended in the same turn goes as one batch.
        running = Promise.resolve().then(run);
      }
      return promise;
    },
    idle: () => running,
    fail(error: Error): void {
      for (const { reject } of [...in_flight, ...waiting]) reject(error);
      in_flight = [];
      waiting = [];
    },
  };
}
