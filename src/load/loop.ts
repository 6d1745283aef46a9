import type { RangeProgress } from "../metrics/snapshot.ts";
import type { Accounts } from "./accounts.ts";
import type { Connection, ConnectionOwner } from "./connection.ts";
import type { Range } from "../plan/schedule.ts";
import type { GapGuard } from "./gap.ts";
import type { Time } from "./time.ts";
import type { WakerOptions } from "./waker.ts";

/** At most so many requests are sent in one turn of the event loop: after a stall, answers are read in between. */
export const SENDS_PER_TURN = 256;

/** A model of load: decides when which connection sends. It owns the connections from `start` on. */
export interface LoadLoop extends ConnectionOwner {
  /** The schedule's zero is set. */
  start(): void;
  /** More slots, on their due times; what is due by now is taken and dropped. */
  assign(ranges: readonly Range[]): void;
  /** After a gap: sends again, first what became due meanwhile. */
  resume(): void;
  /** Sends nothing more; what waits is dropped. What is in flight goes on. */
  stop(): void;
  progress(): RangeProgress[];
  /** us between the schedule's zero and the moment at which the loop began with it. */
  startOffset(): number;
}

export interface LoopOptions {
  connections: readonly Connection[];
  accounts: Accounts;
  time: Time;
  guard: GapGuard;
  waker: Pick<WakerOptions, "pacing" | "core_to_spare">;
  /** Nothing is to be sent any more and nothing is in flight. May be called more than once. */
  onFinished: () => void;
}
