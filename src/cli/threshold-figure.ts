import { PERCENTILES, type Percentile } from "../metrics/statistics.ts";
import type { Report, ThresholdResult } from "../run/report-schema.ts";
import { parseThreshold, ThresholdError, type Condition } from "../run/thresholds.ts";
import { bytes, count, duration, rate } from "./figures.ts";

type Latency = Extract<Condition, { subject: "latency" }>;

/**
 * What a threshold is judged by, with its unit. Of several conditions it is the one that the report's `actual` is of: the
 * first one that failed, else the first one.
 */
export function actualFigure(result: ThresholdResult, report: Report): string {
  const { actual } = result;
  const condition = shownCondition(result, report);
  if (condition === null) return actual === null ? "-" : actual.toLocaleString("en-US");
  switch (condition.subject) {
    case "latency":
      return latencyFigure(condition, result, report);
    case "error_rate":
      return actual === null ? "-" : `${actual.toLocaleString("en-US")} %`;
    case "total":
      if (actual === null) return "-";
      if (condition.name === "rps") return `${rate(actual)} rps`;
      return condition.name.startsWith("bytes") ? bytes(actual) : count(actual);
  }
}

/** The condition that `actual` is of; null: the expression cannot be read, as one of a newer version. */
function shownCondition(result: ThresholdResult, report: Report): Condition | null {
  const conditions = conditionsOf(result.expression);
  if (result.verdict === "pass" || conditions.length < 2) return conditions[0] ?? null;
  const candidates = conditions.filter((condition) => isOf(result.actual, condition, report));
  const failing = candidates.find((condition) => result.verdict !== "fail" || !holds(condition, report));
  return failing ?? candidates[0] ?? null;
}

function conditionsOf(expression: string): Condition[] {
  try {
    return parseThreshold(expression).conditions;
  } catch (error) {
    if (error instanceof ThresholdError) return [];
    throw error;
  }
}

/** Whether a report's `actual`, which has three decimals, may be a condition's figure. */
function isOf(actual: number | null, condition: Condition, report: Report): boolean {
  const figure = figureOf(condition, report);
  if (figure === undefined) return true;
  if (figure === null || actual === null) return figure === actual;
  const unit = condition.subject === "latency" ? condition.unit_us : condition.subject === "error_rate" ? 0.01 : 1;
  return Math.abs(figure / unit - actual) <= 0.0011;
}

function holds(condition: Condition, report: Report): boolean {
  const figure = figureOf(condition, report);
  if (figure === undefined) return false;
  const value = figure ?? Infinity;
  const { operator, bound } = condition;
  return operator === "<" ? value < bound : operator === "<=" ? value <= bound : operator === ">" ? value > bound : value >= bound;
}

/** In the unit of `bound`; null: there is none; undefined: the report does not have it. */
function figureOf(condition: Condition, report: Report): number | null | undefined {
  const { totals } = report;
  if (condition.subject === "total") return totals[condition.name];
  if (condition.subject === "error_rate") {
    const n = totals.scheduled - totals.aborted - totals.unknown;
    return n <= 0 ? null : (n - totals.ok) / n;
  }
  const ms = msOf(condition, report);
  return typeof ms === "number" ? ms * 1000 : ms;
}

function msOf({ of, statistic }: Latency, report: Report): number | null | undefined {
  const summary = report.latency[of];
  if (statistic.kind !== "percentile") return summary[`${statistic.kind}_ms`];
  const name = percentileName(statistic.q);
  return name === undefined ? undefined : summary.percentiles_ms[name];
}

function percentileName(q: number): Percentile | undefined {
  return PERCENTILES.find((name) => Math.abs(Number(name) / 100 - q) < 1e-9);
}

/** As the table of the times shows it; one that lies among failed and dropped requests is beyond the timeout. */
function latencyFigure(condition: Latency, { actual, reason }: ThresholdResult, report: Report): string {
  if (actual !== null) return duration(msOf(condition, report) ?? (actual * condition.unit_us) / 1000);
  const { of, statistic } = condition;
  const name = statistic.kind === "percentile" ? percentileName(statistic.q) : undefined;
  const among_failed = reason?.includes("among failed") === true;
  const censored = among_failed || (name !== undefined && report.latency[of].censored.includes(name));
  return censored ? `> ${duration(report.plan.target.timeout_ms).replace(/\.0+ s$/, " s")}` : "-";
}
