import { makePacer, rangeLength, type ClosedPacer } from "../plan/pacer.ts";
import type { Range, Schedule } from "../plan/schedule.ts";
import type { Connection } from "./connection.ts";
import { ConnectionList } from "./connection-list.ts";
import type { LoadJob } from "./engine.ts";
import { SENDS_PER_TURN, type LoadLoop, type LoopOptions } from "./loop.ts";
import { createWaker, type Waker } from "./waker.ts";

/** With a rate: a request may be caught up with if it is later than its moment by no more than this. */
const CREDIT_US = 2000;

/**
 * The closed model: a connection's next request is due when its previous one ended (the first: at the schedule's zero,
 * or the beginning of the warm-up), until the node's count is taken or the window ends. With a rate it is due no
 * earlier than a gap after the one before, over all connections; what the generator itself was late for is not caught
 * up beyond CREDIT_US. A connection that backs off is ready when it has recovered.
 */
export function createClosedLoop(
  job: LoadJob,
  schedule: Extract<Schedule, { kind: "closed" }>,
  options: LoopOptions,
): LoadLoop & { waker: Waker } {
  const { connections, accounts, time, guard, onFinished } = options;
  const pacer = makePacer(schedule) as ClosedPacer;
  const owned: { range_id: string; length: number }[] = [];
  let count = 0;
  const window_us = schedule.window_us ?? Infinity;
  const begin_us = job.warmup_us > 0 ? -job.warmup_us : 0;
  const paced = pacer.gap_us > 0;

  /** Free, and waiting for the rate or for the loop's next turn. */
  const ready = new ConnectionList();
  let waiting = 0;
  let taken = 0;
  let stopped = false;
  let begun = false;
  let start_offset_us = NaN;
  let last_allowed_us = -Infinity;

  function own(ranges: readonly Range[]): void {
    for (const range of ranges) {
      const length = rangeLength(range, schedule.slots);
      owned.push({ range_id: range.range_id, length });
      count += length;
    }
  }
  own(job.ranges);

  const waker = createWaker({ ...options.waker, time, activity: () => accounts.activity, onWake: turn });

  function over(now_us: number): boolean {
    return stopped || taken >= count || now_us >= window_us;
  }

  function turn(): void {
    let now_us = time.now();
    begun = true;
    if (Number.isNaN(start_offset_us) && now_us >= 0) start_offset_us = now_us;
    const may_send = guard.maySend(now_us);
    let wake_us = may_send ? window_us : Infinity;
    for (let sent = 0; may_send && waiting > 0 && !over(now_us); sent++) {
      const due_us = dueOf(ready.peek()!);
      if (due_us > now_us || sent === SENDS_PER_TURN) {
        wake_us = Math.min(due_us, window_us);
        break;
      }
      const connection = ready.shift()!;
      waiting--;
      last_allowed_us = now_us - due_us > Math.max(CREDIT_US, pacer.gap_us) ? now_us : due_us;
      send(connection, due_us);
      now_us = time.now();
    }
    waker.wakeAt(over(now_us) ? Infinity : Math.min(wake_us, guard.wakeBefore(now_us)));
    settle(now_us);
  }

  function dueOf(connection: Connection): number {
    return pacer.nextAllowedUs(last_allowed_us, Math.max(begin_us, connection.free_since_us));
  }

  function send(connection: Connection, due_us: number): void {
    if (due_us >= 0) taken++;
    accounts.scheduled(due_us);
    accounts.assign(connection, due_us);
  }

  function wait(connection: Connection): void {
    if (connection.list === null) waiting++;
    ready.push(connection);
  }

  /** The connection is free since `t_us`, and not backing off. */
  function next(connection: Connection, t_us: number): void {
    if (over(t_us)) {
      settle(t_us);
    } else if (paced) {
      wait(connection);
      if (waiting === 1) waker.wakeAt(Math.min(dueOf(connection), window_us, guard.wakeBefore(t_us)));
    } else if (!guard.maySend(t_us)) {
      wait(connection);
    } else {
      send(connection, t_us);
    }
  }

  function settle(now_us: number): void {
    if (!over(now_us) || accounts.in_flight > 0) return;
    waker.wakeAt(Infinity);
    onFinished();
  }

  return {
    waker,
    start() {
      for (const connection of connections) if (!connection.backing_off) wait(connection);
      guard.resume(time.now());
      waker.wakeAt(Math.min(begin_us, guard.wakeBefore(time.now())));
    },
    assign(ranges) {
      own(ranges);
      const now_us = time.now();
      for (const connection of connections) {
        if (connection.busy || connection.backing_off || connection.list !== null) continue;
        connection.free_since_us = now_us;
        wait(connection);
      }
      waker.wakeAt(now_us);
    },
    resume() {
      const now_us = time.now();
      guard.resume(now_us);
      waker.wakeAt(now_us);
    },
    stop() {
      stopped = true;
      settle(time.now());
    },
    progress() {
      let left = taken;
      return owned.map(({ range_id, length }) => {
        const of_range = Math.min(left, length);
        left -= of_range;
        return { range_id, taken: of_range };
      });
    },
    startOffset: () => (Number.isNaN(start_offset_us) ? 0 : start_offset_us),

    opened(_connection, connect_us, first) {
      accounts.connected(connect_us, first);
    },
    completed(connection, t_us) {
      accounts.completed(connection, t_us);
      next(connection, t_us);
    },
    failed(connection, t_us, kind, message) {
      accounts.failed(connection, t_us, kind, message);
      if (!connection.backing_off) next(connection, t_us);
      else settle(t_us);
    },
    lost(connection) {
      if (connection.list === null || !connection.backing_off) return;
      ready.remove(connection);
      waiting--;
    },
    recovered(connection) {
      if (begun) next(connection, connection.free_since_us);
      else wait(connection);
    },
  };
}
