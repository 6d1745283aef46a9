import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { endedSummary, type TestSummary } from "../api/views.ts";
import type { EncodedHistogram } from "../metrics/codec.ts";
import type { NodeReport, Report } from "../run/report-schema.ts";
import type { Measured } from "../run/state.ts";
import type { Checkpoint, CheckpointChange, CheckpointStore } from "./checkpoint.ts";
import { exportReport } from "./export.ts";
import { guarded, StoreError } from "./store-error.ts";

/** What one node measured, as it was sent. */
export interface NodeMeasurements {
  node_id: string;
  epoch: number;
  histograms: Record<"response" | "service" | "connect" | "failed" | "send_lateness", EncodedHistogram>;
}

/** The archive of finished runs under one folder: `onrush.db` and the exported `reports/`. All calls are synchronous. */
export interface Store extends CheckpointStore {
  readonly data_dir: string;
  /** Keeps one revision of a report, all of it or nothing, and exports it. @throws {StoreError} */
  put(report: Report, nodes: readonly NodeMeasurements[]): void;
  /** The newest revision, or the one asked for; null: there is none. @throws {StoreError} */
  report(test_id: string, revision?: number): Report | null;
  node(test_id: string, node_id: string): NodeReport | null;
  measurements(test_id: string): NodeMeasurements[];
  /** Newest first. */
  tests(): TestSummary[];
  close(): void;
}

const SCHEMA_VERSION = 2;

const SCHEMA = `
  CREATE TABLE runs (test_id TEXT PRIMARY KEY, ended_at TEXT NOT NULL, revision INTEGER NOT NULL, summary TEXT NOT NULL) STRICT;
  CREATE INDEX runs_by_end ON runs (ended_at DESC);
  CREATE TABLE reports (
    test_id TEXT NOT NULL, revision INTEGER NOT NULL, report TEXT NOT NULL, PRIMARY KEY (test_id, revision)
  ) STRICT;
  CREATE TABLE node_reports (
    test_id TEXT NOT NULL, node_id TEXT NOT NULL, report TEXT NOT NULL, PRIMARY KEY (test_id, node_id)
  ) STRICT;
  CREATE TABLE node_histograms (
    test_id TEXT NOT NULL, node_id TEXT NOT NULL, epoch INTEGER NOT NULL, histograms TEXT NOT NULL,
    PRIMARY KEY (test_id, node_id, epoch)
  ) STRICT;
  CREATE TABLE seconds (test_id TEXT NOT NULL, t_s INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY (test_id, t_s)) STRICT;
`;

/** Of the open run only; new in version 2. */
const CHECKPOINT_SCHEMA = `
  CREATE TABLE checkpoints (test_id TEXT PRIMARY KEY, config TEXT NOT NULL, position TEXT NOT NULL) STRICT;
  CREATE TABLE checkpoint_members (member TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT;
  CREATE TABLE checkpoint_seconds (member TEXT NOT NULL, t_s INTEGER NOT NULL, second TEXT NOT NULL, PRIMARY KEY (member, t_s)) STRICT, WITHOUT ROWID;
`;

/**
 * Opens the store of a folder, which is made where it is missing.
 * @throws {StoreError} with a message that names the file and what is wrong with it
 */
export function openStore(data_dir: string): Store {
  const file = join(data_dir, "onrush.db");
  const db = guarded(file, () => openDatabase(data_dir, file));
  const one = (sql: string, ...values: (string | number)[]) => guarded(file, () => db.prepare(sql).get(...values));
  const all = (sql: string, ...values: (string | number)[]) => guarded(file, () => db.prepare(sql).all(...values));

  return {
    data_dir,
    put: (report, nodes) =>
      guarded(file, () => {
        transaction(db, () => insert(db, report, nodes));
        exportReport(data_dir, report);
      }),
    report: (test_id, revision) => {
      const sql = "SELECT report FROM reports WHERE test_id = ?";
      const found =
        revision === undefined
          ? one(`${sql} ORDER BY revision DESC LIMIT 1`, test_id)
          : one(`${sql} AND revision = ?`, test_id, revision);
      return parsed<Report>(found?.["report"]);
    },
    node: (test_id, node_id) =>
      parsed<NodeReport>(one("SELECT report FROM node_reports WHERE test_id = ? AND node_id = ?", test_id, node_id)?.["report"]),
    measurements: (test_id) =>
      all("SELECT node_id, epoch, histograms FROM node_histograms WHERE test_id = ? ORDER BY node_id, epoch", test_id).map((row) => ({
        node_id: String(row["node_id"]),
        epoch: Number(row["epoch"]),
        histograms: parsed<NodeMeasurements["histograms"]>(row["histograms"])!,
      })),
    tests: () => all("SELECT summary FROM runs ORDER BY ended_at DESC, test_id DESC").flatMap((row) => parsed<TestSummary>(row["summary"]) ?? []),
    saveCheckpoint: (change) => guarded(file, () => transaction(db, () => saveCheckpoint(db, change))),
    checkpoint: (test_id, config) => guarded(file, () => loadCheckpoint(db, test_id, config)),
    dropCheckpoints: () => guarded(file, () => transaction(db, () => dropCheckpoints(db))),
    close: () => db.close(),
  };
}

