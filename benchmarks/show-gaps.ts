// How evenly one driver sends: `node benchmarks/show-gaps.ts [gap_ms] [requests]` runs `onrush run --type tsunami` against
// a target in this process, once with answers at once and once with answers after 500 ms, and says how far the gaps
// between arrivals at the target are from what was asked for.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { startTarget } from "../src/target/target.ts";

const gap_ms = Number(process.argv[2] ?? 20);
const requests = Number(process.argv[3] ?? 500);

for (const delay_ms of [0, 500]) {
  const target = await startTarget({ record_arrivals: true, delay_ms });
  const args = ["run", `${target.url}/ping`, "--type", "tsunami", "--delay", `${gap_ms}`, "--requests", `${requests}`];
  const bin = new URL("../bin/onrush.js", import.meta.url).pathname;
  const child = spawn(process.execPath, [bin, ...args, "--no-store", "--quiet"], { stdio: ["ignore", "ignore", "inherit"] });
  const [code] = (await once(child, "exit")) as [number];
  const arrivals = target.arrivals_ms();
  await target.close();
  const errors = arrivals.slice(1).map((at, i) => Math.abs(at - arrivals[i]! - gap_ms));
  errors.sort((a, b) => a - b);
  const rank = (q: number) => errors[Math.max(0, Math.ceil(q * errors.length) - 1)]?.toFixed(3);
  const mean_ms = (arrivals.at(-1)! - arrivals[0]!) / (arrivals.length - 1);
  console.log(
    `answers after ${delay_ms} ms: exit ${code}, ${arrivals.length} requests, gaps ${mean_ms.toFixed(3)} ms on average; ` +
      `error p50 ${rank(0.5)} ms, p90 ${rank(0.9)} ms, p99 ${rank(0.99)} ms, max ${rank(1)} ms`,
  );
}
