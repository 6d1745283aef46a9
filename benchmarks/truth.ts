// What Onrush says of a target that stalls once for a second: `node benchmarks/truth.ts` runs `onrush run` at 200 rps for
// 5 s with 64, 8 and 1 connections a driver and 1 and 4 drivers. True percentiles of the response time: 500, 750, 950 ms;
// service times over half a second: at most one for each connection, of the requests that were due in the stall.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeHistogram } from "../src/metrics/codec.ts";
import { BUCKETS, bucketIndex } from "../src/metrics/layout.ts";
import { openStore } from "../src/orchestrator/store.ts";
import type { Report } from "../src/run/report-schema.ts";
import { startTarget } from "../src/target/target.ts";

const RATE_RPS = 200;
const STALL = { at_ms: 2000, for_ms: 1000 };
/** Longer than anything but a request that was on its way in the stall. */
const LONG_US = 50_000;

const target = await startTarget({ stall: STALL });
try {
  for (const drivers of [1, 4]) for (const connections of [64, 8, 1]) await show(drivers, connections);
} finally {
  await target.close();
}

async function show(drivers: number, connections: number): Promise<void> {
  target.reset();
  const data = await mkdtemp(join(tmpdir(), "onrush-truth-"));
  try {
    const file = join(data, "report.json");
    const load = ["--total-rate", `${RATE_RPS}`, "--duration", "5s", "--drivers", `${drivers}`, "--connections", `${connections}`];
    const bin = new URL("../bin/onrush.js", import.meta.url).pathname;
    const args = [bin, "run", `${target.url}/ping`, ...load, "--data", data, "--report", file, "--quiet"];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
    const [code] = (await once(child, "exit")) as [number];
    const report = JSON.parse(await readFile(file, "utf8")) as Report;
    const { percentiles_ms } = report.latency.response;
    const told = (["90", "95", "99"] as const).map((p) => `p${p} ${percentiles_ms[p]?.toFixed(1) ?? "-"} ms`);
    console.log(
      `${drivers} x ${connections} connections: exit ${code}, ${told.join(", ")}, dropped ${report.totals.dropped}, ` +
        `long service times a driver: ${longOf(data, report.test_id).join(" ")} ` +
        `(due in the stall: ${(RATE_RPS / drivers) * (STALL.for_ms / 1000)})`,
    );
  } finally {
    await rm(data, { recursive: true });
  }
}

/** Service times over LONG_US of each node. */
function longOf(data: string, test_id: string): number[] {
  const store = openStore(data);
  const nodes = store.measurements(test_id);
  store.close();
  return nodes.map(({ histograms }) => {
    const { counts, max_us } = decodeHistogram(histograms.service);
    let long = 0;
    for (let i = bucketIndex(LONG_US); i < BUCKETS && i <= bucketIndex(max_us); i++) long += counts[i] ?? 0;
    return long;
  });
}
