import { describe, expect, test } from "vitest";
import { pinnedAddress } from "./pinned.ts";
import { parsePlan } from "./plan.ts";
import { PlanError } from "./problem.ts";

const PEM = "-----BEGIN X-----\nsecret\n-----END X-----\n";

function messageOf(target: Record<string, unknown>): string {
  try {
    parsePlan({ target: { url: "https://some.test/", ...target } });
  } catch (error) {
    if (error instanceof PlanError) return error.message;
    throw error;
  }
  return "";
}

describe("tls", () => {
  test("is taken as it is, and parsed again the same", () => {
    const plan = parsePlan({ target: { url: "https://some.test/", tls: { ca: PEM, cert: PEM, key: PEM, resume: true } } });
    expect(plan.target.tls).toEqual({ ca: PEM, cert: PEM, key: PEM, resume: true });
    expect(parsePlan(plan)).toEqual(plan);
    expect("tls" in parsePlan({ target: { url: "https://some.test/" } }).target).toBe(false);
  });

  test("is never repeated in a message", () => {
    expect(messageOf({ tls: { cert: PEM, key: "secret" } })).toBe("target.tls.key: expected text with a key in PEM, got text of 6 characters");
    expect(messageOf({ tls: { cert: PEM } })).toBe("target.tls.key: expected a key together with the certificate, got nothing");
    expect(messageOf({ tls: { key: PEM } })).toBe("target.tls.cert: expected a certificate together with the key, got nothing");
    expect(messageOf({ tls: { cert: PEM, kye: PEM } })).toContain("target.tls.kye: expected an option that a plan has, got an unknown one; did you mean target.tls.key?");
  });
});

describe("where it is hit", () => {
  test.each([
    ["some.test:127.0.0.1", "127.0.0.1"],
    ["Some.Test:::1", "::1"],
    ["some.test:[2001:db8::1]", "2001:db8::1"],
  ])("%s", (resolve, address) => {
    expect(pinnedAddress(resolve)).toEqual({ hostname: "some.test", address });
    expect(messageOf({ resolve })).toBe("");
  });

  test.each(["some.test", "some.test:", "some.test:name", "some.test:80:127.0.0.1", ":127.0.0.1", "some.test:[127.0.0.1", "some.test:1.2.3"])(
    "%s is none",
    (resolve) => {
      expect(pinnedAddress(resolve)).toBeNull();
      expect(messageOf({ resolve })).toContain("target.resolve: expected HOST:IP");
    },
  );

  test("only the URL's host can be pinned, and not together with a socket", () => {
    expect(messageOf({ resolve: "other.test:127.0.0.1" })).toContain("target.resolve: expected the URL's own host before the address");
    expect(messageOf({ resolve: "some.test:127.0.0.1", unix_socket: "/s" })).toContain("target.unix_socket: expected either resolve or unix_socket");
    expect(messageOf({ unix_socket: "" })).toContain("target.unix_socket: expected a path");
  });
});
