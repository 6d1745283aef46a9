import { z } from "zod";
import { NODE_ID_PATTERN, TEST_ID_PATTERN } from "../plan/ids.ts";
import { planFromCommon } from "../plan/foreign.ts";
import { parsePlan, type Plan } from "../plan/plan.ts";
import { planSchema } from "../plan/schema.ts";
import { ApiError } from "./errors.ts";

const TEST_ID = "expected 1 to 64 of A-Z a-z 0-9 . _ - that begin with a letter or a digit";
const NODE_ID = "expected 1 to 128 of A-Z a-z 0-9 . _ : -";

/** Scripts send ids as numbers too. */
const id = (pattern: RegExp, expected: string) =>
  z.union([z.string(), z.int().min(0)], expected).transform(String).pipe(z.string().regex(pattern, expected));
const testId = id(TEST_ID_PATTERN, TEST_ID).describe("A test's name.");
const nodeId = id(NODE_ID_PATTERN, NODE_ID).describe("A node's name.");
const quantity = z.union([z.number(), z.string()]);

const commonFields = {
  test_type: z.string("expected AVALANCHE or TSUNAMI").describe("AVALANCHE or TSUNAMI, in any case."),
  test_message_delay: quantity.optional().describe("Milliseconds between two requests of one driver; 0: AVALANCHE."),
  message_count_per_driver: quantity.nullish().describe("Requests of each driver; left out: 10 seconds."),
  test_server: z.string().optional().describe("The target: a URL, or host:port taken as http."),
};

/** A test in the field's common format. */
export const commonTest = z.looseObject({ test_id: testId.optional(), ...commonFields });
/** A test: a plan, or the common format. */
export const createTestBody = z.union([planSchema, commonTest]);

export const configureBody = z.looseObject({
  test_id: testId,
  ...commonFields,
  start: z.boolean().optional().describe("false: only create the test."),
});
export const triggerBody = z.looseObject({ test_id: testId });
export const registerBody = z.looseObject({ node_id: nodeId, node_ip: z.string().max(256).default("") });
export const stopBody = z.looseObject({ reason: z.string().min(1).max(200).optional() }).optional();

export const testParams = z.object({ test_id: z.string() });
export const nodeParams = z.object({ test_id: z.string(), node_id: z.string() });

/**
 * Reads a body or parameters.
 * @throws {ApiError} `bad_request` with all problems at once, each naming its field
 */
export function read<T extends z.ZodType>(schema: T, given: unknown): z.output<T> {
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) => ({ option: path.join(".") || "body", message }));
  const text = problems.map(({ option, message }) => `${option}: ${message}`).join("; ");
  throw new ApiError("bad_request", text, { problems });
}

/**
 * The plan that a body of `POST /tests` or `/configure` asks for.
 * @throws {PlanError} with all problems at once
 * @throws {ApiError} `bad_request`
 */
export function planOfBody(body: unknown): { plan: Plan; test_id?: string } {
  if (typeof body !== "object" || body === null || !("test_type" in body)) return { plan: parsePlan(body) };
  // The common fields are checked where they become a plan, so that all problems are told at once.
  const given = (body as { test_id?: unknown }).test_id;
  const test_id = given === undefined || given === null ? undefined : read(triggerBody, { test_id: given }).test_id;
  const common = body as { test_type: unknown; test_server?: unknown };
  const plan = parsePlan(planFromCommon({ ...common, test_server: common.test_server }));
  return { plan, ...(test_id !== undefined && { test_id }) };
}
