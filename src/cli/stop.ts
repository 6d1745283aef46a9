import type { Command } from "commander";
import type { Done } from "./options.ts";
import { clientFor, print, systemCommand, type SystemOptions } from "./system-options.ts";

/** `onrush stop ID`: ends a test early; it drains and has its report. */
export function stopCommand(done: Done): Command {
  return systemCommand("stop", "Stops a running test: it drains, and has its report.")
    .argument("<test_id>", "the test, as `onrush tests` lists it")
    .action(async (test_id: string, options: SystemOptions) => {
      const client = await clientFor(options);
      const answer = await client.post(`/tests/${encodeURIComponent(test_id)}/stop`, {});
      print(answer, options, () => [`test ${test_id} is stopping; its result: onrush report ${test_id}`]);
      done({});
    });
}
