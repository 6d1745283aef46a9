// `npm run kafka [-- --port N]`: a Kafka broker to try things out with. Its data goes when it ends.
import { parseArgs } from "node:util";
import { missingForBroker, startBroker } from "./kafka-broker.ts";

function say(line: string): void {
  process.stdout.write(`kafka: ${line}\n`);
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(4);
}

function portOption(): string {
  try {
    return parseArgs({ options: { port: { type: "string", default: "9092" } } }).values.port;
  } catch (error) {
    return fail(`${(error as Error).message}\nUsage: npm run kafka [-- --port N]`);
  }
}

const given = portOption();
const port = Number(given);
if (!Number.isInteger(port) || port < 1 || port > 65_535) fail(`--port must be 1 to 65535, and it is "${given}"`);
const missing = await missingForBroker();
if (missing !== null) fail(missing);

let stopping = false;
// A signal while it still starts ends this process; the broker then ends by itself.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
const broker = await startBroker({ port, log: say, heap_mb: 512 }).catch((error: Error) => fail(error.message));

say(`serving at ${broker.brokers} (process ${broker.pid ?? "?"}); Ctrl-C ends it and removes its data`);
const alive = setInterval(() => {}, 60_000);
process.removeAllListeners("SIGINT").removeAllListeners("SIGTERM");
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (stopping) process.exit(1);
    stopping = true;
    say("stopping");
    void broker.stop().then(() => clearInterval(alive));
  });
}
