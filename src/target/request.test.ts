import fc from "fast-check";
import { expect, test } from "vitest";
import { makeRequestReader, parseHead, type Head, type Refused } from "./request.ts";

function read(pieces: Buffer[]): { heads: string[]; requests: string[]; refused: Refused | null } {
  const seen = { heads: [] as string[], requests: [] as string[], refused: null as Refused | null };
  const name = (head: Head) => `${head.method} ${head.path}`;
  const reader = makeRequestReader({
    onHead: (head) => seen.heads.push(name(head)),
    onRequest: (head) => seen.requests.push(name(head)),
    onRefused: (status) => (seen.refused = status),
  });
  for (const piece of pieces) reader(piece);
  return seen;
}

const requests = [
  "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n",
  "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\nab\r\n\r\nc",
  "PUT /q HTTP/1.1\r\nhost:h\r\ntransfer-encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n0a\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
  "\r\nHEAD http://h/abs HTTP/1.0\r\n\r\n",
];
const names = ["GET /a", "POST /p", "PUT /q", "HEAD /abs"];

test("requests in pieces of any size", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3), { minLength: 1, maxLength: 12 }), fc.array(fc.integer({ min: 1, max: 30 })), (order, sizes) => {
      const bytes = Buffer.from(order.map((i) => requests[i]).join(""), "latin1");
      const pieces: Buffer[] = [];
      let at = 0;
      for (const size of sizes) {
        pieces.push(bytes.subarray(at, at + size));
        at += size;
      }
      pieces.push(bytes.subarray(at));
      const expected = order.map((i) => names[i]);
      expect(read(pieces)).toEqual({ heads: expected, requests: expected, refused: null });
    }),
  );
});

test("anything: no exception, and nothing after a refusal", () => {
  const part = fc.oneof(
    fc.constantFrom(...requests, "GET / HTTP/1.1\r\n", "\r\n", "Content-Length: 5\r\n", "0\r\n\r\n", "\n", ": x\r\n"),
    fc.string({ unit: "binary-ascii" }),
  );
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      const seen = read(parts.map((text) => Buffer.from(text, "latin1")));
      expect(seen.requests.length).toBeLessThanOrEqual(seen.heads.length);
    }),
    { numRuns: 500 },
  );
});

test.each([
  ["rubbish\r\n\r\n", 400],
  ["\x16\x03\x01\x02", 400],
  ["GET / HTTP/1.1\nHost: h\n\n", 400],
  ["hello\n", 400],
  ["GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505],
  ["GET / HTTP/1.1\r\n\r\n", 400],
  ["GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400],
  ["GET / HTTP/1.1\r\nHost: h\r\nbad name: x\r\n\r\n", 400],
  ["GET / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400],
  ["GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400],
  ["GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400],
  ["GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501],
  ["GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400],
  ["GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", 400],
  [`GET / HTTP/1.1\r\nX: ${"x".repeat(70_000)}`, 431],
] as const)("%j is refused with %s", (text, status) => {
  expect(read([Buffer.from(text, "latin1")]).refused).toBe(status);
});

test("whether the connection lives on", () => {
  const keeps = (line: string, ...fields: string[]) => {
    const head = parseHead([line, "Host: h", ...fields].join("\r\n"));
    return typeof head === "number" ? head : head.keep_alive;
  };
  expect(keeps("GET / HTTP/1.1")).toBe(true);
  expect(keeps("GET / HTTP/1.1", "Connection: Close")).toBe(false);
  expect(keeps("GET / HTTP/1.0")).toBe(false);
  expect(keeps("GET / HTTP/1.0", "Connection: Keep-Alive")).toBe(true);
});