function openDatabase(data_dir: string, file: string): DatabaseSync {
  mkdirSync(data_dir, { recursive: true });
  const db = new DatabaseSync(file);
  try {
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 2000;");
    const version = Number(db.prepare("PRAGMA user_version").get()?.["user_version"] ?? 0);
    if (version > SCHEMA_VERSION) {
      throw new StoreError(
        "newer_schema",
        `${file} was written by a newer version of Onrush (schema ${version}, this one knows ${SCHEMA_VERSION}): update Onrush, or use another --data folder`,
      );
    }
    const missing = `${version < 1 ? SCHEMA : ""} ${version < 2 ? CHECKPOINT_SCHEMA : ""}`;
    if (version < SCHEMA_VERSION) transaction(db, () => db.exec(`${missing} PRAGMA user_version = ${SCHEMA_VERSION};`));
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** A revision of a report replaces what its run, nodes and seconds said before; the reports themselves all stay. */
function insert(db: DatabaseSync, report: Report, nodes: readonly NodeMeasurements[]): void {
  const { test_id, revision, ended_at } = report;
  const put = (sql: string, ...values: (string | number)[]) => db.prepare(`INSERT OR REPLACE INTO ${sql}`).run(...values);
  put("reports VALUES (?, ?, ?)", test_id, revision, JSON.stringify(report));
  put("runs VALUES (?, ?, ?, ?)", test_id, ended_at, revision, JSON.stringify(endedSummary(report)));
  for (const node of report.nodes) put("node_reports VALUES (?, ?, ?)", test_id, node.node_id, JSON.stringify(node));
  for (const { node_id, epoch, histograms } of nodes) {
    put("node_histograms VALUES (?, ?, ?, ?)", test_id, node_id, epoch, JSON.stringify(histograms));
  }
  for (const row of report.timeline) put("seconds VALUES (?, ?, ?)", test_id, row.t_s, JSON.stringify(row));
}

function dropCheckpoints(db: DatabaseSync): void {
  db.exec("DELETE FROM checkpoints; DELETE FROM checkpoint_members; DELETE FROM checkpoint_seconds;");
}

function saveCheckpoint(db: DatabaseSync, { test_id, config, position, members }: CheckpointChange): void {
  if (!db.prepare("SELECT 1 FROM checkpoints WHERE test_id = ? AND config = ?").get(test_id, config)) dropCheckpoints(db);
  db.prepare("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)").run(test_id, config, JSON.stringify(position));
  const putMember = db.prepare("INSERT OR REPLACE INTO checkpoint_members VALUES (?, ?)");
  const putSecond = db.prepare("INSERT OR REPLACE INTO checkpoint_seconds VALUES (?, ?, ?)");
  for (const { key, state, rows } of members) {
    putMember.run(key, JSON.stringify(state));
    for (const [t_s, second] of rows) putSecond.run(key, t_s, JSON.stringify(second));
  }
}

function loadCheckpoint(db: DatabaseSync, test_id: string, config: string): Checkpoint | null {
  const found = db.prepare("SELECT position FROM checkpoints WHERE test_id = ? AND config = ?").get(test_id, config);
  const position = parsed<number[]>(found?.["position"]);
  if (!position) return null;
  const members = new Map<string, Measured>();
  for (const row of db.prepare("SELECT member, state FROM checkpoint_members").iterate()) {
    members.set(String(row["member"]), revived(parsed<Measured>(row["state"])!));
  }
  for (const row of db.prepare("SELECT member, t_s, second FROM checkpoint_seconds").iterate()) {
    members.get(String(row["member"]))?.rows.set(Number(row["t_s"]), parsed(row["second"])!);
  }
  return { position, members };
}

/** JSON knows no infinity: what was never heard comes back as null. */
function revived(state: Measured): Measured {
  const never = Number.NEGATIVE_INFINITY;
  const plain_place = { ...state.plain_place, timestamp_ms: state.plain_place.timestamp_ms ?? never };
  return { ...state, rows: new Map(), plain_place, heard_ms: state.heard_ms ?? never };
}

function transaction(db: DatabaseSync, work: () => void): void {
  db.exec("BEGIN IMMEDIATE");
  try {
    work();
    db.exec("COMMIT");
  } catch (error) {
    if (db.isTransaction) db.exec("ROLLBACK");
    throw error;
  }
}

function parsed<T>(text: unknown): T | null {
  return typeof text === "string" ? (JSON.parse(text) as T) : null;
}
