import { HeadMemo } from "./head-memo.ts";

/** What `feed` and `end` return. */
export const MORE = 0;
/** The answer is complete: `status` and `keep_alive` hold. */
export const DONE = 1;
/** What came is no answer to what was asked: `message` says why. */
export const PROTOCOL = 2;
/** The head or the trailer is longer than HEAD_LIMIT. */
export const TOO_LARGE = 3;
/** The connection ended before the answer did. */
export const CLOSED_EARLY = 4;
export type ParseCode = typeof MORE | typeof DONE | typeof PROTOCOL | typeof TOO_LARGE | typeof CLOSED_EARLY;

/** Bytes of a head (with the interim 1xx heads before it), and of a trailer. */
export const HEAD_LIMIT = 64 * 1024;
/** Bytes of one chunk-size line with its extensions. */
export const CHUNK_LINE_LIMIT = 4 * 1024;

const IDLE = 0;
const STATUS_LINE = 1;
const HEADER = 2;
export const BODY_LENGTH = 3;
export const BODY_UNTIL_CLOSE = 4;
const CHUNK_SIZE = 5;
export const CHUNK_DATA = 6;
const CHUNK_END = 7;
const TRAILER = 8;
const FAILED = 9;

const LF = 10;
const CR = 13;
const SP = 32;
const HT = 9;
const COLON = 58;

const NO_LENGTH = -1;

/**
 * Reads the answers of one connection, one at a time (RFC 9112), as the bytes come: it works on the read buffer, copies
 * only a line that is cut by the buffer's end, and never throws. Of the headers it knows only those that frame the body.
 * A bare LF ends a line of a head as well. A head that is the same as one before, byte for byte, is known and not read again.
 *
 *     begin -> STATUS_LINE -> HEADER* -+-> no body ---------------------------------> IDLE
 *                  ^            | 1xx  +-> BODY_LENGTH ----------------------------->
 *                  +------------+      +-> CHUNK_SIZE <-> CHUNK_DATA, ... TRAILER --->
 *                                      +-> BODY_UNTIL_CLOSE --(end)------------------>
 *
 * Bytes while IDLE, or in the same buffer after an answer's end, are a protocol error: nobody asked for them.
 */
export class ResponseParser {
  status = 0;
  /** May the connection carry another request after this answer? */
  keep_alive = true;
  /** Of the last PROTOCOL, TOO_LARGE or CLOSED_EARLY: short and stable, so that it can be counted. */
  message = "";

  private state = IDLE;
  private head_request = false;
  /** Bytes left of the body or of the chunk. */
  private remaining = 0;
  private content_length = NO_LENGTH;
  private transfer_encoding = false;
  private chunked = false;
  private says_close = false;
  private says_keep_alive = false;
  private http10 = false;
  /** The last header line was one that frames the body: it may not be continued by a folded line. */
  private framing = false;
  /** Bytes taken of the current head, trailer or chunk-size line, and how many it may have. */
  private taken = 0;
  private limit = HEAD_LIMIT;
  /** The beginning of a line that the last buffer cut off. */
  private carry: Uint8Array = EMPTY;
  private carried = 0;
  private readonly memo: HeadMemo;

  /** `memo`: of answers to the same request, all HEAD or none; it may be shared by many connections. */
  constructor(memo = new HeadMemo()) {
    this.memo = memo;
  }

  /** A request was sent: its answer is what comes next. `head`: the method was HEAD, so there will be no body. */
  begin(head: boolean): void {
    this.state = STATUS_LINE;
    this.head_request = head;
    this.status = 0;
    this.keep_alive = true;
    this.taken = 0;
    this.limit = HEAD_LIMIT;
    this.carried = 0;
    this.resetHead();
  }

