import type { Command } from "commander";
import type { TestSummary } from "../api/views.ts";
import { count, printable, rate } from "./figures.ts";
import type { Done } from "./options.ts";
import { clientFor, print, systemCommand, table, type SystemOptions } from "./system-options.ts";

/** `onrush tests`: what a running system has run and is running. */
export function testsCommand(done: Done): Command {
  return systemCommand("tests", "Lists the tests of a running system, the open ones and those it has kept.").action(
    async (options: SystemOptions) => {
      const client = await clientFor(options);
      print((await client.get("/tests")) as { tests: TestSummary[] }, options, renderTests);
      done({});
    },
  );
}

function renderTests({ tests }: { tests: TestSummary[] }): string[] {
  const rows = tests.map(({ test_id, state, verdict, complete, started_at, totals, url, name }) => [
    test_id,
    complete === false ? `${state}, incomplete` : state,
    verdict ?? "-",
    started_at === null ? "-" : started_at.slice(0, 19).replace("T", " "),
    totals === null ? "-" : count(totals.sent),
    totals === null ? "-" : rate(totals.rps),
    printable(name === null ? url : `${name} (${url})`),
  ]);
  return table(["test", "state", "verdict", "started (UTC)", "sent", "rps", "target"], rows, "no tests: create one with `onrush create`");
}
