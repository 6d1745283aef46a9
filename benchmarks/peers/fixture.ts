// The one target that every generator is measured against: the test target in a process of its own, which hands over
// exactly what it counted and when each request came.
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { startTarget } from "../../src/target/target.ts";
import { TEST_CERTIFICATE } from "../../src/target/testing/certificate.ts";

type Order = "reset" | "record" | "stall" | "count" | "read";
interface Reading {
  received: number;
  /** performance.now() of the target (ms) at each request's arrival; empty unless recording. */
  arrivals_ms: Float64Array;
}

export interface Fixture {
  url: string;
  pid: number;
  /** Counts and arrivals begin anew; arrivals are kept if `record`. */
  reset(record: boolean): Promise<void>;
  /** The same, and it stalls once (STALL, from the first request on) until the next reset. */
  stall(): Promise<void>;
  /** How many requests it has received until now. */
  received(): Promise<number>;
  read(): Promise<Reading>;
  close(): Promise<void>;
}

/** The stall that a target has when asked for one. */
export const STALL = { at_ms: 2000, for_ms: 1000 };
/** All that the target with TLS speaks, so that every generator has the same. */
export const TLS = { minVersion: "TLSv1.3", ciphers: "TLS_AES_256_GCM_SHA384" } as const;

if (process.argv[2] === "fixture") await serve(process.argv[3] === "tls");

async function serve(secure: boolean): Promise<void> {
  const target = await startTarget(secure ? { tls: { ...TEST_CERTIFICATE, ...TLS } } : {});
  process.on("disconnect", () => process.exit());
  process.on("message", (order: Order) => {
    if (order === "read") {
      const arrivals_ms = Float64Array.from(target.arrivals_ms());
      process.send?.({ received: target.counters().requests_received, arrivals_ms } satisfies Reading);
      return;
    }
    if (order === "count") {
      process.send?.(target.counters().requests_received);
      return;
    }
    target.reset();
    target.setBehaviour({ record_arrivals: order === "record", stall: order === "stall" ? STALL : null });
    process.send?.("done");
  });
  process.send?.(target.url);
}

export async function startFixture(protocol: "http" | "tls" = "http"): Promise<Fixture> {
  const child: ChildProcess = fork(import.meta.filename, ["fixture", protocol], { serialization: "advanced" });
  const [url] = (await once(child, "message")) as [string];
  const ask = async (order: Order): Promise<unknown> => {
    child.send(order);
    const [answer] = (await once(child, "message")) as [unknown];
    return answer;
  };
  return {
    url: `${url}/ping`,
    pid: child.pid!,
    stall: async () => void (await ask("stall")),
    reset: async (record) => void (await ask(record ? "record" : "reset")),
    received: async () => (await ask("count")) as number,
    read: async () => (await ask("read")) as Reading,
    close: async () => {
      const exited = once(child, "exit");
      child.disconnect();
      await exited;
    },
  };
}
