import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { Fixture } from "./fixture.ts";
import { findProgram, type Task, type Tool } from "./tools.ts";

export interface Measurement {
  /** Requests that the target received / the seconds asked for. */
  rps: number;
  /** CPU time of the generator's process and its children, its start included, per request received. */
  whole_cpu_us: number;
  /** The same from START_MS after the beginning on, so without its start. */
  cpu_us: number;
  /** Of the arrivals at the target against the ideal schedule; null unless they were recorded. */
  lateness: Lateness | null;
}

export interface Lateness {
  p50_us: number;
  p99_us: number;
  /** Requests received / requests of the schedule. */
  rate_ratio: number;
}

const TICKS_PER_SECOND = Number(spawnSync("getconf", ["CLK_TCK"], { encoding: "utf8" }).stdout);
/** Generators have started and connected by then. */
const START_MS = 2000;
/** Left out of lateness at the beginning: the schedule's start, cold code, connecting. */
const LEFT_OUT_MS = 500;

/** Fields of proc(5) stat: user and system time of a process, and of its children that ended and were waited for. */
const OWN = [14, 15];
const CHILDREN = [16, 17];

function cpuUs(pid: number | "self", numbers: number[]): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (numbers.reduce((sum, number) => sum + Number(fields[number - 3]), 0) * 1e6) / TICKS_PER_SECOND;
}

/** Arrivals (ms, ascending) against t0 + i / rate, t0 chosen such that the smallest lateness is 0. */
export function latenessOf(arrivals_ms: Float64Array, rate_rps: number, seconds: number): Lateness {
  const offsets = arrivals_ms.map((at, i) => at - (i * 1000) / rate_rps);
  const steady = offsets.subarray(Math.min(offsets.length, Math.ceil((rate_rps * LEFT_OUT_MS) / 1000)));
  let least = Infinity;
  for (const offset of steady) if (offset < least) least = offset;
  const late = steady.map((offset) => offset - least).sort();
  const at = (q: number) => 1000 * (late[Math.max(0, Math.ceil(q * late.length) - 1)] ?? NaN);
  return { p50_us: at(0.5), p99_us: at(0.99), rate_ratio: arrivals_ms.length / (rate_rps * seconds) };
}

/** Begins a tool on one core with what it reads; it is ended when it has not ended long after the task's time. */
function begin(program: string, given: string[], tool: Tool, task: Task, core: number, stdout: "ignore" | "pipe"): ChildProcess {
  const child = spawn("taskset", ["-c", `${core}`, program, ...given], { stdio: ["pipe", stdout, "ignore"] });
  child.stdin!.on("error", () => {});
  child.stdin!.end(tool.input?.(task) ?? "");
  const watch = setTimeout(() => child.kill("SIGKILL"), (task.seconds + 45) * 1000);
  child.once("exit", () => clearTimeout(watch));
  return child;
}

/** What a tool itself says of a task. null: it cannot do that task. */
export async function summaryOf(tool: Tool, task: Task, more: string[], core: number): Promise<string | null> {
  const program = findProgram(tool);
  const given = tool.arguments(task);
  if (program === null || given === null) return null;
  // A URL stands last, k6's "-" too.
  const child = begin(program, [...given.slice(0, -1), ...more, ...given.slice(-1)], tool, task, core, "pipe");
  let said = "";
  child.stdout!.setEncoding("utf8").on("data", (text: string) => (said += text));
  await once(child, "close");
  return said;
}

/** Runs a tool on one core to its end. null: it cannot do that task, or it did nothing. */
export async function measure(
  tool: Tool,
  task: Task,
  fixture: Fixture,
  core: number,
): Promise<Measurement | null> {
  const program = findProgram(tool);
  const given = tool.arguments(task);
  if (program === null || given === null) return null;
  await fixture.reset(task.rate_rps !== null);
  const before_us = cpuUs("self", CHILDREN);
  const child = begin(program, given, tool, task, core, "ignore");
  const exited = once(child, "exit");
  // taskset becomes the program: the same process.
  await delay(START_MS);
  const start = { received: await fixture.received(), cpu_us: cpuUs(child.pid!, [...OWN, ...CHILDREN]) };
  await exited;
  const whole_us = cpuUs("self", CHILDREN) - before_us;
  const { received, arrivals_ms } = await fixture.read();
  if (received === 0) return null;
  return {
    rps: received / task.seconds,
    whole_cpu_us: whole_us / received,
    cpu_us: (whole_us - start.cpu_us) / (received - start.received),
    lateness: task.rate_rps === null ? null : latenessOf(arrivals_ms, task.rate_rps, task.seconds),
  };
}
