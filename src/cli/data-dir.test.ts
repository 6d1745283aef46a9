import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { prepareDataDir, userDataDir } from "./data-dir.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "onrush-data-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

describe("prepareDataDir", () => {
  it("makes what is missing, and takes what is there", () => {
    const path = join(folder, "a", "b", "c");
    expect(prepareDataDir(path)).toEqual({ path, problem: null });
    expect(existsSync(path)).toBe(true);
    expect(prepareDataDir(path)).toEqual({ path, problem: null });
  });

  it("says why a folder cannot be used", async () => {
    const file = join(folder, "file");
    await writeFile(file, "");
    for (const path of [file, join(file, "x"), join(file, "x", "y")]) {
      expect(prepareDataDir(path).problem).toMatch(/ cannot be written \((EEXIST|ENOTDIR)\): name another folder with --data DIR$/);
    }
  });

  it.skipIf(!existsSync("/proc/self"))("gives up where no folder can be made", () => {
    expect(prepareDataDir("/proc/onrush/data").problem).toMatch(/^\/proc\/onrush\/data cannot be written \(ENOENT\)/);
  });
});

describe("userDataDir", () => {
  it("is where each system keeps such data", () => {
    expect(userDataDir({}, "linux", "/home/a")).toBe(join("/home/a", ".local", "share", "onrush"));
    expect(userDataDir({ XDG_DATA_HOME: "/x" }, "linux", "/home/a")).toBe(join("/x", "onrush"));
    expect(userDataDir({}, "darwin", "/Users/a")).toBe(join("/Users/a", "Library", "Application Support", "onrush"));
    expect(userDataDir({ LOCALAPPDATA: "C:/l" }, "win32", "C:/a")).toBe(join("C:/l", "onrush"));
  });
});
