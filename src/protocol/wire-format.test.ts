import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { decodeHistogram } from "../metrics/codec.ts";
import { decodeMessage } from "./codec.ts";
import { TOPICS, type Topic } from "./topics.ts";

const page = readFileSync(new URL("../../docs/wire-format.md", import.meta.url), "utf8");
const examples = [...page.matchAll(/^```json (\w+)\n([^]*?)^```$/gm)].map(([, topic, text]) => ({ topic: topic as Topic, text: text! }));

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

/** What a record says that its meaning has lost: a field of that name is not read at all. */
function unread(given: unknown, meant: unknown, at = ""): string[] {
  if (!isRecord(given) || !isRecord(meant)) return [];
  return Object.keys(given).flatMap((key) => (key in meant ? unread(given[key], meant[key], `${at}.${key}`) : [`${at}.${key}`]));
}

describe("docs/wire-format.md", () => {
  test("has an example for every topic, and no other JSON", () => {
    expect(new Set(examples.map(({ topic }) => topic))).toEqual(new Set(TOPICS));
    expect(page.match(/^```json/gm)).toHaveLength(examples.length);
  });

  test.each(examples)("example $#: $topic", ({ topic, text }) => {
    const message = decodeMessage(topic, new TextEncoder().encode(text));
    const renamed = topic === "register" ? [".node_IP"] : [];
    expect(unread(JSON.parse(text), message)).toEqual(renamed);
  });

  test("shows every kind of heartbeat, metrics and command", () => {
    const shown = examples.map(({ topic, text }) => {
      const message = decodeMessage(topic, new TextEncoder().encode(text)) as { kind?: string; type?: string };
      return `${topic} ${message.kind ?? message.type ?? ""}`.trim();
    });
    expect(shown).toEqual(
      expect.arrayContaining([
        "heartbeat plain",
        "heartbeat driver",
        "heartbeat orchestrator",
        "metrics plain",
        "metrics snapshot",
        "control claim",
        "control config",
        "control trigger",
        "control lost",
        "control assign",
        "control retarget",
        "control stop",
        "control ended",
      ]),
    );
  });

  test("the histogram in the text is one", () => {
    const shown = /`(\{"count": 3, "sum_us": 2050.*?\})`/.exec(page)![1]!;
    const { counts } = decodeHistogram(JSON.parse(shown));
    expect([counts[1], counts[2048]]).toEqual([2, 1]);
  });
});
