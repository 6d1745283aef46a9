// Real Onrush processes for tests: started by the same launcher as a user's, stopped by their own pid.
import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../bin/onrush.js", import.meta.url));

export interface OnrushProcess {
  child: ChildProcess;
  /** Everything printed until now, stdout and stderr as they came. */
  output(): string;
  /** Resolves with the match once the output has it; rejects when the process ends without it. */
  says(pattern: RegExp): Promise<RegExpExecArray>;
  /** Resolves with the exit code (null: ended by a signal). */
  readonly exited: Promise<number | null>;
  /** Sends a signal, if it still runs, and waits for its end. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** `onrush ...args` as a process of its own. */
export function spawnOnrush(args: string[], env: Record<string, string> = {}): OnrushProcess {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    env: { ...process.env, NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  let over = false;
  const waiting = new Set<() => void>();
  const wake = () => waiting.forEach((check) => check());
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (part: string) => {
      text += part;
      wake();
    });
  }
  const exited = new Promise<number | null>((resolve) => {
    child.once("close", (code) => {
      over = true;
      wake();
      resolve(code);
    });
  });

  return {
    child,
    exited,
    output: () => text,
    says: (pattern) =>
      new Promise((resolve, reject) => {
        const check = () => {
          const match = pattern.exec(text);
          if (!match && !over) return;
          waiting.delete(check);
          if (match) resolve(match);
          else reject(new Error(`onrush ${args.join(" ")} ended without saying ${pattern}:\n${text}`));
        };
        waiting.add(check);
        check();
      }),
    async stop(signal = "SIGTERM") {
      if (!over) child.kill(signal);
      return exited;
    },
  };
}
