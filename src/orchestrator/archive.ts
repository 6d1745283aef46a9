import { endedSummary, type TestSummary } from "../api/views.ts";
import type { Report } from "../run/report-schema.ts";
import { holdsBasis, reportOf, revisionOf } from "../run/project.ts";
import { isFinal, membersOf } from "../run/accounts.ts";
import { forget } from "../run/fold.ts";
import { phaseOf, type Measured, type RunState, type SystemState } from "../run/state.ts";
import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";
import { StoreError } from "./store-error.ts";
import type { NodeMeasurements, Store } from "./store.ts";

/** Reports: built when their run has ended, stored before anyone is told, found again. */
export interface Archive {
  /** Builds and stores what has ended since, or has a new revision. Stores again what could not be stored, in its time. */
  settle(): void;
  /** Runs that are over leave the state; the newest and those that lack finals stay for a while. To be called once all was told. */
  letGo(): void;
  /** The newest report of a test; null: there is none. */
  report(test_id: string): Report | null;
  /** All reports that are kept, newest first. */
  summaries(): TestSummary[];
  /** Called with each report once it is stored. */
  onReport(listener: (report: Report) => void): void;
}

const RETRY_MS = 5_000;
/** Ended runs that stay in the state because finals may still come. */
const AWAITED_RUNS = 4;
/** How long a report waits for the metrics that the end of its run rests on, and that were not read yet. */
const BASIS_WAIT_MS = 10_000;
/** Reports kept in memory where there is no store. */
const KEPT_WITHOUT_STORE = 20;

interface Unstored {
  report: Report;
  nodes: NodeMeasurements[];
}

export function createArchive(options: { state: SystemState; store: Store | null; clock: Clock; log: Log }): Archive {
  const { state, store, clock, log } = options;
  /** The newest report of each run that is still in the state, or could not be stored. */
  const kept = new Map<string, Report>();
  const unstored = new Map<string, Unstored>();
  const listeners: ((report: Report) => void)[] = [];
  /** When the end of a run was seen whose metrics were not. */
  const waiting_since_ms = new Map<string, number>();
  let retry_at_ms = 0;

  function settle(): void {
    for (const run of state.runs.values()) if (run.ended) settleRun(run);
    if (unstored.size > 0 && clock.now_ms() >= retry_at_ms) for (const waiting of [...unstored.values()]) keep(waiting);
  }

  function settleRun(run: RunState): void {
    const measured = state.measured.get(run.test_id);
    const known = kept.get(run.test_id) ?? stored(run.test_id);
    if (known) kept.set(run.test_id, known);
    if (known && known.revision >= revisionOf(run, measured)) return;
    if (!holdsBasis(run, measured) && isWaiting(run.test_id)) return;
    waiting_since_ms.delete(run.test_id);
    const report = reportOf(state, run.test_id);
    if (!report) return;
    for (const bug of report.bugs) {
      log.error("invariant_violated", { test_id: run.test_id, bug }, `test ${run.test_id}: ${bug}. This is a bug in Onrush: please report it`);
    }
    kept.set(run.test_id, report);
    keep({ report, nodes: measurementsOf(measured) });
    for (const listener of listeners) listener(report);
  }

  function isWaiting(test_id: string): boolean {
    const now_ms = clock.now_ms();
    const since_ms = waiting_since_ms.get(test_id) ?? now_ms;
    waiting_since_ms.set(test_id, since_ms);
    return now_ms - since_ms < BASIS_WAIT_MS;
  }

  function stored(test_id: string): Report | null {
    return reading(null, () => store?.report(test_id) ?? null);
  }

  /** A store that cannot be read is reported; nothing else suffers. */
  function reading<T>(otherwise: T, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      log.error(error.code, {}, error.message);
      return otherwise;
    }
  }

  function summaries(): TestSummary[] {
    const own = [...kept.values()].reverse().map(endedSummary);
    const names = new Set(own.map(({ test_id }) => test_id));
    return [...own, ...reading([], () => store?.tests() ?? []).filter(({ test_id }) => !names.has(test_id))];
  }

  function keep(waiting: Unstored): void {
    if (!store) return;
    const { test_id, revision } = waiting.report;
    try {
      store.put(waiting.report, waiting.nodes);
      if (unstored.delete(test_id)) log.info("report_stored", { test_id, revision }, `the report of ${test_id} is stored now`);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      unstored.set(test_id, waiting);
      retry_at_ms = clock.now_ms() + RETRY_MS;
      log.error(error.code, { test_id, revision }, `the report of ${test_id} is not stored yet: ${error.message}`);
    }
  }

  function letGo(): void {
    const awaited = [...state.runs.values()].filter(lacksFinals).slice(-AWAITED_RUNS);
    for (const run of state.runs.values()) {
      if (run.test_id === state.current || unstored.has(run.test_id) || awaited.includes(run)) continue;
      if (run.replaced || (phaseOf(run) === "ended" && kept.has(run.test_id))) forget(state, run.test_id);
    }
    for (const test_id of kept.keys()) {
      const isStored = store ? !unstored.has(test_id) : kept.size > KEPT_WITHOUT_STORE;
      if (isStored && !state.runs.has(test_id)) kept.delete(test_id);
    }
  }

  /** A driver that was cut off may come back with what it measured, also when the next test has begun. */
  function lacksFinals(run: RunState): boolean {
    if (!run.ended || !run.trigger) return false;
    return membersOf(run, state.measured.get(run.test_id)).some((member) => !member.foreign && !isFinal(member));
  }

  return {
    settle,
    letGo,
    report: (test_id) => kept.get(test_id) ?? stored(test_id),
    summaries,
    onReport: (listener) => void listeners.push(listener),
  };
}

function measurementsOf(measured: Map<string, Measured> | undefined): NodeMeasurements[] {
  return [...(measured?.values() ?? [])].flatMap(({ node_id, epoch, snapshot }) => {
    if (!snapshot || epoch === null) return [];
    const { response, service, connect, failed, send_lateness } = snapshot;
    return { node_id, epoch, histograms: { response, service, connect, failed, send_lateness } };
  });
}
