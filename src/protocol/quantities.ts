import { readNumber, scalar } from "./scalars.ts";

const UNIT_MS: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  "µs": 1e-3, // U+00B5, micro sign
  "μs": 1e-3, // U+03BC, Greek mu
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};
const NUMBER = String.raw`(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?`;
const UNIT = "ns|us|µs|μs|ms|s|m|h";
const LATENCY = new RegExp(`^\\+?${NUMBER}\\s*(?:${UNIT})(?:${NUMBER}(?:${UNIT}))*$`, "i");
const LATENCY_PART = new RegExp(`(${NUMBER})\\s*(${UNIT})`, "gi");
const NO_LATENCY = /^(n\/?a|nan|null|none|-|[+-]?inf(inity)?)?$/i;
const MAX_TEXT_LENGTH = 64;

/** A latency in ms: a number (ms), or a text with a unit ("563.3µs", "1.5ms", "2s", "1m2.5s"); null: none was measured. */
export const tolerantLatencyMs = scalar("expected a latency such as 1.5, 1.5ms, 563.3µs or 2s", (value) => {
  if (value === null) return null;
  if (typeof value === "string" && value.length <= MAX_TEXT_LENGTH) {
    const text = value.trim();
    if (NO_LATENCY.test(text)) return null;
    if (LATENCY.test(text)) return notNegative(sumMs(text));
  }
  return notNegative(readNumber(value));
});

function sumMs(text: string): number {
  let sum = 0;
  for (const [, number, unit] of text.matchAll(LATENCY_PART)) {
    sum += Number(number) * UNIT_MS[unit!.toLowerCase()]!;
  }
  return sum;
}

function notNegative(ms: number | undefined): number | undefined {
  return ms !== undefined && ms >= 0 && Number.isFinite(ms) ? ms : undefined;
}

// What a number since 1970 counts, by its size: each border is the year 5138 in one unit and 1973 in the next.
const MS_FROM = 1e11;
const US_FROM = 1e14;
const NS_FROM = 1e17;

/** ISO 8601 or `YYYY-MM-DD HH:MM:SS`, with up to 9 digits of a second and any zone; what Go's time.String() appends. */
const CALENDAR =
  /^(\d{4}-\d{2}-\d{2})[Tt _](\d{2}:\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s?(?:(Z|UTC|GMT)|([+-])(\d{2}):?(\d{2})?)?(?: [A-Z]{1,5}| [+-]\d{2,4})?(?: m=[+-]\d{1,12}\.\d{1,9})?$/i;
const WEEKDAY = /^(mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},? /i;
const ZONE = /Z|UTC|GMT|[+-]\d{2}:?\d{2}\b/;

/**
 * A moment in ms since 1970: a number of seconds, ms, us or ns, the same as text, ISO 8601, or `YYYY-MM-DD HH:MM:SS`.
 * Without a zone it is UTC.
 */
export const tolerantTimestampMs = scalar("expected a timestamp: ISO 8601, or seconds or ms since 1970", (value) => {
  const number = readNumber(value);
  if (number !== undefined) return numericMs(number);
  if (typeof value !== "string" || value.length > 2 * MAX_TEXT_LENGTH) return undefined;
  const text = value.trim();
  const calendar = CALENDAR.exec(text);
  if (calendar) return calendarMs(calendar);
  if (!WEEKDAY.test(text)) return undefined;
  return finite(Date.parse(ZONE.test(text) ? text : `${text} UTC`));
});

function numericMs(value: number): number | undefined {
  if (value < 0) return undefined;
  const ms = value < MS_FROM ? value * 1e3 : value < US_FROM ? value : value < NS_FROM ? value / 1e3 : value / 1e6;
  return ms < US_FROM ? ms : undefined;
}

function calendarMs(parts: RegExpExecArray): number | undefined {
  const [, date, minutes, seconds = "00", fraction = "0", , sign, zone_h = "0", zone_m = "0"] = parts;
  const offset_ms = (Number(zone_h) * 60 + Number(zone_m)) * 60_000 * (sign === "-" ? -1 : 1);
  const whole_ms = Date.parse(`${date}T${minutes}:${seconds}.000Z`);
  return finite(whole_ms + Math.floor(Number(`0.${fraction}`) * 1e6) / 1e3 - offset_ms);
}

function finite(ms: number): number | undefined {
  return Number.isFinite(ms) ? ms : undefined;
}
