import type { Bus } from "../bus/bus.ts";
import { forgottenNodes, type Moment } from "../run/presence.ts";
import { every, type Clock } from "./clock.ts";
import type { Reader } from "./reader.ts";

const INTERVAL_MS = 10_000;
const HEARTBEATS_KEPT_MS = 60_000;

/**
 * Lets the state go of nodes that were silent for an hour, and a log in memory of what nobody needs any more (elsewhere
 * a no-op): metrics of finished runs, or all that was folded where the log lives and dies with this process; heartbeats
 * older than a minute.
 */
export function startTrimming(options: { bus: Bus; reader: Reader; clock: Clock; in_process: boolean; moment: () => Moment }): { close(): void } {
  const { bus, reader, clock, in_process, moment } = options;
  const { state } = reader;
  const heartbeats: { at_ms: number; offset: number }[] = [];

  function trim(): void {
    const now_ms = clock.now_ms();
    for (const node_id of forgottenNodes(state, moment())) state.nodes.delete(node_id);
    heartbeats.push({ at_ms: now_ms, offset: reader.position("heartbeat") });
    while (heartbeats.length > 0 && heartbeats[0]!.at_ms <= now_ms - HEARTBEATS_KEPT_MS) {
      forget("heartbeat", heartbeats.shift()!.offset);
    }
    const run = state.current === null ? undefined : state.runs.get(state.current);
    const open = run !== undefined && !run.ended && !run.replaced;
    const needed_from = open ? (run.config.metrics_from[0] ?? 0) : reader.position("metrics");
    forget("metrics", in_process ? reader.position("metrics") : needed_from);
  }

  // A closed log has nothing left to trim.
  function forget(topic: "metrics" | "heartbeat", before: number): void {
    bus.trim(topic, before).catch(() => {});
  }

  return { close: every(clock, INTERVAL_MS, trim) };
}
