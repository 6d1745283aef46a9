// A Kafka broker of our own: for `npm run kafka`, and for tests.
import { spawn, execFile, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { access, constants, mkdir, mkdtemp, open, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo, type Server } from "node:net";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Connection, metadataV8 } from "@platformatic/kafka";

const POM = new URL("../kafka/pom.xml", import.meta.url).pathname;
const KAFKA_VERSION = /<kafka\.version>(.+)<\/kafka\.version>/.exec(readFileSync(POM, "utf8"))?.[1] ?? "";
const JAVA_NEEDED = 17;
const READY_MS = 60_000;
const POLL_MS = 100;

export interface BrokerOptions {
  /** 0: any free one. */
  port?: number;
  /** How long the cluster remembers a broker that was killed: only then does a restarted one serve again. */
  session_timeout_ms?: number;
  heap_mb?: number;
  /** A second listener, which lets in this user (SASL PLAIN, without TLS). */
  sasl?: { username: string; password: string };
  /** Told what is being done. */
  log?: (line: string) => void;
}

export interface Broker {
  /** HOST:PORT */
  readonly brokers: string;
  /** HOST:PORT of the listener that wants credentials; empty without `sasl`. */
  readonly sasl_brokers: string;
  readonly pid: number | undefined;
  /** Ends the process at once, as a crash would; the data stays. */
  kill9(): Promise<void>;
  /** Starts it again on the same port and data, and resolves when it serves. */
  restart(): Promise<void>;
  /** Stops the process without ending it: connections stay open, nobody answers. */
  pause(): void;
  resume(): void;
  /** Ends the process and removes the data. */
  stop(): Promise<void>;
}

/** What is missing to start a broker here, as lines to show; null when nothing is. */
export async function missingForBroker(): Promise<string | null> {
  const found = await javaVersion();
  const missing: string[] = [];
  if (found === null) missing.push(`Java ${JAVA_NEEDED} or newer (Debian: apt-get install openjdk-17-jre-headless)`);
  else if (found < JAVA_NEEDED) missing.push(`Java ${JAVA_NEEDED} or newer (this is Java ${found})`);
  if (!process.env.KAFKA_HOME && !existsSync(jarsFolder()) && !(await isOnPath("mvn"))) {
    missing.push("Maven (Debian: apt-get install maven), or KAFKA_HOME=the folder of an unpacked Kafka");
  }
  return missing.length > 0 ? `A Kafka broker needs:\n  - ${missing.join("\n  - ")}` : null;
}

/**
 * Starts a single broker (KRaft) on 127.0.0.1 with its data in a temporary folder, and resolves when it serves. It does
 * not outlive this process, however this process ends.
 */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const [broker] = await startCluster(1, options);
  if (!broker) throw new Error("no broker was started");
  return broker;
}

/** As startBroker, with several brokers that form one cluster (of three or more: at least two in-sync replicas). */
export async function startCluster(count: number, options: BrokerOptions = {}): Promise<Broker[]> {
  const missing = await missingForBroker();
  if (missing !== null) throw new Error(missing);
  const log = options.log ?? (() => {});
  const classpath = join(await jars(log), "*");
  for (let attempt = 1; ; attempt++) {
    try {
      return await startNodes(classpath, count, options, log);
    } catch (error) {
      // Another process may have taken a free port in the meantime.
      if (options.port || attempt === 3) throw error;
    }
  }
}

async function startNodes(classpath: string, count: number, options: BrokerOptions, log: (line: string) => void) {
  const ports: Ports[] = [];
  const free = await freePorts(3 * count, options.port);
  for (let i = 0; i < count; i++) {
    const [plain = 0, controller = 0, sasl = 0] = free.slice(3 * i);
    ports.push({ plain, controller, sasl });
  }
  const nodes = await Promise.all(ports.map((_, index) => createNode(classpath, ports, index, options)));
  const cluster_id = randomBytes(16).toString("base64url").replace(/^-/, "A");
  try {
    log("preparing its data folder");
    await Promise.all(nodes.map((node) => node.format(cluster_id)));
    log("starting the broker");
    await Promise.all(nodes.map((node) => node.start(count)));
  } catch (error) {
    await Promise.all(nodes.map((node) => node.broker.stop()));
    throw error;
  }
  return nodes.map((node) => node.broker);
}

