import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Topic } from "../../protocol/topics.ts";
import type { Bus, BusRecord, ReadFrom, Subscription } from "../bus.ts";

/** A log with nothing in it, reached by any number of buses. */
export interface ContractLog {
  connect(): Promise<Bus>;
  max_record_bytes: number;
  /** Forgets the records before an offset of partition 0. A string: why this log cannot be made to. */
  forget: ((topic: Topic, before: number) => Promise<void>) | string;
  close(): Promise<void>;
}

interface Reading {
  records: BusRecord[];
  lost: { partition: number; from: number; earliest: number }[];
  subscription: Subscription;
  values(): string[];
}

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (record: BusRecord) => (record.value === null ? null : new TextDecoder().decode(record.value));
const numbered = (name: string, count: number) => Array.from({ length: count }, (_, i) => `${name}-${i}`);

export async function readInto(bus: Bus, topic: Topic, from: ReadFrom, during?: (batch: BusRecord[]) => void): Promise<Reading> {
  const records: BusRecord[] = [];
  const lost: Reading["lost"] = [];
  const subscription = await bus.subscribe(topic, from, {
    onRecords(batch) {
      records.push(...batch);
      during?.(batch);
    },
    onOutOfRange: (range) => lost.push(range),
  });
  return { records, lost, subscription, values: () => records.map((record) => decode(record) ?? "") };
}

