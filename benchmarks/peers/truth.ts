// What each generator says of a target that stalled once, held against what is true.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Report } from "../../src/run/report-schema.ts";
import { STALL, type Fixture } from "./fixture.ts";
import { summaryOf } from "./measure.ts";
import type { Tool } from "./tools.ts";

export const TRUTH_RPS = 200;
export const TRUTH_SECONDS = 5;
/** ms: of 1,000 requests those 200 waited that were due in the stall, evenly from its whole length down to nothing. */
export const TRUE_MS = { p90: 0.5 * STALL.for_ms, p95: 0.75 * STALL.for_ms, p99: 0.95 * STALL.for_ms };

/** ms; null: it does not say. */
export type Told = Record<keyof typeof TRUE_MS, number | null>;

/** How a tool is asked for its percentiles and how they are read from what it prints, in ms. */
interface Reader {
  arguments: string[];
  read(said: string): Told;
}

const number = (text: string | undefined, unit = 1): number | null => (text === undefined ? null : Number(text) * unit);
const byName = (said: string, pattern: (percent: number) => RegExp, unit = 1): Told => ({
  p90: number(pattern(90).exec(said)?.[1], unit),
  p95: number(pattern(95).exec(said)?.[1], unit),
  p99: number(pattern(99).exec(said)?.[1], unit),
});

const READERS: Record<string, Reader> = {
  wrk2: { arguments: ["--latency"], read: spectrum },
  oha: {
    arguments: ["--output-format", "json"],
    read: (said) => byName(said.split('"latencyPercentiles"')[1] ?? "", (p) => new RegExp(`"p${p}": ([\\d.]+)`), 1000),
  },
  autocannon: { arguments: ["--json"], read: (said) => byName(said.split('"latency"')[1] ?? "", (p) => new RegExp(`"p${p}":([\\d.]+)`)) },
  hey: { arguments: [], read: (said) => byName(said, (p) => new RegExp(`${p}%+ in ([\\d.]+) secs`), 1000) },
  k6: {
    arguments: ["--no-color", "--summary-trend-stats", "p(90),p(95),p(99)", "--summary-time-unit", "ms"],
    read: (said) => byName(/http_req_duration\.*:.*/.exec(said)?.[0] ?? "", (p) => new RegExp(`p\\(${p}\\)=([\\d.]+)ms`)),
  },
};

/** HdrHistogram's spectrum (value in ms, share of the requests): the first value of at least that share. */
function spectrum(said: string): Told {
  const rows = [...said.matchAll(/^ +([\d.]+) +([01]\.\d{6}) +\d+/gm)].map(([, value, share]) => [Number(value), Number(share)] as const);
  const at = (share: number) => rows.find(([, reached]) => reached >= share)?.[0] ?? null;
  return { p90: at(0.9), p95: at(0.95), p99: at(0.99) };
}

/** null: it cannot hold a rate, or there is no reading what it says. */
export async function toldBy(tool: Tool, fixture: Fixture, core: number): Promise<Told | null> {
  const task = { url: fixture.url, seconds: TRUTH_SECONDS, rate_rps: TRUTH_RPS };
  await fixture.stall();
  if (tool.name.startsWith("onrush")) return toldByReport((more) => summaryOf(tool, task, more, core));
  const reader = READERS[tool.name];
  if (reader === undefined) return null;
  const said = await summaryOf(tool, task, reader.arguments, core);
  return said === null ? null : reader.read(said);
}

async function toldByReport(run: (more: string[]) => Promise<string | null>): Promise<Told | null> {
  const folder = await mkdtemp(join(tmpdir(), "onrush-truth-"));
  try {
    const file = join(folder, "report.json");
    await run(["--report", file]);
    const { percentiles_ms } = (JSON.parse(await readFile(file, "utf8")) as Report).latency.response;
    return { p90: percentiles_ms["90"], p95: percentiles_ms["95"], p99: percentiles_ms["99"] };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Every one of them within 5 %. */
export function isTrue(told: Told): boolean {
  return Object.entries(TRUE_MS).every(([name, truth_ms]) => {
    const told_ms = told[name as keyof Told];
    return told_ms !== null && Math.abs(told_ms - truth_ms) <= 0.05 * truth_ms;
  });
}
