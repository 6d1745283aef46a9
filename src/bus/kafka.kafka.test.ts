import { createServer, type Socket } from "node:net";
import * as client from "@platformatic/kafka";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { describeKafka, sharedBrokers, startBroker, startCluster, uniquePrefix, type Broker } from "../../tests/kafka/broker.ts";
import { topicNames, type TopicNames } from "../protocol/topics.ts";
import type { BusStatus } from "./bus.ts";
import { connectKafka, type KafkaBus, type KafkaOptions } from "./kafka.ts";
import { parseAddress } from "./kafka/link.ts";
import { busContract, readInto } from "./testing/contract.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const opened: { close(): Promise<void> }[] = [];

async function connect(options: Partial<KafkaOptions> & { brokers: readonly string[]; topics: TopicNames }) {
  const bus = await connectKafka({ client_id: "onrush-test", ...options });
  opened.push({ close: () => bus.close(0) });
  return bus;
}

// A connection of somebody else's client.
async function foreign(broker: string): Promise<client.Connection> {
  const connection = new client.Connection("foreign");
  const { host, port } = parseAddress(broker);
  await connection.connect(host, port);
  opened.push({ close: () => connection.close() });
  return connection;
}

async function createTopic(broker: string, name: string, partitions: number): Promise<void> {
  const topic = { name, numPartitions: partitions, replicationFactor: 1, assignments: [], configs: [] };
  await client.createTopicsV4.api.async(await foreign(broker), [topic], 5_000, false);
}

function produce(connection: client.Connection, topic: string, partition: number, values: string[], compression?: "gzip") {
  const records = values.map((value) => ({ topic, partition, value: Buffer.from(value) }));
  return client.produceV7.api.async(connection, -1, 5_000, records, { compression });
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
});

