// The package as `npm pack` makes it: what is in it, and that it runs on its own dependencies alone.
import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startTarget } from "../src/target/target.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const hasTools = ["npm", "tar"].every((tool) => spawnSync(tool, ["--version"]).status === 0);

let folder = "";
let files: string[] = [];

beforeAll(async () => {
  if (!hasTools) return;
  folder = await mkdtemp(join(tmpdir(), "onrush-pack-"));
  await run("npm", ["pack", "--pack-destination", folder], { cwd: root });
  const [tarball] = await readdir(folder);
  await run("tar", ["-xzf", tarball!], { cwd: folder });
  files = await readdir(join(folder, "package"), { recursive: true });
  await symlink(join(root, "node_modules"), join(folder, "package", "node_modules"));
}, 120_000);

afterAll(async () => {
  if (folder) await rm(folder, { recursive: true });
});

it.skipIf(!hasTools)("holds the launcher, the built program and its papers, and nothing else", () => {
  const top = new Set(files.map((file) => file.split("/")[0]));
  expect([...top].sort()).toEqual(["CHANGELOG.md", "LICENSE", "README.md", "bin", "dist", "package.json"]);
  expect(files.filter((file) => /\.test\.|\/testing(\/|$)|(?<!\.d)\.ts$/.test(file))).toEqual([]);
});

it.skipIf(!hasTools)("imports what its dependencies name", async () => {
  const { dependencies } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { dependencies: object };
  const allowed = new Set([...Object.keys(dependencies), ...builtinModules.map((name) => `node:${name}`), "node:sqlite"]);
  const used = new Set<string>();
  for (const file of files.filter((name) => name.endsWith(".js"))) {
    const text = await readFile(join(folder, "package", file), "utf8");
    for (const [, name] of text.matchAll(/(?:^import |^} |^export .*)(?:.* )?from "([^".][^"]*)"|import\("([^".][^"]*)"\)/gm)) if (name) used.add(name);
  }
  expect(used.size).toBeGreaterThan(5);
  expect([...used].filter((name) => !allowed.has(name))).toEqual([]);
});

it.skipIf(!hasTools)("runs", async () => {
  const bin = join(folder, "package", "bin", "onrush.js");
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
  expect((await run(process.execPath, [bin, "--version"])).stdout).toBe(`${version}\n`);
  const target = await startTarget();
  try {
    const { stdout, stderr } = await run(process.execPath, [bin, "run", `${target.url}/ping`, "--requests", "50", "--no-store"]);
    expect([stdout, stderr]).toEqual([expect.stringContaining("COMPLETED"), ""]);
    expect(target.counters().requests_received).toBe(50);
  } finally {
    await target.close();
  }
});
