import { percentileUs } from "../metrics/statistics.ts";
import type { Measures } from "../protocol/measures.ts";
import type { Measurements } from "./latency.ts";
import type { GeneratorReport } from "./report-schema.ts";

const LATENESS_P99_US = 10_000;
const SATURATED_SECONDS = 0.05;
const ACHIEVED = 0.99;

/**
 * Whether the generator's own figures can be trusted. Invalid: send lateness p99 > 10 ms, a utilisation over 0.95 in
 * over 5 % of the seconds (of any node), or achieved < 99 % of what was due while connections were free.
 */
export function generatorOf(parts: readonly Measures[], measured: Measurements, model: "open" | "closed"): GeneratorReport {
  const reasons: string[] = [];
  const p99 = measured.send_lateness.count === 0 ? 0 : (percentileUs(measured.send_lateness, 0.99) ?? 0);
  if (p99 > LATENESS_P99_US) reasons.push(`send_lateness_p99_${Math.round(p99 / 1000)}ms`);
  const said = parts.flatMap(({ generator }) => generator ?? []);
  const full = said.some(({ saturated_seconds, seconds }) => saturated_seconds > SATURATED_SECONDS * seconds);
  if (full) reasons.push(model === "closed" ? "generator_core_full" : "utilisation_above_95_percent");
  const due = said.reduce((sum, { due_while_free }) => sum + due_while_free, 0);
  const sent = said.reduce((sum, { sent_while_free }) => sum + sent_while_free, 0);
  if (sent < ACHIEVED * due) reasons.push("achieved_below_99_percent");
  return {
    cpu: round(said.reduce((sum, { cpu }) => sum + cpu, 0)),
    utilisation: round(Math.max(0, ...said.map(({ utilisation }) => utilisation))),
    valid: reasons.length === 0,
    reasons,
  };
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