describeKafka("Kafka", () => {
  let brokers: string[];
  beforeAll(async () => {
    brokers = (await sharedBrokers()).split(",");
  });

  busContract("contract", async () => {
    const topics = topicNames(uniquePrefix());
    const max_record_bytes = 100_000;
    const all: KafkaBus[] = [];
    const admin = new client.Connection("admin");
    const { host, port } = parseAddress(brokers[0]!);
    await admin.connect(host, port);
    return {
      max_record_bytes,
      async connect() {
        const bus = await connectKafka({ brokers, client_id: "contract", topics, max_record_bytes });
        all.push(bus);
        return bus;
      },
      async forget(topic, before) {
        const asked = [{ name: topics[topic], partitions: [{ partitionIndex: 0, offset: BigInt(before) }] }];
        await client.deleteRecordsV2.api.async(admin, asked, 5_000);
      },
      async close() {
        await Promise.all(all.map((bus) => bus.close(0)));
        await admin.close();
      },
    };
  });

  test("many nodes at once create the topics, with their settings", async () => {
    const topics = topicNames(uniquePrefix(), { metrics: uniquePrefix() + "my.metrics" });
    const buses = await Promise.all(Array.from({ length: 8 }, () => connect({ brokers, topics })));
    for (const bus of buses) expect(bus.status()).toEqual({ connected: true });
    const connection = await foreign(brokers[0]!);
    const resources = [topics.control, topics.heartbeat, topics.metrics].map((resourceName) => ({
      resourceType: client.ConfigResourceTypes.TOPIC,
      resourceName,
      configurationKeys: ["retention.ms", "cleanup.policy"],
    }));
    const answer = await client.describeConfigsV4.api.async(connection, resources, false, false);
    const settings = answer.results.map(({ configs }) => Object.fromEntries(configs.map(({ name, value }) => [name, value])));
    expect(settings).toEqual([
      { "retention.ms": "-1", "cleanup.policy": "delete" },
      { "retention.ms": "3600000", "cleanup.policy": "delete" },
      { "retention.ms": "604800000", "cleanup.policy": "delete" },
    ]);
  });

  test("a topic with three partitions is read whole, and written at partition 0", async () => {
    const topics = topicNames(uniquePrefix());
    await createTopic(brokers[0]!, topics.metrics, 3);
    const bus = await connect({ brokers, topics });
    const reading = await readInto(bus, "metrics", "earliest");
    const connection = await foreign(brokers[0]!);
    for (const partition of [0, 1, 2]) await produce(connection, topics.metrics, partition, [`a${partition}`, `b${partition}`]);
    expect(await bus.append("metrics", encode("mine"))).toBe(2);
    expect(await bus.end("metrics")).toEqual([3, 2, 2]);
    await reading.subscription.caughtUp();
    const of = (partition: number) =>
      reading.records.filter((record) => record.partition === partition).map((record) => Buffer.from(record.value!).toString());
    expect([of(0), of(1), of(2)]).toEqual([["a0", "b0", "mine"], ["a1", "b1"], ["a2", "b2"]]);
    const part = await readInto(bus, "metrics", [2, 1]);
    await part.subscription.caughtUp();
    expect(part.values().sort()).toEqual(["a2", "b1", "b2", "mine"]);
  });

  test("control with more than one partition is refused, and so are impossible names", async () => {
    const topics = topicNames(uniquePrefix());
    await createTopic(brokers[0]!, topics.control, 2);
    const refused = connect({ brokers, topics });
    await expect(refused).rejects.toMatchObject({ code: "bad_topic", message: expect.stringContaining("exactly one partition") });
    const spaced = connect({ brokers, topics: topicNames("a b") });
    await expect(spaced).rejects.toMatchObject({ code: "bad_topic", message: expect.stringContaining("a b") });
    const same = connect({ brokers, topics: topicNames("", { metrics: "x", control: "x" }) });
    await expect(same).rejects.toMatchObject({ code: "bad_topic" });
  });

  test("compressed batches, tombstones and transaction markers block nobody", async () => {
    const topics = topicNames(uniquePrefix());
    const bus = await connect({ brokers, topics });
    const connection = await foreign(brokers[0]!);
    const reading = await readInto(bus, "register", "earliest");
    await produce(connection, topics.register, 0, ["z1", "z2", "z3"], "gzip");
    const tombstone = { topic: topics.register, key: Buffer.from("k"), value: null as unknown as Buffer };
    await client.produceV7.api.async(connection, -1, 5_000, [tombstone], {});
    const producer = new client.Producer({
      clientId: "foreign",
      bootstrapBrokers: brokers,
      idempotent: true,
      transactionalId: topics.register,
      serializers: client.stringSerializers,
    });
    opened.push({ close: () => producer.close() });
    const transaction = await producer.beginTransaction();
    await transaction.send({ messages: [{ topic: topics.register, value: "aborted" }] });
    await transaction.abort();
    await bus.append("register", encode("end"));
    await reading.subscription.caughtUp();
    expect(reading.records.map((record) => record.value && Buffer.from(record.value).toString())).toEqual([
      "z1", "z2", "z3", null, "aborted", "end",
    ]);
    expect(bus.skipped_records()).toBe(0);
    const middle = await readInto(bus, "register", [1]);
    await middle.subscription.caughtUp();
    expect(middle.records[0]?.offset).toBe(1);
  });

  test("a record over the broker's own limit is refused, its neighbours are not", async () => {
    const topics = topicNames(uniquePrefix());
    const configs = [{ name: "max.message.bytes", value: "2000" }];
    const topic = { name: topics.metrics, numPartitions: 1, replicationFactor: 1, assignments: [], configs };
    await client.createTopicsV4.api.async(await foreign(brokers[0]!), [topic], 5_000, false);
    const bus = await connect({ brokers, topics });
    const sizes = [500, 600, 5_000, 700, 800, 900, 400];
    const results = await Promise.allSettled(sizes.map((size) => bus.append("metrics", new Uint8Array(size))));
    expect(results.map((result) => (result.status === "fulfilled" ? result.value : (result.reason as { code: string }).code))).toEqual([
      0, 1, "record_too_large", 2, 3, 4, 5,
    ]);
    const reading = await readInto(bus, "metrics", "earliest");
    await reading.subscription.caughtUp();
    expect(reading.records.map((record) => record.value?.length)).toEqual([500, 600, 700, 800, 900, 400]);
  });

  test("the log's clock stamps the records of topics that were created here", async () => {
    const bus = await connect({ brokers, topics: topicNames(uniquePrefix()) });
    const before = Date.now();
    const reading = await readInto(bus, "metrics", "end");
    await bus.append("metrics", encode("x"));
    await reading.subscription.caughtUp();
    expect(Math.abs(reading.records[0]!.timestamp_ms - before)).toBeLessThan(60_000);
  });
});

