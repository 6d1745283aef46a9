import fc from "fast-check";
import { expect, test } from "vitest";
import { HeadMemo } from "./head-memo.ts";
import { DONE, MORE, ResponseParser } from "./parser.ts";

const BUFFER = Buffer.alloc(8192);

/** Feeds an answer, through the one read buffer as the engine does, in pieces of `size`. */
function read(parser: ResponseParser, text: string, size = Infinity) {
  const bytes = Buffer.from(text, "latin1");
  parser.begin(false);
  let code: number = MORE;
  for (let at = 0; at < bytes.length && code === MORE; at += size) {
    const length = bytes.copy(BUFFER, 0, at, Math.min(bytes.length, at + size));
    code = parser.feed(BUFFER, length);
  }
  return { code, status: parser.status, keep_alive: parser.keep_alive, message: code > DONE ? parser.message : "" };
}

const head = fc.record({
  status: fc.constantFrom("200 OK", "204 No Content", "404", "503 No"),
  extra: fc.constantFrom("", "Connection: close\r\n", "Date: now\r\n", "Date: yes\r\n", "X: 1\r\n"),
  framing: fc.constantFrom("Content-Length: 4", "Content-Length: 14", "Transfer-Encoding: chunked", "X-None: 1"),
  body: fc.constantFrom("", "pong", "4\r\npong\r\n0\r\n\r\n", "ponger"),
  interim: fc.constantFrom("", "", "HTTP/1.1 100 Continue\r\n\r\n"),
});

test("answers read the same with and without what was remembered of others", () => {
  const answers = fc.array(fc.record({ head, size: fc.constantFrom(Infinity, Infinity, 7, 1) }), { maxLength: 30 });
  fc.assert(
    fc.property(answers, (list) => {
      const memo = new HeadMemo();
      const parsers = [new ResponseParser(memo), new ResponseParser(memo)];
      list.forEach(({ head: { interim, status, extra, framing, body }, size }, i) => {
        const text = `${interim}HTTP/1.1 ${status}\r\n${extra}${framing}\r\n\r\n${body}`;
        for (let again = 0; again < 2; again++) {
          expect(read(parsers[(i + again) % 2]!, text, size)).toEqual(read(new ResponseParser(), text, size));
        }
      });
    }),
  );
});

test("the same head is remembered, and the next one takes its place", () => {
  const memo = new HeadMemo();
  const parser = new ResponseParser(memo);
  const text = (date: string) => `HTTP/1.1 200 OK\r\nDate: ${date}\r\nContent-Length: 4\r\n\r\npong`;
  for (const date of ["one", "one", "other", "other"]) expect(read(parser, text(date)).code).toBe(DONE);
  expect(memo.length).toBe(text("other").length - 4);
});

test("heads that are never the same are soon kept rarely", () => {
  const memo = new HeadMemo();
  let kept = 0;
  for (let i = 0; i < 5000; i++) {
    const bytes = Buffer.from(`HTTP/1.1 200 OK\r\nX-Id: ${i}\r\n\r\n`.padEnd(64));
    BUFFER.set(bytes);
    expect(memo.matches(BUFFER, bytes.length)).toBe(false);
    if (memo.keep(BUFFER, bytes.length)) kept++;
  }
  expect(kept).toBeLessThan(20);
});

test("a view at an odd offset, and one shorter than the head, are compared as well", () => {
  const memo = new HeadMemo();
  expect(memo.keep(Buffer.from(Uint8Array.from([1, 2, 3, 4, 5]).buffer), 5)).toBe(true);
  expect(memo.matches(Uint8Array.from([1, 2, 3, 4, 5, 6]), 6)).toBe(true);
  expect(memo.matches(Uint8Array.from([1, 2, 3, 4, 5]), 5)).toBe(true);
  expect(memo.matches(Uint8Array.from([1, 2, 3, 4, 6, 6]), 6)).toBe(false);
  expect(memo.matches(Uint8Array.from([1, 2, 3, 4]), 4)).toBe(false);
  // Not remembered in words there: read anew.
  expect(memo.matches(Uint8Array.from([0, 1, 2, 3, 4, 5]).subarray(1), 5)).toBe(false);
});
