import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { reportOf } from "../run/project.ts";
import type { Report } from "../run/report-schema.ts";
import { endedBody } from "../run/decide.ts";
import { answered, measuring, script } from "../run/testing/log.ts";
import { openStore } from "./store.ts";

let data_dir: string;
beforeEach(() => (data_dir = mkdtempSync(join(tmpdir(), "onrush-store-"))));
afterEach(() => rmSync(data_dir, { recursive: true, force: true }));

function reported(test_id: string, node_id = "host:1"): Report {
  const log = script();
  log.claim();
  const epoch = log.join(node_id);
  log.config(test_id, { target: { url: "http://127.0.0.1:9/" }, rate_rps: 10, duration_s: 1 });
  log.trigger(test_id);
  const measured = measuring(1_000_000);
  for (let i = 0; i < 10; i++) answered(measured.recorder, i * 100_000, 4_000);
  log.now_ms += 2_500;
  log.snapshot(node_id, epoch, test_id, measured.snapshot(1_100_000), { final: true, end_reason: "schedule" });
  log.command(endedBody(log.state, log.state.runs.get(test_id)!));
  return reportOf(log.state, test_id)!;
}

test("what was kept is there after it was opened again, newest first", () => {
  const first = openStore(data_dir);
  const one = reported("t-1");
  first.put(one, []);
  first.put({ ...one, revision: 2 }, []);
  first.put({ ...reported("t-2"), ended_at: "2099-01-01T00:00:00.000Z" }, []);
  first.close();
  const again = openStore(data_dir);
  expect(again.report("t-1")).toEqual({ ...one, revision: 2 });
  expect(again.report("t-1", 1)).toEqual(one);
  expect(again.report("nothing")).toBeNull();
  expect(again.tests().map(({ test_id, revision }) => [test_id, revision])).toEqual([["t-2", 1], ["t-1", 2]]);
  expect(again.node("t-1", "host:1")).toEqual(one.nodes[0]);
  again.close();
});

test("exports are whole files under the names of the nodes", () => {
  const store = openStore(data_dir);
  store.put(reported("t-1"), []);
  store.put(reported("t-2", "final"), []);
  expect(readdirSync(join(data_dir, "reports", "t-1")).sort()).toEqual(["final.json", "host:1.json"]);
  expect(readdirSync(join(data_dir, "reports", "t-2")).sort()).toEqual(["final.json", "final@node.json"]);
  expect(JSON.parse(readFileSync(join(data_dir, "reports", "t-2", "final.json"), "utf8"))).toMatchObject({ schema: "onrush.report/1" });
  expect(() => store.put({ ...reported("t-3"), test_id: "../t-3" }, [])).toThrow(/not a test's name/);
  expect(existsSync(join(data_dir, "t-3"))).toBe(false);
  store.close();
});

test("a store of a newer version is left alone, and so is what is none", () => {
  const db = new DatabaseSync(join(data_dir, "onrush.db"));
  db.exec("PRAGMA user_version = 99");
  db.close();
  expect(() => openStore(data_dir)).toThrow(expect.objectContaining({ code: "newer_schema", message: expect.stringContaining("newer version") }));
  const other = join(data_dir, "other");
  mkdirSync(other);
  writeFileSync(join(other, "onrush.db"), "this is no database, however long it may be ".repeat(100));
  expect(() => openStore(other)).toThrow(expect.objectContaining({ code: "not_a_store" }));
});

test("a folder that is none, and exports that cannot be written, are said clearly; the rest stays", () => {
  writeFileSync(join(data_dir, "file"), "");
  expect(() => openStore(join(data_dir, "file", "data"))).toThrow(expect.objectContaining({ code: "unwritable" }));
  const store = openStore(data_dir);
  store.put(reported("t-1"), []);
  writeFileSync(join(data_dir, "reports", "t-2"), "in the way");
  expect(() => store.put(reported("t-2"), [])).toThrow(expect.objectContaining({ code: "unwritable" }));
  expect(store.report("t-1")).not.toBeNull();
  rmSync(join(data_dir, "reports", "t-2"));
  store.put(reported("t-2"), []);
  expect(existsSync(join(data_dir, "reports", "t-2", "final.json"))).toBe(true);
  store.close();
  chmodSync(data_dir, 0o700);
});
