import { expect, test } from "vitest";
import { RETENTION_MS } from "../protocol/topics.ts";
import { createMemoryLog } from "./memory.ts";
import { busContract, readInto } from "./testing/contract.ts";

busContract("memory", async () => {
  const log = createMemoryLog({ max_record_bytes: 10_000 });
  const trimmer = log.connect();
  return {
    connect: async () => log.connect(),
    max_record_bytes: 10_000,
    forget: (topic, before) => trimmer.trim(topic, before),
    close: () => trimmer.close(),
  };
});

test("what a reader has not reached when it is trimmed is reported as lost", async () => {
  const bus = createMemoryLog().connect();
  const reading = await readInto(bus, "metrics", "earliest");
  for (let i = 0; i < 10; i++) void bus.append("metrics", new Uint8Array([i]));
  await bus.trim("metrics", 4);
  await reading.subscription.caughtUp();
  expect(reading.lost).toEqual([{ partition: 0, from: 0, earliest: 4 }]);
  expect(reading.records.map((record) => record.value?.[0])).toEqual([4, 5, 6, 7, 8, 9]);
});

test("records are forgotten after the topic's retention, control never", async () => {
  let now_ms = 0;
  const bus = createMemoryLog({ clock: () => now_ms }).connect();
  await bus.append("heartbeat", new Uint8Array(1));
  await bus.append("control", new Uint8Array(1));
  now_ms = RETENTION_MS.heartbeat + 1;
  await bus.append("heartbeat", new Uint8Array(1));
  await bus.append("control", new Uint8Array(1));
  const heartbeats = await readInto(bus, "heartbeat", "earliest");
  const control = await readInto(bus, "control", "earliest");
  await heartbeats.subscription.caughtUp();
  await control.subscription.caughtUp();
  expect(heartbeats.records.map(({ offset, timestamp_ms }) => ({ offset, timestamp_ms }))).toEqual([
    { offset: 1, timestamp_ms: now_ms },
  ]);
  expect(control.records.map((record) => record.offset)).toEqual([0, 1]);
});

test("memory holds only what was not trimmed", async () => {
  const bus = createMemoryLog().connect();
  let delivered = 0;
  const reading = await bus.subscribe("metrics", "end", { onRecords: (batch) => (delivered += batch.length) });
  for (let round = 0; round < 50; round++) {
    const offsets = await Promise.all(Array.from({ length: 2_000 }, () => bus.append("metrics", new Uint8Array(100))));
    await reading.caughtUp();
    await bus.trim("metrics", offsets.at(-1)!);
  }
  expect(delivered).toBe(100_000);
  const left = await readInto(bus, "metrics", "earliest");
  await left.subscription.caughtUp();
  expect(left.records.map((record) => record.offset)).toEqual([99_999]);
});
