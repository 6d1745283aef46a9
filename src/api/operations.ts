import { z } from "zod";
import { API_ERRORS, type ApiErrorCode } from "./errors.ts";
import * as responses from "./responses.ts";
import * as schemas from "./schemas.ts";

/** One operation of the API, as /docs describes it. */
interface Operation {
  summary: string;
  body?: z.ZodType;
  params?: z.ZodType;
  /** By status; null: no JSON. */
  answers: Record<number, z.ZodType | null>;
  errors?: ApiErrorCode[];
}

const commands: ApiErrorCode[] = ["bad_json", "bad_request", "unauthorized", "too_large", "unsupported_media_type", "not_leader", "bus_unavailable"];
const creating: ApiErrorCode[] = [...commands, "bad_plan", "bad_threshold", "busy", "duplicate_test", "no_drivers", "not_enough_drivers"];
const starting: ApiErrorCode[] = [...commands, "unknown_test", "test_ended", "test_replaced", "not_ready", "target_unreachable"];

export const OPERATIONS = {
  ping: { summary: "Whether it is there, and whether it leads.", answers: { 200: responses.pingResponse } },
  nodes: { summary: "All drivers.", answers: { 200: responses.nodesResponse } },
  createTest: {
    summary: "Creates a test from a plan, or from the common format. Creating never triggers.",
    body: schemas.createTestBody,
    answers: { 201: responses.createdResponse },
    errors: creating,
  },
  triggerTest: {
    summary: "Starts a test once every driver is ready; a test that was started already answers the same.",
    params: schemas.testParams,
    answers: { 200: responses.triggeredResponse },
    errors: starting,
  },
  stopTest: {
    summary: "Stops a test.",
    params: schemas.testParams,
    body: schemas.stopBody,
    answers: { 200: responses.stoppedResponse },
    errors: [...commands, "unknown_test"],
  },
  tests: { summary: "All tests, newest first.", answers: { 200: responses.testsResponse } },
  test: {
    summary: "A test as it stands: live, or from its report.",
    params: schemas.testParams,
    answers: { 200: responses.testResponse },
    errors: ["unknown_test"],
  },
  report: {
    summary: "The report of a test that has ended.",
    params: schemas.testParams,
    answers: { 200: responses.reportResponse },
    errors: ["unknown_test", "report_not_ready"],
  },
  node: {
    summary: "What one node did in a test.",
    params: schemas.nodeParams,
    answers: { 200: responses.nodeResponse },
    errors: ["unknown_test", "unknown_node"],
  },
  metrics: { summary: "Figures for Prometheus (text).", answers: { 200: null } },
  dashboard: { summary: "The page; for Accept: application/json what it shows at first.", answers: { 200: responses.dashboardResponse } },
  register: {
    summary: "Registers a driver that cannot do so itself (for scripts of older systems).",
    body: schemas.registerBody,
    answers: { 201: responses.registeredResponse },
    errors: [...commands, "node_exists"],
  },
  configure: {
    summary: "Creates a test in the common format, and starts it unless `start` is false (for scripts of older systems).",
    body: schemas.configureBody,
    answers: { 201: responses.configuredResponse },
    errors: [...new Set([...creating, ...starting])],
  },
  trigger: {
    summary: "Starts a test (for scripts of older systems).",
    body: schemas.triggerBody,
    answers: { 200: responses.triggeredResponse },
    errors: starting,
  },
} satisfies Record<string, Operation>;

/** The JSON Schemas of an operation, as fastify takes them and OpenAPI 3.1 shows them. */
export function docsOf(name: keyof typeof OPERATIONS): Record<string, unknown> {
  const { summary, body, params, answers, errors = [] }: Operation = OPERATIONS[name];
  const response: Record<string, unknown> = {};
  for (const [status, schema] of Object.entries(answers)) {
    response[status] = schema === null ? { type: "string", description: summary } : { description: summary, ...jsonSchema(schema, "output") };
  }
  for (const [status, codes] of Map.groupBy(errors, (code) => API_ERRORS[code].status)) {
    response[status] = { description: codes.join(", "), ...jsonSchema(responses.errorResponse, "output") };
  }
  return {
    operationId: name,
    summary,
    ...(body && { body: jsonSchema(body, "input") }),
    ...(params && { params: jsonSchema(params, "input") }),
    response,
  };
}

function jsonSchema(schema: z.ZodType, io: "input" | "output"): Record<string, unknown> {
  const { $schema: _, "~standard": __, ...json } = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as Record<string, unknown>;
  return json;
}
