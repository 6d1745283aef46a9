import { memberKey, phaseOf, zeroMs, type NodeState, type RunState, type SystemState } from "../run/state.ts";
import { clockOf, standingOfNode, type Moment, type NodeStanding } from "../run/presence.ts";
import { standingOf } from "../run/report.ts";
import type { GeneratorReport, Latency, NodeReport, Report, Totals, Verdict } from "../run/report-schema.ts";
import { withoutSecrets } from "../run/secrets.ts";
import type { Plan } from "../plan/plan.ts";

export type TestState = "created" | "running" | "stopping" | "ended" | "replaced";

/** A node as `GET /nodes` shows it. */
export interface NodeView {
  node_id: string;
  node_ip: string;
  state: NodeStanding;
  foreign: boolean;
  epoch: number;
  labels: Record<string, string>;
  /** null: it was never heard. */
  last_heartbeat_age_s: number | null;
  clock_offset_ms: number | null;
  /** The test that it takes part in, or was last made ready for. */
  test_id: string | null;
}

/** One line of `GET /tests`. */
export interface TestSummary {
  test_id: string;
  name: string | null;
  state: TestState;
  type: "avalanche" | "tsunami";
  url: string;
  /** ISO 8601; null: it never started, or has not ended. */
  started_at: string | null;
  ended_at: string | null;
  status: Report["status"] | null;
  verdict: Verdict | null;
  complete: boolean | null;
  /** Of the report; 0: there is none yet. */
  revision: number;
  totals: Pick<Totals, "planned" | "sent" | "completed" | "ok" | "rps"> | null;
}

/** `GET /tests/:id`: a test as it stands, live or from its report. */
export interface TestView {
  test_id: string;
  name: string | null;
  state: TestState;
  plan: Plan;
  model: "open" | "closed";
  /** Wall clock of the leader, ms: the schedule's zero; null before the trigger. */
  zero_at: number | null;
  totals: Totals;
  latency: Latency;
  nodes: NodeReport[];
  generator: GeneratorReport;
  status: Report["status"] | null;
  verdict: Verdict | null;
  complete: boolean | null;
  revision: number;
}

function nodeView(state: SystemState, node: NodeState, moment: Moment): NodeView {
  const { node_id, node_ip, foreign, epoch, labels, heard_ms } = node;
  const age_s = Math.max(0, moment.now_ms - heard_ms) / 1000;
  return {
    node_id,
    node_ip,
    state: standingOfNode(state, node, moment),
    foreign,
    epoch,
    labels,
    last_heartbeat_age_s: Number.isFinite(age_s) ? Math.round(age_s * 1000) / 1000 : null,
    clock_offset_ms: clockOf(node, state.leadership.term)?.offset_ms ?? null,
    test_id: testOf(state, node),
  };
}

/** All nodes, by name. */
export function nodeViews(state: SystemState, moment: Moment): NodeView[] {
  return [...state.nodes.values()]
    .sort((a, b) => (a.node_id < b.node_id ? -1 : 1))
    .map((node) => nodeView(state, node, moment));
}

function testOf(state: SystemState, node: NodeState): string | null {
  const run = state.current === null ? undefined : state.runs.get(state.current);
  if (run && !run.ended && !run.replaced && isMember(run, node)) return run.test_id;
  return node.heartbeat?.test_id ?? null;
}

function isMember(run: RunState, node: NodeState): boolean {
  if (!run.trigger) return run.config.members.some((member) => member.node_id === node.node_id);
  const key = memberKey(node.node_id, node.epoch);
  return run.trigger.members.some((member) => memberKey(member.node_id, member.epoch) === key);
}

export function testState(run: RunState): TestState {
  if (run.replaced) return "replaced";
  if (run.ended) return "ended";
  if (run.stop) return "stopping";
  return phaseOf(run) === "triggered" ? "running" : "created";
}

export function liveView(state: SystemState, run: RunState): TestView {
  const { totals, latency, nodes, generator } = standingOf(run, state.measured.get(run.test_id));
  const { plan, model } = run.config;
  return {
    test_id: run.test_id,
    name: plan.name ?? null,
    state: testState(run),
    plan: withoutSecrets(plan),
    model,
    zero_at: zeroMs(run),
    totals,
    latency,
    nodes,
    generator,
    status: null,
    verdict: null,
    complete: null,
    revision: 0,
  };
}

export function endedView(report: Report): TestView {
  const { test_id, name, plan, model, totals, latency, nodes, generator, status, verdict, complete, revision } = report;
  const zero_at = report.started_at === null ? null : Date.parse(report.started_at);
  return { test_id, name, state: "ended", plan, model, zero_at, totals, latency, nodes, generator, status, verdict, complete, revision };
}

export function liveSummary(run: RunState): TestSummary {
  const zero = zeroMs(run);
  return {
    test_id: run.test_id,
    name: run.config.plan.name ?? null,
    state: testState(run),
    type: run.config.plan.type,
    url: run.config.plan.target.url,
    started_at: zero === null ? null : new Date(zero).toISOString(),
    ended_at: run.ended ? new Date(run.ended.at_ms).toISOString() : null,
    status: run.ended?.status ?? null,
    verdict: null,
    complete: null,
    revision: 0,
    totals: null,
  };
}

export function endedSummary(report: Report): TestSummary {
  const { test_id, name, plan, started_at, ended_at, status, verdict, complete, revision } = report;
  const { planned, sent, completed, ok, rps } = report.totals;
  return {
    test_id,
    name,
    state: "ended",
    type: plan.type,
    url: plan.target.url,
    started_at,
    ended_at,
    status,
    verdict,
    complete,
    revision,
    totals: { planned, sent, completed, ok, rps },
  };
}
