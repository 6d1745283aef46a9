import { percentileUs, modeUs, meanUs } from "../metrics/statistics.ts";
import type { Histogram } from "../metrics/histogram.ts";
import type { GeneratorReport, ThresholdResult, Totals, Verdict } from "./report-schema.ts";
import { infiniteOf, type Measurements } from "./latency.ts";

type Operator = "<" | "<=" | ">" | ">=";
type Statistic = { kind: "percentile"; q: number } | { kind: "mean" | "mode" | "min" | "max" };

/** One comparison of an expression. `bound`: us, a fraction (error_rate), or a number (totals). */
export type Condition =
  | { subject: "latency"; of: "response" | "service" | "connect"; statistic: Statistic; operator: Operator; bound: number; unit_us: number }
  | { subject: "error_rate"; operator: Operator; bound: number }
  | { subject: "total"; name: TotalName; operator: Operator; bound: number };

/** What must hold: every condition, joined by `and`. */
export interface Threshold {
  expression: string;
  conditions: Condition[];
}

const TOTAL_NAMES = [
  "planned", "scheduled", "never_sent", "sent", "dropped", "ok", "http_error", "network_error", "timeout", "aborted", "unknown",
  "overlap", "completed", "bytes_in", "bytes_out", "rps", "reconnects", "waited_for_connection", "backlog_max",
] as const;
export type TotalName = (typeof TOTAL_NAMES)[number];

/** An expression that says nothing Onrush understands. */
export class ThresholdError extends Error {
  readonly code = "bad_threshold";
}

const UNITS_US: Record<string, number> = { us: 1, ms: 1000, s: 1e6 };
const LATENCY = /^(?:(service|connect)_)?(p\d+(?:\.\d+)?|mean|median|mode|min|max)\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?)\s*(us|ms|s)$/;
const ERROR_RATE = /^error_rate\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?)\s*%$/;
const TOTAL = /^([a-z_]+)\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?)$/;

/**
 * Reads `[service_|connect_](pN|mean|median|mode|min|max) OP NUMBER(us|ms|s)`, `error_rate OP N%`, or a name of totals
 * `OP N`; joined by `and`. Bare names mean response time.
 * @throws {ThresholdError} saying what was expected
 */
export function parseThreshold(expression: string): Threshold {
  const parts = expression.trim().split(/\s+and\s+/);
  return { expression, conditions: parts.map((part) => parseCondition(part, expression)) };
}

function parseCondition(part: string, expression: string): Condition {
  const latency = LATENCY.exec(part);
  if (latency) {
    const [, of, name, operator, number, unit] = latency as unknown as [string, string | undefined, string, Operator, string, string];
    const unit_us = UNITS_US[unit]!;
    const statistic = statisticOf(name, part);
    const bound = Number(number) * unit_us;
    return { subject: "latency", of: (of as "service" | "connect" | undefined) ?? "response", statistic, operator, bound, unit_us };
  }
  const rate = ERROR_RATE.exec(part);
  if (rate) return { subject: "error_rate", operator: rate[1] as Operator, bound: Number(rate[2]) / 100 };
  const total = TOTAL.exec(part);
  if (total && (TOTAL_NAMES as readonly string[]).includes(total[1]!)) {
    return { subject: "total", name: total[1] as TotalName, operator: total[2] as Operator, bound: Number(total[3]) };
  }
  throw new ThresholdError(
    `threshold "${expression}": expected something like 'p99 < 200ms', 'service_mean <= 1.5ms', 'error_rate < 1%' or ` +
      `'dropped <= 0', joined by 'and'; got "${part}"`,
  );
}

function statisticOf(name: string, part: string): Statistic {
  if (name === "median") return { kind: "percentile", q: 0.5 };
  if (!name.startsWith("p")) return { kind: name as "mean" | "mode" | "min" | "max" };
  const percent = Number(name.slice(1));
  if (percent <= 0 || percent >= 100) throw new ThresholdError(`threshold "${part}": expected a percentile between 0 and 100`);
  return { kind: "percentile", q: percent / 100 };
}

/** All that judging needs: counts, histograms, and whether the generator's own figures can be trusted. */
export interface Evidence {
  totals: Totals;
  measured: Measurements;
  generator: Pick<GeneratorReport, "valid" | "reasons">;
}

/** Requests whose fate `unknown` leaves open count once as answered at once, once as never answered. */
export function judgeThreshold(threshold: Threshold, evidence: Evidence): ThresholdResult {
  const judged = threshold.conditions.map((condition) => judgeCondition(condition, evidence));
  const worst = judged.find(({ verdict }) => verdict === "fail") ?? judged.find(({ verdict }) => verdict === "inconclusive");
  const shown = worst ?? judged[0]!;
  return { expression: threshold.expression, actual: shown.actual, verdict: worst?.verdict ?? "pass", reason: shown.reason };
}

type Judgement = Omit<ThresholdResult, "expression">;

