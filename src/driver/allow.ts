import { contains, embedded, parseAddress, parseNetwork, unmapped, type Address, type Network } from "./address.ts";

/** One thing that a driver may hit. */
export type AllowRule =
  | { kind: "host"; hostname: string; port: number | null }
  /** Every name below a domain, and the domain itself not. */
  | { kind: "domain"; suffix: string; port: number | null }
  | { kind: "network"; network: Network; port: number | null }
  /** Unix sockets, wherever they lie (and a host of that name). */
  | { kind: "unix" };

/** A pattern of --allow that is none. */
export class AllowError extends Error {
  override readonly name = "AllowError";
  readonly code = "bad_allow";
}

export interface ResolvedTarget {
  hostname: string;
  /** The IP address that would be connected to. */
  address: string;
  port: number;
}

export type Verdict = { allowed: true } | { allowed: false; message: string };

const UNIX = "unix";

const HOSTNAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;

/** Loopback and private networks: what may be hit when nothing else is said. */
const PRIVATE = networks("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7");

/** This host, link-local, metadata services of clouds, multicast and reserved: never a target, whatever is allowed. */
const FORBIDDEN = networks(
  "0.0.0.0/8",
  "169.254.0.0/16",
  "100.100.100.200/32",
  "168.63.129.16/32",
  "192.0.0.192/32",
  "224.0.0.0/3",
  "::/128",
  "fe80::/10",
  "fd00:ec2::254/128",
  "fd20:ce::254/128",
  "ff00::/8",
);

function networks(...texts: string[]): Network[] {
  return texts.map((text) => {
    const network = parseNetwork(text);
    if (!network) throw new AllowError(`${text} is no network`);
    return network;
  });
}

/**
 * Reads patterns: `host`, `host:port`, `*.domain`, `*.domain:port`, an IP address (`[v6]:port` with a port), a CIDR, or
 * `unix` for unix sockets.
 * @throws AllowError that names the pattern and what is expected
 */
export function parseAllow(patterns: readonly string[]): AllowRule[] {
  return patterns.map((pattern) => {
    const rule = parsePattern(pattern.trim().toLowerCase());
    if (rule) return rule;
    throw new AllowError(
      `--allow ${JSON.stringify(pattern)}: expected a host, host:port, *.domain, an IP address or a network such as 10.0.0.0/8`,
    );
  });
}

function parsePattern(text: string): AllowRule | null {
  if (text === UNIX) return { kind: "unix" };
  const network = parseNetwork(text);
  if (network) return { kind: "network", network, port: null };
  const whole = parseAddress(text);
  if (whole) return { kind: "network", network: single(whole), port: null };

  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text);
  if (!match) return null;
  const port = match[3] === undefined ? null : Number(match[3]);
  if (port !== null && (port < 1 || port > 65_535)) return null;
  const host = match[1] ?? match[2] ?? "";
  const address = parseAddress(host);
  if (address) return { kind: "network", network: single(address), port };
  if (match[1] !== undefined) return null;
  const name = host.startsWith("*.") ? host.slice(2) : host;
  const hostname = withoutDot(name);
  if (!HOSTNAME.test(hostname)) return null;
  return host.startsWith("*.") ? { kind: "domain", suffix: `.${hostname}`, port } : { kind: "host", hostname, port };
}

function single(address: Address): Network {
  const plain = unmapped(address);
  return { ...plain, prefix: plain.version === 4 ? 32 : 128 };
}

/**
 * Whether a target may be hit. `rules`: what --allow names; without any, loopback and private networks. `own`: what
 * --target names, allowed beside that. A name that is allowed is allowed at whatever address it has, but for the
 * forbidden ones. The message tells the operator what to do.
 */
export function judgeTarget(rules: readonly AllowRule[], own: readonly AllowRule[], target: ResolvedTarget): Verdict {
  const { hostname, port } = target;
  const address = parseAddress(target.address);
  const shown = hostname === target.address ? `${hostname}:${port}` : `${hostname}:${port} (${target.address})`;
  if (!address) return { allowed: false, message: `the target ${shown} has no IP address that could be checked` };
  if ([address, ...embedded(address)].some((one) => FORBIDDEN.some((network) => contains(network, one)))) {
    return {
      allowed: false,
      message: `the target ${shown} is a link-local, metadata, multicast or reserved address: no driver ever hits those`,
    };
  }
  const plain = unmapped(address);
  if (rules.length === 0 && PRIVATE.some((network) => contains(network, plain))) return { allowed: true };
  const host = withoutDot(hostname.toLowerCase());
  if ([...rules, ...own].some((rule) => matches(rule, host, plain, port))) return { allowed: true };
  const may = rules.length === 0 ? "only loopback and private networks" : "only what --allow and --target name";
  return {
    allowed: false,
    message: `this driver may hit ${may}, not ${shown}; start it with --allow ${host.includes(":") ? `[${host}]` : host}`,
  };
}

/** Whether a unix socket may be hit: only where --allow names them. */
export function judgeSocket(rules: readonly AllowRule[], path: string): Verdict {
  if (rules.some(({ kind }) => kind === "unix")) return { allowed: true };
  return { allowed: false, message: `this driver may not hit unix sockets such as ${path}; start it with --allow ${UNIX}` };
}

function matches(rule: AllowRule, hostname: string, address: Address, port: number): boolean {
  if (rule.kind === "unix") return hostname === UNIX;
  if (rule.port !== null && rule.port !== port) return false;
  if (rule.kind === "host") return rule.hostname === hostname;
  if (rule.kind === "domain") return hostname.endsWith(rule.suffix) && hostname.length > rule.suffix.length;
  return contains(rule.network, address);
}

function withoutDot(hostname: string): string {
  return hostname.endsWith(".") ? hostname.slice(0, -1) : hostname;
}
