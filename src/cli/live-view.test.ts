import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RunEvent } from "../run/events.ts";
import { emptyModel, errorKinds, lastSecond, reduce, type LiveModel } from "./live-model.ts";
import { plainLine, renderLive, sparkline } from "./live-view.ts";
import { colourPaint, columns } from "./paint.ts";
import { eventsUntil, latencies, latency, report, second, totals } from "./testing/runs.ts";

const TEST_ID = "t-20261121-093015-x7k2";
const modelOf = (events: readonly RunEvent[]): LiveModel => events.reduce(reduce, emptyModel(TEST_ID));
const MARKS: RunEvent[] = [
  { type: "mark", test_id: TEST_ID, t_s: 3, kind: "lost", node_id: "driver-2", text: "driver driver-2 was lost (silent)\u001b[2J" },
];

describe("the model of a run", () => {
  it("keeps each second once, in order, and knows the last one that is over", () => {
    const model = modelOf([...eventsUntil(3.4), { type: "second", test_id: TEST_ID, row: second(1, 390) }]);
    expect(model.seconds.map(({ t_s, sent }) => [t_s, sent])).toEqual([[0, 400], [1, 390], [2, 400], [3, 400]]);
    expect(lastSecond(model)?.t_s).toBe(2);
  });

  it("takes no second for over of which a driver may still have something to tell", () => {
    const [run, ...rest] = eventsUntil(1.1);
    const progress = rest.at(-1)!;
    const half: RunEvent = { type: "second", test_id: TEST_ID, row: second(1, 20, { coverage: 0.5 }) };
    expect(lastSecond(modelOf([run!, half, progress]))).toBeNull();
    const whole: RunEvent = { type: "second", test_id: TEST_ID, row: second(1, 40) };
    expect(lastSecond(modelOf([...eventsUntil(1.1), whole]))).toMatchObject({ t_s: 0, sent: 400 });
  });

  it("does not wait for a driver that is lost, and a second of which nobody tells is one without requests", () => {
    const lost = [0, 1, 2, 3].map((t_s): RunEvent => ({ type: "second", test_id: TEST_ID, row: second(t_s, 200, { coverage: t_s < 1 ? 1 : 0.5 }) }));
    expect(lastSecond(modelOf([...lost, eventsUntil(4.2).at(-1)!]))).toMatchObject({ t_s: 2, sent: 200 });
    expect(lastSecond(modelOf([...lost, eventsUntil(6.5).at(-1)!]))).toMatchObject({ t_s: 4, sent: 0 });
  });

  it("lets events of other tests pass", () => {
    const model = modelOf(eventsUntil(2));
    expect(reduce(model, { ...MARKS[0]!, test_id: "another" })).toBe(model);
  });

  it("ends with the report", () => {
    const model = modelOf([...eventsUntil(5), { type: "ended", test_id: TEST_ID, report: report() }]);
    expect([model.phase, model.report?.revision]).toEqual(["ended", 1]);
  });

  it("names only errors that happened", () => {
    expect(errorKinds(totals({ http_error: 3, timeout: 1 }))).toEqual([["http_error", 3], ["timeout", 1]]);
  });
});

describe("drivers that leave", () => {
  it("are marked once", () => {
    const events = eventsUntil(3.5);
    const progress = events.at(-1)!;
    if (progress.type === "progress") progress.nodes[0]!.state = "left";
    expect(modelOf([...events, progress]).marks).toEqual(["driver driver-1 left before the end"]);
  });
});

