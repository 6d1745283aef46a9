import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { createCommand } from "./create.ts";
import { demoCommand } from "./demo.ts";
import { driverCommand } from "./driver.ts";
import { exitCode, type Outcome } from "./exit-code.ts";
import { codeOf, expectedFailure, messageOf, usageFailure } from "./failure.ts";
import { nodesCommand } from "./nodes.ts";
import { orchestratorCommand } from "./orchestrator.ts";
import { reportCommand } from "./report.ts";
import { runCommand } from "./run.ts";
import { stopCommand } from "./stop.ts";
import { targetCommand } from "./target.ts";
import { surviveLostOutput } from "./terminal.ts";
import { testsCommand } from "./tests.ts";
import { triggerCommand } from "./trigger.ts";

const EXAMPLES = `
Examples:
  onrush demo                                            see it work: a target, two drivers and a first test
  onrush run http://127.0.0.1:8088/ping --rate 200       one test from this machine
  onrush orchestrator --kafka 127.0.0.1:9092             a system of many machines: the orchestrator,
  onrush driver --kafka 127.0.0.1:9092                   and its drivers
  onrush run plan.json --orchestrator http://127.0.0.1:7070

\`onrush COMMAND --help\` tells of a command's options. Every option can be set as ONRUSH_OPTION too.`;

/** What still holds the process after its work is done gets no longer than this. */
const LINGER_MS = 500;

/** Runs the command line and sets the exit code; nothing that goes wrong leaves it as a stack trace. */
export async function main(argv: readonly string[]): Promise<void> {
  let unwritten = false;
  surviveLostOutput((error) => {
    unwritten = true;
    say(`what is shown cannot be written (${codeOf(error) ?? error.message}); going on without it`);
  });
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (error: unknown) => process.exit(exitCode(tell(error, argv))));
  }
  let outcome: Outcome = {};
  const program = programOf((result) => (outcome = result));
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    outcome = tell(error, argv);
  }
  process.exitCode = exitCode(unwritten ? { ...outcome, unwritten } : outcome);
  setTimeout(() => process.exit(), LINGER_MS).unref();
}

function programOf(done: (outcome: Outcome) => void): Command {
  const program = new Command("onrush")
    .description("A distributed HTTP load tester: true response times, exact counts, nothing lost.")
    .version(versionOf(), "-V, --version", "show the version")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show a command's help")
    .addHelpText("after", EXAMPLES);
  for (const make of [runCommand, demoCommand, orchestratorCommand, driverCommand, targetCommand]) program.addCommand(make(done));
  for (const make of [nodesCommand, testsCommand, createCommand, triggerCommand, stopCommand, reportCommand]) {
    program.addCommand(make(done));
  }
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({ outputError: () => {} });
  }
  return program;
}

function versionOf(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

/** Says on stderr what went wrong, a line each, and gives back how that came out. */
function tell(error: unknown, argv: readonly string[]): Outcome {
  const failure = error instanceof CommanderError ? commandLineFailure(error) : expectedFailure(error);
  if (failure === null) {
    const [line] = messageOf(error).split("\n", 1);
    say(`unexpected: ${line}; this is a bug in Onrush: please report it, with what --log-level debug adds`);
    if (wantsDebug(argv) && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    return { could_not_run: true };
  }
  for (const line of failure.lines) say(line);
  if (wantsDebug(argv) && failure.cause instanceof Error) process.stderr.write(`${failure.cause.stack}\n`);
  return failure.outcome;
}

function say(line: string): void {
  process.stderr.write(`onrush: ${line}\n`);
}

/** Commander's own words without its prefix, in one line; help and version are no mistakes. */
function commandLineFailure(error: CommanderError) {
  if (error.exitCode === 0) return { lines: [], outcome: {}, cause: undefined };
  if (error.code === "commander.help") return { lines: [], outcome: { usage: true }, cause: undefined };
  const line = error.message.replace(/^error: |\.$/g, "").replace(/\s*\n\s*/g, " ");
  return usageFailure(`${line}; try \`onrush --help\``);
}

function wantsDebug(argv: readonly string[]): boolean {
  if (process.env["ONRUSH_LOG_LEVEL"] === "debug") return true;
  return argv.some((text, i) => text === "--log-level=debug" || (text === "--log-level" && argv[i + 1] === "debug"));
}
