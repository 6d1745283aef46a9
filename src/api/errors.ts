/** Every error that the API answers with: its status, and what it says where nothing more exact is known. */
export const API_ERRORS = {
  bad_json: { status: 400, message: "the body is not JSON" },
  bad_request: { status: 400, message: "the request is not valid" },
  bad_plan: { status: 400, message: "the plan is not valid" },
  bad_threshold: { status: 400, message: "a threshold is not valid" },
  bad_layout: { status: 400, message: "the plan cannot be spread over its drivers" },
  foreign_needs_count: { status: 409, message: "drivers of other implementations need a count (requests)" },
  bad_id: { status: 400, message: "not the name of a test or of a node" },
  unauthorized: { status: 401, message: "a token is required: send Authorization: Bearer TOKEN" },
  bad_origin: { status: 403, message: "pages of this origin may not use this API; --allow-origin allows them" },
  not_found: { status: 404, message: "there is nothing here; GET /docs lists what there is" },
  unknown_test: { status: 404, message: "there is no such test" },
  unknown_node: { status: 404, message: "there is no such node in this test" },
  report_not_ready: { status: 404, message: "there is no report until the test has ended" },
  busy: { status: 409, message: "a test is running: one at a time" },
  duplicate_test: { status: 409, message: "there is a test of this id already" },
  test_ended: { status: 409, message: "the test has ended: create a new one" },
  test_replaced: { status: 409, message: "a newer test took its place" },
  not_ready: { status: 409, message: "not every driver is ready" },
  target_unreachable: { status: 409, message: "a driver cannot connect to the target" },
  target_not_allowed: { status: 409, message: "a driver may not hit the target" },
  no_drivers: { status: 409, message: "no driver is alive" },
  not_enough_drivers: { status: 409, message: "fewer drivers are alive than the plan wants" },
  unknown_driver: { status: 409, message: "there is no such driver" },
  driver_not_alive: { status: 409, message: "a driver that the plan names is silent or has left" },
  node_exists: { status: 409, message: "a driver of this name is alive" },
  too_large: { status: 413, message: "the body is larger than 1 MB" },
  unsupported_media_type: { status: 415, message: "send the body as Content-Type: application/json" },
  bad_host: { status: 421, message: "this server is not known by that Host" },
  internal: { status: 500, message: "an unexpected error: please report it" },
  store_failed: { status: 500, message: "the store cannot be read" },
  not_leader: { status: 503, message: "another orchestrator leads" },
  bus_unavailable: { status: 503, message: "the log cannot be reached now" },
  stopped: { status: 503, message: "this orchestrator is closing" },
} as const;

export type ApiErrorCode = keyof typeof API_ERRORS;

export interface ErrorBody {
  error: { code: ApiErrorCode; message: string; details: Record<string, unknown> };
}

/** What the API answers when it does not do what it was asked. */
export class ApiError extends Error {
  readonly code: ApiErrorCode;
  readonly details: Record<string, unknown>;

  constructor(code: ApiErrorCode, message: string = API_ERRORS[code].message, details: Record<string, unknown> = {}) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.details = details;
  }
}

export function isApiErrorCode(code: unknown): code is ApiErrorCode {
  return typeof code === "string" && Object.hasOwn(API_ERRORS, code);
}

export function errorBody({ code, message, details }: Pick<ApiError, "code" | "message" | "details">): ErrorBody {
  return { error: { code, message, details } };
}
