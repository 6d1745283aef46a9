import { parsePlan, type Plan } from "../plan/plan.ts";
import { inWords, PlanError, problemOf, type Problem } from "../plan/problem.ts";
import { parseThreshold, ThresholdError } from "../run/thresholds.ts";
import { parseDurationMs, parseHeader, parseNumber } from "./scalars.ts";

/** The options of `onrush run` that make a plan, as written; undefined: not given. */
export interface PlanFlags {
  name?: string;
  drivers?: string;
  type?: string;
  rate?: string;
  totalRate?: string;
  delay?: string;
  requests?: string;
  totalRequests?: string;
  duration?: string;
  connections?: string;
  workers?: string;
  pacing?: string;
  backlog?: string;
  warmup?: string;
  timeout?: string;
  lease?: string;
  onDriverLoss?: string;
  method?: string;
  header?: string[];
  /** The text itself: what @FILE names is read before. */
  body?: string;
  insecure?: boolean;
  /** PEM itself: the files are read before. */
  ca?: string;
  cert?: string;
  key?: string;
  tlsResume?: boolean;
  resolve?: string;
  unixSocket?: string;
  threshold?: string[];
}

type Input = Record<string, unknown>;

/** Where a flag's value goes: its plan option, how it is read (null: it cannot be), and what it takes the place of. */
interface FlagRule {
  key: Exclude<keyof PlanFlags, keyof typeof TARGET_TEXTS | TlsFlag | "tlsResume" | "header" | "body" | "insecure" | "threshold" | "timeout">;
  flag: string;
  option: string;
  read: (text: string) => unknown;
  expected?: string;
  replaces?: readonly string[];
}

type TlsFlag = "ca" | "cert" | "key";

/** Flags whose text is an option of the target as it stands. */
const TARGET_TEXTS = {
  method: ["method", "--method"],
  resolve: ["resolve", "--resolve"],
  unixSocket: ["unix_socket", "--unix-socket"],
} as const;

const DURATION = "a duration such as 500ms, 10s, 2m or 1h (a bare number is seconds)";
const text = (value: string) => value;
const secondsOf = (value: string) => inUnit(parseDurationMs(value), 1000);
const RATES = ["rate_rps", "total_rate_rps", "delay_ms"];

const RULES: readonly FlagRule[] = [
  { key: "name", flag: "--name", option: "name", read: text },
  { key: "drivers", flag: "--drivers", option: "drivers", read: driversOf },
  { key: "type", flag: "--type", option: "type", read: text },
  { key: "rate", flag: "--rate", option: "rate_rps", read: parseNumber, replaces: RATES },
  { key: "totalRate", flag: "--total-rate", option: "total_rate_rps", read: parseNumber, replaces: RATES },
  { key: "delay", flag: "--delay", option: "delay_ms", read: delayMs, expected: "milliseconds, or a duration such as 20ms", replaces: RATES },
  { key: "requests", flag: "--requests", option: "requests", read: parseNumber, replaces: ["total_requests"] },
  { key: "totalRequests", flag: "--total-requests", option: "total_requests", read: parseNumber, replaces: ["requests"] },
  { key: "duration", flag: "--duration", option: "duration_s", read: secondsOf, expected: DURATION },
  { key: "connections", flag: "--connections", option: "connections", read: parseNumber },
  { key: "workers", flag: "--workers", option: "workers", read: parseNumber },
  { key: "pacing", flag: "--pacing", option: "pacing", read: text },
  { key: "backlog", flag: "--backlog", option: "backlog", read: parseNumber },
  { key: "warmup", flag: "--warmup", option: "warmup_s", read: secondsOf, expected: DURATION },
  { key: "lease", flag: "--lease", option: "lease_ms", read: parseDurationMs, expected: DURATION },
  { key: "onDriverLoss", flag: "--on-driver-loss", option: "on_driver_loss", read: text },
];

function inUnit(ms: number | null, unit_ms: number): number | null {
  return ms === null ? null : ms / unit_ms;
}

/** A bare number is milliseconds here. */
function delayMs(value: string): number | null {
  return parseNumber(value) ?? parseDurationMs(value);
}

/** A count, or a list of node ids. */
function driversOf(value: string): number | string[] {
  return parseNumber(value) ?? value.split(",").map((id) => id.trim());
}

/**
 * The plan that a file (or nothing) and flags make together; flags override the file. `url`: the target that was named
 * on the command line.
 * @throws {PlanError} with every mistake at once, each named by its flag where it came from one
 */
export function planOf(file: unknown, url: string | null, flags: PlanFlags): Plan {
  const problems: Problem[] = [];
  if (!isRecord(file)) return parsePlan(file);
  const input: Input = { ...file };
  const flagOf = new Map<string, string>();
  for (const { key, flag, option, read, expected, replaces = [] } of RULES) {
    const given = flags[key];
    if (given === undefined) continue;
    const value = read(given);
    for (const other of replaces) if (other !== option && !flagOf.has(other)) delete input[other];
    input[option] = value ?? given;
    flagOf.set(option, flag);
    if (value === null && expected !== undefined) problems.push(problemOf({ option: flag, expected, given: inWords(given) }));
  }
  input["target"] = targetOf(input["target"], url, flags, flagOf, problems);
  if (flags.threshold !== undefined) {
    input["thresholds"] = flags.threshold;
    flagOf.set("thresholds", "--threshold");
  }
  problems.push(...thresholdProblems(input["thresholds"]));
  const said = new Set(problems.map(({ option }) => option));
  try {
    const plan = parsePlan(input);
    if (problems.length === 0) return plan;
  } catch (error) {
    if (!(error instanceof PlanError)) throw error;
    problems.push(...error.problems.map((problem) => named(problem, flagOf)).filter(({ option }) => !said.has(option)));
  }
  throw new PlanError(problems);
}

