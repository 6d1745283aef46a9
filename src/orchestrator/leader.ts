import { sleep, type Clock } from "./clock.ts";
import { OrchestratorError } from "./errors.ts";
import type { SystemState } from "../run/state.ts";
import type { Reader } from "./reader.ts";

/** An orchestrator by its newest heartbeat, and when (log's clock, ms) that was appended. */
type Known = Pick<SystemState["orchestrators"] extends Map<string, infer O> ? O : never, "heartbeat" | "timestamp_ms">;

/** A leader that was not heard for this long is gone. */
const SILENCE_MS = 3_000;
/** Live leaders speak each second: whoever listens this long hears them, whatever the clocks of the log and of this machine say. */
const LISTEN_MS = 1_500;
const POLL_MS = 50;

/**
 * Whether a standby may claim: whoever leads has left, or was silent for 3 s in which this process heard everything
 * without a break (`hearing_since_ms`; null: it does not).
 */
export function isVacant(leader: { heard_ms: number; has_left: boolean }, now_ms: number, hearing_since_ms: number | null): boolean {
  if (hearing_since_ms === null) return false;
  return leader.has_left || now_ms - Math.max(leader.heard_ms, hearing_since_ms) > SILENCE_MS;
}

/**
 * Waits until no leader's heartbeat in the log is younger than 3 s (and listens at least 1.5 s where there was one).
 * @throws {OrchestratorError} `leader_exists` when one is heard that was appended after `begun_ms`
 */
export async function untilLeaderIsSilent(reader: Reader, clock: Clock, begun_ms: number): Promise<void> {
  const until_ms = silentFrom(reader.state.orchestrators.values(), begun_ms);
  for (;;) {
    if (reader.leadersHeard() > 0) {
      throw new OrchestratorError("leader_exists", `another orchestrator leads this system: ${reader.state.leadership.owner}`);
    }
    if (clock.now_ms() >= until_ms) return;
    await sleep(clock, POLL_MS);
  }
}

/** From when on whoever began at `begun_ms` may claim, if it hears no leader until then. `known`: of the log's past. */
export function silentFrom(known: Iterable<Known>, begun_ms: number): number {
  let last_ms = Number.NEGATIVE_INFINITY;
  for (const { heartbeat, timestamp_ms } of known) {
    if (heartbeat.state === "leader") last_ms = Math.max(last_ms, timestamp_ms);
  }
  if (last_ms === Number.NEGATIVE_INFINITY) return begun_ms;
  return Math.min(Math.max(last_ms + SILENCE_MS, begun_ms + LISTEN_MS), begun_ms + SILENCE_MS);
}
