import type { PlanInput } from "./plan.ts";
import { inWords, PlanError, problemOf, type Problem } from "./problem.ts";

/** A test in the field's common format; numbers may be numeric strings. */
export interface CommonConfig {
  test_type: unknown;
  /** ms between two requests of one driver. */
  test_message_delay?: unknown;
  message_count_per_driver?: unknown;
  /** A URL; without a scheme it is taken as http. */
  test_server: unknown;
}

/**
 * The plan that a test in the common format asks for. TSUNAMI with delay 0 (or without one) is AVALANCHE; the delay of
 * an AVALANCHE means nothing. Throws PlanError with problems that name the common fields; the plan itself is still to
 * be parsed.
 */
export function planFromCommon(common: CommonConfig): PlanInput {
  const problems: Problem[] = [];
  const refuse = (option: keyof CommonConfig, expected: string, unit?: string) => {
    problems.push(problemOf({ option, expected, given: inWords(common[option]), unit }));
  };

  const type = typeof common.test_type === "string" ? common.test_type.trim().toUpperCase() : "";
  if (type !== "AVALANCHE" && type !== "TSUNAMI") refuse("test_type", '"AVALANCHE" or "TSUNAMI"');
  const delay_ms = numberOf(common.test_message_delay) ?? 0;
  if (type !== "AVALANCHE" && !(delay_ms === 0 || delay_ms >= 0.001)) {
    refuse("test_message_delay", "a number, 0 or at least 0.001", "milliseconds");
  }
  const requests = numberOf(common.message_count_per_driver);
  if (requests !== null && !(Number.isSafeInteger(requests) && requests > 0)) {
    refuse("message_count_per_driver", "a whole number above 0", "requests per driver");
  }
  const server = typeof common.test_server === "string" ? common.test_server.trim() : "";
  if (server === "") refuse("test_server", "an http:// or https:// URL");
  if (problems.length > 0) throw new PlanError(problems);

  const tsunami = type === "TSUNAMI" && delay_ms > 0;
  return {
    target: { url: server.includes("://") ? server : `http://${server}` },
    type: tsunami ? "tsunami" : "avalanche",
    ...(tsunami && { delay_ms }),
    ...(requests !== null && { requests }),
  };
}

/** null: left out; NaN: not a number. */
function numberOf(value: unknown): number | null {
  if (value === undefined || value === null || value === "") return null;
  if (typeof value === "number") return value;
  return typeof value === "string" && /^\s*[+-]?(\d+\.?\d*|\.\d+)\s*$/.test(value) ? Number(value) : NaN;
}
