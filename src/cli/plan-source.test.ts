import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { userDataDir } from "./data-dir.ts";
import { planSource, readBody, readPlanFile } from "./plan-source.ts";
import { reportPathProblems } from "./report-file.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "onrush-plans-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

describe("what is run", () => {
  it("is a URL or a file", () => {
    expect(planSource("https://x/y.json")).toEqual({ kind: "url", url: "https://x/y.json" });
    expect(planSource("plans/a.ts")).toEqual({ kind: "file", path: "plans/a.ts" });
  });

  it("else is told what was probably meant", () => {
    expect(() => planSource("localhost:8080/ping")).toThrow("did you mean http://localhost:8080/ping?");
    expect(() => planSource("nonsense")).toThrow(/expected an http:\/\/ or https:\/\/ URL or a plan \(.json, .ts\), got "nonsense"$/);
  });
});

describe("plan files", () => {
  it("are JSON, or modules with a plan", async () => {
    expect(await readPlanFile(await file("a.json", '{"rate_rps": 1}'))).toEqual({ rate_rps: 1 });
    expect(await readPlanFile(await file("b.ts", "export const plan: { rate_rps: number } = { rate_rps: 2 };"))).toEqual({ rate_rps: 2 });
    expect(await readPlanFile(await file("c.mjs", "export default { rate_rps: 3 };"))).toEqual({ rate_rps: 3 });
  });

  it("that cannot be read say why in one line", async () => {
    await expect(readPlanFile(join(folder, "none.json"))).rejects.toThrow(/none.json: there is no such file$/);
    await expect(readPlanFile(await file("d.json", "{,}"))).rejects.toThrow(/d.json: expected JSON: /);
    await expect(readPlanFile(await file("e.mjs", "export const other = 1;"))).rejects.toThrow(/exports \`plan\` \(or a default\), it exports other$/);
    await expect(readPlanFile(await file("f.mjs", "throw new Error('broken\\nmore');"))).rejects.toThrow(/it cannot be loaded: broken$/);
  });

  it("that are ES modules in a CommonJS package say what to name them", async () => {
    await mkdir(join(folder, "cjs"));
    await file("cjs/package.json", '{"type": "commonjs"}');
    const plan = "export const plan = { rate_rps: 4 };";
    await expect(readPlanFile(await file("cjs/plan.ts", plan))).rejects.toThrow(/"type": "commonjs", and it is an ES module: name it .*cjs.plan\.mts$/);
    expect(await readPlanFile(await file("cjs/plan.mts", plan))).toEqual({ rate_rps: 4 });
  });

  it("bodies are text or a file's text", async () => {
    expect(await readBody("x")).toBe("x");
    expect(await readBody(`@${await file("body.txt", "ü")}`)).toBe("ü");
    await expect(readBody("@/nowhere")).rejects.toThrow("there is no such file");
  });
});

describe("folders", () => {
  it("report files are looked at before the run", async () => {
    expect(reportPathProblems([join(folder, "r.json")])).toEqual([]);
    await mkdir(join(folder, "folder.json"));
    expect(reportPathProblems([join(folder, "folder.json")])[0]).toMatch(/folder\.json: it is a folder; expected FILE\.json$/);
    expect(reportPathProblems(["r.html", "r.txt", "/nowhere/r.json"])).toEqual([
      "--report r.html: this version does not write HTML; use FILE.json",
      "--report r.txt: expected FILE.json",
      "--report /nowhere/r.json: the folder /nowhere does not exist: make it first",
    ]);
  });

  it("data lies where the system keeps a user's data", () => {
    expect(userDataDir({}, "linux", "/home/a")).toBe("/home/a/.local/share/onrush");
    expect(userDataDir({ XDG_DATA_HOME: "/x" }, "darwin", "/home/a")).toBe("/x/onrush");
    expect(userDataDir({}, "darwin", "/Users/a")).toBe("/Users/a/Library/Application Support/onrush");
  });
});