  /** Takes bytes[0, length), at least one. After anything but MORE the next call must be `begin`. */
  feed(bytes: Uint8Array, length: number): ParseCode {
    let at = 0;
    let whole_head = this.state === STATUS_LINE && this.taken === 0;
    if (whole_head && this.memo.matches(bytes, length)) {
      this.recall();
      at = this.memo.length;
    }
    while (at < length) {
      const state = this.state;
      if (state === BODY_LENGTH || state === CHUNK_DATA) {
        const step = Math.min(this.remaining, length - at);
        this.remaining -= step;
        at += step;
        if (this.remaining > 0) return MORE;
        this.state = state === CHUNK_DATA ? CHUNK_END : IDLE;
      } else if (state === BODY_UNTIL_CLOSE) {
        return MORE;
      } else if (state === IDLE || state === FAILED) {
        return this.fail(PROTOCOL, "bytes after the end of the answer");
      } else {
        const newline = lineEnd(bytes, at, length);
        const stop = newline < 0 ? length : newline + 1;
        this.taken += stop - at;
        if (this.taken > this.limit) return this.overLimit();
        if (newline < 0) {
          this.keep(bytes, at, length);
          return MORE;
        }
        const code = this.carried > 0 ? this.lineFromCarry(bytes, at, stop) : this.line(bytes, at, newline);
        if (code !== MORE) return code;
        at = stop;
        if (state === HEADER && this.state !== HEADER) {
          if (whole_head && this.state !== STATUS_LINE) this.remember(bytes, at);
          whole_head = false;
        }
      }
    }
    return this.state === IDLE ? DONE : MORE;
  }

  /** The peer will send no more. */
  end(): ParseCode {
    if (this.state === BODY_UNTIL_CLOSE) {
      this.state = IDLE;
      return DONE;
    }
    if (this.state === STATUS_LINE && this.taken === 0) return this.fail(CLOSED_EARLY, "closed before the answer");
    return this.fail(CLOSED_EARLY, this.state <= HEADER ? "closed within the head" : "closed within the body");
  }

  private remember(bytes: Uint8Array, length: number): void {
    const { memo } = this;
    if (!memo.keep(bytes, length)) return;
    memo.status = this.status;
    memo.keep_alive = this.keep_alive;
    memo.state = this.state;
    memo.remaining = this.remaining;
  }

  private recall(): void {
    const { memo } = this;
    this.status = memo.status;
    this.keep_alive = memo.keep_alive;
    this.state = memo.state;
    this.remaining = memo.remaining;
    if (this.state === CHUNK_SIZE) this.expectChunkSize();
  }

  private resetHead(): void {
    this.content_length = NO_LENGTH;
    this.transfer_encoding = false;
    this.chunked = false;
    this.says_close = false;
    this.says_keep_alive = false;
    this.framing = false;
  }

  private fail(code: ParseCode, message: string): ParseCode {
    this.state = FAILED;
    this.keep_alive = false;
    this.carried = 0;
    this.message = message;
    return code;
  }

  private overLimit(): ParseCode {
    if (this.state === CHUNK_SIZE || this.state === CHUNK_END) return this.fail(PROTOCOL, "endless chunk-size line");
    return this.fail(TOO_LARGE, this.state === TRAILER ? "trailer over 64 KiB" : "head over 64 KiB");
  }

  private keep(bytes: Uint8Array, from: number, to: number): void {
    const needed = this.carried + to - from;
    if (needed > this.carry.length) {
      const larger = new Uint8Array(Math.max(256, 2 * needed));
      larger.set(this.carry.subarray(0, this.carried));
      this.carry = larger;
    }
    this.carry.set(bytes.subarray(from, to), this.carried);
    this.carried = needed;
  }

  private lineFromCarry(bytes: Uint8Array, from: number, to: number): ParseCode {
    this.keep(bytes, from, to);
    const newline = this.carried - 1;
    this.carried = 0;
    return this.line(this.carry, 0, newline);
  }

  /** One line, bytes[from, newline), in whatever part of the answer it stands. */
  private line(bytes: Uint8Array, from: number, newline: number): ParseCode {
    const to = newline > from && bytes[newline - 1] === CR ? newline - 1 : newline;
    // A chunk that is one byte too short would end with its own CR.
    if (to === newline && (this.state === CHUNK_SIZE || this.state === CHUNK_END)) {
      return this.fail(PROTOCOL, this.state === CHUNK_END ? "chunk longer than its size" : "invalid chunk size");
    }
    switch (this.state) {
      case STATUS_LINE:
        return this.statusLine(bytes, from, to);
      case HEADER:
        return from === to ? this.headEnd() : this.header(bytes, from, to);
      case CHUNK_SIZE:
        return this.chunkSize(bytes, from, to);
      case CHUNK_END:
        if (from !== to) return this.fail(PROTOCOL, "chunk longer than its size");
        this.expectChunkSize();
        return MORE;
      default:
        return this.trailer(bytes, from, to);
    }
  }

