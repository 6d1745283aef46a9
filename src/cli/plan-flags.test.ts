import { describe, expect, it } from "vitest";
import { PlanError } from "../plan/problem.ts";
import { planOf, type PlanFlags } from "./plan-flags.ts";

const URL_ = "http://127.0.0.1:8088/ping";
const messagesOf = (file: unknown, url: string | null, flags: PlanFlags): string[] => {
  try {
    planOf(file, url, flags);
  } catch (error) {
    if (error instanceof PlanError) return error.problems.map(({ message }) => message);
    throw error;
  }
  return [];
};

describe("flags make a plan", () => {
  it("with every option", () => {
    const plan = planOf({}, URL_, {
      name: "n", drivers: "3", type: "tsunami", rate: "200", requests: "1,000", duration: "1m", connections: "8", workers: "1",
      pacing: "timer", backlog: "10", warmup: "5s", timeout: "2s", lease: "10s", onDriverLoss: "stop", method: "put",
      header: ["Accept: a", "X-Y: b: c"], body: "{}", insecure: true, threshold: ["p99 < 200ms", "error_rate < 1%"],
    });
    expect(plan).toEqual({
      name: "n", drivers: 3, type: "tsunami", rate_rps: 200, requests: 1000, duration_s: 60, connections: 8, workers: 1, pacing: "timer",
      backlog: 10, warmup_s: 5, lease_ms: 10_000, on_driver_loss: "stop", thresholds: ["p99 < 200ms", "error_rate < 1%"],
      target: { url: URL_, method: "PUT", headers: { Accept: "a", "X-Y": "b: c" }, body: "{}", timeout_ms: 2000, insecure: true },
    });
  });

  it("a bare URL is an avalanche of 10 s; a rate makes a tsunami; a body makes a POST", () => {
    expect(planOf({}, URL_, {})).toMatchObject({ type: "avalanche", duration_s: 10, connections: 64, target: { method: "GET" } });
    expect(planOf({}, URL_, { totalRate: "5k", body: "x" })).toMatchObject({ type: "tsunami", total_rate_rps: 5000, target: { method: "POST" } });
    expect(planOf({}, URL_, { delay: "20" })).toMatchObject({ type: "tsunami", delay_ms: 20 });
    expect(planOf({}, URL_, { delay: "0.5s" })).toMatchObject({ delay_ms: 500 });
  });

  it("named drivers", () => {
    expect(planOf({}, URL_, { drivers: "left, right" }).drivers).toEqual(["left", "right"]);
  });
});

describe("TLS and where it is hit", () => {
  const PEM = "-----BEGIN X-----\nsecret\n-----END X-----\n";

  it("from flags over the file", () => {
    const file = { target: { url: URL_, tls: { ca: PEM, resume: false } } };
    const { target } = planOf(file, "https://some.test/", { cert: PEM, key: PEM, tlsResume: true, resolve: "some.test:::1" });
    expect(target).toMatchObject({ tls: { ca: PEM, cert: PEM, key: PEM, resume: true }, resolve: "some.test:::1" });
    expect(planOf({}, URL_, { unixSocket: "/s" }).target.unix_socket).toBe("/s");
    expect(planOf({}, URL_, {}).target.tls).toBeUndefined();
  });

  it("mistakes are named by their flag, without the secret", () => {
    expect(messagesOf({}, "https://some.test/", { key: "secret", resolve: "other.test:::1" })).toEqual([
      "--key: expected text with a key in PEM, got text of 6 characters",
      "--cert: expected a certificate together with the key, got nothing",
      '--resolve: expected the URL\'s own host before the address, got "other.test:::1"',
    ]);
    expect(messagesOf({}, "https://some.test/", { cert: PEM, resolve: "other" })).toEqual([
      "--key: expected a key together with the certificate, got nothing",
      '--resolve: expected HOST:IP, as example.test:127.0.0.1, got "other"',
    ]);
  });
});

