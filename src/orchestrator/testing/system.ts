import { createMemoryLog, type MemoryLog } from "../../bus/memory.ts";
import type { Bus } from "../../bus/bus.ts";
import type { Snapshot } from "../../metrics/snapshot.ts";
import { parsePlan, type Plan, type PlanInput } from "../../plan/plan.ts";
import { decodeMessage, encodeMessage, type OutgoingOf } from "../../protocol/codec.ts";
import type { Control } from "../../protocol/control.ts";
import type { EndReason } from "../../protocol/messages.ts";
import { toEntry } from "../../run/entry.ts";
import { answered, measuring } from "../../run/testing/log.ts";
import { every } from "../clock.ts";
import type { Log } from "../log.ts";
import { startOrchestrator, type Orchestrator, type OrchestratorOptions } from "../orchestrator.ts";
import type { Store } from "../store.ts";
import { manualClock, type ManualClock } from "./clock.ts";

export interface Logged {
  level: "info" | "warn" | "error";
  code: string;
  message: string;
}

/** A system on a log in memory, with a clock that the test moves. */
export interface TestSystem {
  clock: ManualClock;
  memory: MemoryLog;
  bus: Bus;
  logged: Logged[];
  log: Log;
  /** Moves the clock until it is done. */
  within<T>(work: Promise<T>, limit_ms?: number): Promise<T>;
  orchestrate(options?: Partial<OrchestratorOptions> & { store?: Store | null }): Promise<Orchestrator>;
  drivers(...node_ids: string[]): Promise<FakeDriver[]>;
  plan(input?: Partial<PlanInput>): Plan;
  /** Everything on control, in order. */
  control(): Promise<Control[]>;
  close(): Promise<void>;
}

export function testSystem(): TestSystem {
  const clock = manualClock();
  const memory = createMemoryLog({ clock: () => clock.now_ms() });
  const bus = memory.connect();
  const logged: Logged[] = [];
  const at = (level: Logged["level"]) => (code: string, _fields: object, message: string) => void logged.push({ level, code, message });
  const log = { info: at("info"), warn: at("warn"), error: at("error") };
  const drivers: FakeDriver[] = [];

  async function within<T>(work: Promise<T>, limit_ms = 30_000): Promise<T> {
    let done = false;
    const settled = work.finally(() => (done = true));
    settled.catch(() => {});
    for (let passed = 0; !done && passed < limit_ms; passed += 50) await clock.advance(50);
    if (!done) throw new Error(`not done within ${limit_ms} ms`);
    return settled;
  }

  return {
    clock,
    memory,
    bus,
    logged,
    log,
    within,
    orchestrate: ({ node_id = "orchestrator-1", store = null, ...rest } = {}) =>
      within(startOrchestrator({ bus: memory.connect(), node_id, store, log, clock, ...rest })),
    drivers: async (...node_ids) => {
      const fresh = await Promise.all(node_ids.map((node_id) => fakeDriver(memory.connect(), clock, node_id)));
      drivers.push(...fresh);
      await clock.advance(100);
      return fresh;
    },
    plan: (input = {}) => parsePlan({ target: { url: "http://127.0.0.1:9/ping" }, rate_rps: 10, duration_s: 2, ...input }),
    control: async () => {
      const commands: Control[] = [];
      const reading = await memory.connect().subscribe("control", "earliest", {
        onRecords: (records) => records.forEach(({ value }) => commands.push(decodeMessage("control", value))),
      });
      await reading.caughtUp();
      await reading.close();
      return commands;
    },
    close: async () => {
      for (const driver of drivers) driver.die();
    },
  };
}

/** The other side: a driver as the protocol knows it, that measures what the test says. */
export interface FakeDriver {
  readonly node_id: string;
  readonly bus: Bus;
  epoch: number;
  /** What it answers to a config: ready, nothing, or a refusal. */
  answer: "ready" | "silence" | { code: string; message: string };
  commands: Control[];
  /** A snapshot in which `requests` of its slots were sent and answered after 5 ms each. */
  report: (test_id: string, requests: number, options?: Reported) => Promise<void>;
  beat(): void;
  die(): void;
}

interface Reported {
  final?: boolean;
  end_reason?: EndReason;
  /** Replaces what was measured. */
  snapshot?: Partial<Snapshot>;
}

async function fakeDriver(bus: Bus, clock: ManualClock, node_id: string): Promise<FakeDriver> {
  let ready: { test_id: string; config_offset: number; epoch: number } | null = null;
  let refused: { test_id: string; config_offset: number; code: string; message: string } | null = null;
  let running = false;
  let seq = 0;
  const message_type = "DRIVER_NODE_REGISTER";
  const epoch = await bus.append("register", encodeMessage("register", { node_id, node_ip: "127.0.0.1", message_type, v: 1, boot_id: `${node_id}-1` }));

  const self: FakeDriver = {
    node_id,
    bus,
    epoch,
    answer: "ready",
    commands: [],
    beat,
    report,
    die: () => {
      stop();
      void bus.close();
    },
  };

  function beat(): void {
    const state = running ? "running" : ready ? "ready" : "idle";
    const clock_ms = clock.now_ms();
    void bus.append(
      "heartbeat",
      encodeMessage("heartbeat", {
        node_id,
        heartbeat: "YES",
        timestamp: clock_ms,
        role: "driver",
        epoch,
        state,
        test_id: ready?.test_id ?? null,
        ready,
        refused,
        clock: null,
        health: {},
      }),
    );
  }

  function obey(command: Control, offset: number): void {
    self.commands.push(command);
    if (command.type === "config" && command.members.some((member) => member.node_id === node_id)) {
      ready = null;
      refused = null;
      const named = { test_id: command.test_id, config_offset: offset };
      if (self.answer === "ready") ready = { ...named, epoch };
      else if (self.answer !== "silence") refused = { ...named, ...self.answer };
      beat();
    }
    if (command.type === "trigger") running = true;
    if (command.type === "ended") {
      running = false;
      ready = null;
    }
  }

  async function report(test_id: string, requests: number, reported: Reported = {}): Promise<void> {
    const { final = false, end_reason = "schedule", snapshot = {} } = reported;
    const measured = measuring(2_000_000);
    for (let i = 0; i < requests; i++) answered(measured.recorder, i * 100_000, 5_000);
    const nothing = { mean_latency: null, median_latency: null, min_latency: null, max_latency: null, mode_latency: null };
    const message: OutgoingOf["metrics"] = {
      node_id,
      test_id,
      report_id: `${node_id}-${seq}`,
      metrics: nothing,
      v: 1,
      epoch,
      seq: seq++,
      final,
      revision: 1,
      ...(final && { end_reason }),
      ...measured.snapshot(requests * 100_000),
      ...snapshot,
    };
    await bus.append("metrics", encodeMessage("metrics", message));
  }

  await bus.subscribe("control", "earliest", {
    onRecords: (records) => {
      for (const record of records) {
        const entry = toEntry(record, clock.now_ms());
        if (!("rejected" in entry) && entry.topic === "control") obey(entry.message, entry.offset);
      }
    },
  });
  const stop = every(clock, 1_000, beat);
  beat();
  return self;
}