describe("the live view", () => {
  it("says what it waits for before the start", () => {
    expect(renderLive(emptyModel(TEST_ID), 80)).toEqual(["the drivers are getting ready ..."]);
    expect(renderLive(modelOf(eventsUntil(5).slice(0, 1)), 80, undefined, { t_s: -1.5 })).toEqual(["starting, 2 s to go ..."]);
  });

  it("shows rate against target, progress, percentiles, errors and drivers", () => {
    const model = modelOf([...eventsUntil(3.5, { http_error: 12, ok: 1388 }), ...MARKS]);
    expect(renderLive(model, 80).join("\n")).toMatchInlineSnapshot(`
      "running  ████████████████████████████░░░░░░░░░░░░  3.5 / 5.0 s
      sent/s  400 of 400  █▅█
      count   sent 1,400   ok 1,388   errors 12   dropped 0   in flight 0
      time    p50 0.50 ms   p90 1.00 ms   p99 4.00 ms   max 10.0 ms
      errors  http_error 12
      driver-1  running  700 sent  200/s  p99 4.00 ms
      driver-2  running  700 sent  200/s  p99 4.00 ms
      ! driver driver-2 was lost (silent) [2J"
    `);
  });

  it("fits 40 columns", () => {
    const model = modelOf([...eventsUntil(3.5, { timeout: 2 }), ...MARKS]);
    expect(renderLive(model, 40).join("\n")).toMatchInlineSnapshot(`
      "running  █████████████░░░░░  3.5 / 5.0 s
      sent/s  400 of 400  █▅█
      count   sent 1,400  ok 1,400  errors 2
              dropped 0  in flight 0
      time    p50 0.50 ms  p90 1.00 ms
              p99 4.00 ms  max 10.0 ms
      errors  timeout 2
      driver-1  running  200/s  p99 4.00 ms
      driver-2  running  200/s  p99 4.00 ms
      ! driver driver-2 was lost (silent) [2J"
    `);
  });

  it("shows what lies beyond the timeout, of each driver too", () => {
    const events = eventsUntil(3.5);
    const progress = events.at(-1)!;
    if (progress.type === "progress") progress.nodes[0]!.latency = latencies(latency(0.5, 10, ["95", "99", "99.9", "99.99"]));
    expect(renderLive(modelOf(events), 80).find((line) => line.startsWith("driver-1"))).toContain("p99 > 30 s");
  });

  it("is never wider than the terminal, coloured or not, and never lets control characters through", () => {
    const model = modelOf([...eventsUntil(4.2, { http_error: 1_000_000, network_error: 12, timeout: 9, dropped: 1234 }), ...MARKS]);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.boolean(), (width, coloured) => {
        const lines = coloured ? renderLive(model, width, colourPaint) : renderLive(model, width);
        expect(Math.max(...lines.map(columns))).toBeLessThanOrEqual(width);
        expect(lines.join("")).not.toContain("\u001b[2J");
      }),
    );
  });

  it("draws a sparkline of the last values, the target as a whole block", () => {
    expect(sparkline([0, 200, 400, 800], 3, 800)).toBe("▃▅█");
    expect(sparkline([0, 0], 5)).toBe("▁▁");
    expect(sparkline([1], 0)).toBe("");
  });
});

describe("plain lines", () => {
  it("tell one second each", () => {
    const expected = "t=3s sent=1,000 sent/s=400 (target 400) p50=0.50ms p99=4.00ms max=10.0ms errors=0";
    expect(plainLine(modelOf(eventsUntil(3.5, { sent: 1_400 })))).toBe(expected);
    expect(plainLine(modelOf(eventsUntil(3.5, { sent: 1_400, waiting: 7 })))).toBe(`${expected} waiting=7`);
    expect(plainLine(modelOf(eventsUntil(0.5)))).toBeNull();
    expect(plainLine(emptyModel(TEST_ID))).toBeNull();
  });

  it("name no target in the drain, and end with the window", () => {
    expect(plainLine(modelOf(eventsUntil(8.5)))).toMatch(/^t=8s sent=\S+ sent\/s=400 p50/);
    const [run, ...rest] = eventsUntil(5);
    const ended = rest.map((event): RunEvent => (event.type === "progress" ? { ...event, t_s: 60 } : event));
    expect(plainLine(modelOf([{ ...run!, phase: "ended" } as RunEvent, ...ended]))).toMatch(/^t=5s sent=2,000 sent\/s=400 \(target 400\)/);
  });

  it("show a percentile that lies among the failed as beyond the timeout", () => {
    const events = eventsUntil(3, { timeout: 100 });
    const progress = events.at(-1)!;
    if (progress.type === "progress") {
      progress.latency.response = { ...progress.latency.response, censored: ["99"] };
      progress.latency.response.percentiles_ms["99"] = null;
    }
    expect(plainLine(modelOf(events))).toContain("p99=>30s");
  });
});