  /** HTTP/1.x SP 3DIGIT [SP reason] */
  private statusLine(bytes: Uint8Array, from: number, to: number): ParseCode {
    const minor = to - from >= 12 && startsWith(bytes, from, HTTP1) ? digit(bytes[from + 7]) : -1;
    if (minor < 0 || bytes[from + 8] !== SP) return this.fail(PROTOCOL, "not an HTTP/1.1 answer");
    const hundreds = digit(bytes[from + 9]);
    const tens = digit(bytes[from + 10]);
    const ones = digit(bytes[from + 11]);
    if (hundreds < 1 || tens < 0 || ones < 0 || (to - from > 12 && bytes[from + 12] !== SP)) {
      return this.fail(PROTOCOL, "invalid status");
    }
    this.status = hundreds * 100 + tens * 10 + ones;
    if (this.status === 101) return this.fail(PROTOCOL, "101 without an upgrade");
    this.http10 = minor === 0;
    this.state = HEADER;
    return MORE;
  }

  private header(bytes: Uint8Array, from: number, to: number): ParseCode {
    const first = bytes[from];
    if (first === SP || first === HT) {
      return this.framing ? this.fail(PROTOCOL, "folded framing header") : MORE;
    }
    const colon = fieldNameEnd(bytes, from, to);
    if (colon === from || bytes[colon] !== COLON) return this.fail(PROTOCOL, "invalid header line");
    this.framing = false;
    const length = colon - from;
    if (length === 14 && isName(bytes, from, CONTENT_LENGTH)) return this.contentLength(bytes, colon + 1, to);
    if (length === 10 && isName(bytes, from, CONNECTION)) this.connection(listValue(bytes, colon + 1, to));
    if (length === 17 && isName(bytes, from, TRANSFER_ENCODING)) this.transferEncoding(listValue(bytes, colon + 1, to));
    return MORE;
  }

  /** Read for its form only: what a trailer says changes nothing. */
  private trailer(bytes: Uint8Array, from: number, to: number): ParseCode {
    if (from === to) {
      this.state = IDLE;
      return MORE;
    }
    if (isBlank(bytes[from])) return MORE;
    const colon = fieldNameEnd(bytes, from, to);
    return colon > from && bytes[colon] === COLON ? MORE : this.fail(PROTOCOL, "invalid trailer line");
  }

  /** 1*DIGIT, or the same number several times: separated by commas, or in several lines. */
  private contentLength(bytes: Uint8Array, from: number, to: number): ParseCode {
    this.framing = true;
    let at = from;
    for (;;) {
      while (at < to && isBlank(bytes[at])) at++;
      const start = at;
      let value = 0;
      for (let d = digit(bytes[at]); at < to && d >= 0; d = digit(bytes[++at])) value = value * 10 + d;
      if (at === start || value > Number.MAX_SAFE_INTEGER) return this.fail(PROTOCOL, "invalid content-length");
      if (this.content_length !== NO_LENGTH && this.content_length !== value) {
        return this.fail(PROTOCOL, "conflicting content-lengths");
      }
      this.content_length = value;
      while (at < to && isBlank(bytes[at])) at++;
      if (at >= to) return MORE;
      if (bytes[at++] !== COMMA) return this.fail(PROTOCOL, "invalid content-length");
    }
  }

  private connection(options: string[]): void {
    this.framing = true;
    if (options.includes("close")) this.says_close = true;
    if (options.includes("keep-alive")) this.says_keep_alive = true;
  }

  private transferEncoding(codings: string[]): void {
    this.framing = true;
    // What older servers say beside a content-length: no coding at all.
    if (!this.transfer_encoding && codings.every((coding) => coding === "identity")) return;
    this.transfer_encoding = true;
    this.chunked = codings.at(-1) === "chunked";
  }

