import { createMemoryLog } from "../bus/memory.ts";
import { startDriver, type Driver } from "../driver/driver.ts";
import { startOrchestrator, type Orchestrator } from "../orchestrator/orchestrator.ts";
import type { Store } from "../orchestrator/store.ts";
import { notReady } from "../run/presence.ts";
import { couldNotRun } from "./failure.ts";
import type { Log } from "./log.ts";
import type { Session } from "./session.ts";

export interface LocalOptions {
  /** Their node ids. */
  drivers: readonly string[];
  /** Hosts that may be hit. */
  allow: readonly string[];
  store: Store | null;
  /** Where the store is, for people; null: there is none. */
  stored_at: string | null;
  log: Log;
}

/** Orchestrator and drivers in this process, over the log in its memory. */
export interface LocalSystem {
  orchestrator: Orchestrator;
  session: Session;
  close(): Promise<void>;
}

const LEAD_MS = 100;
const REGISTERED_LIMIT_MS = 5_000;
const POLL_MS = 10;

/** Starts everything in this process; resolves when every driver is registered. */
export async function startLocal(options: LocalOptions): Promise<LocalSystem> {
  const log = createMemoryLog();
  const buses = [log.connect()];
  const orchestrator = await startOrchestrator({
    bus: buses[0]!,
    node_id: "orchestrator",
    store: options.store,
    log: options.log,
    lead_ms: LEAD_MS,
    in_process: true,
  });
  const drivers = options.drivers.map((node_id) => {
    const bus = log.connect();
    buses.push(bus);
    return startDriver({
      bus,
      node_id,
      node_ip: "127.0.0.1",
      allow: options.allow,
      drivers_in_process: options.drivers.length,
      log: options.log,
    });
  });
  await allAlive(orchestrator, drivers);

  let closing: Promise<void> | null = null;
  const close = () =>
    (closing ??= (async () => {
      await Promise.all(drivers.map((driver) => driver.leave()));
      await orchestrator.close();
      await Promise.all(buses.map((bus) => bus.close()));
      options.store?.close();
    })());
  return { orchestrator, session: sessionOf(orchestrator, options.stored_at, close), close };
}

/** A driver that has not registered is no member of a new test. */
async function allAlive(orchestrator: Orchestrator, drivers: readonly Driver[]): Promise<void> {
  const deadline_ms = performance.now() + REGISTERED_LIMIT_MS;
  const missing = () => drivers.filter(({ node_id }) => !orchestrator.state().nodes.get(node_id)?.heartbeat);
  while (missing().length > 0 && performance.now() < deadline_ms) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

/**
 * Rejects as soon as no driver finds the target: who waits at a terminal is not to wait as long as a system waits for
 * its drivers. Never resolves before the trigger is `settled`.
 */
async function untilUnreachable(orchestrator: Orchestrator, test_id: string, settled: AbortSignal): Promise<void> {
  while (!settled.aborted) {
    const run = orchestrator.state().runs.get(test_id);
    if (!run) return;
    const missing = notReady(orchestrator.state(), run, orchestrator.moment());
    const [first] = missing;
    if (first && missing.length === run.config.members.length && missing.every(({ code }) => code === "target_unreachable")) {
      throw couldNotRun(first.code, first.message);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function sessionOf(orchestrator: Orchestrator, stored_at: string | null, close: () => Promise<void>): Session {
  return {
    create: async (plan) => (await orchestrator.createTest(plan)).test_id,
    trigger: async (test_id) => {
      const settled = new AbortController();
      const triggered = orchestrator.trigger(test_id).finally(() => settled.abort());
      await Promise.race([triggered, untilUnreachable(orchestrator, test_id, settled.signal)]);
    },
    stop: (test_id, reason) => orchestrator.stop(test_id, reason),
    follow: (test_id, listener) => {
      for (const { event } of orchestrator.history(test_id)) listener(event);
      return orchestrator.onEvent(({ event }) => {
        if (event.test_id === test_id) listener(event);
      });
    },
    report: (test_id) => orchestrator.ended(test_id),
    kept: (test_id) => (stored_at === null ? [] : [`stored    test ${test_id} in ${stored_at}`]),
    abandoned: () => "ended at once: nothing of this run was kept",
    close,
  };
}
