import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import type { TestSummary } from "../api/views.ts";
import { openStore, type Store } from "../orchestrator/store.ts";
import type { Report } from "../run/report-schema.ts";
import type { ApiClient } from "./client.ts";
import { userDataDir } from "./data-dir.ts";
import { CliFailure, couldNotRun, usageFailure } from "./failure.ts";
import { clientFor, type SystemOptions } from "./system-options.ts";

/** Options of a subcommand that reads results: of a system, or of a data folder. */
export interface ArchiveOptions extends SystemOptions {
  data?: string;
}

/** Where results are read. Rejects with CliFailure. */
export interface Results {
  tests(): Promise<TestSummary[]>;
  report(test_id: string): Promise<Report>;
}

/**
 * Reads from the data folder with --data; from the system with --orchestrator; with neither from the system at the
 * default address and, where none answers, from the user's data folder.
 */
export async function readResults<T>(command: Command, options: ArchiveOptions, read: (results: Results) => Promise<T>): Promise<T> {
  const named = command.getOptionValueSource("orchestrator") !== "default" || Boolean(process.env["ORCHESTRATOR_IP"]);
  const data_source = command.getOptionValueSource("data");
  if (named && data_source === "cli" && command.getOptionValueSource("orchestrator") === "cli") {
    throw usageFailure("--data and --orchestrator: expected one of them, got both");
  }
  if (options.data !== undefined && (data_source === "cli" || !named)) return readFolder(options.data, read);
  const client = await clientFor(options);
  try {
    return await read(resultsOf(client));
  } catch (error) {
    const folder = userDataDir(process.env, process.platform, homedir());
    if (named || !isUnreachable(error) || !existsSync(join(folder, "onrush.db"))) throw error;
    process.stderr.write(`no orchestrator answers at ${client.url}: reading ${folder}\n`);
    return await readFolder(folder, read);
  }
}

function isUnreachable(error: unknown): boolean {
  return error instanceof CliFailure && error.lines[0]?.startsWith("unreachable: ") === true;
}

function resultsOf(client: ApiClient): Results {
  return {
    tests: async () => {
      const { tests } = (await client.get("/tests")) as { tests: TestSummary[] };
      return Promise.all(tests.map((test) => withTotals(client, test)));
    },
    report: async (test_id) => (await client.get(`/tests/${encodeURIComponent(test_id)}/report`)) as Report,
  };
}

/** A test that runs with what it has sent so far, which the list does not tell. */
async function withTotals(client: ApiClient, test: TestSummary): Promise<TestSummary> {
  if (test.totals !== null || (test.state !== "running" && test.state !== "stopping")) return test;
  const { totals } = (await client.get(`/tests/${encodeURIComponent(test.test_id)}`)) as { totals: NonNullable<TestSummary["totals"]> };
  const { planned, sent, completed, ok, rps } = totals;
  return { ...test, totals: { planned, sent, completed, ok, rps } };
}

async function readFolder<T>(folder: string, read: (results: Results) => Promise<T>): Promise<T> {
  // Opening makes what is missing, and reading is to make nothing.
  if (!existsSync(join(folder, "onrush.db"))) throw couldNotRun("no_store", `--data: no results are kept in ${folder} (it has no onrush.db)`);
  const store: Store = openStore(folder);
  try {
    return await read({
      tests: async () => store.tests(),
      report: async (test_id) => {
        const report = store.report(test_id);
        if (report === null) throw usageFailure(`there is no test ${test_id} in ${folder}`);
        return report;
      },
    });
  } finally {
    store.close();
  }
}
