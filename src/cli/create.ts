import type { Command } from "commander";
import type { Done } from "./options.ts";
import { clientFor, print, systemCommand, type SystemOptions } from "./system-options.ts";

/** `onrush create PLAN..`: gives plans to a running system; nothing is sent before `onrush trigger`. */
export function createCommand(done: Done): Command {
  return systemCommand("create", "Creates a test of each plan; nothing is sent before `onrush trigger`.")
    .argument("<plan...>", "PLAN.json or PLAN.ts; a new test replaces one that was never triggered")
    .action(async (paths: string[], options: SystemOptions) => {
      const [{ readPlanFile }, { parsePlan }] = await Promise.all([import("./plan-source.ts"), import("../plan/plan.ts")]);
      const plans = [];
      for (const path of paths) plans.push(parsePlan(await readPlanFile(path)));
      const client = await clientFor(options);
      for (const plan of plans) {
        const answer = (await client.post("/tests", plan)) as { test_id: string };
        print(answer, options, ({ test_id }) => [`test ${test_id} is created; start it: onrush trigger ${test_id}`]);
      }
      done({});
    });
}
