import { expect, test } from "vitest";
import type { Connection } from "./connection.ts";
import { createSweep } from "./sweep.ts";

test("a deadline that has passed already, as after a late turn of the loop, is swept at once and without a warning", async () => {
  const warnings: string[] = [];
  const warned = ({ name }: Error) => void warnings.push(name);
  process.on("warning", warned);
  let expired = () => {};
  const swept = new Promise<void>((resolve) => (expired = resolve));
  const connection = {
    deadline_ms: 90,
    expire() {
      this.deadline_ms = Infinity;
      expired();
    },
  };
  const sweep = createSweep([connection as unknown as Connection], () => 100);
  sweep.deadline(connection.deadline_ms);
  await swept;
  sweep.close();
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", warned);
  expect(warnings).toEqual([]);
});
