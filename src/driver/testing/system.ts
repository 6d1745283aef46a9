import { createMemoryLog } from "../../bus/memory.ts";
import { decodeMessage, encodeMessage, type MessageOf, type OutgoingOf } from "../../protocol/codec.ts";
import type { DriverHeartbeat, ExtendedMetrics } from "../../protocol/messages.ts";
import { TOPICS, type Topic } from "../../protocol/topics.ts";
import { wireClock } from "../clock.ts";
import { startDriver, type Driver, type DriverOptions } from "../driver.ts";
import { createLeader, type Leader } from "./leader.ts";
import { recordingLog } from "./log.ts";

/** One log in memory, and whatever was said on it. */
export async function createSystem() {
  const log = createMemoryLog();
  const bus = log.connect();
  const clock = wireClock();
  const said: { [T in Topic]: { message: MessageOf[T]; offset: number }[] } = {
    register: [],
    test_config: [],
    trigger: [],
    metrics: [],
    heartbeat: [],
    control: [],
  };
  for (const topic of TOPICS) {
    await bus.subscribe(topic, "earliest", {
      onRecords: (records) => {
        for (const { value, offset } of records) {
          try {
            (said[topic] as unknown[]).push({ message: decodeMessage(topic, value), offset });
          } catch {
            // Rubbish is put there on purpose.
          }
        }
      },
    });
  }
  const drivers: Driver[] = [];
  const leader: Leader = createLeader(1, "leader", () => clock.now_ms());
  const put = <T extends Topic>(topic: T, message: OutgoingOf[T]) => bus.append(topic, encodeMessage(topic, message));

  const self = {
    bus,
    clock,
    said,
    leader,
    put,
    start(node_id: string, options: Partial<DriverOptions> = {}) {
      const driverLog = recordingLog();
      const driver = startDriver({
        bus: log.connect(),
        node_id,
        node_ip: "127.0.0.1",
        log: driverLog,
        warm: false,
        ...options,
      });
      drivers.push(driver);
      return { driver, log: driverLog };
    },
    beat: () =>
      put("heartbeat", {
        node_id: "leader",
        heartbeat: "YES",
        timestamp: clock.now_ms(),
        role: "orchestrator",
        term: 1,
        state: "leader",
      }),
    heartbeats: (node_id: string) =>
      said.heartbeat.map(({ message }) => message).filter((message): message is DriverHeartbeat => message.kind === "driver" && message.node_id === node_id),
    reports: (test_id: string, node_id?: string) =>
      said.metrics
        .map(({ message }) => message)
        .filter((message): message is ExtendedMetrics => {
          return message.kind === "snapshot" && message.test_id === test_id && (node_id === undefined || message.node_id === node_id);
        }),
    finals: (test_id: string) => self.reports(test_id).filter(({ final }) => final),
    isReady: (node_id: string, test_id: string) => self.heartbeats(node_id).at(-1)?.ready?.test_id === test_id,
    async close() {
      for (const driver of drivers) driver.kill();
      await Promise.all(drivers.map((driver) => driver.stopped));
      await bus.close();
    },
  };
  return self;
}

/** Waits until it is so. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const give_up_ms = performance.now() + 15_000;
  while (!condition()) {
    if (performance.now() > give_up_ms) throw new Error(`it did not come to this: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
