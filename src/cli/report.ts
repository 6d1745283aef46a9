import type { Command } from "commander";
import { readResults, type ArchiveOptions } from "./archive.ts";
import { option, type Done } from "./options.ts";
import { renderSummary } from "./summary.ts";
import { print, systemCommand } from "./system-options.ts";
import { openTerminal } from "./terminal.ts";

/** `onrush report ID`: the result of a test; its exit code is that of the run. */
export function reportCommand(done: Done): Command {
  return systemCommand("report", "Shows the report of a test that has ended; the exit code is the run's.")
    .addOption(option("--data <dir>", "read what `onrush run` has kept here, without a system (the user's data folder)"))
    .addOption(option("--no-color", "no colours (NO_COLOR works too)"))
    .argument("<test_id>", "the test, as `onrush tests` lists it")
    .action(async (test_id: string, options: ArchiveOptions & { color: boolean }, command: Command) => {
      const report = await readResults(command, options, (results) => results.report(test_id));
      const terminal = openTerminal({ color: options.color });
      print(report, options, () => renderSummary(report, terminal.width(), terminal.paint));
      done({ report });
    });
}
