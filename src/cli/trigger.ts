import type { Command } from "commander";
import type { Done } from "./options.ts";
import { clientFor, print, systemCommand, type SystemOptions } from "./system-options.ts";

/** `onrush trigger ID`: starts a test that was created. */
export function triggerCommand(done: Done): Command {
  return systemCommand("trigger", "Starts a test that was created.")
    .argument("<test_id>", "the test, as `onrush tests` lists it")
    .action(async (test_id: string, options: SystemOptions) => {
      const client = await clientFor(options);
      const answer = (await client.post(`/tests/${encodeURIComponent(test_id)}/trigger`, {})) as { test_id: string; start_at: number };
      print(answer, options, ({ start_at }) => [
        `test ${test_id} starts at ${new Date(start_at).toISOString()}; its result: onrush report ${test_id}`,
      ]);
      done({});
    });
}