async function createNode(classpath: string, cluster: Ports[], index: number, options: BrokerOptions) {
  const folder = await mkdtemp(join(tmpdir(), "onrush-kafka-"));
  const watchdog = startWatchdog(folder);
  const config = join(folder, "server.properties");
  const output = join(folder, "broker.log");
  const { plain: port = 0, sasl: sasl_port = 0 } = cluster[index] ?? {};
  await writeFile(config, properties(folder, cluster, index, options));
  let running: Running | null = null;

  async function start(brokers_wanted: number): Promise<void> {
    running = await launch(classpath, config, folder, output, options.heap_mb ?? 256);
    watchdog.watch(running.java);
    await untilServing(port, brokers_wanted, running, output);
  }

  async function kill9(): Promise<void> {
    if (!running) return;
    const { java, exited } = running;
    java.ref();
    java.kill("SIGKILL");
    await exited;
    watchdog.watch(null);
    running = null;
  }

  const broker: Broker = {
    brokers: `127.0.0.1:${port}`,
    sasl_brokers: options.sasl ? `127.0.0.1:${sasl_port}` : "",
    get pid() {
      return running?.java.pid;
    },
    kill9,
    restart: async () => {
      await kill9();
      await start(1);
    },
    pause: () => void running?.java.kill("SIGSTOP"),
    resume: () => void running?.java.kill("SIGCONT"),
    stop: async () => {
      await kill9();
      await rm(folder, { recursive: true, force: true });
      watchdog.end();
    },
  };
  return { broker, start, format: (cluster_id: string) => format(classpath, config, cluster_id, watchdog) };
}

interface Ports {
  plain: number;
  controller: number;
  sasl: number;
}

function properties(folder: string, cluster: Ports[], index: number, options: BrokerOptions): string {
  const { session_timeout_ms = 9_000, sasl } = options;
  const { plain, controller, sasl: sasl_port } = cluster[index] ?? { plain: 0, controller: 0, sasl: 0 };
  const advertised = [`PLAINTEXT://127.0.0.1:${plain}`, ...(sasl ? [`SASL://127.0.0.1:${sasl_port}`] : [])];
  const voters = cluster.map((ports, i) => `${i + 1}@127.0.0.1:${ports.controller}`);
  const replicas = Math.min(3, cluster.length);
  const in_sync = Math.min(2, Math.ceil(replicas / 2));
  const lines = [
    "process.roles=broker,controller",
    `node.id=${index + 1}`,
    `controller.quorum.voters=${voters.join(",")}`,
    `listeners=${advertised.join(",")},CONTROLLER://127.0.0.1:${controller}`,
    `advertised.listeners=${advertised.join(",")}`,
    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT",
    "controller.listener.names=CONTROLLER",
    "inter.broker.listener.name=PLAINTEXT",
    `log.dirs=${join(folder, "data")}`,
    `offsets.topic.replication.factor=${replicas}`,
    `transaction.state.log.replication.factor=${replicas}`,
    `transaction.state.log.min.isr=${in_sync}`,
    `min.insync.replicas=${in_sync}`,
    `broker.session.timeout.ms=${session_timeout_ms}`,
    `broker.heartbeat.interval.ms=${Math.floor(session_timeout_ms / 6)}`,
  ];
  if (sasl) {
    const login = "org.apache.kafka.common.security.plain.PlainLoginModule required";
    const user = `user_${sasl.username}="${sasl.password}"`;
    lines.push("listener.name.sasl.sasl.enabled.mechanisms=PLAIN");
    lines.push(`listener.name.sasl.plain.sasl.jaas.config=${login} ${user};`);
  }
  return lines.join("\n") + "\n";
}

