import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { emptySnapshot, reportOf } from "./report.ts";
import { openResultStore } from "./store.ts";
import { recordingLog } from "./testing/log.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "onrush-driver-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const report = (test_id: string, seq: number) =>
  reportOf({ node_id: "d1", test_id, epoch: 7, seq, revision: 1, end_reason: seq > 0 ? "left" : null }, emptySnapshot([]));

it("keeps the newest report of each until it is forgotten, over restarts", async () => {
  const log = recordingLog();
  const store = await openResultStore(join(folder, "deep", "er"), log);
  expect(store.load()).toEqual([]);
  store.save({ report: report("a", 0), origin: "control" });
  store.save({ report: report("a", 1), origin: "control" });
  store.save({ report: report("b", 0), origin: "plain" });
  store.save({ report: report("c", 0), origin: "plain" });
  store.forget({ node_id: "d1", test_id: "c", epoch: 7, seq: 0 });
  store.forget({ node_id: "d1", test_id: "a", epoch: 7, seq: 0 });
  store.save({ report: report("a", 0), origin: "control" });
  store.close();

  const again = await openResultStore(join(folder, "deep", "er"), log);
  expect(again.load()).toEqual([
    { report: report("a", 1), origin: "control" },
    { report: report("b", 0), origin: "plain" },
  ]);
  again.close();
  expect(log.codes()).toEqual([]);
});

it("says once that it cannot be used, and is then nothing", async () => {
  writeFileSync(join(folder, "file"), "");
  const log = recordingLog();
  const store = await openResultStore(join(folder, "file"), log);
  store.save({ report: report("a", 0), origin: "control" });
  expect(store.load()).toEqual([]);
  store.close();
  expect(log.codes()).toEqual(["store_failed"]);

  writeFileSync(join(folder, "driver.sqlite"), "this is no database, it is text, and longer than a header of SQLite would be, by far");
  const broken = await openResultStore(folder, log);
  broken.save({ report: report("a", 0), origin: "control" });
  broken.close();
  expect(log.codes()).toEqual(["store_failed", "store_failed"]);
});

it("goes on when writing fails later", async () => {
  const log = recordingLog();
  const store = await openResultStore(folder, log);
  store.close();
  store.save({ report: report("a", 0), origin: "control" });
  store.save({ report: report("a", 1), origin: "control" });
  store.forget({ node_id: "d1", test_id: "a", epoch: 7, seq: 1 });
  expect(log.codes()).toEqual(["store_failed"]);
});
