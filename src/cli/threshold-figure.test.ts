import { describe, expect, it } from "vitest";
import type { ThresholdResult } from "../run/report-schema.ts";
import { latencies, latency, report, totals } from "./testing/runs.ts";
import { actualFigure } from "./threshold-figure.ts";

const REPORT = report({
  totals: totals({ ok: 1900, http_error: 100, rps: 395.5, bytes_in: 136_000 }),
  latency: latencies(latency(0.65, 2000, ["99.9", "99.99"])),
});

const failed = (expression: string, actual: number | null, change: Partial<ThresholdResult> = {}) =>
  actualFigure({ expression, actual, verdict: "fail", reason: null, ...change }, REPORT);

describe("what a threshold is judged by", () => {
  it.each([
    ["p99 < 0.001s", 0.005, "5.20 ms"],
    ["p97 < 2us", 2600.4, "2.60 ms"],
    ["error_rate < 1%", 5, "5 %"],
    ["rps > 399", 395.5, "396 rps"],
    ["ok >= 2000", 1900, "1,900"],
    ["bytes_in < 1", 136_000, "136 kB"],
    ["p99 < 1s and error_rate < 1%", 5, "5 %"],
    ["error_rate < 10% and p99 < 5ms", 5.2, "5.20 ms"],
  ])("%s: %d is shown with its unit", (expression, actual, shown) => {
    expect(failed(expression, actual)).toBe(shown);
  });

  it("is the first condition's where all hold", () => {
    expect(failed("p99 < 1s and error_rate < 10%", 0.005, { verdict: "pass" })).toBe("5.20 ms");
  });

  it("is beyond the timeout where the percentile lies among the failed, and a dash where there is nothing", () => {
    expect(failed("p99.9 < 1s", null)).toBe("> 30 s");
    expect(failed("p99 < 1s and p99.9 < 1s", null)).toBe("> 30 s");
    expect(failed("p99.8 < 1s", null, { reason: "the percentile lies among failed or dropped requests" })).toBe("> 30 s");
    expect(failed("p99 < 1s", null, { verdict: "inconclusive", reason: "nothing was measured" })).toBe("-");
  });
});