async function format(classpath: string, config: string, cluster_id: string, watchdog: Watchdog): Promise<void> {
  const args = [...jvm(64), "-cp", classpath, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", config];
  const formatted = promisify(execFile)(java(), args);
  watchdog.watch(formatted.child);
  await formatted;
  watchdog.watch(null);
}

interface Watchdog {
  /** From now on this is the process that must not outlive us. */
  watch(child: ChildProcess | null): void;
  end(): void;
}

// Its input ends when this process does, even by kill -9: then it ends the process it watches and removes the folder.
function startWatchdog(folder: string): Watchdog {
  const script = 'while read -r line; do pid=$line; done; [ "$pid" -gt 0 ] && kill -9 "$pid"; rm -rf "$1"';
  const shell = spawn("sh", ["-c", script, "sh", folder], { stdio: ["pipe", "ignore", "ignore"], detached: true });
  shell.on("error", () => {});
  shell.stdin.on("error", () => {});
  (shell.stdin as unknown as { unref(): void }).unref();
  shell.unref();
  return {
    watch: (child) => void shell.stdin.write(`${child?.pid ?? 0}\n`),
    end: () => void shell.kill("SIGKILL"),
  };
}

interface Running {
  java: ChildProcess;
  exited: Promise<void>;
}

async function launch(classpath: string, config: string, folder: string, output: string, heap_mb: number) {
  const file = await open(output, "a");
  // Groups of their own: Ctrl-C in a terminal reaches this process alone, which then stops the broker.
  const broker = spawn(java(), [...jvm(heap_mb), "-cp", classpath, "kafka.Kafka", config], {
    stdio: ["ignore", file.fd, file.fd],
    detached: true,
    cwd: folder,
  });
  const exited = new Promise<void>((resolve) => {
    broker.once("exit", () => resolve());
    broker.once("error", () => resolve());
  });
  await file.close();
  broker.unref();
  return { java: broker, exited };
}

async function untilServing(port: number, brokers_wanted: number, { java: broker }: Running, output: string) {
  const deadline = performance.now() + READY_MS;
  while (!(await isServing(port, brokers_wanted))) {
    const has_ended = broker.pid === undefined || broker.exitCode !== null || broker.signalCode !== null;
    if (has_ended || performance.now() > deadline) {
      const tail = (await readFile(output, "utf8").catch(() => "")).split("\n").slice(-15).join("\n");
      const what = has_ended ? "ended while it started" : `did not serve within ${READY_MS / 1_000} s`;
      throw new Error(`The Kafka broker on port ${port} ${what}:\n${tail}`);
    }
    await sleep(POLL_MS);
  }
}

// It serves when it knows itself as one of the brokers: a restarted one may answer long before.
async function isServing(port: number, brokers_wanted: number): Promise<boolean> {
  const connection = new Connection("onrush-probe", { connectTimeout: 1_000, requestTimeout: 2_000 });
  connection.on("error", () => {});
  try {
    await connection.connect("127.0.0.1", port);
    const { brokers } = await metadataV8.api.async(connection, [], false);
    return brokers.length >= brokers_wanted && brokers.some((broker) => broker.port === port);
  } catch {
    return false;
  } finally {
    connection.socket?.destroy();
  }
}

function jvm(heap_mb: number): string[] {
  return [`-Xmx${heap_mb}m`, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"];
}

function java(): string {
  const home = process.env.JAVA_HOME;
  return home && existsSync(join(home, "bin", "java")) ? join(home, "bin", "java") : "java";
}

async function javaVersion(): Promise<number | null> {
  try {
    const { stderr } = await promisify(execFile)(java(), ["-version"]);
    const [, major, minor] = /version "(\d+)(?:\.(\d+))?/.exec(stderr) ?? [];
    return major === undefined ? null : Number(major === "1" ? minor : major);
  } catch {
    return null;
  }
}

async function isOnPath(program: string): Promise<boolean> {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const found = await Promise.allSettled(folders.map((folder) => access(join(folder, program), constants.X_OK)));
  return found.some(({ status }) => status === "fulfilled");
}

function jarsFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "onrush", `kafka-${KAFKA_VERSION}`);
}

// The broker's jars. Fetched into a folder of this process and renamed, so that a folder that exists is complete.
async function jars(log: (line: string) => void): Promise<string> {
  if (process.env.KAFKA_HOME) return join(process.env.KAFKA_HOME, "libs");
  const folder = jarsFolder();
  if (existsSync(folder)) return folder;
  const parent = join(folder, "..");
  await mkdir(parent, { recursive: true });
  const partial = await mkdtemp(`${folder}.partial-`);
  log(`fetching Kafka ${KAFKA_VERSION} by Maven into ${folder} (43 MB, once)`);
  const goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", `-DoutputDirectory=${partial}`];
  const progress = setInterval(() => void readdir(partial).then((done) => log(`  ${done.length} files`)), 2_000);
  try {
    await promisify(execFile)("mvn", ["-q", "-B", "-C", "-f", POM, ...goal]);
    await rename(partial, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
  } catch (error) {
    const { stdout = "", message } = error as { stdout?: string; message: string };
    throw new Error(`Maven could not fetch Kafka ${KAFKA_VERSION}:\n${stdout || message}`, { cause: error });
  } finally {
    clearInterval(progress);
    await rm(partial, { recursive: true, force: true });
  }
  return folder;
}

// All different, since each is held until the last one was found. The first may be given.
async function freePorts(count: number, first = 0): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, (_, i) => listenOn(i === 0 ? first : 0)));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}

async function listenOn(port: number): Promise<Server> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", () => reject(new Error(`Port ${port} of 127.0.0.1 is taken: choose another one with --port`)));
  server.listen(port, "127.0.0.1", resolve);
  await promise;
  return server;
}
