import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { AddressInfo } from "node:net";
import { ApiError, API_ERRORS, errorBody, isApiErrorCode } from "../api/errors.ts";
import { BusError } from "../bus/errors.ts";
import { PlanError } from "../plan/problem.ts";
import { CommandError } from "../run/commands.ts";
import { OrchestratorError, ServerError } from "./errors.ts";
import { checkExposure } from "./exposure.ts";
import { bracketed, createGuard, type Guard } from "./guard.ts";
import { addLive } from "./live.ts";
import type { Log } from "./log.ts";
import type { Orchestrator } from "./orchestrator.ts";
import { addRoutes } from "./routes.ts";
import { StoreError } from "./store-error.ts";
import type { Store } from "./store.ts";

export interface ServerOptions {
  orchestrator: Orchestrator;
  store: Store | null;
  host: string;
  /** 0: any free one. */
  port: number;
  /** Required beyond loopback. */
  token?: string;
  allow_origins?: string[];
  /** Names by which it is reached, where it listens on every address. */
  allow_hosts?: string[];
  log: Log;
}

export interface Server {
  url: string;
  port: number;
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 1_000_000;

/**
 * The HTTP API, /ws and /docs of an orchestrator.
 * @throws {ServerError} `token_required`, `port_in_use`, `cannot_listen`
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { host, port } = options;
  checkExposure(host, options.token);
  const { app, stopLive } = await buildServer(options, () => (app.server.address() as AddressInfo | null)?.port ?? port);
  try {
    await app.listen({ host, port });
  } catch (error) {
    stopLive();
    await app.close();
    throw listenError(error as NodeJS.ErrnoException, host, port);
  }
  const bound = (app.server.address() as AddressInfo).port;
  return {
    url: `http://${bracketed(host)}:${bound}`,
    port: bound,
    close: async () => {
      stopLive();
      await app.close();
    },
  };
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): ServerError {
  if (error.code === "EADDRINUSE") {
    return new ServerError("port_in_use", `port ${port} on ${host} is in use: choose another one with --listen`, { cause: error });
  }
  return new ServerError("cannot_listen", `cannot listen on ${host}:${port}: ${error.message}`, { cause: error });
}

/** The server without its socket. `port`: what it will listen on, for the check of Host. */
export async function buildServer(
  options: Omit<ServerOptions, "port">,
  port: () => number,
): Promise<{ app: FastifyInstance; stopLive: () => void }> {
  const { orchestrator, store, log } = options;
  const { fastify } = await import("fastify");
  const { default: swagger } = await import("@fastify/swagger");
  const { default: websocket } = await import("@fastify/websocket");

  const app = fastify({
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: true,
    frameworkErrors: (error, _request, reply) => void answerError(error, reply, log),
  });
  const { host, token, allow_origins = [], allow_hosts = [] } = options;
  checkBefore(app, createGuard({ host, port, token, allow_origins, allow_hosts }));
  readJson(app);
  // One source: the schemas of api/ are checked where the body is read; here they are only shown.
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  app.setErrorHandler((error: FastifyError, _request, reply) => answerError(error, reply, log));
  app.setNotFoundHandler((_request, reply) => answerError(new ApiError("not_found"), reply, log));

  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Onrush orchestrator", version: "1", description: "Errors: {error: {code, message, details}}." },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
      ...(token !== undefined && { security: [{ token: [] }] }),
    },
  });
  await app.register(websocket, { options: { maxPayload: 65_536, perMessageDeflate: false } });
  addRoutes(app, orchestrator, store);
  app.get("/docs", { schema: { hide: true } }, () => app.swagger());
  const live = addLive(app, orchestrator, log);
  await app.ready();
  return { app, stopLive: () => live.close() };
}

function checkBefore(app: FastifyInstance, guard: Guard): void {
  app.addHook("onRequest", async (request: FastifyRequest, reply: FastifyReply) => {
    // The socket of an upgrade that is answered over HTTP belongs to nobody any more.
    if (request.headers.upgrade !== undefined) reply.raw.once("finish", () => request.raw.socket.destroySoon());
    const { cors_origin, preflight } = guard({ method: request.method, headers: request.headers });
    reply.header("x-content-type-options", "nosniff");
    reply.header("cache-control", "no-store");
    if (cors_origin !== null) {
      reply.header("access-control-allow-origin", cors_origin);
      reply.header("vary", "origin");
    }
    if (preflight) {
      reply.header("access-control-allow-methods", "GET, POST");
      reply.header("access-control-allow-headers", "authorization, content-type");
      return reply.code(204).send();
    }
  });
}

function readJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, text, done) => {
    if (text === "") return done(null, undefined);
    try {
      done(null, JSON.parse(text as string));
    } catch (error) {
      done(new ApiError("bad_json", `the body is not JSON: ${(error as Error).message}`));
    }
  });
}

function answerError(error: unknown, reply: FastifyReply, log: Log): FastifyReply {
  const known = apiErrorOf(error);
  if (known.code === "internal") log.error("request_failed", { error: String(error) }, `a request failed: ${String(error)}`);
  if (known.code === "unauthorized") reply.header("www-authenticate", "Bearer");
  return reply.code(API_ERRORS[known.code].status).type("application/json; charset=utf-8").send(errorBody(known));
}

/** Every error that comes up here, by the one table. */
function apiErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof PlanError) return new ApiError("bad_plan", error.message, { problems: error.problems });
  if (error instanceof CommandError) return new ApiError(error.code, error.message, error.details);
  if (error instanceof OrchestratorError && isApiErrorCode(error.code)) return new ApiError(error.code, error.message);
  if (error instanceof StoreError) return new ApiError("store_failed", error.message);
  if (error instanceof BusError && error.code === "record_too_large") return new ApiError("too_large", error.message);
  const { code, statusCode = 500, message } = error as FastifyError;
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") return new ApiError("too_large");
  if (statusCode === 415) return new ApiError("unsupported_media_type");
  return statusCode < 500 ? new ApiError("bad_request", message) : new ApiError("internal");
}
