import { hostname, networkInterfaces } from "node:os";
import { Command } from "commander";
import { couldNotRun, usageFailure } from "./failure.ts";
import { addKafkaOptions, kafkaOf, type KafkaFlags } from "./kafka-options.ts";
import { type Done, labelsOf, option, repeatable, withCommonOptions } from "./options.ts";
import { parseDurationMs, parseList, parseNumber } from "./scalars.ts";

interface DriverCommandOptions extends KafkaFlags {
  orchestrator?: string;
  id?: string;
  target?: string;
  allow?: string[];
  workers?: string;
  listen?: string;
  data?: string;
  label?: string[];
  maxRate?: string;
  maxDuration?: string;
}

/** What is still to be appended at the end gets this long: the whole farewell is to be over within 5 s. */
const CLOSE_GRACE_MS = 500;

const EXAMPLES = `
Examples:
  onrush driver --kafka 127.0.0.1:9092
  onrush driver --kafka 127.0.0.1:9092 --id left --label site=berlin --allow '*.staging.example.com'
Without --allow it may hit loopback and private networks, and what --target names.`;

/** `onrush driver`: one node that sends requests. */
export function driverCommand(done: Done): Command {
  const command = new Command("driver")
    .summary("start a driver of a system")
    .description("Starts a driver: it registers over Kafka and sends what the system's tests ask of it.");
  addKafkaOptions(command)
    .addOption(
      option("--orchestrator <host:port>", "only shown: nothing is dialled (ORCHESTRATOR_IP works too)").default(
        process.env["ORCHESTRATOR_IP"] || undefined,
      ),
    )
    .addOption(option("--id <id>", "what this driver is called (HOST-PID)"))
    .addOption(
      option("--target <url>", "what tests hit that name no target (TARGET_URL works too)").default(process.env["TARGET_URL"] || undefined),
    )
    .addOption(repeatable("--allow <host,..>", "what it may hit: host, host:port, *.domain, 10.0.0.0/8, unix (repeatable)"))
    .addOption(option("--workers <n>", "load threads at most, whatever a test asks for (by cores and rate)"))
    .addOption(repeatable("--label <key=value>", "shown with this driver (repeatable)"))
    .addOption(option("--max-rate <rps>", "refuse tests that ask for more of this driver"))
    .addOption(option("--max-duration <time>", "refuse tests that take longer"))
    .addOption(option("--data <dir>", "where results are kept until they are acknowledged (the user's data folder)"))
    .addOption(option("--listen <host:port>", "serve this driver's own figures (not in this version)"))
    .addHelpText("after", EXAMPLES)
    .action(async (options: DriverCommandOptions) => {
      await serve(options);
      done({});
    });
  return withCommonOptions(command);
}

async function serve(options: DriverCommandOptions): Promise<void> {
  const [{ NODE_ID_PATTERN }, { parseAllow }] = await Promise.all([import("../plan/ids.ts"), import("../driver/allow.ts")]);
  if (options.listen !== undefined) throw usageFailure("--listen: this version's drivers do not listen; leave it out");
  const node_id = options.id ?? `${hostname()}-${process.pid}`;
  if (!NODE_ID_PATTERN.test(node_id)) {
    throw usageFailure(`--id: expected 1 to 128 characters of A-Z a-z 0-9 . _ : -, got ${JSON.stringify(node_id)}`);
  }
  const { target } = options;
  if (target !== undefined && !(URL.canParse(target) && /^https?:/.test(target))) {
    throw usageFailure(`--target: expected an http:// or https:// URL, got ${JSON.stringify(target)}`);
  }
  const allow = (options.allow ?? []).flatMap(parseList);
  parseAllow(allow);
  const labels = labelsOf(options.label ?? []);
  const caps = capsOf(options);
  const workers = workersOf(options);
  const connectKafka = await kafkaOf(options);

  const [{ openLog }, { onSignal }, { prepareDataDir }] = await Promise.all([
    import("./log.ts"),
    import("./signals.ts"),
    import("./data-dir.ts"),
  ]);
  const log = await openLog("driver", options.logLevel ?? "info");
  const data = prepareDataDir(options.data);
  if (data.problem !== null) {
    if (options.data !== undefined) throw couldNotRun("no_store", `--data: ${data.problem}`);
    log.warn("no_store", {}, `results are not kept over a restart: ${data.problem}`);
  }
  const bus = await connectKafka(`onrush-driver-${node_id}`, log);
  const { startDriver } = await import("../driver/driver.ts");
  const driver = startDriver({
    bus,
    node_id,
    node_ip: ownAddress(),
    labels,
    ...(target !== undefined && { target }),
    allow,
    ...(data.problem === null && { data_dir: data.path }),
    caps,
    ...(workers !== undefined && { workers }),
    log,
  });
  const shown = options.orchestrator === undefined ? "" : `, orchestrator ${options.orchestrator} (only shown)`;
  process.stdout.write(`driver ${node_id} started: Kafka ${options.kafka ?? ""}${shown}\n`);
  onSignal((signal) => {
    log.info("stopping", { signal }, `${signal}: leaving; once more ends it at once`);
    void driver.leave();
  });
  const { code } = await driver.stopped;
  await bus.close(CLOSE_GRACE_MS);
  if (code !== 0) throw couldNotRun("driver_ended", `driver ${node_id} ended: ${REASONS[code] ?? "it broke, see its log"}`);
}

const REASONS: Record<number, string> = { 4: "another driver took its name; start it with another --id" };

function capsOf({ maxRate, maxDuration }: DriverCommandOptions) {
  const max_rate_rps = maxRate === undefined ? undefined : parseNumber(maxRate);
  if (max_rate_rps === null || (max_rate_rps ?? 1) <= 0) {
    throw usageFailure(`--max-rate: expected a number above 0, got ${JSON.stringify(maxRate)}`);
  }
  const max_duration_ms = maxDuration === undefined ? undefined : parseDurationMs(maxDuration);
  if (max_duration_ms === null || (max_duration_ms ?? 1) <= 0) {
    throw usageFailure(`--max-duration: expected a duration such as 10m, got ${JSON.stringify(maxDuration)}`);
  }
  return { ...(max_rate_rps !== undefined && { max_rate_rps }), ...(max_duration_ms !== undefined && { max_duration_ms }) };
}

function workersOf({ workers }: DriverCommandOptions): number | undefined {
  const number = workers === undefined ? undefined : parseNumber(workers);
  if (number === null || (number !== undefined && (number < 1 || !Number.isInteger(number)))) {
    throw usageFailure(`--workers: expected a whole number above 0, got ${JSON.stringify(workers)}`);
  }
  return number;
}

/** The first address of this machine that others could reach; else loopback. */
function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ internal, family }) => !internal && family === "IPv4")?.address ?? "127.0.0.1";
}
