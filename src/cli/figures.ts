import type { LatencySummary, Percentile } from "../metrics/statistics.ts";

const NUMERIC = new Intl.Collator("en-US", { numeric: true });

/** The order of names in tables: driver-2 before driver-10. */
export function byName(a: string, b: string): number {
  return NUMERIC.compare(a, b);
}

/** A count as people read it: 1,800. */
export function count(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

/** A rate in requests per second: 0.25, 9.5, 600, 12,000. */
export function rate(rps: number): string {
  const digits = rps >= 100 || Number.isInteger(rps) ? 0 : rps >= 1 ? 1 : 3;
  return rps.toLocaleString("en-US", { maximumFractionDigits: digits });
}

/** A time given in ms, with its unit: 0.41 ms, 12.3 ms, 250 ms, 1.20 s; a dash for what was not measured. */
export function duration(ms: number | null): string {
  if (ms === null) return "-";
  const size = Math.abs(ms);
  if (size >= 99_950) return `${count(ms / 1000)} s`;
  if (size >= 999.5) return `${(ms / 1000).toFixed(size >= 9_995 ? 1 : 2)} s`;
  if (size >= 99.95) return `${ms.toFixed(0)} ms`;
  return `${ms.toFixed(size >= 9.995 ? 1 : 2)} ms`;
}

/** A percentile of `ms`; one that lies among failed and dropped requests is beyond the timeout: > 30 s. */
export function percentile({ censored }: LatencySummary, name: Percentile, ms: number | null, timeout_ms: number | null): string {
  if (!censored.includes(name)) return duration(ms);
  return `> ${duration(timeout_ms).replace(/\.0+ s$/, " s")}`;
}

/** The same without spaces: for lines that programs read too. */
export function tight(figure: string): string {
  return figure.replaceAll(" ", "");
}

/** A share from 0 to 1: 0.25 %, 12.5 %. Only nothing is 0 %, and only all is 100 %: else < 0.01 % and > 99.9 %. */
export function percent(share: number): string {
  if (share > 0 && share < 0.0001) return "< 0.01 %";
  if (share > 0.999 && share < 1) return "> 99.9 %";
  return `${(share * 100).toLocaleString("en-US", { maximumFractionDigits: share < 0.01 ? 2 : 1 })} %`;
}

/** Decimal units: 999 B, 1.2 kB, 34.5 MB. */
export function bytes(value: number): string {
  let size = value;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (size < 999.5) return `${size.toFixed(unit === "B" || size >= 99.95 ? 0 : 1)} ${unit}`;
    size /= 1000;
  }
  return `${size.toFixed(1)} TB`;
}

/** What came from elsewhere (a target's error, a node's name) without anything that a terminal would obey. */
export function printable(text: string): string {
   
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]+/g, " ").trim();
}
