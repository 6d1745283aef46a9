import { expect, test } from "vitest";
import { buildRequest } from "./request.ts";
import { loadTarget } from "./testing/run.ts";

const none = (): never => {
  throw new Error("no values are needed");
};

const text = (change: Parameters<typeof loadTarget>[2], test_id = "t1") =>
  buildRequest(loadTarget(8080, "/a?b", change), test_id, none).request.toString("utf8");

test("the port is named unless it is the protocol's own", () => {
  expect(text({})).toMatch(/^GET \/a\?b HTTP\/1\.1\r\nHost: 127\.0\.0\.1:8080\r\nUser-Agent: onrush\/\S+ \(test t1\)\r\n/);
  expect(text({ port: 80 })).toContain("\r\nHost: 127.0.0.1\r\n");
  expect(text({ port: 443 })).toContain("\r\nHost: 127.0.0.1:443\r\n");
  expect(text({ port: 443, protocol: "https:" })).toContain("\r\nHost: 127.0.0.1\r\n");
  expect(text({ hostname: "::1" })).toContain("\r\nHost: [::1]:8080\r\n");
  expect(text({ hostname: "[::1]" })).toContain("\r\nHost: [::1]:8080\r\n");
});

test("own headers replace the defaults, but not the framing", () => {
  const request = text({
    method: "PUT",
    body: "é",
    headers: { "user-agent": "me", Accept: "x/y", "Content-Length": "9", "Transfer-Encoding": "chunked" },
  });
  expect(request).toMatch(/\r\nuser-agent: me\r\nAccept: x\/y\r\nContent-Length: 2\r\n\r\né$/);
  expect(request.match(/user-agent|accept|content-length|transfer-encoding/gi)).toHaveLength(3);
});

test("no body: a length only where one is expected", () => {
  expect(text({})).not.toContain("Content-Length");
  expect(text({ method: "POST" })).toContain("\r\nContent-Length: 0\r\n");
});

test("nothing leaves its own line", () => {
  expect(() => text({ headers: { "X-A": "b\r\nX-B: c" } })).toThrow(RangeError);
  expect(() => text({ headers: { "X A": "b" } })).toThrow(RangeError);
  expect(() => text({ method: "GET /x HTTP/1.1\r\n" })).toThrow(RangeError);
  expect(() => text({ path: "/a b" })).toThrow(RangeError);
  expect(text({}, "x)\r\nX-B: c")).toContain("(test x___X-B: c)\r\n");
});

test("a body of JSON says so, unless a header says what it is", () => {
  const json = "\r\nContent-Type: application/json\r\n";
  expect(text({ method: "POST", body: ' {"a": [1]}' })).toContain(json);
  expect(text({ method: "POST", body: "[]" })).toContain(json);
  for (const body of ["{a: 1}", "1", '"a"', "a=b", ""]) expect(text({ method: "POST", body })).not.toContain("Content-Type");
  expect(text({ method: "POST", body: "{}", headers: { "content-type": "x/y" } })).not.toContain(json);
});
