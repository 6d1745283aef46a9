import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import { hostname, networkInterfaces } from "node:os";
import { ApiError } from "../api/errors.ts";

/** Who may use a server. */
export interface GuardOptions {
  /** The address that it listens on. */
  host: string;
  /** The port that it listens on; asked at each request. */
  port: () => number;
  token?: string | undefined;
  /** Origins of pages that may use it besides its own. */
  allow_origins: readonly string[];
  /** Names by which it is known besides its address and the loopback ones. */
  allow_hosts: readonly string[];
}

interface GuardedRequest {
  method: string;
  headers: IncomingHttpHeaders;
}

/** What a request that passed is told back. */
export interface Passed {
  /** An origin that was let in by --allow-origin: its page may read the answer. */
  cors_origin: string | null;
  /** It only asks whether it may ask. */
  preflight: boolean;
}

/**
 * Checks a request before its body is read: Host, Origin, token, content type, in this order. A page that names this
 * machine by a name of its own (DNS rebinding) fails at the first, any other page at the second.
 * @throws {ApiError} `bad_host`, `bad_origin`, `unauthorized`, `unsupported_media_type`
 */
export type Guard = (request: GuardedRequest) => Passed;

export function createGuard(options: GuardOptions): Guard {
  const hosts = new Set([...LOOPBACK, ...ownNames(options.host), ...options.allow_hosts.map((name) => name.toLowerCase())]);
  const origins = new Set(options.allow_origins.map((origin) => origin.toLowerCase().replace(/\/$/, "")));
  const expected = options.token === undefined ? null : digest(options.token);

  return ({ method, headers }) => {
    checkHost(headers.host, hosts, options.port());
    const cors_origin = checkOrigin(headers, origins);
    // A browser asks without the token; the answer lets it ask again with it.
    if (method === "OPTIONS" && cors_origin !== null && headers["access-control-request-method"] !== undefined) {
      return { cors_origin, preflight: true };
    }
    if (expected !== null) checkToken(headers.authorization, expected);
    if (method !== "GET" && method !== "HEAD") checkContentType(headers);
    return { cors_origin, preflight: false };
  };
}

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];
const WILDCARDS = new Set(["0.0.0.0", "::", ""]);

/** Reachable from this machine only. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/** How an address is written in a Host header or URL. */
export function bracketed(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}

/** Listening everywhere: by each address and the name of this machine. */
function ownNames(host: string): string[] {
  if (!WILDCARDS.has(host)) return [bracketed(host).toLowerCase()];
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return [hostname().toLowerCase(), ...addresses.map(({ address }) => bracketed(address).toLowerCase())];
}

function checkHost(host: string | undefined, hosts: ReadonlySet<string>, port: number): void {
  const [, name, given] = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::(\d+))?$/i.exec(host ?? "") ?? [];
  if (name === undefined || !hosts.has(name.toLowerCase()) || Number(given ?? HTTP_PORT) !== port) throw new ApiError("bad_host");
}

const HTTP_PORT = 80;

/** null: no page, or the server's own. */
function checkOrigin({ origin, host }: IncomingHttpHeaders, origins: ReadonlySet<string>): string | null {
  if (origin === undefined || origin.toLowerCase() === `http://${host?.toLowerCase()}`) return null;
  if (!origins.has(origin.toLowerCase())) throw new ApiError("bad_origin");
  return origin;
}

function checkToken(authorization: string | undefined, expected: Buffer): void {
  const [, given = ""] = /^Bearer +(\S+) *$/i.exec(authorization ?? "") ?? [];
  if (!timingSafeEqual(digest(given), expected)) throw new ApiError("unauthorized");
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function checkContentType(headers: IncomingHttpHeaders): void {
  const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  const type = headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
  if (hasBody && type !== "application/json") throw new ApiError("unsupported_media_type");
}
