import { describe, expect, it } from "vitest";
import { bytes, count, duration, percent, printable, rate } from "./figures.ts";
import { parseDurationMs, parseHeader, parseHostPort, parseList, parseNumber, parsePair } from "./scalars.ts";

describe("what options say", () => {
  it.each([
    ["500ms", 500], ["10s", 10_000], ["2m", 120_000], ["1h", 3_600_000], ["10", 10_000], ["0.5", 500], [".5s", 500], ["1m30s", 90_000],
    ["250us", 0.25], ["10 s", null], ["10x", null], ["", null], ["s", null], ["-5s", null], ["1e3", null],
  ])("duration %j", (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  it.each([
    ["200", 200], ["0.5", 0.5], ["1_000", 1000], ["1,000", 1000], ["1,000,000", 1e6], ["1e6", 1e6], ["10k", 10_000], ["2M", 2e6], ["-1", -1],
    ["fast", null], ["", null], ["1,00", null], ["1k5", null], ["0x10", null], ["Infinity", null], ["k", null],
  ])("number %j", (text, value) => {
    expect(parseNumber(text)).toBe(value);
  });

  it.each([
    ["127.0.0.1:7070", { host: "127.0.0.1", port: 7070 }], ["[::1]:80", { host: "::1", port: 80 }], ["8080", { host: "127.0.0.1", port: 8080 }],
    ["host", null], ["host:99999", null], ["::1:80", null], ["", null],
  ])("address %j", (text, address) => {
    expect(parseHostPort(text)).toEqual(address);
  });

  it("headers, pairs and lists", () => {
    expect(parseHeader("Accept:  text/html ")).toEqual(["Accept", "text/html"]);
    expect(parseHeader("X-Empty:")).toEqual(["X-Empty", ""]);
    expect(parseHeader("no colon")).toBeNull();
    expect(parsePair("site=a=b")).toEqual(["site", "a=b"]);
    expect(parsePair("=x")).toBeNull();
    expect(parseList("a, b\nc,,")).toEqual(["a", "b", "c"]);
  });
});

describe("figures", () => {
  it("carry separators and units", () => {
    expect([count(1_234_567), rate(600), rate(9.52), rate(0.25), rate(1234.5)]).toEqual(["1,234,567", "600", "9.5", "0.25", "1,235"]);
    expect([0.0412, 0.41, 9.996, 12.34, 99.96, 250, 999.6, 1200, 30_000, 120_000, null].map(duration)).toEqual(
      ["0.04 ms", "0.41 ms", "10.0 ms", "12.3 ms", "100 ms", "250 ms", "1.00 s", "1.20 s", "30.0 s", "120 s", "-"],
    );
    expect([bytes(12), bytes(1200), bytes(34_500_000), bytes(999_600)]).toEqual(["12 B", "1.2 kB", "34.5 MB", "1.0 MB"]);
    expect([percent(1), percent(0.125), percent(0.0025)]).toEqual(["100 %", "12.5 %", "0.25 %"]);
  });

  it("print nothing that a terminal would obey", () => {
    expect(printable("a\u001b[2Jb\r\nc\u202ed")).toBe("a [2Jb c d");
  });
});
