// Onrush and every other generator that is installed, against one target, closed and open:
//
//     node benchmarks/peers.ts [--quick] [--seconds N] [--rounds N] [--only NAME,NAME] [--no-write] [--tls | --truth]
//
// --tls: only the closed loop over TLS; --truth: only what each says of a target that stalled; neither is written.
//
// The target (core 0) and the generator (core 1) have a core each. Rounds are interleaved, so that all tools see the same
// noise of the machine; the best of them counts. Programs are looked for along PATH and in the folders of PEERS. Writes
// benchmarks/RESULTS.md.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem, type } from "node:os";
import { parseArgs } from "node:util";
import { STALL, startFixture, TLS, type Fixture } from "./peers/fixture.ts";
import { measure, type Measurement } from "./peers/measure.ts";
import { CONNECTIONS, findProgram, TOOLS, type Tool } from "./peers/tools.ts";
import { isTrue, toldBy, TRUE_MS, TRUTH_RPS, TRUTH_SECONDS, type Told } from "./peers/truth.ts";

const TARGET_CORE = 0;
const GENERATOR_CORE = 1;
const RATES_RPS = [1000, 10_000, 40_000];
const COST_RATE_RPS = 10_000;

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    seconds: { type: "string" },
    rounds: { type: "string" },
    only: { type: "string" },
    "no-write": { type: "boolean", default: false },
    tls: { type: "boolean", default: false },
    truth: { type: "boolean", default: false },
  },
});
const seconds = Number(values.seconds ?? (values.quick ? 3 : 10));
const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
const chosen = TOOLS.filter(({ name }) => values.only === undefined || values.only.split(",").includes(name));
const tools = chosen.filter((tool) => findProgram(tool) !== null);
const missing = chosen.filter((tool) => !tools.includes(tool)).map(({ name }) => name);

/** All rounds of each tool, by the rate asked for (null: closed). */
const results = new Map<number | null, Map<Tool, Measurement[]>>();
const load_before = loadavg()[0]!;
const tls_results = new Map<Tool, Measurement[]>();
const told = new Map<Tool, Told>();
const all = !values.tls && !values.truth;
if (all) await withFixture("http", measurePlain);
if (all || values.tls) await withFixture("tls", measureTls);
if (all || values.truth) await withFixture("http", measureTruth);

const text = report();
console.log(text);
if (all && !values["no-write"]) writeFileSync(new URL("RESULTS.md", import.meta.url), text);

async function withFixture(protocol: "http" | "tls", use: (fixture: Fixture) => Promise<void>): Promise<void> {
  const fixture = await startFixture(protocol);
  spawnSync("taskset", ["-a", "-c", "-p", `${TARGET_CORE}`, `${fixture.pid}`], { stdio: "ignore" });
  try {
    await use(fixture);
  } finally {
    await fixture.close();
  }
}

async function measureTls(fixture: Fixture): Promise<void> {
  const task = { url: fixture.url, seconds, rate_rps: null, insecure: true };
  for (let round = 1; round <= rounds; round++) {
    for (const tool of tools) {
      const measured = await measure(tool, task, fixture, GENERATOR_CORE);
      if (measured === null) continue;
      tls_results.set(tool, [...(tls_results.get(tool) ?? []), measured]);
      console.error(`round ${round}  TLS  ${tool.name}: ${measured.rps.toFixed(0)} rps, ${measured.cpu_us.toFixed(1)} us CPU`);
    }
  }
}

async function measureTruth(fixture: Fixture): Promise<void> {
  for (const tool of tools) {
    const said = await toldBy(tool, fixture, GENERATOR_CORE);
    if (said !== null) told.set(tool, said);
    console.error(`stall  ${tool.name}: ${JSON.stringify(said)}`);
  }
}

async function measurePlain(fixture: Fixture): Promise<void> {
  for (let round = 1; round <= rounds; round++) {
    for (const rate_rps of [null, ...RATES_RPS]) {
      const byTool = results.get(rate_rps) ?? new Map<Tool, Measurement[]>();
      results.set(rate_rps, byTool);
      for (const tool of tools) {
        const measured = await measure(tool, { url: fixture.url, seconds, rate_rps }, fixture, GENERATOR_CORE);
        if (measured === null) continue;
        byTool.set(tool, [...(byTool.get(tool) ?? []), measured]);
        const late = measured.lateness;
        console.error(
          `round ${round}  ${rate_rps === null ? "closed" : `${rate_rps} rps`}  ${tool.name}: ` +
            `${measured.rps.toFixed(0)} rps, ${measured.cpu_us.toFixed(1)} us CPU (${measured.whole_cpu_us.toFixed(1)} with its start)` +
            (late === null ? "" : `, lateness p50 ${late.p50_us.toFixed(0)} us, p99 ${late.p99_us.toFixed(0)} us`),
        );
      }
    }
  }
}

function least(list: Measurement[], figure: (of: Measurement) => number): number {
  return Math.min(...list.map(figure));
}

