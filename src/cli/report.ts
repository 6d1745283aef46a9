import type { Command } from "commander";
import type { Report } from "../run/report-schema.ts";
import { option, type Done } from "./options.ts";
import { renderSummary } from "./summary.ts";
import { clientFor, print, systemCommand, type SystemOptions } from "./system-options.ts";
import { openTerminal } from "./terminal.ts";

/** `onrush report ID`: the result of a test; its exit code is that of the run. */
export function reportCommand(done: Done): Command {
  return systemCommand("report", "Shows the report of a test that has ended; the exit code is the run's.")
    .addOption(option("--no-color", "no colours (NO_COLOR works too)"))
    .argument("<test_id>", "the test, as `onrush tests` lists it")
    .action(async (test_id: string, options: SystemOptions & { color: boolean }) => {
      const client = await clientFor(options);
      const report = (await client.get(`/tests/${encodeURIComponent(test_id)}/report`)) as Report;
      const terminal = openTerminal({ color: options.color });
      print(report, options, () => renderSummary(report, terminal.width(), terminal.paint));
      done({ report });
    });
}
