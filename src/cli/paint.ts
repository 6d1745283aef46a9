export type Tone = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

/** Colours a piece of text; never changes how many columns it takes. */
export type Paint = (tone: Tone, text: string) => string;

const CODES: Record<Tone, [on: number, off: number]> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

export const plainPaint: Paint = (_, text) => text;

export const colourPaint: Paint = (tone, text) => {
  const [on, off] = CODES[tone];
  return `\u001b[${on}m${text}\u001b[${off}m`;
};

 
const ESCAPE = /\u001b\[[0-9;]*m/g;

/** Columns of a line: escapes take none. */
export function columns(line: string): number {
  return [...line.replace(ESCAPE, "")].length;
}

/** A line cut to `width` columns; what was cut is shown by an ellipsis, and no colour leaks out of it. */
export function fit(line: string, width: number): string {
  if (columns(line) <= width) return line;
  let shown = "";
  let used = 0;
  let coloured = false;
  for (const piece of line.split(/(\u001b\[[0-9;]*m)/)) {
    if (piece.startsWith("\u001b[")) {
      shown += piece;
      coloured = true;
      continue;
    }
    for (const character of piece) {
      if (used === width - 1) return `${shown}…${coloured ? "\u001b[0m" : ""}`;
      shown += character;
      used++;
    }
  }
  return shown;
}

/** Words on as many lines as `width` columns ask for; all but the first one indented. */
export function wrapped(text: string, width: number, indent = "  "): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line.trim() !== "" && columns(line) + 1 + columns(word) > width) {
      lines.push(line);
      line = indent + word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/** A line that is wider than `width` on several, each as far in as the first one and two columns more. */
export function folded(line: string, width: number): string[] {
  if (columns(line) <= width) return [line];
  const margin = /^ */.exec(line)![0];
  return wrapped(line.trimStart(), width - margin.length).map((part) => margin + part);
}

/** Cells in columns that line up: the first one to the left, the others to the right, or all to the left. */
export function aligned(rows: readonly (readonly string[])[], side: "left" | "right" = "right"): string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, columns(cell));
  return rows.map((row) =>
    row
      .map((cell, i) => {
        const padding = " ".repeat((widths[i] ?? 0) - columns(cell));
        return i === 0 || side === "left" ? cell + padding : padding + cell;
      })
      .join("  ")
      .trimEnd(),
  );
}
