// One broker for all test files of a run. It is started by the first test that asks for it: a run that selects no Kafka
// tests pays nothing.
import { createServer, type AddressInfo } from "node:net";
import type { TestProject } from "vitest/node";
import { missingForBroker, startBroker, type Broker } from "../../scripts/kafka-broker.ts";

/** How tests come to a broker: one that is running, one to be asked for at a local port, or why there is none. */
export type KafkaOffer = { brokers: string } | { ask_at_port: number } | { missing: string };

declare module "vitest" {
  interface ProvidedContext {
    kafka: KafkaOffer;
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  if (process.env.KAFKA_BROKERS) {
    project.provide("kafka", { brokers: process.env.KAFKA_BROKERS });
    return async () => {};
  }
  const missing = await missingForBroker();
  if (missing !== null) {
    project.provide("kafka", { missing });
    return async () => {};
  }

  let starting: Promise<Broker> | null = null;
  const server = createServer((socket) => {
    starting ??= startBroker({ session_timeout_ms: 3_000, heap_mb: 384 });
    starting.then(
      (broker) => socket.end(JSON.stringify({ brokers: broker.brokers })),
      (error: Error) => socket.end(JSON.stringify({ error: error.message })),
    );
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  project.provide("kafka", { ask_at_port: (server.address() as AddressInfo).port });
  return async () => {
    server.close();
    await starting?.then((broker) => broker.stop()).catch(() => {});
  };
}
