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

/** Values of an option that may be given several times; from the environment: one each line. */
export function collect(value: string, before: string[] | undefined): string[] {
  const lines = value.split("\n").filter((line) => line !== "");
  return [...(before ?? []), ...lines];
}

/** Gives a subcommand the common options, and every option its ONRUSH_ variable. */
export function withCommonOptions(command: Command, env: NodeJS.ProcessEnv = process.env): Command {
  command
    .addOption(new Option("--topic-prefix <text>", "put before every topic's name; separates systems on one cluster"))
    .addOption(new Option("--topic <topic=name>", "what one topic is called (repeatable)").argParser(collect))
    .addOption(new Option("--log-level <level>", "how much is logged").choices(LOG_LEVELS))
    .showSuggestionAfterError()
    .allowExcessArguments(false);
  for (const option of command.options) {
    const name = variableOf(option);
    if (!isUnset(env[name], option)) option.env(name);
  }
  return command;
}

/** --total-rate: ONRUSH_TOTAL_RATE */
function variableOf(option: Option): string {
  return `ONRUSH_${(option.long ?? "").replace(/^--/, "").replaceAll("-", "_").toUpperCase()}`;
}

/** An empty variable, and for a switch one that says no, are as good as none. */
function isUnset(value: string | undefined, option: Option): boolean {
  if (value === undefined) return false;
  const is_switch = !option.required && !option.optional;
  return value === "" || (is_switch && ["0", "false", "no", "off"].includes(value.toLowerCase()));
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
