import { ServerError } from "./errors.ts";
import { isLoopback } from "./guard.ts";

/**
 * Listening beyond this machine needs a token: said before anything is started.
 * @throws {ServerError} `token_required`
 */
export function checkExposure(host: string, token: string | undefined): void {
  if (token === "") throw new ServerError("token_required", "the token is empty: give one of at least one character, or none");
  if (isLoopback(host) || token !== undefined) return;
  throw new ServerError(
    "token_required",
    `listening on ${host} lets others on the network send load: give a token (--token-file F), or listen on 127.0.0.1`,
  );
}
