import { Command } from "commander";
import { clientOf, type ApiClient } from "./client.ts";
import { aligned, fit } from "./paint.ts";
import { type CommonOptions, option, withCommonOptions } from "./options.ts";

/** Options of every subcommand that speaks to a running system. */
export interface SystemOptions extends CommonOptions {
  orchestrator: string;
  tokenFile?: string;
  json?: boolean;
}

/** A subcommand that speaks to a running system. */
export function systemCommand(name: string, description: string): Command {
  const address = process.env["ORCHESTRATOR_IP"] || "http://127.0.0.1:7070";
  const command = new Command(name)
    .description(description)
    .addOption(option("--orchestrator <url>", "the system's HTTP API").default(address))
    .addOption(option("--token-file <file>", "the system's token"))
    .addOption(option("--json", "the API's own answer, as JSON"));
  return withCommonOptions(command);
}

export function clientFor({ orchestrator, tokenFile }: SystemOptions): Promise<ApiClient> {
  return clientOf(orchestrator, tokenFile);
}

/** Prints an answer as JSON, or as the lines that `render` makes of it. */
export function print<T>(answer: T, options: SystemOptions, render: (answer: T) => string[]): void {
  const lines = options.json ? [JSON.stringify(answer, null, 2)] : render(answer);
  const width = process.stdout.isTTY ? process.stdout.columns : Infinity;
  for (const line of lines) process.stdout.write(`${options.json ? line : fit(line, width)}\n`);
}

/** Rows under their headings; `none` where there are no rows. */
export function table(headings: string[], rows: string[][], none: string): string[] {
  return rows.length === 0 ? [none] : aligned([headings, ...rows], "left");
}