describe("Kafka away from the start", () => {
  test("no broker: unreachable within the time given, naming the brokers", async () => {
    const refused = connect({ brokers: ["127.0.0.1:1"], topics: topicNames(), connect_timeout_ms: 300 });
    const error = { code: "unreachable", message: expect.stringContaining("127.0.0.1:1") };
    await expect(refused).rejects.toMatchObject(error);
  });

  test("something that never answers, or answers rubbish, is unreachable too", async () => {
    for (const reply of [null, "HTTP/1.1 400 Bad Request\r\n\r\n"]) {
      const sockets: Socket[] = [];
      const server = createServer((socket) => {
        sockets.push(socket);
        socket.on("error", () => {});
        socket.resume();
        if (reply) socket.end(reply);
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as { port: number };
      const refused = connect({ brokers: [`127.0.0.1:${port}`], topics: topicNames(), connect_timeout_ms: 400 });
      await expect(refused).rejects.toMatchObject({ code: "unreachable" });
      await expect.poll(() => sockets.every((socket) => socket.destroyed)).toBe(true);
      server.close();
    }
  });

  test("addresses that are none are refused", async () => {
    for (const bad of ["", "host:0", "host:99999", "http://host:1", "a b:1"]) {
      await expect(connect({ brokers: [bad], topics: topicNames() })).rejects.toMatchObject({ code: "bad_broker_address" });
    }
    expect(parseAddress("[::1]:9093")).toEqual({ host: "::1", port: 9093 });
    expect(parseAddress("kafka")).toEqual({ host: "kafka", port: 9092 });
  });
});

describeKafka(
  "Kafka with three brokers",
  () => {
    test("the leader is killed: nothing acknowledged is lost, all in order", async () => {
      const nodes = await startCluster(3, { session_timeout_ms: 2_000 });
      try {
        const topics = topicNames(uniquePrefix());
        const brokers = nodes.map((node) => node.brokers);
        const bus = await connect({ brokers, topics });
        const reading = await readInto(bus, "metrics", "end");
        const appended: Promise<number>[] = [];
        for (let i = 0; i < 100; i++) appended.push(bus.append("metrics", encode(String(i))));
        await appended[50];
        const described = await client.metadataV8.api.async(await foreign(brokers[0]!), [topics.metrics], false);
        const [partition] = described.topics[0]!.partitions;
        expect(partition!.replicaNodes.length).toBe(3);
        await nodes[partition!.leaderId - 1]!.kill9();
        for (let i = 100; i < 200; i++) appended.push(bus.append("metrics", encode(String(i))));
        const offsets = await Promise.all(appended);
        await reading.subscription.caughtUp();
        const seen = new Map(reading.records.map((record) => [record.offset, Buffer.from(record.value!).toString()]));
        expect(offsets.map((offset) => seen.get(offset))).toEqual(offsets.map((_, i) => String(i)));
        expect([...new Set(reading.values())]).toEqual(offsets.map((_, i) => String(i)));
        await expect.poll(() => bus.status().connected, { timeout: 20_000 }).toBe(true);
      } finally {
        await Promise.all(nodes.map((node) => node.stop()));
      }
    }, 90_000);
  },
  { own_broker: true },
);

describeKafka(
  "Kafka with a broker that dies",
  () => {
    let broker: Broker;
    beforeAll(async () => {
      broker = await startBroker({ session_timeout_ms: 2_000, sasl: { username: "onrush", password: "right" } });
      return () => broker.stop();
    });

    test("kill -9 in the middle: 300 appends acknowledged, all present, in order, and seen by a subscriber", async () => {
      const topics = topicNames(uniquePrefix());
      const statuses: BusStatus[] = [];
      const bus = await connect({ brokers: [broker.brokers], topics, on_status: (status) => statuses.push(status) });
      const reading = await readInto(bus, "metrics", "end");
      const offsets: Promise<number>[] = [];
      for (let i = 0; i < 150; i++) offsets.push(bus.append("metrics", encode(String(i))));
      await offsets[0];
      for (let i = 150; i < 200; i++) offsets.push(bus.append("metrics", encode(String(i))));
      await broker.kill9();
      for (let i = 200; i < 300; i++) offsets.push(bus.append("metrics", encode(String(i))));
      await expect.poll(() => bus.status().connected, { timeout: 10_000 }).toBe(false);
      await broker.restart();
      const acknowledged = await Promise.all(offsets);
      await reading.subscription.caughtUp();
      const seen = new Map(reading.records.map((record) => [record.offset, Buffer.from(record.value!).toString()]));
      expect(acknowledged.map((offset) => seen.get(offset))).toEqual(acknowledged.map((_, i) => String(i)));
      const first_of_each = [...new Set(reading.values())];
      expect(first_of_each).toEqual(acknowledged.map((_, i) => String(i)));
      await expect.poll(() => bus.status().connected, { timeout: 20_000 }).toBe(true);
      expect(statuses.map((status) => status.connected).slice(0, 2)).toEqual([false, true]);
      const replay = await readInto(bus, "metrics", "earliest");
      await replay.subscription.caughtUp();
      expect(replay.values()).toEqual(reading.values());
    }, 60_000);

    test("the right credentials are let in, wrong ones are auth_failed, none are unreachable", async () => {
      const brokers = [broker.sasl_brokers];
      const topics = topicNames(uniquePrefix());
      const credentials = { mechanism: "PLAIN" as const, username: "onrush", password: "right" };
      const bus = await connect({ brokers, topics, sasl: credentials });
      expect(await bus.append("control", encode("x"))).toBe(0);
      const wrong = connect({ brokers, topics, sasl: { ...credentials, password: "wrong-secret" } });
      const error = await wrong.catch((reason: unknown) => reason as Error);
      expect(error).toMatchObject({ code: "auth_failed" });
      expect((error as Error).message).not.toMatch(/wrong-secret|\n/);
      const none = connect({ brokers, topics, connect_timeout_ms: 500 });
      await expect(none).rejects.toMatchObject({ code: "unreachable", message: expect.stringContaining("SASL") });
    });

    test("a broker that stalls is given up and connected to again", async () => {
      const topics = topicNames(uniquePrefix());
      const bus = await connect({ brokers: [broker.brokers], topics, request_timeout_ms: 1_000 });
      const reading = await readInto(bus, "metrics", "end");
      broker.pause();
      const appended = bus.append("metrics", encode("through"));
      await expect.poll(() => bus.status().connected, { timeout: 10_000 }).toBe(false);
      broker.resume();
      await appended;
      await reading.subscription.caughtUp();
      expect(new Set(reading.values())).toEqual(new Set(["through"]));
    }, 60_000);

    test("close is bounded with the broker gone, and what waits is rejected", async () => {
      const bus = await connect({ brokers: [broker.brokers], topics: topicNames(uniquePrefix()) });
      const reading = await readInto(bus, "metrics", "end");
      await broker.kill9();
      const appended = bus.append("metrics", encode("never")).catch((error: unknown) => error);
      const asked = bus.end("metrics").catch((error: unknown) => error);
      const catching_up = reading.subscription.caughtUp().catch((error: unknown) => error);
      await expect.poll(() => bus.status().connected, { timeout: 10_000 }).toBe(false);
      await bus.close(100);
      for (const outcome of [appended, asked, catching_up]) expect(await outcome).toMatchObject({ code: "closed" });
      await broker.restart();
    }, 60_000);
  },
  { own_broker: true },
);
