import type { NodeReport, Totals } from "./report-schema.ts";

/**
 * Holds a set of totals against the invariants of accounting; `live` allows what is not over yet. `histogram`: requests
 * in the response histogram. Returns what is violated, in words; an empty list is the only right answer.
 */
export function violations(totals: Totals, histogram: number, live: boolean): string[] {
  const t = totals;
  const found: string[] = [];
  const equal = (left: number, right: number, what: string) => {
    if (left !== right) found.push(`${what}: ${left} is not ${right}`);
  };
  const notYetDue = live ? Math.max(0, t.planned + t.overlap - t.scheduled - t.never_sent) : 0;
  equal(t.planned + t.overlap, t.scheduled + t.never_sent + notYetDue, "planned + overlap = scheduled + never_sent");
  equal(t.scheduled, t.sent + t.dropped + (live ? t.waiting : 0), "scheduled = sent + dropped");
  const accounted = t.ok + t.http_error + t.network_error + t.timeout + t.aborted + t.unknown;
  equal(t.sent, accounted + (live ? t.in_flight : 0), "sent = ok + http_error + network_error + timeout + aborted + unknown");
  equal(t.completed, t.ok + t.http_error, "completed = ok + http_error");
  equal(t.completed, histogram, "completed = histogram count");
  const reasons = Object.values(t.never_sent_reasons).reduce((sum, slots) => sum + slots, 0);
  equal(t.never_sent, reasons, "never_sent = sum of its reasons");
  for (const [name, value] of Object.entries(t)) {
    if (typeof value === "number" && value < 0) found.push(`${name} is negative: ${value}`);
  }
  return found;
}

/** What adds up over the nodes, and under the invariants. */
export const COUNTS = [
  "planned",
  "scheduled",
  "never_sent",
  "sent",
  "dropped",
  "ok",
  "http_error",
  "network_error",
  "timeout",
  "aborted",
  "unknown",
  "overlap",
  "completed",
] as const;

/** Every count of the nodes sums to the total, and each node's own invariants hold. */
export function nodeViolations(totals: Totals, nodes: readonly NodeReport[], live: boolean): string[] {
  const found = nodes.flatMap((node) =>
    violations(node.totals, node.source === "histogram" ? node.latency.response.count : 0, live).map(
      (violation) => `${node.node_id}: ${violation}`,
    ),
  );
  for (const name of COUNTS) {
    const sum = nodes.reduce((total, node) => total + node.totals[name], 0);
    if (sum !== totals[name]) found.push(`the nodes' ${name} sum to ${sum}, the total is ${totals[name]}`);
  }
  return found;
}
