// Onrush beside other implementations, over a real broker: each side once in plain common format, played by a client
// that knows nothing of Onrush.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Report } from "../../src/run/report-schema.ts";
import { startTarget, type Target } from "../../src/target/target.ts";
import { onrush, type OnrushProcess } from "../onrush-process.ts";
import { describeKafka, sharedBrokers, uniquePrefix } from "./broker.ts";
import { connectPlain, type Heard, type PlainClient } from "./plain-client.ts";

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

async function kill(processes: (OnrushProcess | undefined)[]): Promise<void> {
  for (const one of processes) one?.child.kill("SIGKILL");
  for (const one of processes) await one?.ended;
}

describeKafka("an orchestrator in plain common format", () => {
  const prefix = uniquePrefix();
  const topics = (...names: string[]) => names.map((name) => prefix + name);
  let data: string;
  let target: Target;
  let plain: PlainClient;
  let given: OnrushProcess;
  let own: OnrushProcess;

  beforeAll(async () => {
    const brokers = await sharedBrokers();
    data = await mkdtemp(join(tmpdir(), "onrush-common-"));
    target = await startTarget({ record_arrivals: true });
    const args = ["driver", "--topic-prefix", prefix, "--data", data];
    given = onrush([...args, "--id", "given", "--kafka", brokers]);
    await given.says(/started/);
    // As a fleet of the field starts its drivers: by variables, with a target of their own.
    const env = { KAFKA_IP: brokers, ORCHESTRATOR_IP: "127.0.0.1:1", TARGET_URL: `${target.url}/ping?own` };
    own = onrush([...args.slice(0, -1), join(data, "own"), "--id", "own"], env);
    await own.says(/started/);
    plain = await connectPlain(brokers, topics("register", "heartbeat", "metrics"));
  });

  afterAll(async () => {
    await plain?.close();
    await kill([given, own]);
    await target?.close();
    if (data) await rm(data, { recursive: true, force: true });
  });

  beforeEach(() => target.reset());

  const of = (topic: string) => plain.heard(prefix + topic).map(({ value }) => value);
  const config = (test_id: string, rest: object) => plain.say(`${prefix}test_config`, { test_id, ...rest });
  const trigger = (test_id: string, rest: object = {}) => plain.say(`${prefix}trigger`, { test_id, trigger: "YES", ...rest });
  const finals = (test_id: string, node_id: string) =>
    of("metrics").filter((record) => record["test_id"] === test_id && record["node_id"] === node_id && record["final"] === true);
  const ended = (test_id: string, nodes: string[], copies = 1) =>
    until(() => nodes.every((node_id) => finals(test_id, node_id).length >= copies));

  test("sees its drivers register and beat in the common fields", async () => {
    await until(() => of("register").length === 2 && of("heartbeat").length >= 4);
    expect(of("register").map((record) => record["node_id"]).sort()).toEqual(["given", "own"]);
    for (const record of of("register")) {
      expect(record).toMatchObject({ node_IP: expect.stringMatching(/^\d+(\.\d+){3}$/), message_type: "DRIVER_NODE_REGISTER" });
    }
    for (const record of of("heartbeat")) {
      expect(record).toMatchObject({ heartbeat: "YES", timestamp: expect.any(Number) });
    }
  });

  test("TSUNAMI with a delay: the exact count, on schedule, and a summary under the common names", async () => {
    await plain.say(`${prefix}test_config`, "no JSON");
    await plain.say(`${prefix}trigger`, { test_id: {}, trigger: "YES" });
    await config("tsunami", { test_type: "TSUNAMI", test_message_delay: "10", message_count_per_driver: "100", test_server: `${target.url}/ping`, more: [1] });
    await trigger("tsunami");
    await ended("tsunami", ["given", "own"], 3);
    expect(target.counters().requests_received).toBe(200);
    const arrivals = target.arrivals_ms();
    expect(arrivals.at(-1)! - arrivals[0]!).toBeGreaterThan(980);
    for (const node_id of ["given", "own"]) {
      const copies = finals("tsunami", node_id);
      expect(copies).toHaveLength(3);
      expect(Object.keys(copies[0]!).slice(0, 4)).toEqual(["node_id", "test_id", "report_id", "metrics"]);
      expect(copies[0]).toMatchObject({ counts: { scheduled: 100, sent: 100, ok: 100, dropped: 0 }, response: { count: 100 } });
      const { mean_latency, median_latency, min_latency, max_latency } = copies[0]!["metrics"] as Record<string, number>;
      expect(min_latency).toBeGreaterThan(0);
      for (const middle of [mean_latency!, median_latency!]) {
        expect(middle).toBeGreaterThanOrEqual(min_latency!);
        expect(middle).toBeLessThanOrEqual(max_latency!);
      }
    }
    const [{ report_id, metrics }] = finals("tsunami", "given") as [Record<string, unknown>];
    process.stdout.write(`plain TSUNAMI: 2 drivers x 100 requests, target counted 200; metrics ${JSON.stringify({ node_id: "given", test_id: "tsunami", report_id, metrics })}\n`);
  });

  test("AVALANCHE: the exact count", async () => {
    await config("avalanche", { test_type: "avalanche", test_message_delay: 0, message_count_per_driver: 1_000, test_server: `${target.url}/ping` });
    await trigger("avalanche");
    await ended("avalanche", ["given", "own"]);
    expect(target.counters()).toMatchObject({ requests_received: 2_000, by_path: { "/ping": 2_000 } });
    expect(finals("avalanche", "own")[0]).toMatchObject({ counts: { sent: 1_000, ok: 1_000 } });
    process.stdout.write("plain AVALANCHE: 2 drivers x 1,000 requests, target counted 2,000\n");
  });

  test("each test_id runs once, and copies with a term not at all", async () => {
    const again = { test_type: "AVALANCHE", test_message_delay: 0, message_count_per_driver: 50, test_server: `${target.url}/ping?again` };
    await trigger("avalanche");
    await config("avalanche", again);
    await trigger("avalanche");
    await config("copy", { ...again, term: 1 });
    await trigger("copy", { term: 1 });
    // What comes after them on the same topics is obeyed: so they were read, and ignored.
    await config("after", { ...again, message_count_per_driver: 5, test_server: `${target.url}/ping?after` });
    await trigger("after");
    await ended("after", ["given", "own"]);
    expect(target.counters().requests_received).toBe(10);
    expect(given.stderr()).toMatch(/a test_config of avalanche is not obeyed: its test_id was used before/);
    expect(given.stderr()).not.toMatch(/copy/);
    expect(of("metrics").filter((record) => record["test_id"] === "copy")).toEqual([]);
    process.stdout.write("repeated config and trigger of a known test_id, copies with term: 0 more requests\n");
  });

  test("without test_server the target is the driver's own TARGET_URL", async () => {
    await config("own-target", { test_type: "AVALANCHE", test_message_delay: 0, message_count_per_driver: 40 });
    await trigger("own-target");
    await ended("own-target", ["own"]);
    expect(target.counters().requests_received).toBe(40);
    await given.says(/own-target names no test_server; start this driver with --target URL/);
    expect(finals("own-target", "given")).toEqual([]);
    process.stdout.write("plain config without test_server: 40 requests to TARGET_URL, refused by the driver without one\n");
  });
});

