import { base64Length, decodeBase64, encodeBase64 } from "./base64.ts";
import { addTotals, createHistogram, reserve, type Histogram } from "./histogram.ts";
import { BUCKETS, bucketIndex, MAX_US } from "./layout.ts";

/**
 * A histogram on the wire. `buckets` is standard base64 (RFC 4648 section 4; written padded, read padded or not) of
 * the filled buckets only, in ascending order of their index in layout.ts, each as two varints:
 *
 *     buckets = base64( pair* )     pair = varint(gap) varint(count)
 *     gap     = index - index of the pair before (the first pair: index - 0); at least 1, as index 0 is never filled
 *     count   = requests in that bucket; at least 1
 *     varint  = unsigned LEB128: 7 bits a byte, low bits first, 0x80 set on all but the last byte; below 2^53; in its
 *               shortest form
 *
 * Beside it travel what the buckets don't hold exactly. For example 1, 1 and 2048 us (indexes 1 and 2048): bytes
 * 01 02 ff 0f 01, so {count: 3, sum_us: 2050, min_us: 1, max_us: 2048, clamped: 0, buckets: "AQL/DwE="}.
 */
export interface EncodedHistogram {
  /** The sum of the buckets' counts. */
  count: number;
  /** Sum of all values, whole us. */
  sum_us: number;
  /** Exact, whole us; null when empty. */
  min_us: number | null;
  max_us: number | null;
  /** How many values were above one hour and count as one hour. */
  clamped: number;
  buckets: string;
}

/** What is not a histogram. The message says what was expected and what was given. */
export class HistogramError extends Error {
  override readonly name = "HistogramError";
  readonly code = "bad_histogram";
}

// Indexes 1 to BUCKETS - 1, a gap of at most 3 bytes (< 2^21) and a count of at most 8 (< 2^53) each.
const MAX_BYTES = (BUCKETS - 1) * 11;

// Reused by every call, so that decoding allocates nothing that grows with its input. One byte more: the terminator.
const bytes = new Uint8Array(MAX_BYTES + 3);
const characters = new Uint8Array(base64Length(MAX_BYTES));
const indexes = new Int32Array(BUCKETS);
const counts = new Float64Array(BUCKETS);
const cursor = { at: 0 };

/** The wire form; it shares no memory with the histogram. */
export function encodeHistogram(h: Histogram): EncodedHistogram {
  if (h.count === 0) return { count: 0, sum_us: 0, min_us: null, max_us: null, clamped: 0, buckets: "" };
  const last = bucketIndex(h.max_us);
  let previous = 0;
  let length = 0;
  for (let index = bucketIndex(h.min_us); index <= last; index++) {
    const count = h.counts[index]!;
    if (count === 0) continue;
    length = writeVarint(index - previous, length);
    length = writeVarint(count, length);
    previous = index;
  }
  return {
    count: h.count,
    sum_us: h.sum_us,
    min_us: h.min_us,
    max_us: h.max_us,
    clamped: h.clamped,
    buckets: encodeBase64(bytes, length, characters),
  };
}

/** @throws HistogramError when it is not exactly what EncodedHistogram describes */
export function decodeHistogram(encoded: EncodedHistogram): Histogram {
  const h = createHistogram();
  decodeInto(h, encoded);
  return h;
}

/**
 * merge(target, decodeHistogram(encoded)) without the histogram in between.
 * @throws HistogramError as decodeHistogram; `target` is then unchanged
 */
export function decodeInto(target: Histogram, encoded: EncodedHistogram): void {
  const pairs = readPairs(encoded);
  if (pairs === 0) return;
  reserve(target, indexes[pairs - 1]!);
  const into = target.counts;
  for (let pair = 0; pair < pairs; pair++) into[indexes[pair]!]! += counts[pair]!;
  addTotals(target, encoded as EncodedHistogram & { min_us: number; max_us: number });
}

/** Whether decoding would accept it; cheaper than decoding. */
export function isHistogram(encoded: EncodedHistogram): boolean {
  try {
    readPairs(encoded);
    return true;
  } catch {
    return false;
  }
}

