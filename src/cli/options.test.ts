import { Command } from "commander";
import { afterEach, describe, expect, it, vi } from "vitest";
import { labelsOf, listenOf, option, repeatable, withCommonOptions } from "./options.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

function parsed(args: string[], env: Record<string, string>): Record<string, unknown> {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const command = new Command("x")
    .addOption(option("--total-rate <rps>", "a value"))
    .addOption(repeatable("--threshold <text>", "values"))
    .addOption(option("--quiet", "a switch"))
    .addOption(option("--no-store", "a switch that is on"));
  withCommonOptions(command).parse(args, { from: "user" });
  return command.opts();
}

describe("options", () => {
  it("come from the command line before their variables", () => {
    const env = { ONRUSH_TOTAL_RATE: "5", ONRUSH_TOPIC_PREFIX: "a.", ONRUSH_THRESHOLD: "p99 < 1s\nok > 1" };
    expect(parsed([], env)).toEqual({ totalRate: "5", topicPrefix: "a.", threshold: ["p99 < 1s", "ok > 1"], store: true });
    expect(parsed(["--total-rate", "7"], env)).toMatchObject({ totalRate: "7" });
  });

  it("switches are thrown by any variable but one that says no; an empty one says nothing", () => {
    expect(parsed([], { ONRUSH_QUIET: "1", ONRUSH_NO_STORE: "true" })).toEqual({ quiet: true, store: false });
    expect(parsed([], { ONRUSH_QUIET: "0", ONRUSH_NO_STORE: "false", ONRUSH_TOTAL_RATE: "" })).toEqual({ store: true });
  });

  it("may be given several times", () => {
    expect(parsed(["--threshold", "a", "--threshold", "b"], {})["threshold"]).toEqual(["a", "b"]);
    expect(parsed(["--threshold", "a\nb", "--threshold", ""], { ONRUSH_THRESHOLD: "c" })["threshold"]).toEqual(["a\nb", ""]);
  });

  it("are told what was expected", () => {
    expect(listenOf("0.0.0.0:80")).toEqual({ host: "0.0.0.0", port: 80 });
    expect(() => listenOf("x")).toThrow('--listen: expected HOST:PORT, got "x"');
    expect(labelsOf(["a=b", "c=d"])).toEqual({ a: "b", c: "d" });
    expect(() => labelsOf(["x"])).toThrow("--label: expected key=value");
  });
});
