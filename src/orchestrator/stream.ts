import type { NumberedEvent } from "../run/events.ts";
import { eventsSince, startCursor, type Cursor } from "../run/project.ts";
import type { SystemState } from "../run/state.ts";
import type { Archive } from "./archive.ts";
import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";

/**
 * The one stream of run events. Each run has one cursor that all listeners share; `seq` counts per run. A listener that
 * comes late takes `history` and then what comes live: history is told by an empty cursor, and numbered so that its last
 * event has the number of the last live one. What is live next follows on without a gap. A standby keeps the reports
 * and tells nothing.
 */
export interface Stream {
  /** Something may have changed: tells it soon. */
  changed(): void;
  /** Tells it now. */
  flush(): void;
  on(listener: (event: NumberedEvent) => void): () => void;
  history(test_id: string): NumberedEvent[];
  close(): void;
}

const SHORTEST_MS = 100;
const LONGEST_MS = 500;
/** Telling may take a tenth of the time. */
const REST = 10;

export function createStream(options: { state: SystemState; archive: Archive; clock: Clock; log: Log; leads: () => boolean }): Stream {
  const { state, archive, clock, log, leads } = options;
  const cursors = new Map<string, Cursor>();
  const listeners = new Set<(event: NumberedEvent) => void>();
  const told = new Set<string>();
  let next_ms = Number.NEGATIVE_INFINITY;
  let cancel: (() => void) | null = null;
  let closed = false;

  function changed(): void {
    if (cancel || closed) return;
    cancel = clock.after(Math.max(0, next_ms - clock.now_ms()), () => {
      cancel = null;
      pump();
    });
  }

  function pump(): void {
    const begun_ms = clock.now_ms();
    // The report is stored before anyone is told that it exists.
    guard(() => archive.settle());
    if (leads()) for (const test_id of state.runs.keys()) guard(() => tell(test_id));
    guard(() => archive.letGo());
    for (const test_id of cursors.keys()) if (!state.runs.has(test_id)) cursors.delete(test_id);
    const took_ms = clock.now_ms() - begun_ms;
    next_ms = begun_ms + Math.min(LONGEST_MS, Math.max(SHORTEST_MS, REST * took_ms));
  }

  function tell(test_id: string): void {
    let cursor = cursors.get(test_id);
    if (!cursor) {
      cursor = startCursor();
      cursors.set(test_id, cursor);
    }
    for (const event of eventsSince(state, test_id, cursor, clock.now_ms())) {
      for (const listener of [...listeners]) guard(() => listener(event));
    }
  }

  function guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (told.has(message)) return;
      told.add(message);
      log.error("telling_failed", { error: message }, `run events could not be told: ${message} (told once)`);
    }
  }

  return {
    changed,
    flush: pump,
    on: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    history: (test_id) => {
      pump();
      const events = eventsSince(state, test_id, startCursor(), clock.now_ms());
      const report = events.length === 0 ? archive.report(test_id) : null;
      if (report) return [{ seq: 1, event: { type: "ended", test_id, report } }];
      const before = (cursors.get(test_id)?.seq ?? events.length) - events.length;
      return events.map(({ seq, event }) => ({ seq: before + seq, event }));
    },
    close: () => {
      closed = true;
      cancel?.();
    },
  };
}
