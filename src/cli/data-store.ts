import { openStore, type Store } from "../orchestrator/store.ts";
import { prepareDataDir } from "./data-dir.ts";
import { couldNotRun, messageOf } from "./failure.ts";
import type { Log } from "./log.ts";

export interface OpenedStore {
  store: Store | null;
  /** Where it is; null: there is none. */
  path: string | null;
  /** Why there is none, though one was wanted. */
  problem: string | null;
}

/** The store of a process that can do without one. `given`: --data; `wanted`: false with --no-store. */
export function openLocalStore(given: string | undefined, wanted: boolean): OpenedStore {
  if (!wanted) return { store: null, path: null, problem: null };
  const { path, problem } = prepareDataDir(given);
  if (problem !== null) return { store: null, path: null, problem };
  try {
    return { store: openStore(path), path, problem: null };
  } catch (error) {
    return { store: null, path: null, problem: messageOf(error) };
  }
}

/** The same for a service: a folder that was named must work; without the user's own one it goes on. @throws {CliFailure} */
export function openServiceStore(given: string | undefined, wanted: boolean, log: Log): OpenedStore {
  const opened = openLocalStore(given, wanted);
  if (opened.problem === null) return opened;
  if (given !== undefined) throw couldNotRun("no_store", `--data: ${opened.problem}`);
  log.warn("no_store", {}, `nothing is stored: ${opened.problem}`);
  return opened;
}
