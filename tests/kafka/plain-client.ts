// A node in plain common format, as somebody else would write it: a Kafka client, JSON, and nothing of Onrush.
import { setTimeout as sleep } from "node:timers/promises";
import { Consumer, Producer, stringSerializers } from "@platformatic/kafka";

/** One record of a topic, in the order in which the broker has them. */
export interface Heard {
  topic: string;
  /** The producer's clock, ms. */
  timestamp_ms: number;
  value: Record<string, unknown>;
}

export interface PlainClient {
  /** Resolves once the broker has it. A text is sent as it is. */
  say(topic: string, value: object | string): Promise<void>;
  /** All that the topic holds until now, from its first record on. */
  heard(topic: string): readonly Heard[];
  close(): Promise<void>;
}

interface Reader {
  topic: string;
  consumer: Consumer;
  next: { offset: bigint };
}

const BACK_OFF_MS = 200;

/** Connects, and reads some topics (which exist, with one partition) from their beginning. `onRecord` must not throw. */
export async function connectPlain(brokers: string, topics: string[], onRecord: (record: Heard) => void = () => {}): Promise<PlainClient> {
  const common = { clientId: "plain", bootstrapBrokers: brokers.split(",") };
  const producer = new Producer({ ...common, serializers: stringSerializers });
  const heard = new Map<string, Heard[]>(topics.map((topic) => [topic, []]));
  let closed = false;

  // Without a group: its first member would have to wait until the broker has made the groups' own topic.
  async function read({ topic, consumer, next }: Reader, known: Heard[]): Promise<void> {
    const { topics: found } = await consumer.metadata({ topics: [topic] });
    const { id, partitions } = found.get(topic)!;
    while (!closed) {
      const position = { partition: 0, currentLeaderEpoch: -1, fetchOffset: next.offset, lastFetchedEpoch: -1, partitionMaxBytes: 1 << 20 };
      const { responses } = await consumer.fetch({
        node: partitions[0]!.leader,
        topics: [{ topicId: id, partitions: [position] }],
        minBytes: 1,
        maxWaitTime: 250,
      });
      for (const batch of responses.flatMap((one) => one.partitions).flatMap((one) => one.records ?? [])) {
        for (const { offsetDelta, timestampDelta, value } of batch.records) {
          const offset = batch.firstOffset + BigInt(offsetDelta);
          if (offset < next.offset) continue;
          next.offset = offset + 1n;
          const record = { topic, timestamp_ms: Number(batch.firstTimestamp + timestampDelta), value: objectOf(String(value)) };
          known.push(record);
          onRecord(record);
        }
      }
    }
  }

  const readers = topics.map((topic): Reader => ({ topic, consumer: new Consumer({ ...common, groupId: "none" }), next: { offset: 0n } }));
  const reading = readers.map(async (reader) => {
    while (!closed) await read(reader, heard.get(reader.topic)!).catch(() => sleep(BACK_OFF_MS));
  });
  return {
    say: async (topic, value) => {
      await producer.send({ messages: [{ topic, value: typeof value === "string" ? value : JSON.stringify(value) }] });
    },
    heard: (topic) => heard.get(topic) ?? [],
    close: async () => {
      closed = true;
      await Promise.all(reading);
      await Promise.all(readers.map(({ consumer }) => consumer.close(true)));
      await producer.close();
    },
  };
}

function objectOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
