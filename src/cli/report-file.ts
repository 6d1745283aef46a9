import { accessSync, constants, statSync } from "node:fs";
import { rename, rm, writeFile } from "node:fs/promises";
import { dirname, extname, resolve } from "node:path";
import type { Report } from "../run/report-schema.ts";
import { codeOf } from "./failure.ts";

/** What is wrong with the files of --report, one line each; before the run, so that none is lost for it. */
export function reportPathProblems(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const extension = extname(path).toLowerCase();
    if (extension === ".html" || extension === ".htm") {
      return `--report ${path}: this version does not write HTML; use FILE.json`;
    }
    if (extension !== ".json") return `--report ${path}: expected FILE.json`;
    return placeProblem(path) ?? [];
  });
}

function placeProblem(path: string): string | null {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return `--report ${path}: it is a folder; expected FILE.json`;
  const folder = dirname(resolve(path));
  try {
    if (!statSync(folder).isDirectory()) return `--report ${path}: ${folder} is not a folder`;
    accessSync(folder, constants.W_OK);
    return null;
  } catch (error) {
    const why = codeOf(error) === "ENOENT" ? "does not exist: make it first" : `cannot be written (${codeOf(error) ?? "unknown"})`;
    return `--report ${path}: the folder ${folder} ${why}`;
  }
}

/** Writes a report whole or not at all. Rejects with the system's error. */
export async function writeReport(path: string, report: Report): Promise<void> {
  const partial = `${path}.${process.pid}.part`;
  try {
    await writeFile(partial, `${JSON.stringify(report, null, 2)}\n`);
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}
