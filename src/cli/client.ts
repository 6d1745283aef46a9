import { readFile } from "node:fs/promises";
import type { CliFailure} from "./failure.ts";
import { codeOf, couldNotRun, expectedFailure, messageOf, usageFailure } from "./failure.ts";

/** Speaks to the HTTP API of a running orchestrator. Rejects with CliFailure. */
export interface ApiClient {
  /** Without a slash at its end. */
  readonly url: string;
  readonly headers: Record<string, string>;
  get(path: string): Promise<unknown>;
  /** null: it is not there yet, which the API says under the code `missing`. */
  find(path: string, missing: string): Promise<unknown>;
  post(path: string, body: unknown): Promise<unknown>;
}

/** What the API refused, under its own code. */
class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

const TIMEOUT_MS = 30_000;

/** A client of the system at `url` (HOST[:PORT] will do), with the token that a file holds. @throws {CliFailure} usage */
export async function clientOf(url: string, tokenFile?: string): Promise<ApiClient> {
  const base = baseOf(url);
  const token = tokenFile === undefined ? null : await readToken(tokenFile);
  const headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` };

  const request = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    let response: Response;
    let text: string;
    try {
      response = await fetch(base + path, {
        method,
        headers: { accept: "application/json", ...headers, ...(body !== undefined && { "content-type": "application/json" }) },
        body: body === undefined ? null : JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
        redirect: "error",
      });
      text = await response.text();
    } catch (error) {
      throw unreachable(base, error);
    }
    const answer = parse(text);
    if (response.ok) return answer;
    throw apiError(response.status, answer, base);
  };
  const asFailure = (error: unknown): never => {
    if (!(error instanceof ApiError)) throw error;
    throw expectedFailure(error) ?? couldNotRun(error.code, error.message, error);
  };
  return {
    url: base,
    headers,
    get: (path) => request("GET", path).catch(asFailure),
    find: (path, missing) =>
      request("GET", path).catch((error: unknown) => (error instanceof ApiError && error.code === missing ? null : asFailure(error))),
    post: (path, body) => request("POST", path, body).catch(asFailure),
  };
}

function baseOf(given: string): string {
  const url = /^https?:\/\//i.test(given) ? given : `http://${given}`;
  if (!URL.canParse(url)) throw usageFailure(`--orchestrator: expected a URL as http://127.0.0.1:7070, got ${JSON.stringify(given)}`);
  const parsed = new URL(url);
  if (url !== given && parsed.port === "") parsed.port = "7070";
  return (parsed.origin + parsed.pathname).replace(/\/+$/, "");
}

/** The token that a file holds, without the line's end. @throws {CliFailure} usage */
export async function readToken(path: string): Promise<string> {
  let token: string;
  try {
    token = (await readFile(path, "utf8")).trim();
  } catch (error) {
    throw usageFailure(`--token-file ${path}: it cannot be read (${codeOf(error) ?? messageOf(error)})`);
  }
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw usageFailure(`--token-file ${path}: expected one line of visible ASCII characters`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

function apiError(status: number, answer: unknown, base: string): Error {
  const error = (answer as { error?: { code?: unknown; message?: unknown; details?: unknown } } | null)?.error;
  if (typeof error?.code !== "string" || typeof error.message !== "string") {
    return couldNotRun("not_onrush", `${base} answered ${status}, and not as an Onrush orchestrator does: check --orchestrator`);
  }
  if (status === 401) return couldNotRun(error.code, `${error.message}: give the system's token with --token-file FILE`);
  return new ApiError(error.code, problemLines(error.details) ?? error.message);
}

/** One line for each mistake of a plan. */
function problemLines(details: unknown): string | null {
  const problems = (details as { problems?: unknown } | null)?.problems;
  if (!Array.isArray(problems)) return null;
  const lines = problems.flatMap((problem: unknown) => {
    const message = (problem as { message?: unknown } | null)?.message;
    return typeof message === "string" ? [message] : [];
  });
  return lines.length === 0 ? null : lines.join("\n");
}

function unreachable(base: string, error: unknown): CliFailure {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const why = codeOf(cause) ?? messageOf(cause);
  return couldNotRun("unreachable", `no orchestrator answers at ${base} (${why}): start one with \`onrush orchestrator\`, or name it with --orchestrator URL`, error);
}
