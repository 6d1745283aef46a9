/**
 * Stable codes of what stops an orchestrator, or one of its requests:
 *
 *     leader_exists     another orchestrator leads this system
 *     not_leader        another one leads, or nobody does yet
 *     bus_unavailable   the log cannot be reached now
 *     stopped           it is closing
 *     bad_id            not the name of a test or of a node
 *     node_exists       a driver of that name is alive and needs no registration
 */
export type OrchestratorErrorCode =
  | "leader_exists"
  | "not_leader"
  | "bus_unavailable"
  | "stopped"
  | "bad_id"
  | "node_exists";

export class OrchestratorError extends Error {
  readonly code: OrchestratorErrorCode;

  constructor(code: OrchestratorErrorCode, message: string) {
    super(message);
    this.name = "OrchestratorError";
    this.code = code;
  }
}

/**
 *     port_in_use      somebody else listens there
 *     token_required   listening beyond this machine without a token
 *     cannot_listen    the address is not one of this machine, or not permitted
 */
export type ServerErrorCode = "port_in_use" | "token_required" | "cannot_listen";

export class ServerError extends Error {
  readonly code: ServerErrorCode;

  constructor(code: ServerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ServerError";
    this.code = code;
  }
}
