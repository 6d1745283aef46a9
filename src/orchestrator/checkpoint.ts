import { memberKey, type Measured, type RunState, type SystemState } from "../run/state.ts";
import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";
import type { Reader } from "./reader.ts";
import { StoreError } from "./store-error.ts";

/** One second of a member, as it was folded. */
type SecondOf = Measured["rows"] extends Map<number, infer Second> ? Second : never;

/** What changed of a run's measurements since the last time, and how far the metrics were read. */
export interface CheckpointChange {
  test_id: string;
  /** Which config of that name: the log may have been made anew. */
  config: string;
  /** The next offset of each metrics partition. */
  position: readonly number[];
  members: readonly { key: string; state: Omit<Measured, "rows">; rows: readonly [t_s: number, second: SecondOf][] }[];
}

/** All that was folded of a run's metrics before `position`. */
export interface Checkpoint {
  position: readonly number[];
  members: Map<string, Measured>;
}

/** Where checkpoints are kept: beside the archive. */
export interface CheckpointStore {
  /** All of it or nothing; whatever is kept of other tests goes. @throws {StoreError} */
  saveCheckpoint(change: CheckpointChange): void;
  /** null: there is none of this config. @throws {StoreError} */
  checkpoint(test_id: string, config: string): Checkpoint | null;
  /** @throws {StoreError} */
  dropCheckpoints(): void;
}

const SHORTEST_MS = 5_000;
/** Saving may take a fiftieth of the time. */
const REST = 50;

function configKey(run: RunState): string {
  return `${run.config_offset} ${run.config.owner} ${run.config.at_ms}`;
}

/** What was kept of a run; a store that cannot be read is reported, and the log read instead. */
export function checkpointOf(store: CheckpointStore | null, run: RunState, log: Log): Checkpoint | null {
  try {
    return store?.checkpoint(run.test_id, configKey(run)) ?? null;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    log.error(error.code, {}, error.message);
    return null;
  }
}

/**
 * Keeps what was folded of the open run, so that a restart reads on from there instead of reading all the run again:
 *
 *     state = fold(all records) = fold(checkpoint, records from its position on)
 *
 * The log stays the authority: without a checkpoint the same state comes from the log alone, later. Only the leader
 * keeps them: a standby may share its folder.
 */
export function startCheckpoints(options: { reader: Reader; store: CheckpointStore; clock: Clock; log: Log; leads: () => boolean }): { close(): void } {
  const { reader, store, clock, log, leads } = options;
  let saved = new WeakSet<object>();
  let saved_test: string | null = null;
  let complained = false;
  let cancel = clock.after(SHORTEST_MS, tick);

  function tick(): void {
    const begun_ms = clock.now_ms();
    try {
      if (leads()) save(reader.state);
      else saved_test = null;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      // What was marked as saved was not.
      saved = new WeakSet();
      if (!complained) log.warn(error.code, {}, `no checkpoint could be kept: ${error.message} (told once; a restart reads the whole run)`);
      complained = true;
    }
    cancel = clock.after(Math.max(SHORTEST_MS, REST * (clock.now_ms() - begun_ms)), tick);
  }

  function save(state: SystemState): void {
    const run = state.current === null ? undefined : state.runs.get(state.current);
    const test_id = run?.trigger && !run.ended ? run.test_id : null;
    if (test_id !== saved_test) {
      saved = new WeakSet();
      if (test_id === null) store.dropCheckpoints();
      saved_test = test_id;
    }
    if (!run || test_id === null) return;
    const members = [...(state.measured.get(test_id)?.values() ?? [])].map(changeOf);
    store.saveCheckpoint({ test_id, config: configKey(run), position: reader.positions("metrics"), members });
  }

  // Whatever changes in a member is a new object: snapshots and seconds are replaced, never written to.
  function changeOf(member: Measured): CheckpointChange["members"][number] {
    const { rows, ...state } = member;
    const fresh = [...rows].filter(([, second]) => !saved.has(second));
    for (const [, second] of fresh) saved.add(second);
    return { key: memberKey(member.node_id, member.epoch), state, rows: fresh };
  }

  return { close: () => cancel() };
}