function closedTable(byTool: Map<Tool, Measurement[]>): string[] {
  const wrk = [...byTool].find(([{ name }]) => name === "wrk")?.[1];
  const ratio = (value: number, other: number | null) => (other === null ? "" : (value / other).toFixed(2));
  const rows = [...byTool].map(([{ name }, list]) => {
    const cpu_us = least(list, (m) => m.cpu_us);
    const rps = -least(list, (m) => -m.rps);
    const wrk_cpu_us = wrk === undefined ? null : least(wrk, (m) => m.cpu_us);
    const wrk_rps = wrk === undefined ? null : -least(wrk, (m) => -m.rps);
    const whole_us = least(list, (m) => m.whole_cpu_us);
    return { cpu_us, row: [name, cpu_us.toFixed(1), ratio(cpu_us, wrk_cpu_us), whole_us.toFixed(1), rps.toFixed(0), ratio(rps, wrk_rps)] };
  });
  rows.sort((a, b) => a.cpu_us - b.cpu_us);
  const head = ["", "CPU us per request", "ratio to wrk", "with its start", "rps", "ratio to wrk"];
  return table(head, rows.map(({ row }) => row));
}

function openTable(): string[] {
  const named = tools.filter((tool) => RATES_RPS.some((rate_rps) => results.get(rate_rps)!.has(tool)));
  const head = [
    "",
    `CPU us per request at ${COST_RATE_RPS} (with its start)`,
    ...RATES_RPS.map((rate_rps) => `lateness p50 / p99 us at ${rate_rps}`),
    "sent of the schedule",
  ];
  const rows = named.map((tool) => {
    const cost = results.get(COST_RATE_RPS)!.get(tool);
    const lateness = RATES_RPS.map((rate_rps) => {
      const list = results.get(rate_rps)!.get(tool);
      if (list === undefined) return "cannot";
      const best = [...list].sort((a, b) => a.lateness!.p99_us - b.lateness!.p99_us)[0]!.lateness!;
      return `${best.p50_us.toFixed(0)} / ${best.p99_us.toFixed(0)}`;
    });
    const ratios = RATES_RPS.map((rate_rps) => {
      const list = results.get(rate_rps)!.get(tool);
      if (list === undefined) return "-";
      const worst = [...list].sort((a, b) => Math.abs(b.lateness!.rate_ratio - 1) - Math.abs(a.lateness!.rate_ratio - 1));
      return `${(100 * worst[0]!.lateness!.rate_ratio).toFixed(1)} %`;
    });
    const costs = cost && [least(cost, (m) => m.cpu_us), least(cost, (m) => m.whole_cpu_us)].map((us) => us.toFixed(1));
    return [tool.name, costs === undefined ? "" : `${costs[0]} (${costs[1]})`, ...lateness, ratios.join(", ")];
  });
  return table(head, rows);
}

function truthTable(): string[] {
  const ms = (value: number | null) => (value === null ? "-" : value.toFixed(0));
  const rows = [...told].map(([{ name }, said]) => [name, ms(said.p90), ms(said.p95), ms(said.p99), isTrue(said) ? "yes" : "no"]);
  const truth = ["the truth", ms(TRUE_MS.p90), ms(TRUE_MS.p95), ms(TRUE_MS.p99), ""];
  return table(["", "p90 ms", "p95 ms", "p99 ms", "each within 5 %"], [truth, ...rows]);
}

function table(head: string[], rows: string[][]): string[] {
  return [head, head.map((_, i) => (i === 0 ? "---" : "---:")), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
}

function report(): string {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
  const cores = cpus();
  const machine = `${cores.length} x ${cores[0]?.model ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${type()} ${release()}`;
  return [
    "# Onrush beside other generators",
    "",
    "`node benchmarks/peers.ts`: one target (Onrush's own, 4-byte answers) on one core, the generator on another,",
    `${CONNECTIONS} keep-alive connections, ${seconds} s each, best of ${rounds} interleaved rounds. CPU is user and system time of the`,
    "generator's processes divided by the requests that the target received, from two seconds after its beginning to its",
    "end, and (\"with its start\") for the whole of it. Onrush runs as `onrush run` with everything recorded. Absolute",
    "figures hold for this machine and its state alone; ratios travel.",
    "",
    `Onrush ${version}, Node.js ${process.versions.node}; ${machine}; ${new Date().toISOString().slice(0, 10)}.`,
    `Other work on the machine as this began: a load average of ${load_before.toFixed(1)}.`,
    ...(missing.length > 0 ? [`Not installed here: ${missing.join(", ")}.`] : []),
    "",
    ...(results.size > 0 ? plainTables() : []),
    ...(tls_results.size > 0
      ? [
          "## Closed loop over TLS",
          "",
          `${TLS.minVersion} with ${TLS.ciphers} and nothing else, handshakes whole and only at the beginning. Node's own TLS bounds`,
          "the target, so where it is full the rates are its own: look at CPU.",
          "",
          ...closedTable(tls_results),
          "",
        ]
      : []),
    ...(told.size > 0
      ? [
          "## The truth about a stall",
          "",
          `${TRUTH_RPS} rps for ${TRUTH_SECONDS} s, ${CONNECTIONS} connections; the target stalls once for ${STALL.for_ms} ms. What each tool's own summary says:`,
          "",
          ...truthTable(),
          "",
        ]
      : []),
  ].join("\n");
}

function plainTables(): string[] {
  return [
    "## Closed loop: as fast as the target answers",
    "",
    ...closedTable(results.get(null)!),
    "",
    "## Open loop: a rate, whatever the target does",
    "",
    "Lateness: arrivals at the target against the ideal schedule t0 + i / rate, t0 chosen such that the smallest is 0;",
    "the first half second is left out. \"Sent of the schedule\": requests received / (rate x seconds), the round farthest",
    "from 100 % at each rate.",
    "",
    ...openTable(),
    "",
  ];
}
