import { lookup } from "node:dns/promises";
import { connect, isIP } from "node:net";
import { pinnedAddress } from "../plan/pinned.ts";
import type { LoadTarget } from "./engine.ts";
import type { TlsOptions } from "./tls.ts";

/** What a request asks for, its target by URL. */
export interface TargetRequest {
  /** http: or https:, without credentials. */
  url: string;
  method: string;
  headers: Record<string, string>;
  body: string | null;
  insecure: boolean;
  tls?: TlsOptions | undefined;
  /** HOST:IP: the address to hit, in place of what the name resolves to. */
  resolve?: string | undefined;
  /** The path of a unix socket to hit, in place of the URL's host and port: no name is resolved. */
  unix_socket?: string | undefined;
}

export interface ResolveOptions {
  /** Addresses for which it is false are left out before anything is sent to them. Default: all are allowed. */
  allowed?: (address: string) => boolean;
  /** Resolves a name to its addresses, the preferred one first. Default: the system's resolver. */
  resolve?: (hostname: string) => Promise<string[]>;
  /** How long the resolver may take. Default: 5,000. */
  lookup_ms?: number;
  /** How long an address is tried before the next one is. */
  try_ms?: number;
}

const LOOKUP_MS = 5000;

export type ResolveResult =
  | { ok: true; target: LoadTarget }
  | { ok: false; kind: "dns" | "not_allowed"; message: string };

/**
 * Resolves the target's name once and pins one address for the whole test: where there are several, the first in the
 * resolver's order that accepts a connection (localhost is ::1 and 127.0.0.1, and often only one of them is served),
 * or the first one when none does. Sends no request.
 * Throws TypeError when the URL is none, or not http(s).
 */
export async function resolveTarget(request: TargetRequest, options: ResolveOptions = {}): Promise<ResolveResult> {
  const url = new URL(request.url);
  const { protocol } = url;
  if (protocol !== "http:" && protocol !== "https:") throw new TypeError(`${protocol} is neither http: nor https:`);
  const port = url.port === "" ? (protocol === "https:" ? 443 : 80) : Number(url.port);
  const hostname = url.hostname.replace(/^\[|\]$/g, "");

  const { method, headers, body, insecure, tls, unix_socket } = request;
  const path = url.pathname + url.search;
  const target: LoadTarget = { protocol, hostname, port, address: "", path, method, headers, body, insecure, ...(tls && { tls }) };
  if (unix_socket !== undefined) return { ok: true, target: { ...target, socket_path: unix_socket } };

  const pinned = request.resolve === undefined ? null : pinnedAddress(request.resolve);
  let addresses: string[];
  try {
    if (pinned?.hostname === hostname) addresses = [pinned.address];
    else addresses = isIP(hostname) ? [hostname] : await withinTime(hostname, options);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { ok: false, kind: "dns", message: `name not resolved (${code ?? "no reason given"})` };
  }
  if (addresses.length === 0) return { ok: false, kind: "dns", message: "name not resolved (no address)" };
  const { allowed } = options;
  const usable = allowed === undefined ? addresses : addresses.filter((address) => allowed(address));
  const [first] = usable;
  if (first === undefined) {
    return { ok: false, kind: "not_allowed", message: `${addresses.join(", ")} may not be a target` };
  }
  const address = usable.length === 1 ? first : await firstAccepting(usable, port, options.try_ms ?? 1000);
  return { ok: true, target: { ...target, address } };
}

/** What the system's resolver does beyond that time is nobody's concern. */
async function withinTime(hostname: string, { resolve = systemResolve, lookup_ms = LOOKUP_MS }: ResolveOptions): Promise<string[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error(), { code: `no answer within ${lookup_ms / 1000} s` })), lookup_ms);
  });
  try {
    return await Promise.race([resolve(hostname), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function systemResolve(hostname: string): Promise<string[]> {
  const found = await lookup(hostname, { all: true, verbatim: true });
  return [...new Set(found.map(({ address }) => address))];
}

async function firstAccepting(addresses: readonly string[], port: number, try_ms: number): Promise<string> {
  for (const address of addresses) if (await accepts(address, port, try_ms)) return address;
  return addresses[0]!;
}

function accepts(host: string, port: number, timeout: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const answer = (accepted: boolean) => () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(accepted);
    };
    const timer = setTimeout(answer(false), timeout);
    socket.once("connect", answer(true));
    socket.once("error", answer(false));
  });
}