  private headEnd(): ParseCode {
    if (this.status < 200) {
      this.state = STATUS_LINE;
      this.resetHead();
      return MORE;
    }
    this.keep_alive = !this.says_close && (!this.http10 || this.says_keep_alive);
    if (this.head_request || this.status === 204 || this.status === 304) {
      this.state = IDLE;
    } else if (this.transfer_encoding) {
      // Both framings at once, or chunks from HTTP/1.0: the transfer coding counts, the connection is not used again.
      if (this.content_length !== NO_LENGTH || this.http10) this.keep_alive = false;
      if (this.chunked) this.expectChunkSize();
      else this.untilClose();
    } else if (this.content_length >= 0) {
      this.remaining = this.content_length;
      this.state = this.remaining === 0 ? IDLE : BODY_LENGTH;
    } else {
      this.untilClose();
    }
    return MORE;
  }

  private untilClose(): void {
    this.state = BODY_UNTIL_CLOSE;
    this.keep_alive = false;
  }

  private expectChunkSize(): void {
    this.state = CHUNK_SIZE;
    this.taken = 0;
    this.limit = CHUNK_LINE_LIMIT;
  }

  /** 1*HEXDIG [blanks] [";" extensions] */
  private chunkSize(bytes: Uint8Array, from: number, to: number): ParseCode {
    let at = from;
    let size = 0;
    for (let d = hexDigit(bytes[at]); at < to && d >= 0; d = hexDigit(bytes[++at])) size = size * 16 + d;
    if (at === from || size > Number.MAX_SAFE_INTEGER) return this.fail(PROTOCOL, "invalid chunk size");
    while (at < to && isBlank(bytes[at])) at++;
    if (at < to && bytes[at] !== SEMICOLON) return this.fail(PROTOCOL, "invalid chunk size");
    this.taken = 0;
    if (size === 0) {
      this.state = TRAILER;
      this.limit = HEAD_LIMIT;
    } else {
      this.state = CHUNK_DATA;
      this.remaining = size;
    }
    return MORE;
  }
}

const EMPTY = new Uint8Array(0);
const COMMA = 44;
const SEMICOLON = 59;
const ascii = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));
const HTTP1 = ascii("HTTP/1.");
const CONTENT_LENGTH = ascii("content-length");
const CONNECTION = ascii("connection");
const TRANSFER_ENCODING = ascii("transfer-encoding");
/** By byte: may it be in a field's name (RFC 9110 token)? */
const IS_TOKEN = new Uint8Array(256);
for (const byte of ascii("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")) IS_TOKEN[byte] = 1;

/** Lines are short: a loop is cheaper than the call into indexOf. */
function lineEnd(bytes: Uint8Array, from: number, to: number): number {
  for (let at = from; at < to; at++) if (bytes[at] === LF) return at;
  return -1;
}

/** Where the field name that begins at `from` ends. Behind it a colon must stand: a line of names alone ends with CR or LF. */
function fieldNameEnd(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && IS_TOKEN[bytes[at]!] === 1) at++;
  return at;
}

function startsWith(bytes: Uint8Array, from: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text[i]) return false;
  return true;
}

/** Is bytes[from, from + name.length) this lower-case name, in any case? */
function isName(bytes: Uint8Array, from: number, name: Uint8Array): boolean {
  for (let i = 0; i < name.length; i++) {
    const byte = bytes[from + i]!;
    const lower = byte >= 65 && byte <= 90 ? byte | 32 : byte;
    if (lower !== name[i]) return false;
  }
  return true;
}

function listValue(bytes: Uint8Array, from: number, to: number): string[] {
  let text = "";
  for (let at = from; at < to; at++) text += String.fromCharCode(bytes[at]!);
  return text
    .toLowerCase()
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function isBlank(byte: number | undefined): boolean {
  return byte === SP || byte === HT;
}

function digit(byte: number | undefined): number {
  return byte !== undefined && byte >= 48 && byte <= 57 ? byte - 48 : -1;
}

function hexDigit(byte: number | undefined): number {
  const decimal = digit(byte);
  if (decimal >= 0 || byte === undefined) return decimal;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
