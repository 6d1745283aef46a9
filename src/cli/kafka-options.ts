import type { Command } from "commander";
import type { KafkaBus } from "../bus/kafka.ts";
import { codeOf, messageOf, usageFailure } from "./failure.ts";
import type { Log } from "./log.ts";
import { type CommonOptions, option } from "./options.ts";
import { parseList, parsePair } from "./scalars.ts";

/** Options of whoever speaks over Kafka. */
export interface KafkaFlags extends CommonOptions {
  kafka?: string;
  kafkaTls?: boolean;
  kafkaCa?: string;
  kafkaCert?: string;
  kafkaKey?: string;
  kafkaSasl?: "plain" | "scram-sha-256" | "scram-sha-512";
  kafkaUsername?: string;
  kafkaPasswordFile?: string;
}

const MECHANISMS = { plain: "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512" } as const;

export function addKafkaOptions(command: Command): Command {
  return command
    .addOption(option("--kafka <host:port,..>", "some brokers of the cluster (KAFKA_IP works too)").default(process.env["KAFKA_IP"] || undefined))
    .addOption(option("--kafka-tls", "speak TLS with the brokers"))
    .addOption(option("--kafka-ca <file>", "certificates to trust (PEM); implies --kafka-tls"))
    .addOption(option("--kafka-cert <file>", "this client's certificate (PEM); implies --kafka-tls"))
    .addOption(option("--kafka-key <file>", "this client's private key (PEM)"))
    .addOption(option("--kafka-sasl <mechanism>", "how to log in").choices(Object.keys(MECHANISMS)))
    .addOption(option("--kafka-username <name>", "who logs in"))
    .addOption(option("--kafka-password-file <file>", "the file that holds the password"));
}

/** Connects to Kafka. Rejects with BusError. */
type ConnectKafka = (client_id: string, log: Log) => Promise<KafkaBus>;

/** How to connect as the options say, once nothing is wrong with them. Rejects with CliFailure. */
export async function kafkaOf(flags: KafkaFlags): Promise<ConnectKafka> {
  const brokers = parseList(flags.kafka ?? "");
  if (brokers.length === 0) {
    throw usageFailure("--kafka: expected HOST:PORT of at least one broker, got nothing; or use `onrush run`, which needs no Kafka");
  }
  const [topics, tls, sasl, { connectKafka }] = await Promise.all([
    topicsOf(flags),
    tlsOf(flags),
    saslOf(flags),
    import("../bus/kafka.ts"),
  ]);
  return (client_id, log) =>
    connectKafka({
      brokers,
      client_id,
      topics,
      ...(tls && { tls }),
      ...(sasl && { sasl }),
      on_status: (status) =>
        status.connected
          ? log.info("bus_connected", {}, "connected to Kafka again")
          : log.warn("bus_away", { reason: status.reason }, `Kafka does not answer (${status.reason}); trying on`),
    });
}

async function topicsOf({ topicPrefix, topic = [] }: CommonOptions) {
  const { TOPICS, topicNames } = await import("../protocol/topics.ts");
  const renamed: Record<string, string> = {};
  for (const text of topic.flatMap(parseList)) {
    const pair = parsePair(text);
    if (pair === null || pair[1] === "") throw usageFailure(`--topic: expected TOPIC=NAME, got ${JSON.stringify(text)}`);
    if (!(TOPICS as readonly string[]).includes(pair[0])) {
      throw usageFailure(`--topic: expected one of ${TOPICS.join(", ")} before the =, got ${JSON.stringify(pair[0])}`);
    }
    renamed[pair[0]] = pair[1];
  }
  return topicNames(topicPrefix ?? "", renamed);
}

async function tlsOf({ kafkaTls, kafkaCa, kafkaCert, kafkaKey }: KafkaFlags) {
  if (!kafkaTls && kafkaCa === undefined && kafkaCert === undefined && kafkaKey === undefined) return null;
  if ((kafkaCert === undefined) !== (kafkaKey === undefined)) {
    throw usageFailure("--kafka-cert and --kafka-key: expected both or neither, got one of them");
  }
  const [ca, cert, key] = await Promise.all([
    contentOf("--kafka-ca", kafkaCa),
    contentOf("--kafka-cert", kafkaCert),
    contentOf("--kafka-key", kafkaKey),
  ]);
  return { ...(ca !== null && { ca }), ...(cert !== null && { cert }), ...(key !== null && { key }) };
}

async function saslOf({ kafkaSasl, kafkaUsername, kafkaPasswordFile }: KafkaFlags) {
  if (kafkaSasl === undefined && kafkaUsername === undefined && kafkaPasswordFile === undefined) return null;
  const password = await contentOf("--kafka-password-file", kafkaPasswordFile);
  if (kafkaUsername === undefined || password === null) {
    throw usageFailure("--kafka-sasl: expected --kafka-username and --kafka-password-file with it");
  }
  return { mechanism: MECHANISMS[kafkaSasl ?? "plain"], username: kafkaUsername, password: password.replace(/\r?\n$/, "") };
}

async function contentOf(flag: string, path: string | undefined): Promise<string | null> {
  if (path === undefined) return null;
  const { readFile } = await import("node:fs/promises");
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw usageFailure(`${flag} ${path}: it cannot be read (${codeOf(error) ?? messageOf(error)})`);
  }
}