/** Reads the filled buckets into `indexes` and `counts`, holds them against the totals, and returns how many they are. */
function readPairs(encoded: EncodedHistogram): number {
  if (typeof encoded !== "object" || encoded === null) throw bad("a histogram must be an object", encoded);
  const { count, sum_us, min_us, max_us, clamped, buckets } = encoded;
  if (!isCount(count)) throw bad("count must be a whole number from 0", count);
  if (!isCount(clamped)) throw bad("clamped must be a whole number from 0", clamped);
  if (!Number.isInteger(sum_us) || sum_us < 0) throw bad("sum_us must be a whole number from 0", sum_us);
  if (typeof buckets !== "string") throw bad("buckets must be a string", buckets);
  const length = decodeBase64(buckets, bytes, characters);
  if (length < 0) throw bad(`buckets must be base64 of at most ${MAX_BYTES} bytes`, buckets);

  // A 0 behind the end: a pair cut short ends in an overlong varint, or in a gap or a count of 0; neither is accepted.
  bytes[length] = 0;
  cursor.at = 0;
  let pairs = 0;
  let index = 0;
  let sum = 0;
  while (cursor.at < length) {
    const gap = readVarint();
    index += gap;
    if (gap === 0 || index >= BUCKETS) throw bad(`buckets must have indexes from 1 to ${BUCKETS - 1}, ascending`, index);
    const filled = readVarint();
    if (filled === 0) throw bad("buckets must have counts from 1", filled);
    sum += filled;
    indexes[pairs] = index;
    counts[pairs] = filled;
    pairs += 1;
  }
  if (sum !== count) throw bad(`count must be what the buckets hold (${sum})`, count);

  if (pairs === 0) {
    if (min_us !== null) throw bad("min_us of an empty histogram must be null", min_us);
    if (max_us !== null) throw bad("max_us of an empty histogram must be null", max_us);
    if (sum_us !== 0) throw bad("sum_us of an empty histogram must be 0", sum_us);
    if (clamped !== 0) throw bad("clamped of an empty histogram must be 0", clamped);
    return 0;
  }
  if (!isLatency(min_us) || bucketIndex(min_us) !== indexes[0]) {
    throw bad("min_us must lie in the first filled bucket", min_us);
  }
  if (!isLatency(max_us) || max_us < min_us || bucketIndex(max_us) !== index) {
    throw bad("max_us must lie in the last filled bucket", max_us);
  }
  if (clamped > 0 && (max_us !== MAX_US || clamped > counts[pairs - 1]!)) {
    throw bad("clamped must be at most what the bucket of one hour holds", clamped);
  }
  // One value is min, one is max, the rest lies between them. Sums are exact up to 2^53.
  const slack = sum_us > Number.MAX_SAFE_INTEGER ? sum_us * 1e-6 : 0;
  if (sum_us + slack < min_us * (count - 1) + max_us || sum_us - slack > max_us * (count - 1) + min_us) {
    throw bad("sum_us must fit count, min_us and max_us", sum_us);
  }
  return pairs;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isLatency(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= MAX_US;
}

function writeVarint(value: number, at: number): number {
  while (value >= 0x8000_0000) {
    bytes[at++] = (value % 128) | 128;
    value = Math.floor(value / 128);
  }
  while (value >= 128) {
    bytes[at++] = (value & 127) | 128;
    value >>>= 7;
  }
  bytes[at++] = value;
  return at;
}

function readVarint(): number {
  const first = bytes[cursor.at++]!;
  return first < 128 ? first : readLongVarint(first);
}

function readLongVarint(first: number): number {
  let value = first & 127;
  let scale = 128;
  for (let more = 0; more < 7; more++) {
    const byte = bytes[cursor.at++]!;
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte >= 128) continue;
    if (byte === 0) throw bad("a varint in buckets must be whole and in its shortest form", value);
    if (value > Number.MAX_SAFE_INTEGER) break;
    return value;
  }
  throw bad("a varint in buckets must be below 2^53", "more");
}

function bad(expected: string, given: unknown): HistogramError {
  return new HistogramError(`${expected}, got ${describe(given)}`);
}

function describe(given: unknown): string {
  if (typeof given === "string") return JSON.stringify(given.slice(0, 40));
  return given === null || typeof given === "number" || typeof given === "boolean" ? String(given) : typeof given;
}
