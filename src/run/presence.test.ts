import { expect, test } from "vitest";
import { forgottenNodes } from "./presence.ts";
import { script } from "./testing/log.ts";

test("a node that was silent for an hour is forgotten, unless it takes part, or nobody could hear it", () => {
  const log = script();
  log.claim();
  log.join("member");
  log.config("t", { target: { url: "http://h/" }, rate_rps: 1 });
  log.join("visitor");
  log.joinForeign("stranger");
  const heard_ms = log.now_ms;
  const at = (now_ms: number, hearing_since_ms: number | null = heard_ms) => forgottenNodes(log.state, { now_ms, hearing_since_ms });
  expect(at(heard_ms + 3_590_000)).toEqual([]);
  expect(at(heard_ms + 3_610_000)).toEqual(["visitor", "stranger"]);
  expect(at(heard_ms + 3_610_000, null)).toEqual([]);
  expect(at(heard_ms + 3_610_000, heard_ms + 3_600_000)).toEqual([]);
});
