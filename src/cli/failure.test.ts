import { describe, expect, it } from "vitest";
import { BusError } from "../bus/errors.ts";
import { AllowError } from "../driver/allow.ts";
import { OrchestratorError, ServerError } from "../orchestrator/errors.ts";
import { parsePlan } from "../plan/plan.ts";
import { CommandError } from "../run/commands.ts";
import { TargetOptionError } from "../target/options.ts";
import { exitCode } from "./exit-code.ts";
import { expectedFailure, listenFailure } from "./failure.ts";

function planError(): unknown {
  try {
    parsePlan({ rate_rps: "x", target: {} });
  } catch (error) {
    return error;
  }
  return null;
}

describe("what the rooms reject with", () => {
  it.each([
    [planError(), 2],
    [new AllowError("--allow: no"), 2],
    [new TargetOptionError("listen", "HOST:PORT", "x"), 2],
    [new BusError("bad_broker_address", "not an address"), 2],
    [new ServerError("token_required", "give a token"), 2],
    [new CommandError("unknown_test", "there is no test x"), 2],
    [new BusError("unreachable", "no broker"), 4],
    [new BusError("auth_failed", "refused"), 4],
    [new OrchestratorError("leader_exists", "another one leads"), 4],
    [new ServerError("port_in_use", "in use"), 4],
    [new CommandError("target_unreachable", "refused"), 4],
    [new CommandError("busy", "another test is running"), 4],
  ])("%s", (error, code) => {
    const failure = expectedFailure(error);
    expect(exitCode(failure!.outcome)).toBe(code);
    expect(failure!.lines.length).toBeGreaterThan(0);
  });

  it("is one line for each mistake of a plan", () => {
    expect(expectedFailure(planError())?.lines).toHaveLength(2);
  });

  it("is nothing that anybody expected: a bug", () => {
    expect(expectedFailure(new TypeError("x is not a function"))).toBeNull();
    expect(expectedFailure(Object.assign(new Error("odd"), { code: "ERR_INVALID_ARG_TYPE" }))).toBeNull();
    expect(expectedFailure("text")).toBeNull();
  });

  it("a port that is taken says how to take another", () => {
    const failure = listenFailure(Object.assign(new Error("x"), { code: "EADDRINUSE" }), "127.0.0.1:80");
    expect(failure?.lines[0]).toMatch(/^cannot_listen: cannot listen on 127.0.0.1:80 \(EADDRINUSE\): .*--listen/);
    expect(listenFailure(new Error("x"), "y")).toBeNull();
  });
});
