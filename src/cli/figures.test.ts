import { describe, expect, it } from "vitest";
import { bytes, duration, percent, rate } from "./figures.ts";

describe("figures", () => {
  it("have three digits and their unit", () => {
    expect([0.412, 12.34, 250.4, 999.6, 12_340, 120_000, null].map(duration)).toEqual([
      "0.41 ms", "12.3 ms", "250 ms", "1.00 s", "12.3 s", "120 s", "-",
    ]);
    expect([0.25, 9.5, 600, 12_000].map(rate)).toEqual(["0.25", "9.5", "600", "12,000"]);
    expect([999, 1_200, 34_500_000].map(bytes)).toEqual(["999 B", "1.2 kB", "34.5 MB"]);
  });

  it("a share is 0 % or 100 % only where it is nothing or all", () => {
    expect([0, 1e-6, 0.0025, 0.125, 0.999, 1 - 1e-6, 1].map(percent)).toEqual([
      "0 %", "< 0.01 %", "0.25 %", "12.5 %", "99.9 %", "> 99.9 %", "100 %",
    ]);
  });
});
