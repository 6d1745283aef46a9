import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { colourPaint, columns } from "./paint.ts";
import { renderSummary } from "./summary.ts";
import { latencies, latency, node, report, totals } from "./testing/runs.ts";

const BAD = report({
  name: "checkout",
  status: "completed",
  complete: false,
  incomplete_reasons: [{ node_id: "driver-2", reason: "lost (silent)" }],
  verdict: "fail",
  thresholds: [
    { expression: "p99 < 200ms", actual: null, verdict: "fail", reason: "the percentile lies among failed or dropped requests" },
    { expression: "error_rate < 1%", actual: 12.5, verdict: "fail", reason: null },
    { expression: "p50 < 2ms", actual: 0.5, verdict: "pass", reason: null },
  ],
  totals: totals({ sent: 1900, ok: 1500, http_error: 50, network_error: 100, timeout: 50, unknown: 200, dropped: 60, never_sent: 40,
    never_sent_reasons: { driver_lost: 40 }, completed: 1550, rps: 310, overlap_max: 3, waited_for_connection: 12, backlog_max: 4, reconnects: 7 }),
  latency: { ...latencies(latency(0.5, 1550, ["99", "99.9", "99.99"])), failed: latency(900, 150) },
  statuses: { "200": 1500, "503": 50 },
  errors: [
    { kind: "connect_refused", message: "connection refused", count: 100 },
    { kind: "timeout", message: "no answer within 30 s\u001b[31m", count: 50 },
  ],
  nodes: [node("driver-1"), node("driver-2", { state: "lost", lost_at: 2.5 })],
  generator: { cpu: 1.02, utilisation: 0.991, valid: false, reasons: ["utilisation_above_95_percent"] },
});

