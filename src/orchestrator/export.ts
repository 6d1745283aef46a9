import { randomUUID } from "node:crypto";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NODE_ID_PATTERN, TEST_ID_PATTERN } from "../plan/ids.ts";
import type { Report } from "../run/report-schema.ts";

/**
 * Writes `reports/<test_id>/<node_id>.json` for each node and `reports/<test_id>/final.json`. Each file is whole or not
 * there. A node that is called `final` gives way: `final@node.json` (no node id has an @).
 */
export function exportReport(data_dir: string, report: Report): void {
  if (!TEST_ID_PATTERN.test(report.test_id)) throw new Error(`not a test's name: ${report.test_id}`);
  const folder = join(data_dir, "reports", report.test_id);
  mkdirSync(folder, { recursive: true });
  for (const node of report.nodes) {
    if (!NODE_ID_PATTERN.test(node.node_id)) throw new Error(`not a node's name: ${node.node_id}`);
    const name = node.node_id === "final" ? "final@node" : node.node_id;
    writeWhole(join(folder, `${name}.json`), { test_id: report.test_id, revision: report.revision, ...node });
  }
  writeWhole(join(folder, "final.json"), report);
}

function writeWhole(file: string, content: object): void {
  const temporary = `${file}.${randomUUID()}.tmp`;
  try {
    writeFileSync(temporary, `${JSON.stringify(content, null, 2)}\n`, { flush: true });
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
