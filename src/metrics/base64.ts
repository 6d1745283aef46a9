const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PAD = 61;

const LETTERS = Uint8Array.from(ALPHABET, (letter) => letter.charCodeAt(0));

// What a character contributes to its group of 24 bits, by its place in the group; -1 where it is not in the alphabet.
const [FIRST, SECOND, THIRD, FOURTH] = [18, 12, 6, 0].map((shift) => {
  const table = new Int32Array(256).fill(-1);
  LETTERS.forEach((code, value) => (table[code] = value << shift));
  return table;
}) as [Int32Array, Int32Array, Int32Array, Int32Array];

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** How many characters `bytes` bytes become, padded. */
export function base64Length(bytes: number): number {
  return Math.ceil(bytes / 3) * 4;
}

/** Standard base64 (RFC 4648 section 4), padded, of bytes[0..length). `scratch` holds at least base64Length(length). */
export function encodeBase64(bytes: Uint8Array, length: number, scratch: Uint8Array): string {
  let out = 0;
  let at = 0;
  for (; at + 3 <= length; at += 3) {
    const group = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
    scratch[out] = LETTERS[group >>> 18]!;
    scratch[out + 1] = LETTERS[(group >>> 12) & 63]!;
    scratch[out + 2] = LETTERS[(group >>> 6) & 63]!;
    scratch[out + 3] = LETTERS[group & 63]!;
    out += 4;
  }
  const rest = length - at;
  if (rest > 0) {
    const group = (bytes[at]! << 16) | (rest === 2 ? bytes[at + 1]! << 8 : 0);
    scratch[out] = LETTERS[group >>> 18]!;
    scratch[out + 1] = LETTERS[(group >>> 12) & 63]!;
    scratch[out + 2] = rest === 2 ? LETTERS[(group >>> 6) & 63]! : PAD;
    scratch[out + 3] = PAD;
    out += 4;
  }
  return decoder.decode(scratch.subarray(0, out));
}

/**
 * Decodes standard base64, padded or not, into `bytes` and returns how many there are; -1 when it is not base64: a
 * character outside the alphabet, wrong padding, an impossible length, bits set behind the last byte, or longer than
 * `scratch` (which holds the text's characters).
 */
export function decodeBase64(text: string, bytes: Uint8Array, scratch: Uint8Array): number {
  if (text.length > scratch.length) return -1;
  const { read, written } = encoder.encodeInto(text, scratch);
  if (read !== text.length || written !== text.length) return -1;
  let length = written;
  if (length > 0 && length % 4 === 0 && scratch[length - 1] === PAD) length -= scratch[length - 2] === PAD ? 2 : 1;
  const rest = length & 3;
  if (rest === 1) return -1;

  let out = 0;
  let bad = 0;
  const whole = length - rest;
  for (let at = 0; at < whole; at += 4) {
    const group =
      FIRST[scratch[at]!]! | SECOND[scratch[at + 1]!]! | THIRD[scratch[at + 2]!]! | FOURTH[scratch[at + 3]!]!;
    bad |= group;
    bytes[out] = group >>> 16;
    bytes[out + 1] = group >>> 8;
    bytes[out + 2] = group;
    out += 3;
  }
  if (rest > 0) {
    const group =
      FIRST[scratch[whole]!]! | SECOND[scratch[whole + 1]!]! | (rest === 3 ? THIRD[scratch[whole + 2]!]! : 0);
    bad |= group;
    bytes[out++] = group >>> 16;
    if (rest === 3) bytes[out++] = group >>> 8;
    if ((group & (rest === 3 ? 0xff : 0xffff)) !== 0) return -1;
  }
  return bad < 0 ? -1 : out;
}
