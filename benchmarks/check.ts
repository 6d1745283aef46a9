// Whether a request has become dearer: `npm run bench:check [-- --write]`. CPU time per request of the load engine as a
// multiple of what the barest load on node:net (or node:tls) needs, both in this process, in turn, against one target. The
// median of several turns is held against benchmarks/baseline.json; exits 1 when it is clearly worse. --write: makes this
// run the baseline.
import { readFileSync, writeFileSync } from "node:fs";
import { createLoadEngine } from "../src/load/engine.ts";
import { warmCode } from "../src/load/warm.ts";
import type { Schedule } from "../src/plan/schedule.ts";
import { bareLoad } from "./check/bare.ts";
import { startFixture } from "./peers/fixture.ts";

const CONNECTIONS = 64;
const TURN_MS = 700;
const TURNS = 7;
const OPEN_RPS = 5000;
/** Noise of a shared machine stays below; a real loss in the hot path is more. */
const TOLERANCE = 1.25;
const BASELINE = new URL("baseline.json", import.meta.url);

interface Case {
  protocol: "http" | "tls";
  schedule: Schedule;
}
const window_us = TURN_MS * 1000;
const closed: Schedule = { kind: "closed", rate_urps: null, slots: null, window_us };
const open: Schedule = { kind: "rate", total_rate_urps: OPEN_RPS * 1e6, slots: (OPEN_RPS * TURN_MS) / 1000, window_us };
const CASES: Record<string, Case> = {
  closed: { protocol: "http", schedule: closed },
  "open, 5,000 rps": { protocol: "http", schedule: open },
  "closed over TLS": { protocol: "tls", schedule: closed },
};

await warmCode();
const ratios: Record<string, number> = {};
for (const [name, { protocol, schedule }] of Object.entries(CASES)) {
  const fixture = await startFixture(protocol);
  const port = Number(new URL(fixture.url).port);
  try {
    const turns: number[] = [];
    for (let turn = 0; turn <= TURNS; turn++) {
      const bare_us = await cpuOf(() =>
        bareLoad({
          port,
          connections: CONNECTIONS,
          for_ms: TURN_MS,
          secure: protocol === "tls",
          rate_rps: schedule.kind === "closed" ? null : OPEN_RPS,
        }),
      );
      const engine_us = await engineUs(port, protocol, schedule);
      // The first turn warms both.
      if (turn > 0) turns.push(engine_us / bare_us);
    }
    ratios[name] = Math.round(turns.sort((a, b) => a - b)[Math.floor(TURNS / 2)]! * 1000) / 1000;
  } finally {
    await fixture.close();
  }
}

if (process.argv.includes("--write")) {
  writeFileSync(BASELINE, `${JSON.stringify(ratios, null, 2)}\n`);
  console.log(ratios);
} else judge(JSON.parse(readFileSync(BASELINE, "utf8")) as Record<string, number>);

function judge(baseline: Record<string, number>): void {
  for (const [name, ratio] of Object.entries(ratios)) {
    const before = baseline[name];
    const worse = before === undefined || ratio > before * TOLERANCE;
    if (worse) process.exitCode = 1;
    console.log(`${worse ? "WORSE" : "ok   "} ${name}: ${ratio} x the bare load's CPU per request, baseline ${before ?? "none"} (at most x ${TOLERANCE})`);
  }
}

/** us of this process for each request of `load`. */
async function cpuOf(load: () => Promise<number>): Promise<number> {
  const before = process.cpuUsage();
  const requests = await load();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / requests;
}

async function engineUs(port: number, protocol: "http" | "tls", schedule: Schedule): Promise<number> {
  const address = "127.0.0.1";
  const engine = createLoadEngine({
    test_id: "benchmark",
    target: {
      protocol: protocol === "tls" ? "https:" : "http:",
      hostname: address,
      address,
      port,
      path: "/ping",
      method: "GET",
      headers: {},
      body: null,
      insecure: true,
    },
    schedule,
    ranges: [{ range_id: "r0", share: 0, from: 0, to: schedule.slots, step: 1 }],
    connections: CONNECTIONS,
    timeout_us: 30e6,
    backlog: 1e6,
    pacing: "timer",
    warmup_us: 0,
  });
  try {
    return await cpuOf(async () => {
      const prepared = await engine.prepare();
      if (!prepared.ok) throw new Error(prepared.message);
      engine.start(performance.now());
      await engine.finished;
      return (await engine.snapshot()).counts.ok;
    });
  } finally {
    await engine.close();
  }
}
