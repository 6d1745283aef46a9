import { hostname } from "node:os";
import { Command } from "commander";
import { couldNotRun, listenFailure } from "./failure.ts";
import { addKafkaOptions, kafkaOf, type KafkaFlags } from "./kafka-options.ts";
import { type Done, listenOf, option, repeatable, withCommonOptions } from "./options.ts";
import { parseList } from "./scalars.ts";

interface OrchestratorCommandOptions extends KafkaFlags {
  listen: string;
  id?: string;
  data?: string;
  store: boolean;
  tokenFile?: string;
  standby?: boolean;
  allowOrigin?: string[];
}

/** What is still to be appended at the end gets this long: the whole farewell is to be over within 5 s. */
const CLOSE_GRACE_MS = 500;

const EXAMPLES = `
Examples:
  onrush orchestrator --kafka 127.0.0.1:9092
  onrush orchestrator --kafka a:9093,b:9093 --kafka-tls --kafka-sasl scram-sha-512 --kafka-username onrush --kafka-password-file pw
  onrush orchestrator --kafka a:9092 --listen 0.0.0.0:7070 --token-file token
  onrush orchestrator --kafka a:9092 --standby        (on two machines or more: one leads, the others take over)`;

/** `onrush orchestrator`: the one that decides, with its HTTP API. */
export function orchestratorCommand(done: Done): Command {
  const command = new Command("orchestrator")
    .summary("start the orchestrator of a system")
    .description("Starts the orchestrator of a system: it speaks with its drivers over Kafka, and serves the HTTP API.");
  addKafkaOptions(command)
    .addOption(option("--listen <host:port>", "where the HTTP API listens").default("127.0.0.1:7070"))
    .addOption(option("--id <id>", "what this orchestrator is called (HOST-PID)"))
    .addOption(option("--data <dir>", "where results are kept (the user's data folder)"))
    .addOption(option("--no-store", "keep nothing"))
    .addOption(option("--token-file <file>", "the token that requests must bear; needed to listen beyond this machine"))
    .addOption(repeatable("--allow-origin <origin>", "a web page's origin that may use the API (repeatable)"))
    .addOption(option("--standby", "follow, and take over when the leader dies; without it, exit when another one leads"))
    .addHelpText("after", EXAMPLES)
    .action(async (options: OrchestratorCommandOptions) => {
      await serve(options);
      done({});
    });
  return withCommonOptions(command);
}

async function serve(options: OrchestratorCommandOptions): Promise<void> {
  const { host, port } = listenOf(options.listen);
  const [{ openLog }, { untilSignal }, { openServiceStore }, { readToken }] = await Promise.all([
    import("./log.ts"),
    import("./signals.ts"),
    import("./data-store.ts"),
    import("./client.ts"),
  ]);
  const { standby = false } = options;
  const token = options.tokenFile === undefined ? undefined : await readToken(options.tokenFile);
  const { checkExposure } = await import("../orchestrator/exposure.ts");
  checkExposure(host, token);
  const connectKafka = await kafkaOf(options);
  const node_id = options.id ?? `${hostname()}-${process.pid}`;
  const log = await openLog("orchestrator", options.logLevel ?? "info");
  const { store, path } = openServiceStore(options.data, options.store, log);
  const bus = await connectKafka(`onrush-orchestrator-${node_id}`, log);
  const [{ startOrchestrator }, { startServer }] = await Promise.all([
    import("../orchestrator/orchestrator.ts"),
    import("../orchestrator/server.ts"),
  ]);
  const stopped = untilSignal();
  const orchestrator = await startOrchestrator({ bus, node_id, store, log, standby });
  const deposed = new Promise<{ owner: string; term: number }>((resolve) => orchestrator.onDeposed(resolve));
  const closeAll = async () => {
    await orchestrator.close();
    await bus.close(CLOSE_GRACE_MS);
    store?.close();
  };
  const server = await startServer({
    orchestrator,
    store,
    host,
    port,
    ...(token !== undefined && { token }),
    allow_origins: (options.allowOrigin ?? []).flatMap(parseList),
    log,
  }).catch(async (error: unknown) => {
    await closeAll();
    throw listenFailure(error, options.listen) ?? error;
  });
  process.stdout.write(`orchestrator ${node_id} listening: ${server.url} (data: ${path ?? "none"})\n`);
  const end = await Promise.race([stopped, ...(standby ? [] : [deposed])]);
  if (typeof end === "string") log.info("stopping", { signal: end }, `${end}: stopping; once more ends it at once`);
  await server.close();
  await closeAll();
  if (typeof end === "string") return;
  throw couldNotRun("leadership_lost", `${end.owner} has taken over as of term ${end.term}; start this one with --standby to have it wait instead`);
}
