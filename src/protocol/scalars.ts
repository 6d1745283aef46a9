import { z } from "zod";

/** Numbers may come as numeric strings. */
export const tolerantNumber = z.union([
  z.number(),
  z
    .string()
    .trim()
    .regex(/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i, "expected a number")
    .transform(Number)
    .pipe(z.number()),
]);

export const tolerantCount = tolerantNumber.pipe(z.int().min(0));
export const tolerantOffset = tolerantCount;

const LATENCY_UNITS_MS: Record<string, number> = { ns: 1e-6, us: 1e-3, "µs": 1e-3, "μs": 1e-3, ms: 1, s: 1000, m: 60_000 };
const LATENCY = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?)\s*(ns|us|µs|μs|ms|s|m)?$/i;

/** A latency in ms: a number (ms), or a text with a unit ("563.3µs", "1.5ms", "2s", "1m2.5s"), or empty (null). */
export const tolerantLatencyMs = z.union([
  z.null(),
  z.number().min(0),
  z
    .string()
    .max(64)
    .transform((text, context) => {
      const trimmed = text.trim();
      if (trimmed === "" || /^(n\/?a|nan|null|none|-)$/i.test(trimmed)) return null;
      const value = latencyMs(trimmed);
      if (value !== null) return value;
      context.addIssue({ code: "custom", message: "expected a latency such as 1.5, 1.5ms, 563.3µs or 2s" });
      return z.NEVER;
    }),
]);

function latencyMs(text: string): number | null {
  const minutes = /^(\d+)m(\d+(?:\.\d+)?)s$/.exec(text);
  if (minutes) return Number(minutes[1]) * 60_000 + Number(minutes[2]) * 1000;
  const match = LATENCY.exec(text);
  if (!match) return null;
  const value = Number(match[1]) * (LATENCY_UNITS_MS[(match[2] ?? "ms").toLowerCase()] ?? 1);
  return Number.isFinite(value) && value >= 0 ? value : null;
}

/** Below this a number is seconds since 1970, from it on milliseconds. */
const MILLISECONDS_FROM = 1e11;

/** A moment in ms since 1970: a number of seconds or ms, the same as text, ISO 8601, or `YYYY-MM-DD HH:MM:SS` (UTC). */
export const tolerantTimestampMs = z.union([z.number(), z.string().max(64)]).transform((value, context) => {
  const parsed = typeof value === "number" ? numericMs(value) : textMs(value.trim());
  if (parsed !== null) return parsed;
  context.addIssue({ code: "custom", message: "expected a timestamp: ISO 8601, or seconds or ms since 1970" });
  return z.NEVER;
});

function numericMs(value: number): number | null {
  if (!Number.isFinite(value) || value < 0) return null;
  const ms = value < MILLISECONDS_FROM ? value * 1000 : value;
  return ms <= 8.64e15 ? ms : null;
}

function textMs(text: string): number | null {
  if (/^\d+(\.\d+)?$/.test(text)) return numericMs(Number(text));
  const plain = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2}(?:[.,]\d+)?)$/.exec(text);
  const ms = Date.parse(plain ? `${plain[1]}T${plain[2]!.replace(",", ".")}Z` : text);
  return Number.isFinite(ms) ? ms : null;
}

/** Ids of nodes: no spaces, no path separators, nothing that another language would have to quote. */
export const nodeId = z
  .string()
  .max(128)
  .regex(/^[A-Za-z0-9._:-]+$/, "expected letters, digits, dot, underscore, colon or dash")
  .refine((id) => id !== "." && id !== ".." && id !== "__proto__", "reserved");

export const testId = z
  .string()
  .max(64)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, "expected letters, digits, dot, underscore or dash");

/** Ids from other implementations may be numbers. */
export const tolerantNodeId = z.union([z.int().min(0).transform(String), nodeId]);
export const tolerantTestId = z.union([z.int().min(0).transform(String), testId]);

export const labels = z.record(z.string().max(64).regex(/^[A-Za-z0-9._/-]+$/), z.string().max(256));
