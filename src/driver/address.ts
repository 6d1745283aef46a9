/** An IP address as a number: 32 bits for version 4, 128 for version 6. */
export interface Address {
  version: 4 | 6;
  bits: bigint;
}

/** All addresses that share the first `prefix` bits. */
export interface Network extends Address {
  prefix: number;
}

const MAPPED = 0xffffn;
const LOOPBACK_V6 = 1n;

/** Reads dotted IPv4 or IPv6 text (a zone such as %eth0 is ignored); null when it is neither. */
export function parseAddress(text: string): Address | null {
  const bare = text.split("%", 1)[0] ?? "";
  if (bare.includes(":")) {
    const bits = parseV6(bare);
    return bits === null ? null : { version: 6, bits };
  }
  const bits = parseV4(bare);
  return bits === null ? null : { version: 4, bits };
}

/** Reads ADDRESS/PREFIX; null when it is not one. */
export function parseNetwork(text: string): Network | null {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address = match ? parseAddress(match[1] ?? "") : null;
  const prefix = Number(match?.[2]);
  if (!address || prefix > width(address)) return null;
  return { ...address, prefix };
}

export function contains(network: Network, address: Address): boolean {
  if (network.version !== address.version) return false;
  const rest = BigInt(width(network) - network.prefix);
  return network.bits >> rest === address.bits >> rest;
}

/** IPv4 written as IPv6 (::ffff:a.b.c.d) is that IPv4 address. */
export function unmapped(address: Address): Address {
  return address.version === 6 && address.bits >> 32n === MAPPED ? { version: 4, bits: address.bits & 0xffff_ffffn } : address;
}

/**
 * Every IPv4 address that packets to an IPv6 address may end up at: mapped ::ffff:0:0/96, translated
 * ::ffff:0:0:0/96, compatible ::/96 (but for :: and ::1), NAT64 64:ff9b::/96 and 64:ff9b:1::/48 (last 32 bits), 6to4 2002::/16
 * (bits 16 to 48), Teredo 2001::/32 (last 32 bits, inverted).
 */
export function embedded(address: Address): Address[] {
  if (address.version === 4 || address.bits <= LOOPBACK_V6) return [];
  const { bits } = address;
  const low: Address = { version: 4, bits: bits & 0xffff_ffffn };
  const high96 = bits >> 32n;
  if (high96 === MAPPED || high96 === MAPPED << 16n || high96 === 0n || high96 === 0x64_ff9bn << 64n) return [low];
  if (bits >> 80n === 0x64_ff9b_0001n) return [low];
  if (bits >> 112n === 0x2002n) return [{ version: 4, bits: (bits >> 80n) & 0xffff_ffffn }];
  if (bits >> 96n === 0x2001_0000n) return [{ version: 4, bits: low.bits ^ 0xffff_ffffn }];
  return [];
}

function width({ version }: Address): number {
  return version === 4 ? 32 : 128;
}

function parseV4(text: string): bigint | null {
  const parts = text.split(".");
  if (parts.length !== 4) return null;
  let bits = 0n;
  for (const part of parts) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return null;
    bits = (bits << 8n) | BigInt(Number(part));
  }
  return bits;
}

function parseV6(text: string): bigint | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const head = groups(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? groups(halves[1] ?? "", true) : [];
  if (!head || !tail) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  return [...head, ...Array<bigint>(missing).fill(0n), ...tail].reduce((bits, group) => (bits << 16n) | group, 0n);
}

/** Groups of 16 bits; dotted IPv4 may stand at the very end. */
function groups(text: string, atEnd: boolean): bigint[] | null {
  if (text === "") return [];
  const found: bigint[] = [];
  const parts = text.split(":");
  for (const [place, part] of parts.entries()) {
    if (atEnd && place === parts.length - 1 && part.includes(".")) {
      const v4 = parseV4(part);
      if (v4 === null) return null;
      found.push(v4 >> 16n, v4 & 0xffffn);
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) {
      found.push(BigInt(`0x${part}`));
    } else {
      return null;
    }
  }
  return found;
}
