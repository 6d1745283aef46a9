import { request } from "node:http";
import { Duplex } from "node:stream";
import { BODY_LENGTH, BODY_UNTIL_CLOSE, CHUNK_DATA, DONE, HEAD_LIMIT, MORE, ResponseParser } from "../parser.ts";

/** What a parser makes of the bytes of one connection, at whose end the peer closes. null: it refuses them. */
export type Reading = { status: number; body_bytes: number } | null;

export interface Input {
  bytes: Buffer;
  /** Where the bytes are cut into reads, ascending. */
  cuts: number[];
  head: boolean;
}

/** mulberry32: numbers from 0 to 1 that depend on nothing but the seed. */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const STATUS_LINES = "HTTP/1.1 200 OK|HTTP/1.1 200|HTTP/1.1 201 |HTTP/1.0 200 OK|HTTP/1.1 204 No Content|HTTP/1.1 304 Not Modified|HTTP/1.1 404 Not \xe9 Found|HTTP/1.1 503 Busy|HTTP/1.1 999 x".split("|");
const ODD_STATUS_LINES = "HTTP/1.2 200 OK|HTTP/2.0 200 OK|HTTP/1.1 099 OK|HTTP/1.1 20 OK|HTTP/1.1 2000 OK|HTTP/1.1 200OK|HTTP/1.1  200 OK|http/1.1 200 OK|ICY 200 OK|HTTP/1.1 101 Switching Protocols|".split("|");
const INTERIM = "HTTP/1.1 100 Continue\r\n\r\n|HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 7\r\n\r\n|HTTP/1.1 102 x\r\n\r\n".split("|");
const HEADERS = "Server: x|Date: Sat, 21 Nov 2026 09:00:00 GMT|X-Empty:|x-long: ................................................................|Set-Cookie: a=b; Path=/|Connection: close|Connection: keep-alive|Connection: Keep-Alive, Foo|Content-Encoding: gzip|ETag: \"\xe9\"|Trailer: T|Keep-Alive: timeout=5".split("|");
const ODD_HEADERS = "X Y: z|X-Y : z|: z|no colon| folded|Content-Length: 3|Content-Length: 3, 3|Content-Length: 3, 4|Content-Length: -1|Content-Length: +3|Content-Length:|Content-Length: 3 4|Content-Length: 0x3|Content-Length: 99999999999999999999|Transfer-Encoding: chunked|Transfer-Encoding: identity|Transfer-Encoding: gzip|Transfer-Encoding: chunked, gzip|Transfer-Encoding: chunked, chunked|Transfer-Encoding: gzip, chunked|Transfer-Encoding:|Transfer-Encoding: xchunked|X: a\rb|X: \x00|X@: y|Upgrade: foo|Connection: upgrade".split("|");
const FRAGMENTS = "\r\n|\n|\r|\r\n\r\n|:| |\t|;|,|0|00|5|a|F|ff|HTTP/1.1 |Content-Length: 4\r\n|Transfer-Encoding: chunked\r\n|\x00|\x7f|\xff|0\r\n\r\n".split("|");

/** A response, generated and in most cases changed a little. */
export function makeInput(random: () => number): Input {
  const below = (n: number) => Math.floor(random() * n);
  const one = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const content = Array.from({ length: below(4) }, () => "x".repeat(1 + below(20)));
  const odd = random() < 0.3;
  const lines = [random() < 0.05 ? one(ODD_STATUS_LINES) : one(STATUS_LINES)];
  for (let i = below(4); i > 0; i--) lines.push(one(HEADERS));
  const framing = below(3);
  if (framing === 0) lines.push(`${one(["Content-Length", "content-length", "CONTENT-LENGTH"])}:${one(["", " ", "  "])}${content.join("").length}${one(["", " "])}`);
  if (framing === 1) lines.push(`${one(["Transfer-Encoding", "transfer-encoding"])}: ${one(["chunked", "Chunked", "gzip, chunked"])}`);
  for (let i = below(3); i > 0; i--) lines.push(one(HEADERS));
  if (odd) lines.splice(1 + below(lines.length), 0, one(ODD_HEADERS));
  let body = content.join("");
  if (framing === 1) {
    const chunks = content.map((piece) => `${one(["", "0"])}${piece.length.toString(16)}${one(["", "", ";a=b", ';a="b c"', ";a"])}\r\n${piece}\r\n`);
    body = `${chunks.join("")}${one(["0", "0", "00", "0;x=y"])}\r\n${one(["", "", "T: x\r\n", "T: x\r\nU: y\r\n"])}\r\n`;
  }
  let text = `${random() < 0.15 ? one(INTERIM) : ""}${lines.join("\r\n")}\r\n\r\n${body}`;
  for (let i = random() < 0.5 ? 0 : 1 + below(2); i > 0; i--) text = mutated(text, below, one);
  const bytes = Buffer.from(text, "latin1");
  const cuts = [...new Set(Array.from({ length: below(6) }, () => below(bytes.length + 1)))].sort((a, b) => a - b);
  return { bytes, cuts, head: random() < 0.05 };
}

