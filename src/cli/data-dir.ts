import { accessSync, constants, mkdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { codeOf } from "./failure.ts";

/**
 * The user's data folder for Onrush: XDG_DATA_HOME/onrush, else ~/.local/share/onrush; on macOS
 * ~/Library/Application Support/onrush; on Windows %LOCALAPPDATA%\onrush.
 */
export function userDataDir(env: NodeJS.ProcessEnv, platform: NodeJS.Platform, home: string): string {
  if (platform === "win32") return join(env["LOCALAPPDATA"] || join(home, "AppData", "Local"), "onrush");
  if (env["XDG_DATA_HOME"]) return join(env["XDG_DATA_HOME"], "onrush");
  return platform === "darwin" ? join(home, "Library", "Application Support", "onrush") : join(home, ".local", "share", "onrush");
}

/** The folder to keep data in, made where it is missing, or why it cannot be used. */
export function prepareDataDir(given: string | undefined): { path: string; problem: string | null } {
  const path = given ?? userDataDir(process.env, process.platform, homedir());
  try {
    makeFolder(resolve(path));
    accessSync(path, constants.W_OK | constants.X_OK);
    return { path, problem: null };
  } catch (error) {
    return { path, problem: `${path} cannot be written (${codeOf(error) ?? "unknown error"}): name another folder with --data DIR` };
  }
}

/** As mkdir -p. Node's own never returns where the system says ENOENT beneath a folder that exists, as /proc does. */
function makeFolder(path: string): void {
  if (isFolder(path)) return;
  const parent = dirname(path);
  if (parent !== path) makeFolder(parent);
  try {
    mkdirSync(path);
  } catch (error) {
    // Somebody else may have made it meanwhile.
    if (!isFolder(path)) throw error;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
