import type { FailureKind } from "../metrics/snapshot.ts";
import type { Connection, ConnectionOwner } from "./connection.ts";
import type { PrepareResult } from "./engine.ts";

/** Connections being opened at once. */
const WAVE = 256;

export interface Preparation {
  /** Of the connections until they are handed over. */
  owner: ConnectionOwner;
  /** Resolves when every attempt has ended, or with what there is after `limit_ms`. */
  openAll(limit_ms: number): Promise<PrepareResult>;
  /** openAll, if it is under way, ends with what there is. */
  end(): void;
}

/**
 * Opens connections before a test, WAVE of them at once, and keeps them open until they are handed over. When none of
 * the first wave could be opened no more are tried.
 */
export function createPreparation(
  connections: readonly Connection[],
  connected: (connect_us: number, first: boolean) => void,
): Preparation {
  let tried = 0;
  let open = 0;
  let pending = 0;
  let failure: { kind: FailureKind; message: string } | null = null;
  let done: (() => void) | null = null;

  function more(): void {
    if (done === null) return;
    while (tried < connections.length && pending < WAVE && (open > 0 || tried < WAVE)) {
      pending++;
      connections[tried++]!.open();
    }
    if (pending === 0) done();
  }

  function attempted(): void {
    pending--;
    more();
  }

  const unexpected = (): never => {
    throw new Error("invariant: a request ended before the schedule was started");
  };

  const owner: ConnectionOwner = {
    opened(_connection, connect_us, first) {
      connected(connect_us, first);
      if (!first) return;
      open++;
      attempted();
    },
    lost(connection, kind, message) {
      if (!connection.backing_off) {
        connection.open();
        return;
      }
      if (connection.established_once) return;
      failure ??= { kind, message };
      attempted();
    },
    // What could not be kept open is opened when a request needs it.
    recovered() {},
    completed: unexpected,
    failed: unexpected,
  };

  return {
    owner,
    end() {
      done?.();
    },
    async openAll(limit_ms) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, limit_ms);
        done = () => {
          clearTimeout(timer);
          resolve();
        };
        more();
      });
      done = null;
      if (open > 0) return { ok: true, connected: open };
      return { ok: false, ...(failure ?? { kind: "connect_timeout", message: "no connection in time" }) };
    },
  };
}
