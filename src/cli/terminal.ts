import { colourPaint, plainPaint, type Paint } from "./paint.ts";

/** Where text goes. A reader that went away (`| head`) is no error: what comes after is not written. */
export interface Terminal {
  readonly is_tty: boolean;
  readonly paint: Paint;
  /** Columns; Infinity: what is written goes to no terminal. */
  readonly width: () => number;
  readonly height: () => number;
  /** To stdout. */
  readonly line: (text: string) => void;
  /** To stderr. */
  readonly note: (text: string) => void;
}

/** The terminal of this process. Colours: on a TTY, unless NO_COLOR, TERM=dumb or `color: false` say otherwise. */
export function openTerminal(options: { color: boolean }): Terminal {
  const { stdout, stderr, env } = process;
  const is_tty = stdout.isTTY === true && env["TERM"] !== "dumb";
  const coloured = options.color && is_tty && !env["NO_COLOR"];
  return {
    is_tty,
    paint: coloured ? colourPaint : plainPaint,
    width: () => (is_tty ? stdout.columns || 80 : Infinity),
    height: () => stdout.rows || 24,
    line: (text) => void stdout.write(`${text}\n`),
    note: (text) => void stderr.write(`${text}\n`),
  };
}

/**
 * What cannot be written must not end a run. Of a reader that went away (`| head`) nothing is said; anything else, as a
 * full disk, is told to `onLost`, once.
 */
export function surviveLostOutput(onLost: (error: Error) => void): void {
  let told = false;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (told || error.code === "EPIPE" || error.code === "EIO") return;
      told = true;
      onLost(error);
    });
  }
}
