import { Command } from "commander";
import type { Orchestrator } from "../orchestrator/orchestrator.ts";
import type { Store } from "../orchestrator/store.ts";
import type { Target } from "../target/target.ts";
import { codeOf } from "./failure.ts";
import type { Log } from "./log.ts";
import { aligned } from "./paint.ts";
import { type CommonOptions, type Done, option, withCommonOptions } from "./options.ts";
import type { Terminal } from "./terminal.ts";

interface DemoOptions extends CommonOptions {
  once?: boolean;
  data?: string;
  store: boolean;
  color: boolean;
}

const TARGET_PORT = 8088;
const API_PORT = 7070;
const DRIVERS = ["driver-1", "driver-2"];

/** `onrush demo`: everything in one process, and a first test. */
export function demoCommand(done: Done): Command {
  const command = new Command("demo")
    .summary("see it work: target, orchestrator, two drivers and a first test")
    .description("Starts a test server, an orchestrator with its HTTP API and two drivers, and runs a first test. Then it stays up.")
    .addOption(option("--once", "end after the first test, with its exit code"))
    .addOption(option("--data <dir>", "where results are kept (the user's data folder)"))
    .addOption(option("--no-store", "keep nothing"))
    .addOption(option("--no-color", "no colours (NO_COLOR works too)"))
    .action(async (options: DemoOptions) => {
      done(await demo(options));
    });
  return withCommonOptions(command);
}

async function demo(options: DemoOptions) {
  const [{ openTerminal }, { startLocal }, { openLocalStore }, { lineLog }, { runAndShow }, { parsePlan }, { untilSignal }] =
    await Promise.all([
      import("./terminal.ts"),
      import("./local.ts"),
      import("./data-store.ts"),
      import("./log.ts"),
      import("./follow.ts"),
      import("../plan/plan.ts"),
      import("./signals.ts"),
    ]);
  const terminal = openTerminal({ color: options.color });
  const log = lineLog(options.logLevel ?? "error", terminal.note);
  const kept = openLocalStore(options.data, options.store);
  if (kept.problem !== null) terminal.note(`warning: nothing is stored: ${kept.problem}`);
  const target = await startDemoTarget();
  const system = await startLocal({ drivers: DRIVERS, allow: [], store: kept.store, stored_at: kept.path, log });
  const server = await startDemoServer(system.orchestrator, kept.store, log);
  try {
    const plan = parsePlan({
      name: "demo",
      target: { url: `${target.url}/ping` },
      rate_rps: 200,
      duration_s: 5,
      drivers: DRIVERS,
    });
    const outcome = await runAndShow(system.session, plan, { quiet: false, reports: [], terminal });
    if (options.once || outcome.interrupted) return outcome;
    showWays(terminal, target.url, server.url);
    await untilSignal();
    return {};
  } finally {
    await server.close();
    await system.close();
    await target.close();
  }
}

async function startDemoTarget(): Promise<Target> {
  const { startTarget } = await import("../target/target.ts");
  return startTarget({ port: TARGET_PORT }).catch((error: unknown) => {
    if (codeOf(error) === "EADDRINUSE") return startTarget({ port: 0 });
    throw error;
  });
}

async function startDemoServer(orchestrator: Orchestrator, store: Store | null, log: Log) {
  const { startServer } = await import("../orchestrator/server.ts");
  const start = (port: number) => startServer({ orchestrator, store, host: "127.0.0.1", port, log });
  return start(API_PORT).catch((error: unknown) => {
    if (["EADDRINUSE", "port_in_use"].includes(codeOf(error) ?? "")) return start(0);
    throw error;
  });
}

/** How to go on from another terminal. */
function showWays({ line, paint }: Terminal, target: string, api: string): void {
  const onrush = process.env["npm_lifecycle_event"] === undefined ? "onrush" : "npx onrush";
  const plan = JSON.stringify({ target: { url: `${target}/ping` }, rate_rps: 100, duration_s: 5 });
  const where = api.endsWith(`:${API_PORT}`) ? "" : ` --orchestrator ${api}`;
  const ways = [
    [`${onrush} run ${target}/ping --rate 500`, "a test of its own"],
    [`${onrush} run ${target}/ping --rate 500 --orchestrator ${api}`, "the same on these two drivers"],
    [`${onrush} nodes${where}`, "the drivers"],
    [`${onrush} tests${where}`, "what was run"],
  ];
  const lines = [
    "",
    paint("bold", "It stays up, and is yours:"),
    `  target  ${target}/ping`,
    `  API     ${api}  (described at ${api}/docs)`,
    "",
    paint("bold", "Go on from another terminal:"),
    ...aligned(ways, "left").map((way) => `  ${way}`),
    `  curl -H 'content-type: application/json' -d '${plan}' ${api}/tests`,
    `  curl -X POST ${api}/tests/TEST_ID/trigger`,
    `  curl ${api}/tests/TEST_ID/report`,
    "",
    "Ctrl-C ends it.",
  ];
  for (const text of lines) line(text);
}
