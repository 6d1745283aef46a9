// `node scripts/launch.js TOOL [ARGS]` runs a development tool, or one of our own scripts (a path), in this process.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { quietExpectedWarnings, requireNode } from "../bin/require-node.js";

requireNode();
quietExpectedWarnings();

const [tool, ...args] = process.argv.slice(2);
const root = new URL("../", import.meta.url);

function entry(name) {
  if (/\.[jt]s$/.test(name)) return pathToFileURL(name);
  const home = new URL(`node_modules/${name === "tsc" ? "typescript" : name}/`, root);
  const { bin } = JSON.parse(readFileSync(new URL("package.json", home), "utf8"));
  return new URL(typeof bin === "string" ? bin : bin[name], home);
}

const file = entry(tool);
process.argv = [process.argv[0], file.pathname, ...args];
await import(file.href);
