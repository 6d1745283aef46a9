import type { Plan } from "../plan/plan.ts";

const SECRET_NAME = /auth|cookie|token|secret|session|signature|password|credential|api-?key|access-?key/i;
const MASK = "***";

/** A plan as it may be shown: the values of headers that carry secrets by their name are masked. */
export function withoutSecrets(plan: Plan): Plan {
  const headers = Object.fromEntries(
    Object.entries(plan.target.headers).map(([name, value]) => [name, SECRET_NAME.test(name) ? MASK : value]),
  );
  return { ...plan, target: { ...plan.target, headers } };
}
