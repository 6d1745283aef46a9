const UNITS_MS: Record<string, number> = { us: 1e-3, "µs": 1e-3, ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 };

/** A duration as written, in ms: 500ms, 10s, 2m, 1h, 1m30s; a bare number counts in seconds. null: it is none. */
export function parseDurationMs(text: string): number | null {
  const bare = text.trim().toLowerCase();
  if (/^\d+(\.\d+)?$|^\.\d+$/.test(bare)) return Number(bare) * 1000;
  if (!/^(?:(?:\d+(?:\.\d+)?|\.\d+)(?:us|µs|ms|s|min|m|h))+$/.test(bare)) return null;
  let ms = 0;
  for (const [, number, unit] of bare.matchAll(/(\d+(?:\.\d+)?|\.\d+)(us|µs|ms|s|min|m|h)/g)) ms += Number(number) * UNITS_MS[unit!]!;
  return ms;
}

/** A number as written: 200, 1_000, 1,000, 1e6, 0.5, 10k, 2M. null: it is none. */
export function parseNumber(text: string): number | null {
  const match = /^([+-]?(?:\d[\d_]*|\d{1,3}(?:,\d{3})+)?(?:\.\d+)?(?:e[+-]?\d+)?)([kKM])?$/.exec(text.trim());
  const digits = match?.[1]?.replace(/[_,]/g, "") ?? "";
  if (!/\d/.test(digits)) return null;
  const value = Number(digits) * (match?.[2] === undefined ? 1 : match[2] === "M" ? 1e6 : 1e3);
  return Number.isFinite(value) ? value : null;
}

export interface HostPort {
  host: string;
  port: number;
}

/** HOST:PORT, [IPv6]:PORT, or a bare port on 127.0.0.1. null: it is none. */
export function parseHostPort(text: string): HostPort | null {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+)):)?(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3]);
  return match === null || port > 65_535 ? null : { host: match[1] ?? match[2] ?? "127.0.0.1", port };
}

/** `Name: value` as a header. null: it has no name. */
export function parseHeader(text: string): [name: string, value: string] | null {
  const match = /^([^:\s][^:]*?)\s*:\s*(.*?)\s*$/s.exec(text);
  return match ? [match[1]!, match[2]!] : null;
}

/** `key=value`. null: it has no key. */
export function parsePair(text: string): [key: string, value: string] | null {
  const at = text.indexOf("=");
  return at < 1 ? null : [text.slice(0, at).trim(), text.slice(at + 1).trim()];
}

/** What a comma or a line break separates. */
export function parseList(text: string): string[] {
  return text
    .split(/[,\n]/)
    .map((part) => part.trim())
    .filter((part) => part !== "");
}
