import type { Outcome } from "./exit-code.ts";

/** An end that the operator can do something about: its lines are all that is said. */
export class CliFailure extends Error {
  override readonly name = "CliFailure";
  readonly outcome: Outcome;
  readonly lines: readonly string[];

  constructor(outcome: Outcome, lines: readonly string[], options?: ErrorOptions) {
    super(lines.join("\n"), options);
    this.outcome = outcome;
    this.lines = lines;
  }
}

/** The command line or a plan cannot be used: exit 2, one line for each mistake. */
export function usageFailure(...lines: string[]): CliFailure {
  return new CliFailure({ usage: true }, lines);
}

/** Something that is needed from the start is not there: exit 4. */
export function couldNotRun(code: string, message: string, cause?: unknown): CliFailure {
  return new CliFailure({ could_not_run: true }, [`${code}: ${message}`], { cause });
}

const LISTEN_ERRORS: Record<string, string> = {
  EADDRINUSE: "the port is in use: stop what listens there, or choose another one with --listen HOST:PORT (port 0: any free one)",
  EACCES: "this user may not listen there: choose a port above 1023 with --listen HOST:PORT",
  EADDRNOTAVAIL: "this machine has no such address: choose another one with --listen HOST:PORT",
  ENOTFOUND: "this name has no address: choose another one with --listen HOST:PORT",
};

/** A port that cannot be listened on, in words; null: it was something else. */
export function listenFailure(error: unknown, listen: string): CliFailure | null {
  const code = codeOf(error);
  const advice = code === null ? undefined : LISTEN_ERRORS[code];
  return advice === undefined ? null : couldNotRun("cannot_listen", `cannot listen on ${listen} (${code}): ${advice}`, error);
}

/** The stable code of an error, or the system's (ENOENT); null: it has none. */
export function codeOf(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : null;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const USAGE_CODES = new Set([
  "bad_plan", "bad_allow", "bad_option", "bad_threshold", "bad_layout", "bad_topic", "bad_broker_address", "bad_test_id", "bad_id",
  "no_members", "foreign_needs_count", "too_many_requests", "too_few_requests", "unknown_test", "unknown_driver", "report_not_ready", "bad_request", "token_required",
]);

const COULD_NOT_RUN_CODES = new Set([
  "unreachable", "auth_failed", "rejected", "leader_exists", "not_leader", "bus_unavailable", "stopped", "node_exists",
  "port_in_use", "cannot_listen", "target_unreachable", "target_not_allowed", "not_ready", "no_drivers", "not_enough_drivers",
  "driver_not_alive", "busy", "duplicate_test", "test_ended", "test_replaced",
]);

/** What the rooms reject with, in lines for the operator; null: nobody expected this error. */
export function expectedFailure(error: unknown): CliFailure | null {
  if (error instanceof CliFailure) return error;
  const code = codeOf(error);
  if (code === null || !(error instanceof Error)) return null;
  const lines = error.message.split("\n");
  if (USAGE_CODES.has(code)) return new CliFailure({ usage: true }, lines, { cause: error });
  if (COULD_NOT_RUN_CODES.has(code)) return couldNotRun(code, lines.join(" "), error);
  if (error.name === "StoreError") return couldNotRun(code, lines.join(" "), error);
  return null;
}
