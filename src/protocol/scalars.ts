import { z } from "zod";
import { NODE_ID_PATTERN, TEST_ID_PATTERN } from "../plan/ids.ts";

// Schemas are functions where a zod chain would validate twice: a metrics record holds some 150 numbers.
// Messages are constant: they are logged, and a record's content is not.

/** A schema out of a function that returns undefined for what it does not accept. */
export function scalar<T>(expected: string, read: (value: unknown) => T | undefined): z.ZodTransform<T, unknown> {
  return z.transform((value: unknown, context): T => {
    const result = read(value);
    if (result !== undefined) return result;
    context.addIssue({ code: "custom", message: expected, input: value });
    return z.NEVER;
  });
}

const NUMERIC = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i;
const MAX_NUMERIC_LENGTH = 64;

/** A finite number, or a text that is one; never -0. */
export function readNumber(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? value + 0 : undefined;
  if (typeof value !== "string" || value.length > MAX_NUMERIC_LENGTH) return undefined;
  const text = value.trim();
  if (!NUMERIC.test(text)) return undefined;
  const number = Number(text);
  return Number.isFinite(number) ? number + 0 : undefined;
}

/** A whole number from 0 to 2^53 - 1, or a text that is one. */
export function readCount(value: unknown): number | undefined {
  const number = readNumber(value);
  return number !== undefined && Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

/** Numbers may come as numeric strings. */
export const tolerantNumber = scalar("expected a number", readNumber);

export const tolerantNonNegative = scalar("expected a number from 0", (value) => {
  const number = readNumber(value);
  return number !== undefined && number >= 0 ? number : undefined;
});

export const tolerantInteger = scalar("expected a whole number", (value) => {
  const number = readNumber(value);
  return Number.isSafeInteger(number) ? number : undefined;
});

export const tolerantCount = scalar("expected a whole number from 0", readCount);

export const tolerantPositive = scalar("expected a whole number from 1", (value) => {
  const count = readCount(value);
  return count === 0 ? undefined : count;
});

/** A text of which at most `max` characters are kept. */
export function boundedText(max: number): z.ZodTransform<string, unknown> {
  return scalar("expected a text", (value) => (typeof value === "string" ? value.slice(0, max) : undefined));
}

/** An address as a node gave it: only shown, so whatever is no text counts as none. */
export const address = scalar("expected a text", (value) => (typeof value === "string" ? value.slice(0, 256) : ""));

/** `"YES"` in any case, or true. */
export const yes = scalar("expected YES", (value) =>
  value === true || (typeof value === "string" && /^\s{0,8}yes\s{0,8}$/i.test(value)) ? ("YES" as const) : undefined,
);

function isNodeId(value: unknown): value is string {
  return typeof value === "string" && NODE_ID_PATTERN.test(value) && value !== "__proto__";
}

function isTestId(value: unknown): value is string {
  return typeof value === "string" && TEST_ID_PATTERN.test(value);
}

const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const NODE_ID = "expected 1 to 128 letters, digits, dots, underscores, colons or dashes";
const TEST_ID = "expected 1 to 64 letters, digits, dots, underscores or dashes";

export const nodeId = scalar(NODE_ID, (value) => (isNodeId(value) ? value : undefined));
export const testId = scalar(TEST_ID, (value) => (isTestId(value) ? value : undefined));

/** Ids from other implementations may be numbers. */
export const tolerantNodeId = scalar(NODE_ID, (value) => (isNodeId(value) ? value : isWhole(value) ? String(value) : undefined));
export const tolerantTestId = scalar(TEST_ID, (value) => (isTestId(value) ? value : isWhole(value) ? String(value) : undefined));

/** An array of at most `max` elements; a longer one is refused before any of them is looked at. */
export function boundedArray<T extends z.ZodType>(element: T, max: number) {
  return z
    .custom<unknown[]>((value) => Array.isArray(value) && value.length <= max, "expected an array, and not so long a one")
    .pipe(z.array(element));
}

/** A map of at most `max` keys; a larger one is refused before any of them is looked at. `__proto__` is left out. */
export function boundedMap<K extends z.ZodType<string, string>, V extends z.ZodType>(key: K, element: V, max: number) {
  return z
    .custom<Record<string, unknown>>((value) => isRecord(value) && Object.keys(value).length <= max, "expected a small object")
    .pipe(z.record(key, element));
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export const labels = boundedMap(z.string().max(64).regex(/^[A-Za-z0-9._/-]+$/), z.string().max(256), 64);
