import { Argument, Command } from "commander";
import type { Plan } from "../plan/plan.ts";
import { pinnedAddress } from "../plan/pinned.ts";
import { usageFailure } from "./failure.ts";
import { type CommonOptions, type Done, option, repeatable, withCommonOptions } from "./options.ts";
import type { PlanFlags } from "./plan-flags.ts";
import type { Session } from "./session.ts";
import type { Terminal } from "./terminal.ts";

interface RunOptions extends CommonOptions, Omit<PlanFlags, "name"> {
  name?: string;
  report?: string[];
  data?: string;
  store: boolean;
  quiet?: boolean;
  color: boolean;
  orchestrator?: string;
  tokenFile?: string;
}


const EXAMPLES = `
Examples:
  onrush run http://127.0.0.1:8088/ping                                  as fast as it answers, 64 connections, 10 s
  onrush run http://127.0.0.1:8088/ping --rate 200 --drivers 3           3 x 200 rps, whatever the target does
  onrush run URL --total-rate 5000 --duration 1m --threshold 'p99 < 50ms' --threshold 'error_rate < 0.1%'
  onrush run URL -X POST -H 'content-type: application/json' -d @body.json --requests 1000
  onrush run plan.json --duration 30s --report report.json               flags override the file
  onrush run plan.ts --orchestrator http://10.0.0.5:7070 --token-file t  on a running system

Exit codes: 0 ok, 1 failed, 2 usage, 3 inconclusive or incomplete, 4 could not run, 130 interrupted.
Every option can be set by a variable too: ONRUSH_RATE=200.`;

/** `onrush run`: a whole test, in this process or on a running system. */
export function runCommand(done: Done): Command {
  const command = new Command("run")
    .summary("run a test and show its result")
    .description("Runs a test: orchestrator and drivers in this process, or on a running system with --orchestrator.")
    .addArgument(new Argument("<target>", "the URL to hit, or a plan (PLAN.json, PLAN.ts)").argOptional())
    .addOption(option("--name <text>", "what the test is called"))
    .addOption(option("--drivers <n>", "how many drivers (1 here; on a running system: all that are alive)"))
    .addOption(option("--type <type>", "avalanche: next request when the answer came; tsunami: at fixed times"))
    .addOption(option("--rate <rps>", "requests per second of each driver"))
    .addOption(option("--total-rate <rps>", "requests per second of all drivers together"))
    .addOption(option("--delay <ms>", "time between two requests of a driver, instead of a rate"))
    .addOption(option("--requests <n>", "how many requests each driver sends"))
    .addOption(option("--total-requests <n>", "how many requests all drivers send together"))
    .addOption(option("--duration <time>", "how long requests are sent: 500ms, 10s, 2m, 1h (10s)"))
    .addOption(option("--connections <n>", "connections that each driver may hold open (64)"))
    .addOption(option("--workers <n>", "load threads of each driver (by cores and rate)"))
    .addOption(option("--pacing <mode>", "auto, precise (burns a core) or timer (spares it)"))
    .addOption(option("--backlog <n>", "due requests that may wait for a connection (by rate)"))
    .addOption(option("--warmup <time>", "load before the test begins, counted apart"))
    .addOption(option("--timeout <time>", "how long a request may take to its last byte (30s)"))
    .addOption(option("--lease <time>", "how long drivers go on without the orchestrator (30s)"))
    .addOption(option("--on-driver-loss <what>", "redistribute, continue or stop"))
    .addOption(option("-X, --method <method>", "HTTP method (GET; POST with a body)"))
    .addOption(repeatable("-H, --header <header>", "'Name: value' (repeatable)"))
    .addOption(option("-d, --body <text>", "body of every request, or @FILE"))
    .addOption(option("-k, --insecure", "https: accept any certificate"))
    .addOption(option("--ca <file>", "https: certificates (PEM) that may vouch for the target"))
    .addOption(option("--cert <file>", "https: the client's certificate (PEM)"))
    .addOption(option("--key <file>", "https: the key of the client's certificate (PEM)"))
    .addOption(option("--tls-resume", "https: new connections take up the last TLS session"))
    .addOption(option("--resolve <host:ip>", "hit the URL's host at this address"))
    .addOption(option("--unix-socket <path>", "hit it through this unix socket of the driver's machine"))
    .addOption(repeatable("--threshold <expression>", "what must hold: 'p99 < 200ms' (repeatable)"))
    .addOption(repeatable("--report <file>", "write the report to FILE.json (repeatable)"))
    .addOption(option("--data <dir>", "where results are kept (the user's data folder)"))
    .addOption(option("--no-store", "keep nothing"))
    .addOption(option("--quiet", "only the first line and the summary"))
    .addOption(option("--no-color", "no colours (NO_COLOR works too)"))
    .addOption(option("--orchestrator <url>", "run it on this system and follow it"))
    .addOption(option("--token-file <file>", "the token of that system"))
    .addHelpText("after", EXAMPLES)
    .action(async (target: string | undefined, options: RunOptions) => {
      done(await run(target, options));
    });
  return withCommonOptions(command);
}

