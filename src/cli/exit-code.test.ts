import { describe, expect, it } from "vitest";
import { exitCode } from "./exit-code.ts";
import { report, totals } from "./testing/runs.ts";

describe("exit codes, the first that applies", () => {
  const failed = report({ verdict: "fail" });
  it.each([
    ["nothing to say", {}, 0],
    ["a run that is fine", { report: report() }, 0],
    ["a run that passed", { report: report({ verdict: "pass" }) }, 0],
    ["inconclusive", { report: report({ verdict: "inconclusive" }) }, 3],
    ["incomplete", { report: report({ verdict: "pass", complete: false }) }, 3],
    ["stopped by somebody else", { report: report({ status: "stopped" }) }, 3],
    ["contradicting figures", { report: report({ bugs: ["x"] }) }, 3],
    ["a report that could not be written", { report: report(), unwritten: true }, 3],
    ["failed thresholds", { report: failed }, 1],
    ["failed and incomplete", { report: report({ verdict: "fail", complete: false }) }, 1],
    ["a run that failed", { report: report({ status: "failed" }) }, 1],
    ["nothing ok", { report: report({ totals: totals({ ok: 0 }) }) }, 1],
    ["interrupted, and failed", { interrupted: true, report: failed }, 130],
    ["could not run", { could_not_run: true, interrupted: true }, 4],
    ["usage before all", { usage: true, could_not_run: true, interrupted: true, report: failed }, 2],
  ])("%s", (_, outcome, code) => {
    expect(exitCode(outcome)).toBe(code);
  });
});