/** What every log promises. Both rooms run it: nothing that holds for one may fail for the other. */
export function busContract(name: string, open: () => Promise<ContractLog>): void {
  describe(name, () => {
    let log: ContractLog;
    let bus: Bus;
    const extra: Bus[] = [];

    async function another(): Promise<Bus> {
      const opened = await log.connect();
      extra.push(opened);
      return opened;
    }

    // Each test starts at what is then the end: a log on a broker is too dear to be opened anew for each.
    async function appendAll(topic: Topic, values: string[]): Promise<number[]> {
      return Promise.all(values.map((value) => bus.append(topic, encode(value))));
    }

    beforeAll(async () => {
      log = await open();
      bus = await log.connect();
    });
    afterAll(async () => {
      await Promise.all(extra.map((opened) => opened.close(0)));
      await bus?.close(0);
      await log?.close();
    });

    test("offsets count up by one, from the end", async () => {
      const [end = -1] = await bus.end("metrics");
      expect(await appendAll("metrics", numbered("o", 50))).toEqual(Array.from({ length: 50 }, (_, i) => end + i));
      expect(await bus.end("metrics")).toEqual([end + 50]);
      expect(await bus.append("metrics", encode("last"))).toBe(end + 50);
    });

    test("topics are apart", async () => {
      const before = await bus.end("trigger");
      await bus.append("register", encode("r"));
      expect(await bus.end("trigger")).toEqual(before);
    });

    test("a late subscriber replays everything in order, and reads its own bus's records", async () => {
      const values = numbered("replay", 2_500);
      const from = await bus.end("control");
      await appendAll("control", values);
      const reading = await readInto(bus, "control", from);
      await reading.subscription.caughtUp();
      expect(reading.values()).toEqual(values);
      expect(reading.records.map((record) => record.offset)).toEqual(values.map((_, i) => (from[0] ?? 0) + i));
      expect(reading.records.every((record) => record.topic === "control" && record.partition === 0)).toBe(true);
      expect(reading.subscription.position()).toEqual(await bus.end("control"));
      await reading.subscription.close();
    });

    test("earliest reads all that is kept", async () => {
      await bus.append("test_config", encode("first"));
      const reading = await readInto(bus, "test_config", "earliest");
      await reading.subscription.caughtUp();
      expect(reading.records[0]?.offset).toBe(0);
      expect(reading.records.length).toBe((await bus.end("test_config"))[0]);
    });

    test("end reads what comes from now on, and misses nothing of it", async () => {
      await bus.append("heartbeat", encode("before"));
      const other = await another();
      for (let i = 0; i < 5; i++) {
        const reading = await readInto(other, "heartbeat", "end");
        await bus.append("heartbeat", encode(`after-${i}`));
        await reading.subscription.caughtUp();
        expect(reading.values()).toEqual([`after-${i}`]);
        await reading.subscription.close();
      }
    });

    test("a position that names no partition is read from the earliest", async () => {
      await bus.append("trigger", encode("t"));
      const reading = await readInto(bus, "trigger", []);
      await reading.subscription.caughtUp();
      expect(reading.records.length).toBe((await bus.end("trigger"))[0]);
    });

    test("records come in a later turn, never inside append", async () => {
      let inside = false;
      const reading = await readInto(bus, "metrics", "end", () => expect(inside).toBe(false));
      inside = true;
      const appended = bus.append("metrics", encode("x"));
      inside = false;
      await appended;
      await reading.subscription.caughtUp();
      expect(reading.values()).toEqual(["x"]);
    });

    test("two subscribers of two buses each see everything; one that throws hurts only itself", async () => {
      const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
      const other = await another();
      const thrower = await readInto(bus, "metrics", "end", () => {
        throw new Error("a subscriber's bug");
      });
      const reading = await readInto(other, "metrics", "end");
      const values = numbered("two", 20);
      for (const value of values) await bus.append("metrics", encode(value));
      await Promise.all([reading.subscription.caughtUp(), thrower.subscription.caughtUp()]);
      expect(reading.values()).toEqual(values);
      expect(thrower.values()).toEqual(values);
      expect(warn).toHaveBeenCalledTimes(1);
      warn.mockRestore();
    });

    test("the bytes appended are those of the moment of the call", async () => {
      const reading = await readInto(bus, "register", "end");
      const bytes = encode("mine");
      const appended = bus.append("register", bytes);
      bytes.fill(0);
      await appended;
      await reading.subscription.caughtUp();
      expect(reading.values()).toEqual(["mine"]);
    });

    test("a record at the limit passes, one over it is refused, and others go on", async () => {
      const reading = await readInto(bus, "metrics", "end");
      const refused = bus.append("metrics", new Uint8Array(log.max_record_bytes + 1));
      const after = bus.append("metrics", new Uint8Array(log.max_record_bytes));
      await expect(refused).rejects.toMatchObject({ code: "record_too_large" });
      await after;
      await bus.append("metrics", new Uint8Array(0));
      await reading.subscription.caughtUp();
      expect(reading.records.map((record) => record.value?.length)).toEqual([log.max_record_bytes, 0]);
    });

    test("a position that is no longer kept is reported, and reading goes on at the earliest", async (context) => {
      const { forget } = log;
      if (typeof forget === "string") return context.skip(forget);
      const [first = 0] = await appendAll("register", numbered("old", 10));
      await forget("register", first + 6);
      const reading = await readInto(bus, "register", [first]);
      await reading.subscription.caughtUp();
      expect(reading.lost).toEqual([{ partition: 0, from: first, earliest: first + 6 }]);
      expect(reading.values()).toEqual(["old-6", "old-7", "old-8", "old-9"]);
    });

    test("a position beyond the end is reported too", async () => {
      const [end = 0] = await bus.end("test_config");
      const reading = await readInto(bus, "test_config", [end + 1_000]);
      await expect.poll(() => reading.lost.length, { timeout: 10_000 }).toBe(1);
      await reading.subscription.caughtUp();
      expect(reading.records.at(-1)?.offset).toBe(end - 1);
    });

    test("caughtUp with nothing to read resolves; a closed subscription delivers nothing", async () => {
      const reading = await readInto(bus, "trigger", "end");
      await reading.subscription.caughtUp();
      await reading.subscription.close();
      await reading.subscription.close();
      await bus.append("trigger", encode("late"));
      const witness = await readInto(bus, "trigger", [((await bus.end("trigger"))[0] ?? 1) - 1]);
      await witness.subscription.caughtUp();
      expect(witness.values()).toEqual(["late"]);
      expect(reading.values()).toEqual([]);
      await expect(reading.subscription.caughtUp()).rejects.toMatchObject({ code: "closed" });
    });

    test("a subscription may be closed from inside onRecords", async () => {
      const other = await another();
      const box: { reading?: Reading } = {};
      box.reading = await readInto(other, "trigger", "end", () => void box.reading?.subscription.close());
      await bus.append("trigger", encode("one"));
      await expect.poll(() => box.reading?.records.length, { timeout: 10_000 }).toBe(1);
      await bus.append("trigger", encode("two"));
      const witness = await readInto(other, "trigger", "earliest");
      await witness.subscription.caughtUp();
      expect(box.reading.records.length).toBe(1);
    });

    test("close while busy: every append settles, others are not touched", async () => {
      const busy = await another();
      const reading = await readInto(busy, "metrics", "end");
      const catching_up = reading.subscription.caughtUp().catch((error: unknown) => error);
      const appends = Promise.allSettled(numbered("busy", 200).map((value) => busy.append("metrics", encode(value))));
      await busy.close();
      const settled = await appends;
      const acknowledged = settled.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
      expect(acknowledged.length).toBe(200);
      await catching_up;
      expect(busy.status()).toEqual({ connected: false, reason: "closed" });
      await expect(busy.append("metrics", encode("x"))).rejects.toMatchObject({ code: "closed" });
      await expect(busy.end("metrics")).rejects.toMatchObject({ code: "closed" });
      await expect(busy.subscribe("metrics", "end", { onRecords() {} })).rejects.toMatchObject({ code: "closed" });
      expect(bus.status()).toEqual({ connected: true });
      const check = await readInto(bus, "metrics", [acknowledged[0] ?? 0]);
      await check.subscription.caughtUp();
      expect(check.values().slice(0, 200)).toEqual(numbered("busy", 200));
    });
  });
}
