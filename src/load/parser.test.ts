import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CHUNK_LINE_LIMIT, CLOSED_EARLY, DONE, HEAD_LIMIT, MORE, PROTOCOL, ResponseParser, TOO_LARGE } from "./parser.ts";
import type { ParseCode } from "./parser.ts";

interface Outcome {
  code: ParseCode;
  status: number;
  keep_alive: boolean;
  message: string;
}

/** Feeds one answer cut at `cuts`; `end`: the peer closes afterwards. */
function parse(bytes: Uint8Array, { cuts = [] as number[], head = false, end = false } = {}): Outcome {
  const parser = new ResponseParser();
  parser.begin(head);
  const edges = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  let code: ParseCode = MORE;
  for (let i = 1; i < edges.length && code === MORE; i++) {
    const piece = Buffer.from(bytes.subarray(edges[i - 1], edges[i]));
    code = parser.feed(piece, piece.length);
    piece.fill(0);
  }
  if (end && code === MORE) code = parser.end();
  return { code, status: parser.status, keep_alive: parser.keep_alive, message: parser.message };
}

function parseText(text: string, options: Parameters<typeof parse>[1] = {}): Outcome {
  return parse(Buffer.from(text, "latin1"), options);
}

describe("framing", () => {
  test.each([
    ["content-length", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong", 200, true],
    ["any case and blanks", "HTTP/1.1 201 \r\ncOnTeNt-LeNgTh:4 \r\n\r\npong", 201, true],
    ["no reason phrase", "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", 404, true],
    ["repeated length", "HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\nContent-Length: 4\r\n\r\npong", 200, true],
    ["bare LF", "HTTP/1.1 200 OK\nContent-Length: 4\n\npong", 200, true],
    ["chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n4\r\npong\r\n0\r\n\r\n", 200, true],
    ["chunk extensions", 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4 ;a="b"\r\npong\r\n00;x\r\n\r\n', 200, true],
    ["trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\nA\r\n0123456789\r\n0\r\nA: b\r\n\r\n", 200, true],
    ["both framings", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, false],
    ["identity", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 4\r\n\r\npong", 200, true],
    ["204", "HTTP/1.1 204 No Content\r\n\r\n", 204, true],
    ["304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", 304, true],
    ["interim answers", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, true],
    ["close", "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 4\r\n\r\npong", 200, false],
    ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\npong", 200, false],
    ["HTTP/1.0 keep-alive", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 4\r\n\r\npong", 200, true],
    ["folded header", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", 200, true],
  ])("%s", (_name, text, status, keep_alive) => {
    expect(parseText(text)).toEqual({ code: DONE, status, keep_alive, message: "" });
    expect(parseText(text.slice(0, -1)).code).toBe(MORE);
    expect(parseText(text.slice(0, -1), { end: true }).code).toBe(CLOSED_EARLY);
    expect(parseText(`${text}H`).code).toBe(PROTOCOL);
  });

  test("an answer to HEAD has no body", () => {
    expect(parseText("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", { head: true }).code).toBe(DONE);
    expect(parseText("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", { head: true }).code).toBe(DONE);
    expect(parseText("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong", { head: true }).code).toBe(PROTOCOL);
  });

  test("without a length the body lasts until the connection closes", () => {
    const text = "HTTP/1.1 200 OK\r\n\r\nanything\r\n\r\n";
    expect(parseText(text).code).toBe(MORE);
    expect(parseText(text, { end: true })).toMatchObject({ code: DONE, keep_alive: false });
  });

  test("one parser reads one answer after the other", () => {
    const parser = new ResponseParser();
    const answer = Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npong");
    for (let i = 0; i < 3; i++) {
      parser.begin(false);
      expect(parser.feed(answer, answer.length)).toBe(DONE);
    }
    expect(parser.feed(answer, answer.length)).toBe(PROTOCOL);
  });
});

describe("what is no answer", () => {
  test.each([
    ["not HTTP", "SSH-2.0-OpenSSH_9.6\r\n"],
    ["HTTP/2", "HTTP/2.0 200 OK\r\n"],
    ["short status", "HTTP/1.1 20\r\n\r\n"],
    ["long status", "HTTP/1.1 2000 OK\r\n"],
    ["status 0xx", "HTTP/1.1 099 OK\r\n"],
    ["upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
    ["conflicting lengths", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n"],
    ["conflicting list", "HTTP/1.1 200 OK\r\nContent-Length: 4, 5\r\n"],
    ["negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n"],
    ["empty length", "HTTP/1.1 200 OK\r\nContent-Length:\r\n"],
    ["huge length", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n"],
    ["no colon", "HTTP/1.1 200 OK\r\nfoo\r\n"],
    ["blank before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 4\r\n"],
    ["folded length", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n 2\r\n"],
    ["chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"],
    ["empty chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n"],
    ["chunk too short, its own CR in the place of its end's", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\npong\r\n0\r\n\r\n"],
    ["chunk size without CR", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\n"],
    ["no name", "HTTP/1.1 200 OK\r\nX@: y\r\n"],
    ["no trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nfoo\r\n"],
    ["chunk too long", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\npong\r\n"],
    ["endless chunk-size line", `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${"0".repeat(CHUNK_LINE_LIMIT + 1)}`],
  ])("%s", (_name, text) => {
    expect(parseText(text).code).toBe(PROTOCOL);
    expect(parseText(text, { cuts: [...text].map((_, i) => i) }).code).toBe(PROTOCOL);
  });

  test("a head over the limit, in any pieces", () => {
    const start = "HTTP/1.1 200 OK\r\nX: ";
    const fits = `${start}${"a".repeat(HEAD_LIMIT - start.length - 4 - 19)}\r\nContent-Length: 0\r\n\r\n`;
    expect(fits.length).toBe(HEAD_LIMIT);
    expect(parseText(fits).code).toBe(DONE);
    expect(parseText(fits.replace("X", "XX")).code).toBe(TOO_LARGE);
    expect(parseText(fits.replace("X", "XX"), { cuts: [1000, 30_000, 65_530] }).code).toBe(TOO_LARGE);
    expect(parseText(`${start}${"a".repeat(HEAD_LIMIT)}`).code).toBe(TOO_LARGE);
    expect(parseText("HTTP/1.1 100 Continue\r\n\r\n".repeat(3000)).code).toBe(TOO_LARGE);
  });

  test("a trailer over the limit", () => {
    const text = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${"A: b\r\n".repeat(HEAD_LIMIT / 6 + 1)}`;
    expect(parseText(text).code).toBe(TOO_LARGE);
  });
});

const body = fc.uint8Array({ maxLength: 300 });
const crlf = Buffer.from("\r\n");

const answer = fc
  .record({
    status: fc.constantFrom(200, 204, 301, 304, 404, 500, 599),
    minor: fc.constantFrom(0, 1),
    connection: fc.constantFrom("", "Connection: close\r\n", "Connection: keep-alive\r\n"),
    extra: fc.array(fc.stringMatching(/^[A-Za-z-]{1,20}: [ -~]{0,30}$/), { maxLength: 5 }),
    interim: fc.nat(2),
    framing: fc.constantFrom("length", "chunked", "close"),
    pieces: fc.array(body, { maxLength: 4 }),
  })
  .map(({ status, minor, connection, extra, interim, framing, pieces }) => {
    const bare = status === 204 || status === 304;
    const full = pieces.filter((piece) => piece.length > 0);
    const content = Buffer.concat(full);
    const chunks = full.flatMap((piece) => [Buffer.from(`${piece.length.toString(16)};e=1\r\n`), piece, crlf]);
    const others = extra.filter((line) => !/^(content-length|transfer-encoding|connection):/i.test(line));
    const headers = [
      ...others.map((line) => `${line}\r\n`),
      connection,
      framing === "length" ? `Content-Length: ${content.length}\r\n` : "",
      framing === "chunked" ? "Transfer-Encoding: chunked\r\n" : "",
    ].join("");
    const head = `${"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n".repeat(interim)}HTTP/1.${minor} ${status} Some Text\r\n${headers}\r\n`;
    const tail = framing === "chunked" ? [...chunks, Buffer.from("0\r\nT: x\r\n\r\n")] : [content];
    const bytes = Buffer.concat([Buffer.from(head, "latin1"), ...(bare ? [] : tail)]);
    return { bytes, status, until_close: !bare && framing === "close" };
  });

test("any split of a valid answer reads the same", () => {
  fc.assert(
    fc.property(answer, fc.array(fc.nat(), { maxLength: 12 }), ({ bytes, status, until_close }, cuts) => {
      const whole = parse(bytes, { end: until_close });
      expect(whole).toMatchObject({ code: DONE, status });
      expect(parse(bytes, { cuts, end: until_close })).toEqual(whole);
      expect(parse(bytes, { cuts: [...bytes.keys()], end: until_close })).toEqual(whole);
    }),
    { numRuns: 500 },
  );
});

const noise = fc.oneof(
  fc.uint8Array({ maxLength: 400 }),
  fc
    .array(
      fc.constantFrom(
        ..."HTTP/1.1 200 OK|HTTP/1.0 204|Content-Length: 3|Transfer-Encoding: chunked|\r\n|\r\n\r\n|\n|:| |0|3|abc|;|fffffffff|Connection: close".split("|"),
      ),
      { maxLength: 20 },
    )
    .map((parts) => Buffer.from(parts.join(""), "latin1") as Uint8Array),
);

test("arbitrary bytes never throw, read the same in any split, and end in a defined state", () => {
  fc.assert(
    fc.property(noise, fc.array(fc.nat(), { maxLength: 8 }), fc.boolean(), (bytes, cuts, head) => {
      const whole = parse(bytes, { head, end: true });
      expect([DONE, PROTOCOL, TOO_LARGE, CLOSED_EARLY]).toContain(whole.code);
      // An answer may be complete before what follows it: then the rest is not fed here.
      const split = parse(bytes, { cuts, head, end: true });
      if (whole.message !== "bytes after the end of the answer") expect(split).toEqual(whole);
    }),
    { numRuns: 2000 },
  );
});
