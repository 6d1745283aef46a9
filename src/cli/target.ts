import { Command } from "commander";
import { TARGET_FLAGS, targetOptions, type TargetFlags } from "../target/options.ts";
import { listenFailure } from "./failure.ts";
import { type CommonOptions, type Done, option, withCommonOptions } from "./options.ts";

interface TargetCommandOptions extends CommonOptions {
  listen?: string;
  delay?: string;
  stall?: string;
  errorRate?: string;
}

/** `onrush target`: the test server. */
export function targetCommand(done: Done): Command {
  const command = new Command("target")
    .summary("start the test server: something to hit")
    .description("Starts the test server: GET /ping answers pong, GET /metrics its own counters, anything else 404.")
    .addHelpText("after", "\nExample:\n  onrush target --delay 20ms --error-rate 1%");
  for (const { name, value, default: preset, description } of TARGET_FLAGS) {
    command.addOption(option(`--${name} <${value}>`, preset === undefined ? description : `${description} (${preset})`));
  }
  command.action(async (options: TargetCommandOptions) => {
    const { listen, delay, stall, errorRate } = options;
    const given = { listen, delay, stall, "error-rate": errorRate };
    const flags = Object.fromEntries(Object.entries(given).filter(([, text]) => text !== undefined)) as TargetFlags;
    await serve(flags);
    done({});
  });
  return withCommonOptions(command);
}

async function serve(flags: TargetFlags): Promise<void> {
  const [{ startTarget }, { untilSignal }] = await Promise.all([import("../target/target.ts"), import("./signals.ts")]);
  const options = targetOptions(flags);
  const shown = `${options.host}:${options.port}`;
  const target = await startTarget(options).catch((error: unknown) => {
    throw listenFailure(error, shown) ?? error;
  });
  process.stdout.write(`target listening: ${target.url}/ping (counters: ${target.url}/metrics)\n`);
  await untilSignal();
  const { requests_received, responses_sent } = target.counters();
  await target.close();
  process.stdout.write(`target stopped: ${requests_received} requests received, ${responses_sent} answers sent\n`);
}
