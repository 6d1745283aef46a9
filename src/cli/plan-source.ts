import { readFile } from "node:fs/promises";
import { findPackageJSON } from "node:module";
import { extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { codeOf, messageOf, usageFailure } from "./failure.ts";

/** What the operator named: a target, or a file with a plan. */
export type PlanSource = { kind: "url"; url: string } | { kind: "file"; path: string };

const MODULE_SYNTAX = /^\s*(?:export\b|import\b(?!\s*[(.]))/m;
const MODULES = new Set([".ts", ".mts", ".js", ".mjs"]);

/** Reads URL | PLAN.json | PLAN.ts. @throws {CliFailure} usage */
export function planSource(given: string): PlanSource {
  if (/^https?:\/\//i.test(given)) return { kind: "url", url: given };
  const extension = extname(given).toLowerCase();
  if (extension === ".json" || MODULES.has(extension)) return { kind: "file", path: given };
  const host = /^(?:localhost|[\w-]+(?:\.[\w-]+)+|\[[0-9a-f:.]+\]|[\w-]+:\d+)(?::\d+)?(?:[/?]|$)/i.test(given);
  const hint = host ? `; did you mean http://${given}?` : "";
  throw usageFailure(`URL: expected an http:// or https:// URL or a plan (.json, .ts), got ${JSON.stringify(given)}${hint}`);
}

/** What a plan file says, as it stands there: JSON, or a module that exports `plan` or a default. @throws {CliFailure} usage */
export async function readPlanFile(path: string): Promise<unknown> {
  if (!MODULES.has(extname(path).toLowerCase())) return readJson(path);
  const exported = await importPlan(path);
  const plan = exported["default"] ?? exported["plan"];
  if (plan !== undefined) return plan;
  throw usageFailure(`${path}: expected a module that exports \`plan\` (or a default), it exports ${namesOf(exported)}`);
}

async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw unreadable(path, error);
  }
  try {
    return JSON.parse(text.replace(/^\ufeff/, "")) as unknown;
  } catch (error) {
    throw usageFailure(`${path}: expected JSON: ${firstLine(messageOf(error))}`);
  }
}

async function importPlan(path: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw unreadable(path, error);
  }
  const url = pathToFileURL(resolve(path));
  const extension = extname(path).toLowerCase();
  if ((extension === ".ts" || extension === ".js") && MODULE_SYNTAX.test(text) && (await isCommonJs(url))) {
    const better = path.slice(0, -extension.length) + extension.replace(".", ".m");
    throw usageFailure(`${path}: its package.json says "type": "commonjs", and it is an ES module: name it ${better}`);
  }
  try {
    return (await import(url.href)) as Record<string, unknown>;
  } catch (error) {
    throw usageFailure(`${path}: it cannot be loaded: ${firstLine(messageOf(error))}`);
  }
}

/** Whether the nearest package.json says that what is beside it is no ES module. */
async function isCommonJs(file: URL): Promise<boolean> {
  const path = findPackageJSON(file);
  if (path === undefined) return false;
  try {
    return (JSON.parse(await readFile(path, "utf8")) as { type?: unknown } | null)?.type === "commonjs";
  } catch {
    return false;
  }
}

function unreadable(path: string, error: unknown): Error {
  const why = { ENOENT: "there is no such file", EACCES: "it may not be read", EISDIR: "it is a directory" }[codeOf(error) ?? ""];
  return usageFailure(`${path}: ${why ?? firstLine(messageOf(error))}`);
}

function namesOf(exported: Record<string, unknown>): string {
  const names = Object.keys(exported);
  return names.length === 0 ? "nothing" : names.join(", ");
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

/** The text of --body: TEXT itself, or what the file in @FILE holds. @throws {CliFailure} usage */
export async function readBody(given: string): Promise<string> {
  return given.startsWith("@") ? readText("--body", given.slice(1), given) : given;
}

/** The text of the file that a flag names; `shown`: how it was named. @throws {CliFailure} usage */
export async function readText(flag: string, path: string, shown = path): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
  } catch (error) {
    if (error instanceof TypeError) throw usageFailure(`${flag} ${shown}: expected a file of UTF-8 text`);
    throw unreadable(`${flag} ${shown}`, error);
  }
}