/** A driver that knows the common format only: it obeys the copies, sends its requests, and tells a summary. */
class PlainDriver {
  readonly configs: Heard[] = [];
  readonly triggers: Heard[] = [];
  readonly node_id: string;
  private readonly topic: (name: string) => string;
  private readonly reports: boolean;
  private client: PlainClient | null = null;
  private begun_ms = Infinity;
  private beating: NodeJS.Timeout | undefined;

  constructor(node_id: string, topic: (name: string) => string, options: { reports: boolean }) {
    this.node_id = node_id;
    this.topic = topic;
    this.reports = options.reports;
  }

  async start(brokers: string, heartbeat_ms: number): Promise<void> {
    this.begun_ms = Date.now();
    const topics = [this.topic("test_config"), this.topic("trigger")];
    this.client = await connectPlain(brokers, topics, (record) => void this.hear(record));
    await this.client.say(this.topic("register"), { node_id: this.node_id, node_ip: "127.0.0.9", message_type: "DRIVER_NODE_REGISTER" });
    const beat = () => this.client!.say(this.topic("heartbeat"), { node_id: this.node_id, heartbeat: "YES", timestamp: new Date().toISOString() });
    await beat();
    this.beating = setInterval(() => void beat(), heartbeat_ms);
  }

  silence(): void {
    clearInterval(this.beating);
  }

