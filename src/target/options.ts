import type { Stall } from "./behaviour.ts";
import type { TargetOptions } from "./target.ts";

/** An option of `onrush target` that cannot be used. */
export class TargetOptionError extends Error {
  readonly code = "bad_option";
  readonly option: string;

  constructor(option: string, expected: string, given: string) {
    super(`--${option}: expected ${expected}, got ${JSON.stringify(given)}`);
    this.name = "TargetOptionError";
    this.option = option;
  }
}

/** The options of `onrush target`, in the order in which help shows them. `name`: the key in TargetFlags. */
export const TARGET_FLAGS = [
  { name: "listen", value: "HOST:PORT", default: "127.0.0.1:8088", description: "address to listen on" },
  { name: "delay", value: "MS", default: "0", description: "answer this much later (20, 20ms, 0.5s)" },
  { name: "stall", value: "AT:FOR", default: undefined, description: "no answers for FOR, AT after the first request (2s:1s)" },
  { name: "error-rate", value: "RATE", default: "0", description: "share of /ping answered with 500 (0.01 or 1%)" },
] as const;

/** Their texts, as written; undefined: the default. */
export type TargetFlags = Partial<Record<(typeof TARGET_FLAGS)[number]["name"], string>>;

/** What startTarget wants from what the command line says. Throws TargetOptionError. */
export function targetOptions(flags: TargetFlags): TargetOptions {
  const listen = parseListen(flags.listen ?? TARGET_FLAGS[0].default);
  const delay_ms = parseDuration(flags.delay ?? "0", 1);
  if (delay_ms === null) throw new TargetOptionError("delay", "milliseconds, or a time as 0.5s", flags.delay ?? "");
  return {
    ...listen,
    delay_ms,
    stall: flags.stall === undefined ? null : parseStall(flags.stall),
    error_rate: parseRate(flags["error-rate"] ?? "0"),
  };
}

function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new TargetOptionError("listen", "HOST:PORT", text);
  return { host: match[1] ?? match[2] ?? "127.0.0.1", port };
}

/** AT:FOR in seconds or with a unit, AT counted from the first request: 2s:1s, 2:1, 500ms:2s. */
function parseStall(text: string): Stall {
  const [at, length, ...rest] = text.split(":");
  const at_ms = parseDuration(at ?? "", 1_000);
  const for_ms = parseDuration(length ?? "", 1_000);
  if (at_ms === null || for_ms === null || rest.length > 0) throw new TargetOptionError("stall", "AT:FOR as 2s:1s", text);
  return { at_ms, for_ms };
}

/** ms; a bare number counts in `unit_ms`. At most one day: what a timer can hold. */
function parseDuration(text: string, unit_ms: number): number | null {
  const match = /^(\d+(?:\.\d+)?)(ms|s)?$/.exec(text.trim());
  if (match === null) return null;
  const ms = Number(match[1]) * (match[2] === "s" ? 1_000 : match[2] === "ms" ? 1 : unit_ms);
  return ms <= 86_400_000 ? ms : null;
}

function parseRate(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(%)?$/.exec(text.trim());
  const rate = match === null ? NaN : Number(match[1]) / (match[2] === "%" ? 100 : 1);
  if (!(rate <= 1)) throw new TargetOptionError("error-rate", "a share from 0 to 1, or 0% to 100%", text);
  return rate;
}
