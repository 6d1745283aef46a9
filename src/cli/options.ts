import { Option, type Command } from "commander";
import type { Outcome } from "./exit-code.ts";
import { usageFailure } from "./failure.ts";
import { LOG_LEVELS, type LogLevel } from "./log.ts";
import { parseHostPort, parsePair, type HostPort } from "./scalars.ts";

/** How a subcommand says how it came out. */
export type Done = (outcome: Outcome) => void;

/** Options that every subcommand has. */
export interface CommonOptions {
  topicPrefix?: string;
  topic?: string[];
  logLevel?: LogLevel;
}

/**
 * An option that its ONRUSH_ variable sets too (--total-rate: ONRUSH_TOTAL_RATE). An empty variable, and for a switch
 * one that says no, are as good as none.
 */
export function option(flags: string, description: string): Option {
  const made = new Option(flags, description);
  const name = `ONRUSH_${(made.long ?? "").replace(/^--/, "").replaceAll("-", "_").toUpperCase()}`;
  const value = process.env[name];
  const is_switch = !made.required && !made.optional;
  const unset = value === "" || (is_switch && ["0", "false", "no", "off"].includes(value?.toLowerCase() ?? ""));
  return unset ? made : made.env(name);
}

/** An option that may be given several times; its variable holds one value each line. */
export function repeatable(flags: string, description: string): Option {
  const made = option(flags, description);
  return made.argParser((value: string, before: string[] | undefined) => {
    if (before !== undefined) return [...before, value];
    const from_variable = made.envVar !== undefined && value === process.env[made.envVar];
    return from_variable ? value.split("\n").filter((line) => line !== "") : [value];
  });
}

/** Gives a subcommand the options that all of them have. */
export function withCommonOptions(command: Command): Command {
  return command
    .addOption(option("--topic-prefix <text>", "put before every topic's name; separates systems on one cluster"))
    .addOption(repeatable("--topic <topic=name>", "what one topic is called (repeatable)"))
    .addOption(option("--log-level <level>", "how much is logged").choices(LOG_LEVELS))
    .configureHelp({ optionDescription: describe })
    .allowExcessArguments(false);
}

/** What help says of an option: not its variable, which all have. */
function describe({ description, argChoices, defaultValue }: Option): string {
  const parts = [description];
  if (argChoices) parts.push(`(${argChoices.join(", ")})`);
  if (typeof defaultValue === "string") parts.push(`(${defaultValue})`);
  return parts.join(" ");
}

/** The value of --listen. @throws {CliFailure} usage */
export function listenOf(text: string): HostPort {
  const address = parseHostPort(text);
  if (address === null) throw usageFailure(`--listen: expected HOST:PORT, got ${JSON.stringify(text)}`);
  return address;
}

/** The values of --label. @throws {CliFailure} usage */
export function labelsOf(texts: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const text of texts) {
    const pair = parsePair(text);
    if (pair === null) throw usageFailure(`--label: expected key=value, got ${JSON.stringify(text)}`);
    labels[pair[0]] = pair[1];
  }
  return labels;
}
