import type { Effect, NodeState } from "./state.ts";
import type { LogLevel } from "./log.ts";

/** One step of the machine while it is worked out: a state of its own (whatever hangs from it is replaced, never changed). */
export interface Turn {
  state: NodeState;
  effects: Effect[];
  now_ms: number;
}

export function log(turn: Turn, level: LogLevel, code: string, message: string, fields: Record<string, unknown> = {}): void {
  turn.effects.push({ type: "log", level, code, fields, message });
}
