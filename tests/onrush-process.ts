import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

export const BIN = fileURLToPath(new URL("../bin/onrush.js", import.meta.url));

/** One `onrush` as an operator would start it. */
export interface OnrushProcess {
  child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** Resolves when stdout or stderr says it; rejects when the process ends without having said it. */
  says(pattern: RegExp): Promise<void>;
  /** Resolves with the exit code (signal: -1). */
  ended: Promise<number>;
}

/** Starts the command line; no variable of the tests' own environment reaches it but PATH. */
export function onrush(args: readonly string[], env: Record<string, string> = {}): OnrushProcess {
  const child = spawn(process.execPath, [BIN, ...args], {
    env: { PATH: process.env["PATH"], HOME: "/dev/null", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { stdout: "", stderr: "" };
  const listeners = new Set<() => void>();
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      said[name] += text;
      for (const listener of listeners) listener();
    });
  }
  const ended = new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? -1)));
  return {
    child,
    stdout: () => said.stdout,
    stderr: () => said.stderr,
    says: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!pattern.test(said.stdout) && !pattern.test(said.stderr)) return;
          listeners.delete(look);
          resolve();
        };
        listeners.add(look);
        look();
        void ended.then((code) => reject(new Error(`it ended (${code}) without saying ${pattern}:\n${said.stdout}${said.stderr}`)));
      }),
    ended,
  };
}
