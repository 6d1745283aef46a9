/** What the target counted since its start or its last reset. Requests to /metrics are in none of the request counts. */
export interface TargetCounters {
  /** Requests whose head was complete. */
  requests_received: number;
  /** Answers that were written whole. */
  responses_sent: number;
  /** Connections ended because what came was no HTTP. */
  bad_requests: number;
  /** Requests received by path (without query; the first 1,000 paths, the rest as "other"). */
  by_path: Record<string, number>;
  /** Answers sent by status. */
  by_status: Record<string, number>;
  connections_opened: number;
  connections_open: number;
  bytes_in: number;
  bytes_out: number;
}

const MAX_PATHS = 1_000;

export interface CounterStore {
  totals: Omit<TargetCounters, "by_path" | "by_status">;
  received(path: string): void;
  answered(status: number): void;
  /** A copy. */
  counters: () => TargetCounters;
  /** All to zero but the connections that are open. */
  reset(): void;
}

export function makeCounters(): CounterStore {
  const zero = {
    requests_received: 0,
    responses_sent: 0,
    bad_requests: 0,
    connections_opened: 0,
    connections_open: 0,
    bytes_in: 0,
    bytes_out: 0,
  };
  const totals = { ...zero };
  const paths = new Map<string, number>();
  const statuses = new Map<number, number>();
  return {
    totals,
    received: (path) => {
      totals.requests_received++;
      const count = paths.get(path);
      if (count !== undefined) paths.set(path, count + 1);
      else if (paths.size < MAX_PATHS) paths.set(path, 1);
      else paths.set("other", (paths.get("other") ?? 0) + 1);
    },
    answered: (status) => {
      totals.responses_sent++;
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    },
    counters: () => ({ ...totals, by_path: Object.fromEntries(paths), by_status: Object.fromEntries(statuses) }),
    reset: () => {
      Object.assign(totals, { ...zero, connections_open: totals.connections_open });
      paths.clear();
      statuses.clear();
    },
  };
}