function mutated(text: string, below: (n: number) => number, one: <T>(list: readonly T[]) => T): string {
  const at = below(text.length + 1);
  const until = Math.min(text.length, at + 1 + below(4));
  switch (below(5)) {
    case 0:
      return text.slice(0, at);
    case 1:
      return text.slice(0, at) + text.slice(until);
    case 2:
      return text.slice(0, at) + one(FRAGMENTS) + text.slice(at);
    case 3:
      return text.slice(0, at) + one(FRAGMENTS) + text.slice(until);
    default:
      return text.slice(0, until) + text.slice(at);
  }
}

function pieces({ bytes, cuts }: Input): Buffer[] {
  const edges = [0, ...cuts, bytes.length];
  return edges.slice(1).map((edge, i) => bytes.subarray(edges[i], edge)).filter((piece) => piece.length > 0);
}

/** How Onrush reads it, byte by byte. `used`: bytes up to the end of the answer, where more followed. */
export function readOwn({ bytes, head }: Input): { reading: Reading; used: number | null; message: string } {
  const parser = new ResponseParser();
  const state = parser as unknown as { state: number };
  parser.begin(head);
  let body_bytes = 0;
  for (let i = 0; i < bytes.length; i++) {
    if ([BODY_LENGTH, CHUNK_DATA, BODY_UNTIL_CLOSE].includes(state.state)) body_bytes++;
    const code = parser.feed(bytes.subarray(i, i + 1), 1);
    if (code === DONE) return { reading: { status: parser.status, body_bytes }, used: i + 1 < bytes.length ? i + 1 : null, message: "" };
    if (code !== MORE) return { reading: null, used: null, message: parser.message };
  }
  const done = parser.end() === DONE;
  return { reading: done ? { status: parser.status, body_bytes } : null, used: null, message: parser.message };
}

const read_buffer = new Uint8Array(64 * 1024);

/**
 * The status of the answer that Onrush reads when the bytes come cut as given, in one buffer as a connection's do; null:
 * none. Read twice by the same parser, as it knows a head again; "unlike": not the same both times.
 */
export function readOwnCut(input: Input): number | null | "unlike" {
  const parser = new ResponseParser();
  const [first, second] = [0, 1].map(() => {
    parser.begin(input.head);
    for (const piece of pieces(input)) {
      read_buffer.set(piece);
      const code = parser.feed(read_buffer, piece.length);
      if (code !== MORE) return code === DONE ? parser.status : null;
    }
    return parser.end() === DONE ? parser.status : null;
  });
  return first === second ? (first ?? null) : "unlike";
}

/** How node:http reads it. */
export function readNode(input: Input): Promise<Reading> {
  const socket = Object.assign(new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() }), {
    setTimeout: () => {},
    setNoDelay: () => {},
    setKeepAlive: () => {},
    ref: () => {},
    unref: () => {},
  });
  return new Promise((resolve) => {
    const settle = (reading: Reading): void => {
      resolve(reading);
      socket.destroy();
    };
    const sent = request({
      method: input.head ? "HEAD" : "GET",
      maxHeaderSize: HEAD_LIMIT,
      createConnection: () => socket,
    });
    sent.on("error", () => settle(null));
    sent.on("upgrade", () => settle(null));
    sent.on("response", (response) => {
      let body_bytes = 0;
      response.on("data", (data: Buffer) => (body_bytes += data.length));
      response.on("end", () => settle(response.complete ? { status: response.statusCode!, body_bytes } : null));
      response.on("error", () => settle(null));
    });
    sent.on("socket", () => {
      for (const piece of pieces(input)) socket.push(piece);
      socket.push(null);
    });
    // What ends with its connection has its own end after this.
    sent.on("close", () => setImmediate(() => setImmediate(settle, null)));
    sent.end();
  });
}

