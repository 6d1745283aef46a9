/** One mistake in a plan: which option, what was expected there and what was given. */
export interface Problem {
  /** The option's path, as `target.url`. */
  option: string;
  expected: string;
  /** What was given, in words; never a secret. */
  given: string;
  /** All of it in one line: `rate_rps: expected a number above 0, got "fast" (requests per second and driver)`. */
  message: string;
  /** What to do about it, where there is something to say. */
  hint?: string;
}

/** A plan that cannot be run, with all of its problems at once. */
export class PlanError extends Error {
  readonly code = "bad_plan";
  readonly problems: Problem[];

  constructor(problems: Problem[]) {
    super(problems.map((problem) => problem.message).join("\n"));
    this.name = "PlanError";
    this.problems = problems;
  }
}

/** A problem with its message: `option: expected X, got Y (unit); hint`. */
export function problemOf(what: {
  option: string;
  expected: string;
  given: string;
  unit?: string | undefined;
  hint?: string | undefined;
}): Problem {
  const { option, expected, given, unit, hint } = what;
  const message =
    `${option}: expected ${expected}, got ${given}` + (unit ? ` (${unit})` : "") + (hint ? `; ${hint}` : "");
  return { option, expected, given, message, ...(hint !== undefined && { hint }) };
}

const SHOWN_CHARACTERS = 80;

/** A value in words: text and numbers as written (shortened; passwords in URLs masked), the rest by its kind. */
export function inWords(value: unknown): string {
  switch (typeof value) {
    case "undefined":
      return "nothing";
    case "string": {
      const masked = value.replace(/\/\/[^/?#]*@/g, "//***@");
      return JSON.stringify(masked.length > SHOWN_CHARACTERS ? `${masked.slice(0, SHOWN_CHARACTERS)}...` : masked);
    }
    case "number":
    case "boolean":
    case "bigint":
      return String(value);
    case "symbol":
      return "a symbol";
    case "function":
      return "a function";
    default:
      if (value === null) return "null";
      return Array.isArray(value) ? "a list" : "an object";
  }
}

/** A secret in words: its kind and size only. */
export function secretInWords(value: unknown): string {
  return typeof value === "string" ? `text of ${value.length} ${value.length === 1 ? "character" : "characters"}` : inWords(value);
}

/**
 * The known word nearest to a mistyped one: one that it begins (rate: rate_rps), else by edit distance; null when none
 * is near (over a third of it differs).
 */
export function nearest(word: string, known: readonly string[]): string | null {
  if (word.length > 64) return null;
  const begun = word.length > 2 ? known.find((candidate) => candidate.startsWith(word.toLowerCase())) : undefined;
  if (begun !== undefined) return begun;
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
