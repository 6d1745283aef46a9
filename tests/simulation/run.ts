import { parseArgs } from "node:util";
import { simulate } from "./simulate.ts";

// node scripts/launch.js tests/simulation/run.ts --seeds 10000 [--from 1]      many seeds; the first that fails is shown
// node scripts/launch.js tests/simulation/run.ts --seed 4711 --trace            one seed, with everything that happened
const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    trace: { type: "boolean", default: false },
    all: { type: "boolean", default: false },
  },
});

const began_ms = performance.now();
const sum = new Map<string, number>();
const first = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
let failed = 0;
let world_ms = 0;
for (let seed = first; seed < first + count; seed++) {
  const { failures, lines, counts, took_ms } = simulate(seed, values.trace && count === 1);
  for (const line of lines) console.log(line);
  for (const [what, times] of counts) sum.set(what, (sum.get(what) ?? 0) + times);
  world_ms += took_ms;
  if (failures.length === 0) continue;
  failed++;
  console.log(`seed ${seed} FAILED:\n  ${failures.join("\n  ")}`);
  if (!values.all && count > 1) {
    for (const line of simulate(seed, true).lines) console.log(line);
    console.log(`replay: node scripts/launch.js tests/simulation/run.ts --seed ${seed} --trace`);
    break;
  }
}
const took_s = (performance.now() - began_ms) / 1000;
console.log(`${count} seeds, ${failed} failed, ${took_s.toFixed(1)} s, ${(world_ms / 3.6e6).toFixed(1)} h of simulated time`);
console.log([...sum].sort((a, b) => b[1] - a[1]).map(([what, times]) => `  ${String(times).padStart(7)} ${what}`).join("\n"));
process.exitCode = failed > 0 ? 1 : 0;
