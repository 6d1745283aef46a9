// The one target that every generator is measured against: the test target in a process of its own, which hands over
// exactly what it counted and when each request came.
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { startTarget } from "../../src/target/target.ts";

type Order = "reset" | "record" | "count" | "read";
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
  /** How many requests it has received until now. */
  received(): Promise<number>;
  read(): Promise<Reading>;
  close(): Promise<void>;
}

if (process.argv[2] === "fixture") await serve();

async function serve(): Promise<void> {
  const target = await startTarget();
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
    target.setBehaviour({ record_arrivals: order === "record" });
    process.send?.("done");
  });
  process.send?.(target.url);
}

export async function startFixture(): Promise<Fixture> {
  const child: ChildProcess = fork(import.meta.filename, ["fixture"], { serialization: "advanced" });
  const [url] = (await once(child, "message")) as [string];
  const ask = async (order: Order): Promise<unknown> => {
    child.send(order);
    const [answer] = (await once(child, "message")) as [unknown];
    return answer;
  };
  return {
    url: `${url}/ping`,
    pid: child.pid!,
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
