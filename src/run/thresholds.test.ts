import { describe, expect, test } from "vitest";
import { createHistogram, record } from "../metrics/histogram.ts";
import { parsePlan } from "../plan/plan.ts";
import { checkThresholds, CommandError } from "./commands.ts";
import { judgeThreshold, parseThreshold, ThresholdError, verdictOf, type Evidence } from "./thresholds.ts";
import type { Totals } from "./report-schema.ts";

function evidence(latencies_ms: readonly number[], totals: Partial<Totals> = {}, valid = true): Evidence {
  const response = createHistogram();
  for (const ms of latencies_ms) record(response, ms * 1000);
  const n = latencies_ms.length + (totals.dropped ?? 0) + (totals.timeout ?? 0) + (totals.network_error ?? 0);
  const empty = createHistogram();
  return {
    totals: { ok: latencies_ms.length, aborted: 0, unknown: 0, dropped: 0, network_error: 0, timeout: 0, rps: 100, scheduled: n + (totals.unknown ?? 0), ...totals } as Totals,
    measured: { response, service: response, connect: empty, tls: null, failed: empty, send_lateness: empty },
    generator: { valid, reasons: valid ? [] : ["generator_core_full"] },
  };
}

const hundred = Array.from({ length: 1000 }, (_, i) => (i + 1) / 10);
const judge = (expression: string, on: Evidence) => judgeThreshold(parseThreshold(expression), on);

describe("parseThreshold", () => {
  test.each(["p99 < 200ms", "p99.9<=1s", "service_p50 > 10us", "connect_mean >= 1.5ms", "median < 1s", "mode < 1s", "error_rate < 1%", "dropped <= 0", "rps >= 100", "p50 < 1ms and p99 < 9ms and error_rate < 0.1%"])(
    "reads %s",
    (expression) => {
      expect(parseThreshold(expression).conditions.length).toBe(expression.split(" and ").length);
    },
  );

  test.each(["", "p99", "p99 < 200", "p100 < 1ms", "p0 < 1ms", "fail < 1ms", "error_rate < 1", "nonsense < 3", "p99 == 3ms", "p99 < 3ms or p50 < 1ms"])(
    "refuses %j and says what was expected",
    (expression) => {
      expect(() => parseThreshold(expression)).toThrow(ThresholdError);
    },
  );

  test("a plan's thresholds are read before anything starts", () => {
    const plan = parsePlan({ target: { url: "http://h/" }, thresholds: ["p99 < fast"] });
    expect(() => checkThresholds(plan)).toThrow(CommandError);
  });
});

describe("judgeThreshold", () => {
  test("compares the figure in the expression's own unit", () => {
    expect(judge("p90 < 91ms", evidence(hundred))).toMatchObject({ verdict: "pass" });
    expect(judge("p90 < 90ms", evidence(hundred))).toMatchObject({ verdict: "fail" });
    expect(judge("max < 0.2s", evidence(hundred)).actual).toBeCloseTo(0.1, 2);
  });

  test("a percentile among failed and dropped requests fails, with nothing to show", () => {
    expect(judge("p95 < 10s", evidence(hundred, { timeout: 100, dropped: 10 }))).toMatchObject({ verdict: "fail", actual: null });
    expect(judge("p90 < 10s", evidence(hundred, { timeout: 100 }))).toMatchObject({ verdict: "pass" });
  });

  test("a total that unknown requests may belong to is inconclusive where they would change the verdict", () => {
    expect(judge("ok >= 1000", evidence(hundred.slice(0, 995), { unknown: 10 }))).toMatchObject({ verdict: "inconclusive", actual: 995 });
    expect(judge("ok >= 1000", evidence(hundred.slice(0, 980), { unknown: 10 }))).toMatchObject({ verdict: "fail" });
    expect(judge("timeout <= 3", evidence(hundred, { timeout: 0, unknown: 4 }))).toMatchObject({ verdict: "inconclusive" });
    expect(judge("unknown <= 3", evidence(hundred, { unknown: 4 }))).toMatchObject({ verdict: "fail" });
  });

  test("too few requests for a percentile is inconclusive", () => {
    expect(judge("p99 < 1s", evidence(hundred.slice(0, 999)))).toMatchObject({ verdict: "inconclusive" });
    expect(judge("p99 < 1s", evidence(hundred))).toMatchObject({ verdict: "pass" });
  });

  test("what is unknown makes inconclusive only what it could change", () => {
    expect(judge("p50 < 1s", evidence(hundred, { unknown: 5 }))).toMatchObject({ verdict: "pass" });
    expect(judge("p99 < 1s", evidence(hundred, { unknown: 50 }))).toMatchObject({ verdict: "inconclusive" });
    expect(judge("p99 < 1ms", evidence(hundred, { unknown: 50 }))).toMatchObject({ verdict: "fail" });
    expect(judge("error_rate < 1%", evidence(hundred, { unknown: 50 }))).toMatchObject({ verdict: "inconclusive" });
    expect(judge("error_rate < 10%", evidence(hundred, { unknown: 50 }))).toMatchObject({ verdict: "pass", actual: 0 });
  });

  test("error_rate = (N - ok) / N counts what was dropped", () => {
    expect(judge("error_rate < 9%", evidence(hundred, { dropped: 100 }))).toMatchObject({ verdict: "fail", actual: 9.091 });
  });

  test("a saturated generator turns a pass, or a fail on latency or rate, into inconclusive; not a fail on errors", () => {
    expect(judge("p50 < 1s", evidence(hundred, {}, false))).toMatchObject({ verdict: "inconclusive" });
    expect(judge("p50 < 1ms", evidence(hundred, {}, false))).toMatchObject({ verdict: "inconclusive" });
    expect(judge("rps > 500", evidence(hundred, {}, false))).toMatchObject({ verdict: "inconclusive" });
    expect(judge("dropped <= 0", evidence(hundred, { dropped: 3 }, false))).toMatchObject({ verdict: "fail" });
  });

  test("a fail outranks what is inconclusive", () => {
    const results = [judge("p99 < 1s", evidence(hundred.slice(0, 20))), judge("p50 < 1ms", evidence(hundred))];
    expect(results.map(({ verdict }) => verdict)).toEqual(["inconclusive", "fail"]);
    expect(verdictOf(results)).toBe("fail");
    expect(verdictOf([])).toBe("none");
  });
});
