import { expect, test } from "vitest";
import { compare, makeInput, randomFrom } from "./testing/fuzz.ts";

const INPUTS = 2000;
const AT_ONCE = 50;

test("what node:http reads Onrush reads the same, and both refuse the same, but for the differences that are listed", async () => {
  const random = randomFrom(20_261_121);
  const read = { agreed: 0, accepted: 0 };
  for (let i = 0; i < INPUTS; i += AT_ONCE) {
    const inputs = Array.from({ length: AT_ONCE }, () => makeInput(random));
    const results = await Promise.all(inputs.map(compare));
    results.forEach(({ explained, why, own, node, message }, n) => {
      expect({ bytes: inputs[n]!.bytes.toString("latin1"), own, node, message, explained }).toMatchObject({ explained: true });
      if (why === "") read.agreed++;
      if (own !== null) read.accepted++;
    });
  }
  expect(read.agreed).toBeGreaterThan(0.85 * INPUTS);
  expect(read.accepted).toBeGreaterThan(0.4 * INPUTS);
});
