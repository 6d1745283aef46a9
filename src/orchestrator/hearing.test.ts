import { expect, test } from "vitest";
import { answerHearing, askHearing, judgeHearing, startHearing, type Hearing } from "./hearing.ts";

/** Judges every 100 ms until then, as the orchestrator does. */
function until(hearing: Hearing, to_ms: number, connected = true): Hearing {
  for (let now = hearing.judged_ms + 100; now <= to_ms; now += 100) hearing = judgeHearing(hearing, now, connected);
  return hearing;
}

const heard = answerHearing(askHearing(startHearing(0), 0), 0, 50, true);

test("it hears nothing until its first heartbeat came back", () => {
  expect(until(startHearing(0), 900).since_ms).toBeNull();
  expect(heard.since_ms).toBe(50);
});

test("heartbeats that come back keep the moment since when", () => {
  const asked = askHearing(until(heard, 950), 1_000);
  expect(answerHearing(asked, 1_000, 1_040, true)).toMatchObject({ since_ms: 50, asked_ms: null });
});

test("one that does not come back within a second breaks it; the next that does mends it", () => {
  const asked = askHearing(until(heard, 1_000), 1_000);
  const waiting = until(asked, 1_950);
  expect(waiting.since_ms).toBe(50);
  const broken = until(waiting, 2_100);
  expect(broken.since_ms).toBeNull();
  const late = answerHearing(broken, 1_000, 2_150, true);
  expect(late).toMatchObject({ since_ms: null, asked_ms: null });
  expect(answerHearing(askHearing(late, 2_200), 2_200, 2_260, true).since_ms).toBe(2_260);
});

test("a log that is away breaks it at once", () => {
  const away = judgeHearing(heard, 150, false);
  expect(away.since_ms).toBeNull();
  expect(answerHearing(askHearing(away, 200), 200, 210, false).since_ms).toBeNull();
});

test("a process that slept does not trust what it hears at first", () => {
  const slept = judgeHearing(heard, 5_000, true);
  expect(slept.since_ms).toBeNull();
  const asked = askHearing(heard, 100);
  expect(answerHearing(asked, 100, 5_000, true).since_ms).toBeNull();
});

test("an answer to an earlier question is none", () => {
  const asked = askHearing(startHearing(0), 0);
  expect(answerHearing(asked, -1_000, 10, true).since_ms).toBeNull();
});
