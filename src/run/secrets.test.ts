import { expect, test } from "vitest";
import { parsePlan } from "../plan/plan.ts";
import { withoutSecrets } from "./secrets.ts";

test("what is shown of a plan has no secrets", () => {
  const pem = "-----BEGIN X-----\nhidden\n-----END X-----\n";
  const tls = { ca: pem, cert: pem, key: pem, resume: true };
  const headers = { "x-api-key": "hidden", accept: "text/plain" };
  const shown = withoutSecrets(parsePlan({ target: { url: "https://some.test/", headers, tls } }));
  expect(JSON.stringify(shown)).not.toContain("hidden");
  expect(shown.target.headers).toEqual({ "x-api-key": "***", accept: "text/plain" });
  expect(shown.target.tls).toEqual({ ca: "***", cert: "***", key: "***", resume: true });
});