function judgeCondition(condition: Condition, evidence: Evidence): Judgement {
  const judgement = judgeFigure(condition, evidence);
  const { generator } = evidence;
  // A saturated generator may have flattered a pass, or have been itself what was slow.
  const doubtful = judgement.verdict === "pass" || condition.subject === "latency" || isRate(condition);
  if (!generator.valid && doubtful && judgement.verdict !== "inconclusive") {
    return { ...judgement, verdict: "inconclusive", reason: `the generator was saturated: ${generator.reasons.join(", ")}` };
  }
  return judgement;
}

function isRate(condition: Condition): boolean {
  return condition.subject === "total" && condition.name === "rps";
}

function judgeFigure(condition: Condition, { totals, measured }: Evidence): Judgement {
  if (condition.subject === "total") {
    const total = totals[condition.name];
    return { ...judged(condition, total, total + (FATES.has(condition.name) ? totals.unknown : 0)), actual: round(total) };
  }
  const n = totals.scheduled - totals.aborted - totals.unknown;
  const { unknown } = totals;
  if (condition.subject === "error_rate") {
    if (n + unknown <= 0) return nothingMeasured;
    const errors = n - totals.ok;
    const rate = n === 0 ? null : errors / n;
    const verdict = judged(condition, errors / (n + unknown), (errors + unknown) / (n + unknown));
    return { ...verdict, actual: rate === null ? null : round(rate * 100) };
  }
  return judgeLatency(condition, measured[condition.of], condition.of === "response" ? infiniteOf(totals) : 0, unknown);
}

/** Totals that requests whose fate is unknown may belong to. */
const FATES: ReadonlySet<TotalName> = new Set<TotalName>(["ok", "http_error", "network_error", "timeout", "aborted", "completed"]);

const nothingMeasured: Judgement = { actual: null, verdict: "inconclusive", reason: "nothing was measured" };

function judgeLatency(condition: Extract<Condition, { subject: "latency" }>, h: Histogram, infinite: number, unknown: number): Judgement {
  const total = h.count + infinite;
  if (total === 0) return nothingMeasured;
  const actual = figure(h, condition.statistic, infinite);
  const shown = actual === null ? null : round(actual / condition.unit_us);
  if (condition.statistic.kind === "percentile") {
    // Ten requests at least must lie beyond it.
    const needed = Math.ceil(10 / (1 - condition.statistic.q) - 1e-9);
    if (total < needed) {
      return { actual: shown, verdict: "inconclusive", reason: `${total} requests are too few: ${needed} are needed` };
    }
  }
  if (condition.statistic.kind !== "percentile") {
    const judgement = judged(condition, actual, actual);
    return unknown > 0 && judgement.verdict === "pass" && condition.of !== "connect"
      ? { actual: shown, verdict: "inconclusive", reason: `${unknown} requests are unknown` }
      : { ...judgement, actual: shown };
  }
  const pessimist = condition.of === "response" && unknown > 0 ? percentileUs(h, condition.statistic.q, infinite + unknown) : actual;
  const optimist = condition.of === "response" && unknown > 0 ? optimistUs(h, condition.statistic.q, infinite, unknown) : actual;
  const judgement = judged(condition, optimist ?? Infinity, pessimist ?? Infinity);
  if (shown === null && judgement.verdict === "fail") {
    return { actual: null, verdict: "fail", reason: "the percentile lies among failed or dropped requests" };
  }
  return { ...judgement, actual: shown };
}

/** The percentile when every unknown request is taken for one that was answered at once. */
function optimistUs(h: Histogram, q: number, infinite: number, unknown: number): number | null {
  const total = h.count + infinite + unknown;
  const rank = Math.max(1, Math.ceil(q * total - 1e-9)) - unknown;
  if (rank <= 0) return 0;
  return percentileUs(h, rank / (h.count + infinite), infinite);
}

function figure(h: Histogram, statistic: Statistic, infinite: number): number | null {
  switch (statistic.kind) {
    case "percentile":
      return percentileUs(h, statistic.q, infinite);
    case "mean":
      return meanUs(h);
    case "mode":
      return modeUs(h);
    case "min":
      return h.count === 0 ? null : h.min_us;
    case "max":
      return h.count === 0 ? null : h.max_us;
  }
}

/** `best` and `worst`: the figure under the most and the least favourable reading of what is unknown. */
function judged(condition: Condition, best: number | null, worst: number | null): Judgement {
  if (best === null || worst === null) return nothingMeasured;
  const first = holds(best, condition.operator, condition.bound);
  const second = holds(worst, condition.operator, condition.bound);
  const actual = Number.isFinite(best) ? round(best) : null;
  if (first !== second) return { actual, verdict: "inconclusive", reason: "unknown requests could change it" };
  return { actual, verdict: first ? "pass" : "fail", reason: null };
}

function holds(value: number, operator: Operator, bound: number): boolean {
  switch (operator) {
    case "<":
      return value < bound;
    case "<=":
      return value <= bound;
    case ">":
      return value > bound;
    case ">=":
      return value >= bound;
  }
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** The run's verdict: fail before inconclusive before pass; none without thresholds. */
export function verdictOf(results: readonly ThresholdResult[]): Verdict {
  if (results.length === 0) return "none";
  if (results.some(({ verdict }) => verdict === "fail")) return "fail";
  return results.some(({ verdict }) => verdict === "inconclusive") ? "inconclusive" : "pass";
}
