import { expect, it } from "vitest";
import { createOutbox } from "./outbox.ts";

const trigger = (test_id: string) => ({ test_id, trigger: "YES" as const });

/** A log that takes a record when it is told to. */
function slowLog() {
  const pending: { text: string; take: () => void; refuse: (error: Error) => void }[] = [];
  return {
    pending,
    ids: () => pending.map(({ text }) => (JSON.parse(text) as { test_id: string }).test_id),
    append: (_topic: string, value: Uint8Array) =>
      new Promise<number>((resolve, reject) => {
        pending.push({ text: new TextDecoder().decode(value), take: () => resolve(0), refuse: reject });
      }),
  };
}
const settled = () => new Promise((resolve) => setImmediate(resolve));

it("keeps one record on its way and the newest of those that wait", async () => {
  const log = slowLog();
  const published: string[] = [];
  const outbox = createOutbox(log, () => {});
  for (const id of ["a", "b", "c"]) outbox.put("k", "trigger", trigger(id), () => published.push(id));
  outbox.put("other", "trigger", trigger("x"));
  expect(log.ids()).toEqual(["a", "x"]);
  log.pending[0]!.take();
  await settled();
  expect(log.ids()).toEqual(["a", "x", "c"]);
  const flushed = outbox.flush(60_000);
  log.pending[1]!.take();
  log.pending[2]!.take();
  await flushed;
  expect(published).toEqual(["a", "c"]);
  await outbox.flush(60_000);
});

it("goes on after a record that the log does not take, and stops when closed", async () => {
  const log = slowLog();
  const failures: unknown[] = [];
  const outbox = createOutbox(log, (topic, error) => failures.push([topic, (error as Error).message]));
  outbox.put("k", "trigger", trigger("a"));
  outbox.put("k", "trigger", trigger("b"));
  log.pending[0]!.refuse(new Error("too large"));
  await settled();
  expect(failures).toEqual([["trigger", "too large"]]);
  expect(log.pending).toHaveLength(2);
  await outbox.flush(1);
  outbox.put("k", "trigger", trigger("c"));
  outbox.close();
  log.pending[1]!.refuse(new Error("closed"));
  await settled();
  outbox.put("k", "trigger", trigger("d"));
  expect(log.pending).toHaveLength(2);
  expect(failures).toHaveLength(1);
});
