import { BusError } from "../bus/errors.ts";
import type { Bus } from "../bus/bus.ts";
import type { Control } from "../protocol/control.ts";
import { encodeMessage } from "../protocol/codec.ts";
import type { Decision } from "../run/decide.ts";
import type { Clock } from "./clock.ts";
import { OrchestratorError } from "./errors.ts";
import type { Log } from "./log.ts";
import type { Reader } from "./reader.ts";
import type { Vigil } from "./vigil.ts";

/** Appends one decision and resolves once it was read back and counts. */
export type Send = (decision: Decision) => Promise<void>;

/** The right to command, and the one queue through which every command goes. */
export interface Commander {
  readonly owner: string;
  /** The term that it claimed; 0: none yet. */
  term(): number;
  leads(): boolean;
  /** Claims the next term; false: somebody else's claim came first. */
  claim(): Promise<boolean>;
  /** Called each time that another one has taken over from this one. */
  onDeposed(listener: (by: { owner: string; term: number }) => void): void;
  /** Runs jobs one after the other: what a job reads of the state is true when it sends. */
  exclusive<T>(job: (send: Send) => Promise<T>): Promise<T>;
  /** Refuses whatever is not begun. */
  close(): void;
}

export function createCommander(options: { bus: Bus; reader: Reader; vigil: Vigil; owner: string; clock: Clock; log: Log }): Commander {
  const { bus, reader, vigil, owner, clock, log } = options;
  const { state } = reader;
  let term = 0;
  let deposed = false;
  let closed = false;
  const listeners: ((by: { owner: string; term: number }) => void)[] = [];
  let queue: Promise<unknown> = Promise.resolve();

  const isMine = () => term > 0 && state.leadership.term === term && state.leadership.owner === owner;

  reader.onChange((topic) => {
    if (topic !== "control") return;
    if (term === 0 || deposed || isMine() || state.leadership.term < term) return;
    deposed = true;
    const { term: newer } = state.leadership;
    const other = state.leadership.owner ?? "unknown";
    log.error("leadership_lost", { term, newer, other }, `${other} leads as of term ${newer}: this orchestrator has stopped acting`);
    for (const listener of listeners) listener({ owner: other, term: newer });
  });

  async function append(command: Control): Promise<void> {
    const offset = await bus.append("control", encodeMessage("control", command));
    await reader.reached("control", offset);
  }

  async function send(decision: Decision): Promise<void> {
    await vigil.awake();
    if (!isMine()) throw notLeader();
    if (decision.topic === "control") {
      const command_seq = state.leadership.command_seq + 1;
      await append({ ...decision.body, term, owner, command_seq, at_ms: clock.now_ms() });
      if (!isMine()) throw notLeader();
      if (state.leadership.command_seq < command_seq) {
        log.error("command_not_applied", { type: decision.body.type }, `a ${decision.body.type} of its own was read back and does not count`);
        throw notLeader();
      }
    } else {
      const { topic } = decision;
      await reader.reached(topic, await bus.append(topic, encodeMessage(topic, decision.message)));
    }
  }

  function notLeader(): OrchestratorError {
    return new OrchestratorError("not_leader", `another orchestrator leads: ${state.leadership.owner ?? "unknown"}`);
  }

  return {
    owner,
    term: () => term,
    leads: () => isMine() && !closed,
    claim: async () => {
      const next = state.leadership.term + 1;
      await append({ type: "claim", term: next, owner, command_seq: 0, at_ms: clock.now_ms() });
      if (state.leadership.term !== next || state.leadership.owner !== owner) return false;
      term = next;
      deposed = false;
      return true;
    },
    onDeposed: (listener) => void listeners.push(listener),
    exclusive: (job) => {
      const turn = queue.then(async () => {
        if (closed) throw new OrchestratorError("stopped", "this orchestrator is closing");
        try {
          await vigil.awake();
          if (!isMine()) throw notLeader();
          return await job(send);
        } catch (error) {
          if (error instanceof BusError && error.code === "closed") throw new OrchestratorError("stopped", "this orchestrator is closing");
          throw error;
        }
      });
      queue = turn.catch(() => {});
      return turn;
    },
    close: () => {
      closed = true;
    },
  };
}
