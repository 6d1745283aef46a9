// Whether memory grows: `node benchmarks/memory.ts [--minutes 10] [--rate 20000]` runs `onrush run` against a target in
// this process, looks at its resident memory each 5 s, and prints the slope from the second minute on (least squares).
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { startTarget } from "../src/target/target.ts";

const SAMPLE_MS = 5000;
const FIRST_MINUTE = 2;

const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" }, rate: { type: "string", default: "20000" } } });
const minutes = Number(values.minutes);

const target = await startTarget();
const bin = new URL("../bin/onrush.js", import.meta.url).pathname;
const args = [bin, "run", `${target.url}/ping`, "--rate", values.rate, "--duration", `${60 * minutes}s`, "--no-store", "--quiet"];
const child = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit"] });
const begun_ms = performance.now();
const samples: { minute: number; mib: number }[] = [];
const timer = setInterval(() => {
  const mib = residentMib(child.pid!);
  if (mib === null) return;
  const minute = (performance.now() - begun_ms) / 60_000;
  samples.push({ minute, mib });
  if (samples.length % 6 === 0) console.log(`${minute.toFixed(1)} min: ${mib.toFixed(1)} MiB`);
}, SAMPLE_MS);
const [code] = (await once(child, "exit")) as [number];
clearInterval(timer);
await target.close();

// What is left out at the end: the report is being made.
const counted = samples.filter(({ minute }) => minute >= Math.min(FIRST_MINUTE, minutes / 2) && minute < minutes);
console.log(
  `exit ${code}; ${counted.length} samples from ${counted[0]?.mib.toFixed(1)} to ${counted.at(-1)?.mib.toFixed(1)} MiB, ` +
    `slope ${slope(counted).toFixed(2)} MiB a minute`,
);

/** null: it has ended. */
function residentMib(pid: number): number | null {
  try {
    const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kib === undefined ? null : Number(kib) / 1024;
  } catch {
    return null;
  }
}

function slope(points: readonly { minute: number; mib: number }[]): number {
  const mean = (of: (point: (typeof points)[number]) => number) => points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [x, y] = [mean(({ minute }) => minute), mean(({ mib }) => mib)];
  const over = mean(({ minute, mib }) => (minute - x) * (mib - y));
  return over / mean(({ minute }) => (minute - x) ** 2);
}