function targetOf(given: unknown, url: string | null, flags: PlanFlags, flagOf: Map<string, string>, problems: Problem[]): unknown {
  const changes: Input = {};
  if (url !== null) {
    changes["url"] = url;
    flagOf.set("target.url", "URL");
  }
  for (const [key, [option, flag]] of Object.entries(TARGET_TEXTS)) {
    const text = flags[key as keyof typeof TARGET_TEXTS];
    if (text === undefined) continue;
    changes[option] = text;
    flagOf.set(`target.${option}`, flag);
  }
  if (flags.body !== undefined) {
    changes["body"] = flags.body;
    flagOf.set("target.body", "--body");
    const own = isRecord(given) ? given["method"] : undefined;
    if (flags.method === undefined && own === undefined) changes["method"] = "POST";
  }
  if (flags.insecure !== undefined) changes["insecure"] = flags.insecure;
  if (flags.timeout !== undefined) {
    const ms = parseDurationMs(flags.timeout);
    changes["timeout_ms"] = ms ?? flags.timeout;
    flagOf.set("target.timeout_ms", "--timeout");
    if (ms === null) problems.push(problemOf({ option: "--timeout", expected: DURATION, given: inWords(flags.timeout) }));
  }
  const target = isRecord(given) || given === undefined ? given : undefined;
  if (given !== undefined && target === undefined) return given;
  if (flags.header !== undefined) {
    changes["headers"] = headersOf(target?.["headers"], flags.header, problems);
    flagOf.set("target.headers", "--header");
  }
  const tls = tlsOf(target?.["tls"], flags, flagOf);
  if (tls !== undefined) changes["tls"] = tls;
  return given === undefined && Object.keys(changes).length === 0 ? undefined : { ...target, ...changes };
}

/** The file's TLS options, those of the flags in place of their namesakes; undefined: no flag was given. */
function tlsOf(given: unknown, flags: PlanFlags, flagOf: Map<string, string>): unknown {
  const changes: Input = {};
  for (const key of ["ca", "cert", "key"] satisfies TlsFlag[]) {
    if (flags[key] !== undefined) changes[key] = flags[key];
    flagOf.set(`target.tls.${key}`, `--${key}`);
  }
  if (flags.tlsResume !== undefined) changes["resume"] = flags.tlsResume;
  if (Object.keys(changes).length === 0) {
    for (const key of ["ca", "cert", "key"]) flagOf.delete(`target.tls.${key}`);
    return undefined;
  }
  return given === undefined || isRecord(given) ? { ...given, ...changes } : given;
}

/** The file's headers, those of the flags in place of their namesakes. */
function headersOf(given: unknown, lines: readonly string[], problems: Problem[]): unknown {
  const own: Input = {};
  const taken = new Set<string>();
  for (const line of lines) {
    const header = parseHeader(line);
    if (header === null) {
      const shown = inWords(line.split(/[:=\s]/, 1)[0]);
      problems.push(problemOf({ option: "--header", expected: '"Name: value"', given: `${shown} without a colon after the name` }));
    } else if (taken.has(header[0].toLowerCase())) {
      problems.push(problemOf({ option: "--header", expected: "each header once", given: `${inWords(header[0])} twice` }));
    } else {
      taken.add(header[0].toLowerCase());
      own[header[0]] = header[1];
    }
  }
  if (given !== undefined && !isRecord(given)) return given;
  const kept = Object.entries(given ?? {}).filter(([name]) => !taken.has(name.toLowerCase()));
  return { ...Object.fromEntries(kept), ...own };
}

function thresholdProblems(thresholds: unknown): Problem[] {
  if (!Array.isArray(thresholds)) return [];
  return thresholds.flatMap((expression: unknown) => {
    if (typeof expression !== "string" || expression.trim() === "") return [];
    try {
      parseThreshold(expression);
      return [];
    } catch (error) {
      if (!(error instanceof ThresholdError)) throw error;
      return [{ option: `threshold ${expression}`, expected: "", given: "", message: error.message }];
    }
  });
}

/** A problem with flags in place of options: its own, where it came from one, and those that it speaks of. */
function named(problem: Problem, flagOf: ReadonlyMap<string, string>): Problem {
  const [, list = problem.option, entry = ""] = /^(.*?)(?:\[\d+\]|(?<=^target\.headers)\.(.+))$/.exec(problem.option) ?? [];
  const flag = flagOf.get(problem.option) ?? flagOf.get(list);
  if (flag === undefined) return problem;
  const option = entry === "" ? flag : `${flag} ${entry}`;
  const given_at = problem.message.indexOf(", got ");
  const expected = withFlags(problem.message.slice(problem.option.length, given_at));
  return { ...problem, option, message: option + expected + problem.message.slice(given_at) };
}

/** Names of options that are no plain words (rate_rps), and those between `either` and `or`, as their flags. */
function withFlags(expected: string): string {
  const flag = (name: string) => RULES.find(({ option }) => option === name)?.flag ?? name;
  return expected.replace(/(?<=either |or )[a-z_]+|\b[a-z]+_[a-z_]+\b/g, flag);
}

function isRecord(value: unknown): value is Input {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