describe("the summary", () => {
  it("tells a good run", () => {
    expect(renderSummary(report(), 100, undefined, { kept: ["stored    test x in /data"] }).join("\n")).toMatchInlineSnapshot(`
      "COMPLETED  test t-20261121-093015-x7k2
      open loop, 5 s + 0.01 s drain

      planned        2,000    sent           2,000    ok             2,000    http errors        0
      network errors     0    timeouts           0    aborted            0    dropped            0
      never sent         0    unknown            0
      answered 400 rps (target 400)   received 136 kB   sent 228 kB

      latency  response  service  connect
      min       0.25 ms  0.20 ms  0.75 ms
      mean      0.63 ms  0.50 ms  1.88 ms
      median    0.50 ms  0.40 ms  1.50 ms
      mode      0.45 ms  0.36 ms  1.35 ms
      p75       0.75 ms  0.60 ms  2.25 ms
      p90       1.00 ms  0.80 ms  3.00 ms
      p95       1.50 ms  1.20 ms  4.50 ms
      p99       4.00 ms  3.20 ms  12.0 ms
      p99.9     8.00 ms  6.40 ms  24.0 ms
      p99.99    10.0 ms  8.00 ms  30.0 ms
      max       10.0 ms  8.00 ms  30.0 ms
      count       2,000    2,000      128

      response time by percentile
        p50     0.50 ms  ██▍
        p75     0.75 ms  ███▋
        p90     1.00 ms  ████▊
        p95     1.50 ms  ███████▎
        p99     4.00 ms  ███████████████████▎
        p99.9   8.00 ms  ██████████████████████████████████████▍
        p99.99  10.0 ms  ████████████████████████████████████████████████

      driver       state   sent  dropped      min     mean   median     mode      p99      max     start
      driver-1  finished  1,000        0  0.25 ms  0.63 ms  0.50 ms  0.45 ms  4.00 ms  10.0 ms  +0.12 ms
      driver-2  finished  1,000        0  0.25 ms  0.63 ms  0.50 ms  0.45 ms  4.00 ms  10.0 ms  +0.12 ms

      status   200 x 2,000 (100 %)

      generator cpu 0.19 cores, utilisation 9.2 %; all drivers started within 0.08 ms
      stored    test x in /data"
    `);
  });

  it("tells a bad run: why it failed, what is missing, what is doubtful", () => {
    expect(renderSummary(BAD, Infinity).join("\n")).toMatchInlineSnapshot(`
      "FAIL (completed)  test t-20261121-093015-x7k2 "checkout"
      open loop, 5 s + 0.01 s drain
      ! 40 of 2,000 requests were never sent: driver_lost
      ! incomplete: driver-2: lost (silent); 200 requests at most may have been sent without anybody having counted their answers

      planned         2,000    sent            1,900    ok              1,500    http errors        50    network errors    100
      timeouts           50    aborted             0    dropped            60    never sent         40    unknown           200
      overlap             0    overlap at most     3
      answered 310 rps (target 400)   received 136 kB   sent 228 kB
      never sent because: driver_lost 40
      12 requests waited for a free connection (at most 4 at once), 7 reconnects

      latency       min     mean   median     mode      p75      p90      p95      p99    p99.9   p99.99      max
      response  0.25 ms  0.63 ms  0.50 ms  0.45 ms  0.75 ms  1.00 ms  1.50 ms   > 30 s   > 30 s   > 30 s  10.0 ms
      service   0.20 ms  0.50 ms  0.40 ms  0.36 ms  0.60 ms  0.80 ms  1.20 ms  3.20 ms  6.40 ms  8.00 ms  8.00 ms
      connect   0.75 ms  1.88 ms  1.50 ms  1.35 ms  2.25 ms  3.00 ms  4.50 ms  12.0 ms  24.0 ms  30.0 ms  30.0 ms
      failed     450 ms   1.13 s   900 ms   810 ms   1.35 s   1.80 s   2.70 s   7.20 s   14.4 s   18.0 s   18.0 s

      response time by percentile
        p50     0.50 ms  ████████████████
        p75     0.75 ms  ████████████████████████
        p90     1.00 ms  ████████████████████████████████
        p95     1.50 ms  ████████████████████████████████████████████████

      driver       state   sent  dropped      min     mean   median     mode      p99      max     start  late p99  pacing
      driver-1  finished  1,000        0  0.25 ms  0.63 ms  0.50 ms  0.45 ms  4.00 ms  10.0 ms  +0.12 ms   0.90 ms   timer
      driver-2      lost  1,000        0  0.25 ms  0.63 ms  0.50 ms  0.45 ms  4.00 ms  10.0 ms  +0.12 ms   0.90 ms   timer

      status   200 x 1,500 (96.8 %)   503 x 50 (3.2 %)

      errors
        connect_refused  x 100  connection refused
        timeout           x 50  no answer within 30 s [31m

      thresholds
        fail          p99 < 200ms      actual > 30 s  (the percentile lies among failed or dropped requests)
        fail          error_rate < 1%  actual 12.5 %
        pass          p50 < 2ms        actual 0.50 ms

      generator cpu 1.02 cores, utilisation 99.1 %; all drivers started within 0.08 ms
      ! the generator did not keep up, its figures are doubtful: a load thread had no time left in more than one second in twenty; use
        more --workers, more drivers on other machines, or a lower rate"
    `);
  });

  it("says it when nothing was answered with success", () => {
    const lines = renderSummary(report({ totals: totals({ ok: 0, network_error: 2000, completed: 0 }) }), 80);
    expect(lines).toContain("! not a single request was answered with success");
  });

  it("says why the generator did not keep up, and what to do", () => {
    const reasons = ["send_lateness_p99_44ms", "generator_core_full", "achieved_below_99_percent", "something_new"];
    const reason = "the generator was saturated: send_lateness_p99_44ms";
    const thresholds = [{ expression: "p99 < 1s", actual: 0.004, verdict: "inconclusive" as const, reason }];
    const text = renderSummary(report({ generator: { cpu: 1, utilisation: 1, valid: false, reasons }, thresholds }), Infinity).join(" ");
    expect(text).toContain("requests went out up to 44 ms late (p99): something else had the CPU");
    expect(text).toContain("saturated: requests went out up to 44 ms late (p99)");
    expect(text).toContain("something_new");
    expect(text).not.toMatch(/send_lateness|core_full|below_99/);
  });

  it("lists drivers by number", () => {
    const nodes = ["driver-10", "driver-2", "driver-1"].map((node_id) => node(node_id));
    const names = renderSummary(report({ nodes }), 100).flatMap((line) => /^driver-\d+/.exec(line) ?? []);
    expect(names).toEqual(["driver-1", "driver-2", "driver-10"]);
  });

  it("calls a contradiction in its figures what it is", () => {
    expect(renderSummary(report({ bugs: ["sent != ok"] }), 80).join("\n")).toContain("a bug in Onrush: sent != ok");
  });

  it("folds on a narrow terminal what a reader needs whole", () => {
    const text = renderSummary(BAD, 40).join(" ").replace(/\s+/g, " ");
    expect(text).toContain("test t-20261121-093015-x7k2");
    expect(text).toContain("(the percentile lies among failed or dropped requests)");
    expect(text).toContain("received 136 kB sent 228 kB");
    expect(text).not.toContain("…");
  });

  it("fits any terminal", () => {
    fc.assert(
      fc.property(fc.integer({ min: 20, max: 200 }), (width) => {
        for (const paint of [undefined, colourPaint]) {
          const lines = renderSummary(BAD, width, paint);
          expect(Math.max(...lines.map(columns))).toBeLessThanOrEqual(width);
          expect(lines.join("").includes("30 s\u001b[31m")).toBe(false);
        }
      }),
      { numRuns: 30 },
    );
  });
});