  async stop(): Promise<void> {
    this.silence();
    await this.client?.close();
  }

  private async hear(record: Heard): Promise<void> {
    if (record.timestamp_ms < this.begun_ms) return;
    if (record.topic === this.topic("test_config")) this.configs.push(record);
    else {
      this.triggers.push(record);
      await this.obey(record.value["test_id"]);
    }
  }

  private async obey(test_id: unknown): Promise<void> {
    const config = this.configs.find(({ value }) => value["test_id"] === test_id)?.value;
    if (!config) return;
    if (!this.reports) return this.silence();
    for (let i = 0; i < Number(config["message_count_per_driver"]); i++) await (await fetch(config["test_server"] as string)).text();
    const metrics = { mean_latency: "1.5ms", median_latency: "", min_latency: "563.3µs", max_latency: "2s" };
    await this.client!.say(this.topic("metrics"), { node_id: this.node_id, test_id, report_id: "1", metrics: { ...metrics, mean_latency: "1.2" } });
    await this.client!.say(this.topic("metrics"), { node_id: this.node_id, test_id, report_id: "2", metrics });
  }
}

describeKafka("drivers in plain common format", () => {
  const prefix = uniquePrefix();
  const fleet = `${prefix}fleet-register`;
  const topic = (name: string) => (name === "register" ? fleet : prefix + name);
  const four = new PlainDriver("plain-4s", topic, { reports: true });
  const dying = new PlainDriver("plain-dying", topic, { reports: false });
  let data: string;
  let brokers: string;
  let target: Target;
  let orchestrator: OnrushProcess;
  let driver: OnrushProcess;
  let url: string;

  beforeAll(async () => {
    brokers = await sharedBrokers();
    data = await mkdtemp(join(tmpdir(), "onrush-plain-"));
    target = await startTarget();
    const common = ["--kafka", brokers, "--topic-prefix", prefix, "--topic", `register=${fleet}`];
    orchestrator = onrush(["orchestrator", ...common, "--listen", "127.0.0.1:0", "--data", join(data, "orchestrator")]);
    await orchestrator.says(/listening: http/);
    url = /listening: (http:\S+)/.exec(orchestrator.stdout())![1]!;
    driver = onrush(["driver", ...common, "--id", "real", "--data", join(data, "real")]);
    await Promise.all([driver.says(/started/), four.start(brokers, 4_000)]);
    await until(async () => (await nodes()).filter(({ state }) => state === "idle").length === 2);
  });

  afterAll(async () => {
    await four.stop();
    await dying.stop();
    await kill([driver, orchestrator]);
    await target?.close();
    if (data) await rm(data, { recursive: true, force: true });
  });

  beforeEach(() => target.reset());

  async function nodes(): Promise<{ node_id: string; node_ip: string; state: string; foreign: boolean }[]> {
    return ((await (await fetch(`${url}/nodes`)).json()) as { nodes: Awaited<ReturnType<typeof nodes>> }).nodes;
  }

  async function post(path: string, body?: object): Promise<{ status: number; body: Record<string, unknown> }> {
    const init = body && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const response = await fetch(url + path, { method: "POST", ...init });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  async function runTest(body: object): Promise<{ report: Report; start_at: number }> {
    const created = await post("/tests", body);
    expect(created.status, JSON.stringify(created.body)).toBe(201);
    const { test_id } = created.body as { test_id: string };
    const triggered = await post(`/tests/${test_id}/trigger`);
    expect(triggered.status, JSON.stringify(triggered.body)).toBe(200);
    await until(async () => (await fetch(`${url}/tests/${test_id}/report`)).status === 200);
    const report = (await (await fetch(`${url}/tests/${test_id}/report`)).json()) as Report;
    return { report, start_at: triggered.body["start_at"] as number };
  }

  test("one with a heartbeat each 4 s works beside a driver of Onrush: copies, its summary, an honest unknown", { timeout: 60_000 }, async () => {
    expect(await nodes()).toMatchObject([
      { node_id: "plain-4s", node_ip: "127.0.0.9", foreign: true },
      { node_id: "real", foreign: false },
    ]);
    const test_server = `${target.url}/ping`;
    const { report, start_at } = await runTest({ test_type: "TSUNAMI", test_message_delay: "20", message_count_per_driver: "50", test_server });

    const { test_id } = report;
    expect(four.configs.map(({ value }) => value)).toEqual([
      { test_id, test_type: "TSUNAMI", test_message_delay: 20, message_count_per_driver: 50, test_server, term: 1 },
    ]);
    expect(four.triggers.map(({ value }) => value)).toEqual([{ test_id, trigger: "YES", term: 1 }]);
    expect(four.triggers[0]!.timestamp_ms).toBeGreaterThanOrEqual(start_at);

    expect(target.counters().requests_received).toBe(100);
    expect(report.bugs).toEqual([]);
    expect(report.totals).toMatchObject({ planned: 100, sent: 100, ok: 50, unknown: 50, dropped: 0, never_sent: 0 });
    expect(report.latency.response.count).toBe(50);
    expect([report.status, report.complete]).toEqual(["completed", false]);
    expect(report.incomplete_reasons).toEqual([{ node_id: "plain-4s", reason: "foreign_summary" }]);
    const row = report.nodes.find(({ node_id }) => node_id === "plain-4s")!;
    expect(row).toMatchObject({ state: "finished", foreign: true, source: "summary", totals: { planned: 50, unknown: 50, ok: 0 } });
    expect(row.latency.response).toMatchObject({ count: 0, min_ms: 0.563, mean_ms: 1.5, median_ms: null, max_ms: 2000, mode_ms: null });
    expect(report.nodes.find(({ node_id }) => node_id === "real")).toMatchObject({
      state: "finished",
      source: "histogram",
      totals: { planned: 50, sent: 50, ok: 50, unknown: 0 },
      latency: { response: { count: 50 } },
    });
    const late_ms = four.triggers[0]!.timestamp_ms - start_at;
    process.stdout.write(
      `foreign + own, 50 each: target 100; ok ${report.totals.ok}, unknown ${report.totals.unknown}; trigger copy ${late_ms} ms after start_at; row ${JSON.stringify({ state: row.state, source: row.source, min_ms: 0.563, mean_ms: row.latency.response.mean_ms, max_ms: row.latency.response.max_ms })}\n`,
    );
  });

  test("one that falls silent is lost, and its share unknown", { timeout: 60_000 }, async () => {
    await dying.start(brokers, 1_000);
    await until(async () => (await nodes()).some(({ node_id, state }) => node_id === "plain-dying" && state === "idle"));
    // In the common format every plain driver obeys every test, so none is left out.
    const { report } = await runTest({ target: { url: `${target.url}/ping` }, delay_ms: 20, requests: 30 });
    expect(report.bugs).toEqual([]);
    expect(dying.triggers).toHaveLength(1);
    expect(target.counters().requests_received).toBe(60);
    expect(report.totals).toMatchObject({ planned: 90, ok: 30, unknown: 60 });
    expect(report.complete).toBe(false);
    const row = report.nodes.find(({ node_id }) => node_id === "plain-dying")!;
    expect(row).toMatchObject({ state: "lost", source: "summary", totals: { planned: 30, unknown: 30 } });
    expect(report.nodes.filter(({ node_id }) => node_id !== "plain-dying").map(({ state }) => state)).toEqual(["finished", "finished"]);
    expect((await nodes()).find(({ node_id }) => node_id === "plain-dying")?.state).toBe("lost");
    process.stdout.write(`foreign driver silent from its start on (1 s heartbeats): lost after ${row.lost_at} s, its 30 unknown\n`);
  });

  describe("an avalanche by duration", () => {
    const plan = () => ({ target: { url: `${target.url}/ping` }, type: "avalanche", duration_s: 0.3, connections: 2 });

    test("is refused when it names one", async () => {
      const { status, body } = await post("/tests", { ...plan(), drivers: ["plain-4s"] });
      expect([status, body]).toMatchObject([409, { error: { code: "foreign_needs_count", message: expect.stringContaining("requests") } }]);
    });

    test("else leaves it out", async () => {
      const { report } = await runTest(plan());
      expect([report.complete, report.nodes.map(({ node_id }) => node_id)]).toEqual([true, ["real"]]);
      expect(report.totals.ok).toBe(target.counters().requests_received);
    });
  });
});
