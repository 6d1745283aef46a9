import { lookup } from "node:dns/promises";
import { connect, isIP } from "node:net";
import type { LoadTarget } from "./engine.ts";

/** What a request asks for, its target by URL. */
export interface TargetRequest {
  /** http: or https:, without credentials. */
  url: string;
  method: string;
  headers: Record<string, string>;
  body: string | null;
  insecure: boolean;
}

export interface ResolveOptions {
  /** Addresses for which it is false are left out before anything is sent to them. Default: all are allowed. */
  allowed?: (address: string) => boolean;
  /** Resolves a name to its addresses, the preferred one first. Default: the system's resolver. */
  resolve?: (hostname: string) => Promise<string[]>;
  /** How long an address is tried before the next one is. */
  try_ms?: number;
}

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

  let addresses: string[];
  try {
    addresses = isIP(hostname) ? [hostname] : await (options.resolve ?? systemResolve)(hostname);
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
  const { method, headers, body, insecure } = request;
  const path = url.pathname + url.search;
  return { ok: true, target: { protocol, hostname, port, address, path, method, headers, body, insecure } };
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
