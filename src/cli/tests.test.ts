import { describe, expect, it } from "vitest";
import { endedSummary, type TestSummary } from "../api/views.ts";
import { report } from "./testing/runs.ts";
import { renderTests } from "./tests.ts";

function test(test_id: string, started_at: string | null, change: Partial<TestSummary> = {}): TestSummary {
  return { ...endedSummary(report()), test_id, started_at, ...change };
}

describe("the list of tests", () => {
  it("is in the order of their start, the newest last", () => {
    const tests = [
      test("waiting", null, { state: "created", ended_at: null, totals: null }),
      test("second", "2026-11-21T10:00:00.000Z"),
      test("third", "2026-11-21T11:00:00.000Z"),
      test("first", "2026-11-20T10:00:00.000Z"),
    ];
    expect(renderTests({ tests }).map((line) => line.split(" ")[0])).toEqual(["test", "first", "second", "third", "waiting"]);
  });
});
