import { z } from "zod";

const ip = z.union([z.ipv4(), z.ipv6()]);

/** Reads HOST:IP, an IPv6 address with or without brackets; the host in lower case. null: it is none. */
export function pinnedAddress(text: string): { hostname: string; address: string } | null {
  const match = /^([^:[\]/\s]+):(?:\[([^[\]]+)\]|([^[\]]+))$/.exec(text);
  const address = match?.[2] ?? match?.[3] ?? "";
  if (match === null || !ip.safeParse(address).success) return null;
  return { hostname: match[1]!.toLowerCase(), address };
}
