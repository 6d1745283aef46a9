// What test files with the name *.kafka.test.ts use.
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { describe, inject, test } from "vitest";

export { startBroker, startCluster, type Broker } from "../../scripts/kafka-broker.ts";

/**
 * A suite that needs a Kafka broker. Without Java or Maven it is skipped, saying so; with CI=true that is a failure.
 * `own_broker`: it kills brokers, so it is skipped too where KAFKA_BROKERS names somebody's cluster.
 */
export function describeKafka(name: string, define: () => void, options: { own_broker?: boolean } = {}): void {
  const offer = inject("kafka");
  if ("missing" in offer && process.env.CI === "true") {
    test(`${name}: a broker can be started`, () => {
      throw new Error(offer.missing);
    });
    return;
  }
  const skipped =
    "missing" in offer
      ? offer.missing
      : options.own_broker && "brokers" in offer
        ? "it kills brokers, and KAFKA_BROKERS is somebody's cluster"
        : null;
  if (skipped !== null) process.stderr.write(`SKIPPED: ${name}. ${skipped}\n`);
  describe.skipIf(skipped !== null)(name, define);
}

/** HOST:PORT[,HOST:PORT] of the broker that all tests of this run share. */
export async function sharedBrokers(): Promise<string> {
  const offer = inject("kafka");
  if ("brokers" in offer) return offer.brokers;
  if ("missing" in offer) throw new Error(offer.missing);
  const socket = connect(offer.ask_at_port, "127.0.0.1");
  const answer = JSON.parse(await text(socket)) as { brokers?: string; error?: string };
  if (answer.brokers === undefined) throw new Error(answer.error ?? "no broker");
  return answer.brokers;
}

/** A topic prefix that nobody else uses. */
export function uniquePrefix(): string {
  return `test-${randomUUID().slice(0, 8)}.`;
}