describe("flags override the file", () => {
  const file = {
    target: { url: URL_, method: "PUT", headers: { accept: "a", "x-y": "b" }, timeout_ms: 5 },
    rate_rps: 10, requests: 100, thresholds: ["p50 < 1s"],
  };

  it("option by option, and what excludes the new one goes", () => {
    const plan = planOf(file, null, { totalRate: "30", totalRequests: "90", timeout: "1s", header: ["Accept: z"], threshold: ["max < 1s"], body: "x" });
    expect(plan).toMatchObject({ total_rate_rps: 30, total_requests: 90, thresholds: ["max < 1s"] });
    expect(plan.rate_rps).toBeUndefined();
    expect(plan.requests).toBeUndefined();
    expect(plan.target).toMatchObject({ url: URL_, method: "PUT", headers: { Accept: "z", "x-y": "b" }, timeout_ms: 1000, body: "x" });
  });

  it("without flags it stays as it is", () => {
    expect(planOf(file, null, {})).toMatchObject({ rate_rps: 10, requests: 100, thresholds: ["p50 < 1s"] });
  });
});

describe("mistakes", () => {
  it("are told all at once, each under the flag it came from", () => {
    const flags = { rate: "fast", duration: "10x", connections: "0", header: ["nope"], threshold: ["p99 under 5"] };
    expect(messagesOf({}, "ftp://x", flags)).toMatchInlineSnapshot(`
      [
        "--duration: expected a duration such as 500ms, 10s, 2m or 1h (a bare number is seconds), got "10x"",
        "--header: expected "Name: value", got "nope" without a colon after the name",
        "threshold "p99 under 5": expected something like 'p99 < 200ms', 'service_mean <= 1.5ms', 'error_rate < 1%' or 'dropped <= 0', joined by 'and'; got "p99 under 5"",
        "URL: expected an http:// or https:// URL, got "ftp://x"",
        "--rate: expected a number above 0, got "fast" (requests per second and driver)",
        "--connections: expected a whole number from 1 to 100,000, got 0 (connections per driver)",
      ]
    `);
  });

  it("in files keep the option's name, and unknown keys are errors", () => {
    expect(messagesOf({ target: { url: URL_ }, rate: 5 }, null, {})).toEqual([
      "rate: expected an option that a plan has, got an unknown one; did you mean rate_rps?",
    ]);
    expect(messagesOf([], null, {})).toHaveLength(1);
    expect(messagesOf({}, null, {})).toHaveLength(1);
  });

  it("two rates on the command line contradict each other", () => {
    expect(messagesOf({}, URL_, { rate: "1", totalRate: "2" })).toEqual(["--total-rate: expected either --rate or --total-rate, got both"]);
    expect(messagesOf({}, URL_, { requests: "1", totalRequests: "2" })).toEqual([
      "--total-requests: expected either --requests or --total-requests, got both",
    ]);
    expect(messagesOf({}, URL_, { type: "tsunami" })).toEqual(["--type: expected a tsunami to have a --rate or a --delay, got neither"]);
  });

  it("in a header name it, and --header", () => {
    const [reserved, ...more] = messagesOf({}, URL_, { header: ["Content-Length: 5"] });
    expect(reserved).toMatch(/^--header Content-Length: expected to be left out, got text of 1 character;/);
    expect(more).toEqual([]);
    expect(messagesOf({}, URL_, { header: ["A: 1\r\nB: 2"] })[0]).toMatch(/^--header A: expected text of printable/);
    expect(messagesOf({}, URL_, { threshold: [""] })[0]).toMatch(/^--threshold: expected expressions/);
  });

  it("never repeat a header's value", () => {
    expect(messagesOf({}, URL_, { header: ["Authorization=secret"] }).join()).not.toContain("secret");
    expect(messagesOf({}, URL_, { header: ["A: 1", "a: 2"] })).toEqual(['--header: expected each header once, got "a" twice']);
  });
});
