// `npm run fuzz -- [inputs] [seed]` holds the HTTP parser against node:http's: generated and changed answers, cut at
// random, must be read alike or refused by both, but for the differences listed in src/load/testing/fuzz.ts.
import { compare, makeInput, randomFrom } from "../src/load/testing/fuzz.ts";

const AT_ONCE = 100;
const MOST_SHOWN = 20;

const inputs = Number(process.argv[2] ?? 100_000);
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000);
const random = randomFrom(seed);
const reasons = new Map<string, number>();
let accepted = 0;
let failed = 0;

for (let done = 0; done < inputs; done += AT_ONCE) {
  const some = Array.from({ length: Math.min(AT_ONCE, inputs - done) }, () => makeInput(random));
  const results = await Promise.all(some.map(compare));
  results.forEach((result, i) => {
    if (result.own !== null) accepted++;
    if (result.why !== "") reasons.set(result.why, (reasons.get(result.why) ?? 0) + 1);
    if (result.explained || failed++ >= MOST_SHOWN) return;
    const { bytes, cuts, head } = some[i]!;
    console.log(JSON.stringify({ bytes: bytes.toString("latin1"), cuts, head, ...result }));
  });
}
console.log(`${inputs} answers (seed ${seed}), ${accepted} accepted, ${failed} read differently without a reason`);
for (const [why, count] of reasons) console.log(`${String(count).padStart(8)}  ${why}`);
process.exitCode = failed > 0 ? 1 : 0;