async function run(target: string | undefined, options: RunOptions) {
  const { openTerminal } = await import("./terminal.ts");
  const plan = await planFrom(target, options);
  const terminal = openTerminal({ color: options.color });
  const session = options.orchestrator === undefined ? await local(plan, options, terminal) : await remote(options, options.orchestrator);
  const { runAndShow } = await import("./follow.ts");
  try {
    return await runAndShow(session, plan, { quiet: options.quiet === true, reports: options.report ?? [], terminal });
  } finally {
    await session.close();
  }
}

/** The plan, or every mistake in command line and file at once. @throws {CliFailure} usage */
async function planFrom(target: string | undefined, options: RunOptions): Promise<Plan> {
  const [{ planSource, readPlanFile, readBody, readText }, { planOf }, { reportPathProblems }, { PlanError }] = await Promise.all([
    import("./plan-source.ts"),
    import("./plan-flags.ts"),
    import("./report-file.ts"),
    import("../plan/problem.ts"),
  ]);
  if (target === undefined) {
    throw usageFailure("run: expected a URL or a plan, got nothing; try `onrush run http://127.0.0.1:8088/ping --rate 100`");
  }
  const lines = reportPathProblems(options.report ?? []);
  const source = planSource(target);
  const file = source.kind === "file" ? await readPlanFile(source.path) : {};
  const flags: PlanFlags = { ...options };
  if (options.body !== undefined) flags.body = await readBody(options.body);
  for (const key of ["ca", "cert", "key"] as const) {
    if (options[key] !== undefined) flags[key] = await readText(`--${key}`, options[key]);
  }
  try {
    const plan = planOf(file, source.kind === "url" ? source.url : null, flags);
    if (lines.length === 0) return plan;
  } catch (error) {
    if (!(error instanceof PlanError)) throw error;
    lines.push(...error.problems.map(({ message }) => message));
  }
  throw usageFailure(...lines);
}

async function local(plan: Plan, options: RunOptions, terminal: Terminal): Promise<Session> {
  const [{ startLocal }, { openLocalStore }, { layOut }, { lineLog }, { limitWarnings, readLimits }] = await Promise.all([
    import("./local.ts"),
    import("./data-store.ts"),
    import("../plan/layout.ts"),
    import("./log.ts"),
    import("./limits.ts"),
  ]);
  const drivers = namesOf(plan.drivers);
  layOut(plan, drivers.map((node_id) => ({ node_id, foreign: false })));
  if (!options.quiet) {
    for (const warning of limitWarnings(drivers.length * plan.connections, readLimits())) terminal.note(`warning: ${warning}`);
  }
  const kept = openLocalStore(options.data, options.store);
  if (kept.problem !== null) terminal.note(`warning: nothing is stored: ${kept.problem}`);
  const log = lineLog(options.logLevel ?? "error", terminal.note);
  const system = await startLocal({ drivers, allow: allowedBy(plan), store: kept.store, stored_at: kept.path, log });
  return system.session;
}

/** What the user typed may be hit: the host, the address that it is pinned to, unix sockets. */
function allowedBy({ target: { url, resolve, unix_socket } }: Plan): string[] {
  const pinned = resolve === undefined ? null : pinnedAddress(resolve);
  return [new URL(url).hostname, ...(pinned === null ? [] : [pinned.address]), ...(unix_socket === undefined ? [] : ["unix"])];
}

function namesOf(drivers: Plan["drivers"]): string[] {
  if (Array.isArray(drivers)) return drivers;
  return Array.from({ length: drivers ?? 1 }, (_, i) => `driver-${i + 1}`);
}

async function remote({ tokenFile }: RunOptions, url: string): Promise<Session> {
  const [{ openRemote }, { clientOf }] = await Promise.all([import("./remote.ts"), import("./client.ts")]);
  return openRemote(await clientOf(url, tokenFile));
}
