import { accessSync, constants, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
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
    mkdirSync(path, { recursive: true });
    accessSync(path, constants.W_OK | constants.X_OK);
    return { path, problem: null };
  } catch (error) {
    return { path, problem: `${path} cannot be written (${codeOf(error) ?? "unknown error"}): name another folder with --data DIR` };
  }
}
