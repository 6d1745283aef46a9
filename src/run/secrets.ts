import type { Plan } from "../plan/plan.ts";

const SECRET_NAME = /auth|cookie|token|secret|session|signature|password|credential|api-?key|access-?key/i;
const MASK = "***";

/** A plan as it may be shown: the values of headers that carry secrets by their name are masked, and so is all of TLS's PEM. */
export function withoutSecrets(plan: Plan): Plan {
  const headers = Object.fromEntries(
    Object.entries(plan.target.headers).map(([name, value]) => [name, SECRET_NAME.test(name) ? MASK : value]),
  );
  const { tls } = plan.target;
  return { ...plan, target: { ...plan.target, headers, ...(tls !== undefined && { tls: masked(tls) }) } };
}

function masked({ ca, cert, key, resume }: NonNullable<Plan["target"]["tls"]>): Plan["target"]["tls"] {
  return {
    ...(ca !== undefined && { ca: MASK }),
    ...(cert !== undefined && { cert: MASK }),
    ...(key !== undefined && { key: MASK }),
    ...(resume !== undefined && { resume }),
  };
}