/** Why Onrush and node:http (llhttp in its strict mode) may differ, and in which direction. */
interface Difference {
  own: "accepts" | "refuses" | "either";
  when: RegExp;
  why: string;
}

export const DIFFERENCES: readonly Difference[] = [
  { own: "accepts", when: /(^|[^\r])\n/, why: "a bare LF ends a line (RFC 9112 section 2.2: a recipient may take it)" },
  {
    own: "accepts",
    when: /\r(?!\n)|[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/,
    why: "control characters in values, reasons and extensions: they are not read (RFC 9110 section 5.5: reject or take for a space)",
  },
  { own: "accepts", when: /\r\n[ \t]/, why: "a folded line (RFC 9112 section 5.2: a user agent takes it for a space)" },
  {
    own: "accepts",
    when: /transfer-encoding:[^]*content-length:|content-length:[^]*transfer-encoding:/i,
    why: "both framings: the transfer coding counts and the connection is not used again (RFC 9112 section 6.3)",
  },
  {
    own: "accepts",
    when: /content-length:[^]*content-length:|content-length:[ \t]*\d+[ \t]*,/i,
    why: "the same length several times (RFC 9110 section 8.6: a recipient may take it once)",
  },
  { own: "accepts", when: /transfer-encoding:[ \t]*(identity|\r)/i, why: "a transfer coding that is none is passed over" },
  {
    own: "accepts",
    when: /[0-9a-f][ \t]*;[^\r\n]*\r\n|[0-9a-f][ \t]+\r\n/i,
    why: "blanks and extensions after a chunk's size, whatever they look like (RFC 9112 section 7.1.1: to be passed over)",
  },
  { own: "accepts", when: /HTTP\/1\.[2-9]/, why: "a later minor version (RFC 9110 section 2.5: processed as the highest known)" },
  {
    own: "either",
    when: /transfer-encoding:[^\r\n]*(,[ \t]*|\t)\r/i,
    why: "an empty element or a tab at the end of the codings (RFC 9110 section 5.6.1: to be passed over)",
  },
  {
    own: "accepts",
    when: /HTTP\/1\.0 1\d\d|HTTP\/1\.\d 1\d\d[^\n]*\n([^\r\n]+\r\n)*connection:[^\r\n]*close/i,
    why: "an interim answer that says the connection ends: the final answer is yet to come (RFC 9110 section 15.2)",
  },
  { own: "refuses", when: /^[\r\n]|\n\r?\n[\r\n]/, why: "empty lines before the status line: bytes that nobody asked for" },
  { own: "refuses", when: /HTTP\/[^1]/, why: "another major version" },
  { own: "refuses", when: /content-length:[ \t]*\d{16}/i, why: "a length from 2^53 on, even of an answer that has no body" },
  { own: "refuses", when: /HTTP\/1\.\d 101/, why: "an upgrade that nobody asked for" },
  { own: "refuses", when: /HTTP\/1\.\d 0\d\d/, why: "a status below 100" },
];

/** Both readings of an input, up to the end of its answer; `explained`: they agree, or may differ. */
export async function compare(input: Input): Promise<{ own: Reading; node: Reading; message: string; explained: boolean; why: string }> {
  const { used } = readOwn(input);
  const whole = used === null ? input : { ...input, bytes: input.bytes.subarray(0, used), cuts: input.cuts.filter((cut) => cut < used) };
  const { reading: own, message } = readOwn(whole);
  const node = await readNode(whole);
  const cut = readOwnCut(whole);
  if (cut !== (own?.status ?? null)) return { own, node, message, explained: false, why: `cut into reads it is ${cut}` };
  if (own?.status === node?.status && own?.body_bytes === node?.body_bytes) return { own, node, message, explained: true, why: "" };
  const text = whole.bytes.toString("latin1");
  const reason = DIFFERENCES.find(({ own: does, when }) => does !== (own === null ? "accepts" : "refuses") && when.test(text));
  return { own, node, message, explained: reason !== undefined, why: reason?.why ?? "" };
}
