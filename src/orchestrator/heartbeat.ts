import type { Bus } from "../bus/bus.ts";
import { encodeMessage } from "../protocol/codec.ts";
import { every, type Clock } from "./clock.ts";
import { answerHearing, askHearing, judgeHearing, startHearing } from "./hearing.ts";
import type { Log } from "./log.ts";
import type { Commander } from "./commander.ts";
import type { Reader } from "./reader.ts";
import type { Vigil } from "./vigil.ts";

/**
 * An orchestrator's heartbeat: the leader's renews the drivers' leases, a standby's says that it is there, and the way
 * back of either tells whether this process hears everything.
 */
export interface OwnHeartbeat {
  /** Judged at this moment; null: nobody's silence counts. */
  hearingSinceMs(): number | null;
  /** A leader says that it has left. */
  close(): Promise<void>;
}

export function startHeartbeat(options: {
  bus: Bus;
  reader: Reader;
  vigil: Vigil;
  commander: Commander;
  clock: Clock;
  log: Log;
  node_id: string;
  heartbeat_ms: number;
  standby: boolean;
}): OwnHeartbeat {
  const { bus, reader, vigil, commander, clock, log, node_id, heartbeat_ms, standby } = options;
  let hearing = startHearing(clock.now_ms());
  let appending = false;
  let complained = false;

  const speaks = () => standby || commander.leads();
  const connected = () => bus.status().connected;

  function append(state: "leader" | "standby" | "left", timestamp: number): Promise<number> {
    const { leadership } = reader.state;
    const term = state === "standby" ? leadership.term : commander.term();
    const { command_seq } = leadership;
    const message = { node_id, heartbeat: "YES" as const, timestamp, role: "orchestrator" as const, term, state, command_seq };
    return bus.append("heartbeat", encodeMessage("heartbeat", message));
  }

  // While the log is away one heartbeat waits, not a queue of them.
  async function beat(): Promise<void> {
    if (appending || !speaks()) return;
    appending = true;
    const asked_ms = clock.now_ms();
    const asks = hearing.asked_ms === null;
    if (asks) hearing = askHearing(hearing, asked_ms);
    try {
      await vigil.awake();
      if (!speaks()) return;
      const offset = await append(commander.leads() ? "leader" : "standby", asked_ms);
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
    if (deaf && hearing.since_ms !== null) log.info("hearing", {}, "everything on the log is heard; silence counts from now on");
  }

  function hearingSinceMs(): number | null {
    const before = hearing.since_ms;
    hearing = judgeHearing(hearing, clock.now_ms(), connected());
    if (before !== null && hearing.since_ms === null) {
      log.warn("not_hearing", {}, "the log is away or this process was held up: nobody is taken for dead until it is heard again");
    }
    return hearing.since_ms;
  }

  const stop = every(clock, heartbeat_ms, () => void beat());
  void beat();

  return {
    hearingSinceMs,
    close: async () => {
      stop();
      const { term, owner } = reader.state.leadership;
      const led = commander.term() === term && commander.owner === owner;
      if (connected() && led) await append("left", clock.now_ms());
    },
  };
}
