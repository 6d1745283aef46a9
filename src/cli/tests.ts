import type { Command } from "commander";
import type { TestSummary } from "../api/views.ts";
import { readResults, type ArchiveOptions } from "./archive.ts";
import { count, printable, rate } from "./figures.ts";
import { option, type Done } from "./options.ts";
import { print, systemCommand, table } from "./system-options.ts";

/** `onrush tests`: what a running system has run and is running, or what a data folder holds. */
export function testsCommand(done: Done): Command {
  return systemCommand("tests", "Lists the tests of a running system or of a data folder by their start, the newest last.")
    .addOption(option("--data <dir>", "read what `onrush run` has kept here, without a system (the user's data folder)"))
    .action(async (options: ArchiveOptions, command: Command) => {
      const tests = await readResults(command, options, (results) => results.tests());
      print({ tests }, options, renderTests);
      done({});
    });
}

/** The newest last, where a terminal is read; those that have not started after all that have. */
export function renderTests({ tests }: { tests: TestSummary[] }): string[] {
  const moment = ({ started_at, ended_at }: TestSummary) => Date.parse(started_at ?? ended_at ?? "") || Infinity;
  const ordered = tests.toReversed().sort((a, b) => (moment(a) === moment(b) ? 0 : moment(a) - moment(b)));
  const rows = ordered.map(({ test_id, state, verdict, complete, started_at, totals, url, name }) => [
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
