import type { Bus } from "../bus/bus.ts";
import { encodeMessage } from "../protocol/codec.ts";
import { every, type Clock } from "./clock.ts";
import { answerHearing, askHearing, judgeHearing, startHearing } from "./hearing.ts";
import type { Log } from "./log.ts";
import type { Reader } from "./reader.ts";

/** The leader's heartbeat: it renews the drivers' leases, and its way back tells whether this process hears everything. */
export interface LeaderHeartbeat {
  /** Judged at this moment; null: nobody's silence counts. */
  hearingSinceMs(): number | null;
  /** Says that it has left. */
  close(): Promise<void>;
}

export function startHeartbeat(options: {
  bus: Bus;
  reader: Reader;
  clock: Clock;
  log: Log;
  node_id: string;
  heartbeat_ms: number;
  term: number;
  leads: () => boolean;
}): LeaderHeartbeat {
  const { bus, reader, clock, log, node_id, heartbeat_ms, term, leads } = options;
  let hearing = startHearing(clock.now_ms());
  let appending = false;
  let complained = false;

  const connected = () => bus.status().connected;

  function append(state: "leader" | "left", timestamp: number): Promise<number> {
    const { command_seq } = reader.state.leadership;
    const message = { node_id, heartbeat: "YES" as const, timestamp, role: "orchestrator" as const, term, state, command_seq };
    return bus.append("heartbeat", encodeMessage("heartbeat", message));
  }

  // While the log is away one heartbeat waits, not a queue of them.
  async function beat(): Promise<void> {
    if (appending || !leads()) return;
    appending = true;
    const asked_ms = clock.now_ms();
    const asks = hearing.asked_ms === null;
    if (asks) hearing = askHearing(hearing, asked_ms);
    try {
      const offset = await append("leader", asked_ms);
      if (asks) void answer(asked_ms, offset);
    } catch (error) {
      if (asks) hearing = { ...hearing, asked_ms: null, since_ms: null };
      if (!complained) log.warn("heartbeat_failed", { error: String(error) }, `a heartbeat could not be sent: ${String(error)} (told once)`);
      complained = true;
    } finally {
      appending = false;
    }
  }

  async function answer(asked_ms: number, offset: number): Promise<void> {
    await reader.reached("heartbeat", offset);
    try {
      if (hearing.since_ms === null) await reader.caughtUp();
    } catch {
      return;
    }
    const deaf = hearing.since_ms === null;
    hearing = answerHearing(hearing, asked_ms, clock.now_ms(), connected());
    if (deaf && hearing.since_ms !== null) log.info("hearing", { term }, "everything on the log is heard; silence counts from now on");
  }

  function hearingSinceMs(): number | null {
    const before = hearing.since_ms;
    hearing = judgeHearing(hearing, clock.now_ms(), connected());
    if (before !== null && hearing.since_ms === null) {
      log.warn("not_hearing", { term }, "the log is away or this process was held up: nobody is taken for dead until it is heard again");
    }
    return hearing.since_ms;
  }

  const stop = every(clock, heartbeat_ms, () => void beat());
  void beat();

  return {
    hearingSinceMs,
    close: async () => {
      stop();
      if (connected()) await append("left", clock.now_ms());
    },
  };
}
