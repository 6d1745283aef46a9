import type { OpenSchedule } from "../plan/pacer.ts";
import { Backlog } from "./backlog.ts";
import { OPEN, type Connection } from "./connection.ts";
import { ConnectionList } from "./connection-list.ts";
import type { LoadJob } from "./engine.ts";
import { SENDS_PER_TURN, type LoadLoop, type LoopOptions } from "./loop.ts";
import { createSlotSource } from "./slots.ts";
import { createWaker, type Waker } from "./waker.ts";

/**
 * The open model: a slot is due at its moment whatever the target does. It goes to the connection that is idle longest,
 * else to one that is yet to be established, else it waits in the backlog, and the next connection that is free takes
 * the oldest. So no connection is idle while a slot waits.
 *
 *     slot due --> idle --> spare --> backlog --> dropped (full, or past the drain limit: window end + timeout)
 */
export function createOpenLoop(job: LoadJob, schedule: OpenSchedule, options: LoopOptions): LoadLoop & { waker: Waker } {
  const { connections, accounts, time, guard, onFinished } = options;
  const source = createSlotSource(schedule, job.ranges, job.warmup_us);
  const backlog = new Backlog(job.backlog);
  /** Established and free, the longest idle first. */
  const idle = new ConnectionList();
  /** Free, but still connecting or closed: a request given to one of them is sent when it is established. */
  const spare = new ConnectionList();
  const drain_limit_us = schedule.window_us + job.timeout_us;
  let start_offset_us = NaN;

  const waker = createWaker({ ...options.waker, time, activity: () => accounts.activity, onWake: turn });

  function turn(): void {
    let now_us = time.now();
    if (Number.isNaN(start_offset_us) && now_us >= 0) start_offset_us = now_us;
    const may_send = guard.maySend(now_us);
    for (let taken = 0; may_send && taken < SENDS_PER_TURN && source.next_us <= now_us; taken++) {
      const due_us = source.next_us;
      source.take();
      accounts.scheduled(due_us);
      offer(due_us, now_us);
      now_us = time.now();
    }
    if (now_us >= drain_limit_us) dropWaiting();
    sleep(may_send);
    settle();
  }

  function sleep(may_send: boolean): void {
    const zero_us = Number.isNaN(start_offset_us) ? 0 : Infinity;
    const drain_us = backlog.length > 0 ? drain_limit_us : Infinity;
    const next_us = may_send ? source.next_us : Infinity;
    const guard_us = over() ? Infinity : guard.wakeBefore(time.now());
    waker.wakeAt(Math.min(next_us, zero_us, drain_us, guard_us));
  }

  function offer(due_us: number, now_us: number): void {
    if (now_us >= drain_limit_us) {
      accounts.dropped(due_us);
      return;
    }
    const connection = idle.shift() ?? spare.shift();
    if (connection !== null) {
      accounts.assign(connection, due_us);
    } else if (backlog.push(due_us)) {
      accounts.foundNoneFree(due_us, backlog.length);
    } else {
      accounts.foundNoneFree(due_us, null);
      accounts.dropped(due_us);
    }
  }

  function dropWaiting(): void {
    while (backlog.length > 0) accounts.dropped(backlog.shift());
  }

  /** Nothing is to be sent any more. */
  function over(): boolean {
    return source.next_us === Infinity && backlog.length === 0;
  }

  function settle(): void {
    if (!over() || accounts.in_flight > 0 || Number.isNaN(start_offset_us)) return;
    waker.wakeAt(Infinity);
    onFinished();
  }

  /** A connection without a request, and not backing off: it takes the oldest that waits, or waits for one itself. */
  function free(connection: Connection, t_us: number): void {
    if (backlog.length > 0 && guard.maySend(t_us)) accounts.assign(connection, backlog.shift());
    else if (connection.state === OPEN) idle.push(connection);
    else {
      spare.push(connection);
      if (!over()) connection.open();
    }
  }

  return {
    waker,
    start() {
      for (const connection of connections) {
        if (connection.state === OPEN) idle.push(connection);
        else if (!connection.backing_off) spare.push(connection);
      }
      const first_us = Math.min(source.next_us, 0);
      guard.resume(time.now());
      waker.wakeAt(Math.min(first_us, guard.wakeBefore(time.now())));
    },
    assign(ranges) {
      const now_us = time.now();
      source.add(ranges, now_us, (due_us) => {
        accounts.scheduled(due_us);
        accounts.dropped(due_us);
      });
      waker.wakeAt(now_us);
    },
    resume() {
      const now_us = time.now();
      guard.resume(now_us);
      while (backlog.length > 0) {
        const connection = idle.shift() ?? spare.shift();
        if (connection === null) break;
        accounts.assign(connection, backlog.shift());
      }
      waker.wakeAt(now_us);
    },
    stop() {
      source.close();
      dropWaiting();
      if (Number.isNaN(start_offset_us)) start_offset_us = 0;
      settle();
    },
    progress: () => source.progress(),
    startOffset: () => (Number.isNaN(start_offset_us) ? 0 : start_offset_us),

    opened(connection, connect_us, first) {
      accounts.connected(connect_us, first);
      if (!connection.busy) free(connection, time.now());
    },
    completed(connection, t_us) {
      accounts.completed(connection, t_us);
      free(connection, t_us);
      if (accounts.in_flight === 0) settle();
    },
    failed(connection, t_us, kind, message) {
      accounts.failed(connection, t_us, kind, message);
      if (!connection.backing_off) free(connection, t_us);
      if (accounts.in_flight === 0) settle();
    },
    lost(connection) {
      if (connection.backing_off) (connection.list as ConnectionList | null)?.remove(connection);
      else free(connection, time.now());
    },
    recovered(connection) {
      if (backlog.length > 0 && guard.maySend(time.now())) accounts.assign(connection, backlog.shift());
      else spare.push(connection);
    },
  };
}
