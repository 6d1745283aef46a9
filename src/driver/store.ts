import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import { decodeMessage } from "../protocol/codec.ts";
import type { DriverLog } from "./log.ts";
import type { Origin, Report } from "./state.ts";

export interface StoredResult {
  report: Report;
  origin: Origin;
}

/** What a driver measured and nobody has acknowledged yet; it outlives the process. */
export interface ResultStore {
  load(): StoredResult[];
  /** Keeps the newest report of a (node, test, epoch). */
  save(result: StoredResult): void;
  /** Lets go of what is kept up to a seq. */
  forget(which: { node_id: string; test_id: string; epoch: number; seq: number }): void;
  close(): void;
}

const NO_STORE: ResultStore = { load: () => [], save: () => {}, forget: () => {}, close: () => {} };

// A crash of the process loses nothing; fsync would make the load wait for the disk.
const SETUP = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = OFF;
  PRAGMA busy_timeout = 20;
  CREATE TABLE IF NOT EXISTS result (
    node_id TEXT NOT NULL, test_id TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
    origin TEXT NOT NULL, report TEXT NOT NULL,
    PRIMARY KEY (node_id, test_id, epoch)
  ) STRICT;
`;
const SAVE = `INSERT INTO result (node_id, test_id, epoch, seq, origin, report) VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET seq = excluded.seq, origin = excluded.origin, report = excluded.report
  WHERE excluded.seq >= seq`;
const FORGET = "DELETE FROM result WHERE node_id = ? AND test_id = ? AND epoch = ? AND seq <= ?";

/**
 * Opens `driver.sqlite` in `data_dir` (null: keeps nothing). A folder that cannot be written or a full disk is logged
 * once, as `store_failed`; a driver works without its store.
 */
export async function openResultStore(data_dir: string | null, log: DriverLog): Promise<ResultStore> {
  if (data_dir === null) return NO_STORE;
  let told = false;
  const failed = (error: unknown): void => {
    if (told) return;
    told = true;
    const reason = error instanceof Error ? error.message : String(error);
    log.warn("store_failed", { data_dir }, `results cannot be kept in ${data_dir} (${reason}); they are still published`);
  };

  let database: DatabaseSync | null = null;
  try {
    mkdirSync(data_dir, { recursive: true });
    const { DatabaseSync } = await import("node:sqlite");
    database = new DatabaseSync(join(data_dir, "driver.sqlite"));
    database.exec(SETUP);
    return storeOn(database, failed);
  } catch (error) {
    failed(error);
    database?.close();
    return NO_STORE;
  }
}

function storeOn(database: DatabaseSync, failed: (error: unknown) => void): ResultStore {
  const save = database.prepare(SAVE);
  const forget = database.prepare(FORGET);
  const attempt = (write: () => unknown): void => {
    try {
      write();
    } catch (error) {
      failed(error);
    }
  };
  return {
    load() {
      const found: StoredResult[] = [];
      attempt(() => {
        for (const row of database.prepare("SELECT * FROM result ORDER BY rowid").all()) {
          const result = storedResult(row);
          if (result) found.push(result);
        }
      });
      return found;
    },
    save: ({ report, origin }) => {
      const { node_id, test_id, epoch, seq } = report;
      attempt(() => save.run(node_id, test_id, epoch, seq, origin, JSON.stringify(report)));
    },
    forget: ({ node_id, test_id, epoch, seq }) => attempt(() => forget.run(node_id, test_id, epoch, seq)),
    close: () => attempt(() => database.close()),
  };
}

/** null: a row that no version of this code understands any more. */
function storedResult(row: Record<string, SQLOutputValue>): StoredResult | null {
  const origin = row["origin"];
  const text = row["report"];
  if ((origin !== "control" && origin !== "plain") || typeof text !== "string") return null;
  try {
    const message = decodeMessage("metrics", new TextEncoder().encode(text));
    if (message.kind !== "snapshot") return null;
    const { kind: _kind, ...report } = message;
    return { report, origin };
  } catch {
    return null;
  }
}
