import type { Measures } from "../protocol/measures.ts";
import { accountOf, isFinal, membersOf, stateOf, sumAccounts, type Account, type Member } from "./accounts.ts";
import { generatorOf } from "./generator.ts";
import { nodeViolations, violations } from "./invariants.ts";
import {
  infiniteOf,
  latencyOf,
  latencyOfSummary,
  latenessOf,
  measurementsOf,
  mergeMeasurements,
  tlsOf,
  type Measurements,
} from "./latency.ts";
import { REPORT_SCHEMA, type GeneratorReport, type Latency, type NodeReport, type Report, type Totals } from "./report-schema.ts";
import { withoutSecrets } from "./secrets.ts";
import { stopUs, zeroMs, type Measured, type RunState } from "./state.ts";
import { judgeThreshold, parseThreshold, verdictOf } from "./thresholds.ts";
import { areRowsWhole, secondsOf, targetRps, timelineRows } from "./timeline.ts";

/** A run as it stands: the part of a report that exists at any moment. */
export interface Standing {
  members: Member[];
  totals: Totals;
  latency: Latency;
  nodes: NodeReport[];
  generator: GeneratorReport;
  measured: Measurements;
  /** ms; null: nobody knows yet how long it takes (a count ends a closed test). */
  window_ms: number | null;
  drain_ms: number;
}

/** Every figure of a run from what the log says until now. Pure; the same at every replay. */
export function standingOf(run: RunState, measured: Map<string, Measured> | undefined): Standing {
  const members = membersOf(run, measured);
  const accounts = members.map((member) => accountOf(run, member));
  const sum = withBystanders(run, sumAccounts(accounts));
  const window_ms = windowMs(run, sum);
  const parts = members.flatMap((member) => snapshotOf(member) ?? []);
  const own = members.map((member) => (member.measured?.snapshot ? measurementsOf(member.measured.snapshot) : null));
  const merged = mergeMeasurements(own.filter((measured) => measured !== null));
  const nodes = members.map((member, i) => nodeReport(run, member, accounts[i]!, own[i]!, window_ms, members.length));
  const [only] = nodes;
  return {
    members,
    totals: totalsOf(sum, rateWindowMs(run, sum, window_ms), targetRps(run.config.schedule, members.length)),
    latency: only && nodes.length === 1 && own[0] ? only.latency : latencyOf(merged, infiniteOf(sum)),
    nodes,
    generator: generatorOf(parts, merged, run.config.model),
    measured: merged,
    window_ms,
    drain_ms: window_ms === null ? 0 : Math.max(0, sum.last_end_us / 1000 - window_ms),
  };
}

/** What drivers may have sent that obeyed the copies without being members: the count that the copies name, each. */
function withBystanders(run: RunState, sum: Account): Account {
  const { bystanders, common } = run.config;
  if (!run.trigger || bystanders.length === 0 || sum.overlap_max === null) return sum;
  return { ...sum, overlap_max: sum.overlap_max + bystanders.length * (common.message_count_per_driver ?? 0) };
}

function snapshotOf({ measured }: Member): Measures | null {
  return measured?.snapshot ?? null;
}

/**
 * The schedule's window: until its end, or until the stop that cut it short. Where a count ends a closed test: until
 * its last answer.
 */
function windowMs(run: RunState, sum: Account): number | null {
  const { schedule } = run.config;
  const last_end_ms = sum.last_end_us / 1000;
  let window_ms = schedule.window_us === null ? null : schedule.window_us / 1000;
  if (schedule.kind === "closed" && schedule.slots !== null) {
    if (run.ended || window_ms === null) window_ms = last_end_ms === 0 ? window_ms : Math.min(window_ms ?? Infinity, last_end_ms);
  }
  const stop_us = stopUs(run);
  if (stop_us !== null) window_ms = Math.min(window_ms ?? Infinity, Math.max(0, stop_us / 1000));
  return window_ms;
}

/** What the rate of answers refers to: the window, while live as much of it as answers have been told of. */
function rateWindowMs(run: RunState, sum: Account, window_ms: number | null): number | null {
  if (run.ended || sum.last_end_us === 0) return window_ms;
  return Math.min(window_ms ?? Infinity, sum.last_end_us / 1000);
}

function totalsOf({ completed_in_window, last_end_us: _, ...counts }: Account, window_ms: number | null, target: number | null): Totals {
  const rps = window_ms === null || window_ms === 0 ? 0 : round(completed_in_window / (window_ms / 1000));
  return { ...counts, rps, target_rps: target === null ? null : round(target) };
}

function nodeReport(
  run: RunState,
  member: Member,
  account: Account,
  own: Measurements | null,
  window_ms: number | null,
  n: number,
): NodeReport {
  const part = snapshotOf(member);
  const target = targetRps(run.config.schedule, n);
  return {
    node_id: member.node_id,
    epoch: member.epoch,
    state: stateOf(run, member),
    foreign: member.foreign,
    source: member.foreign ? "summary" : "histogram",
    totals: totalsOf(account, rateWindowMs(run, account, window_ms), target === null ? null : target / n),
    latency: own ? latencyOf(own, infiniteOf(account)) : latencyOfSummary(member.measured?.plain ?? null),
    start_offset_ms: typeof part?.start_offset_us === "number" && account.scheduled > 0 ? round(part.start_offset_us / 1000) : null,
    send_lateness_us: own ? latenessOf(own.send_lateness) : { p50: null, p99: null, max: null },
    coverage: member.foreign ? null : coverageOf(member),
    lost_at: member.lost ? lostAtS(run, member) : null,
    pacing: part?.generator?.pacing ?? null,
    tls: own ? tlsOf(own) : null,
  };
}

/** 1 where its rows tell of all that it counted; else rows that came / seconds until the last one known. */
function coverageOf(member: Member): number {
  const { measured } = member;
  if (areRowsWhole(member)) return 1;
  if (!measured || measured.rows.size === 0) return 0;
  let last_s = Math.floor((measured.snapshot?.counts.last_end_us ?? 0) / 1e6);
  for (const t_s of measured.rows.keys()) last_s = Math.max(last_s, t_s);
  return round(Math.min(1, measured.rows.size / (last_s + 1)));
}

function lostAtS(run: RunState, member: Member): number | null {
  const zero = zeroMs(run);
  return zero === null ? null : round((member.lost!.at_ms - zero) / 1000);
}

/** Why a run's figures are not the whole truth, by node. */
export function incompleteReasons(run: RunState, members: readonly Member[]): Report["incomplete_reasons"] {
  const bystanders = run.trigger ? run.config.bystanders.map((node_id) => ({ node_id, reason: "foreign_bystander" })) : [];
  const reasons = members.flatMap((member) => {
    const { node_id } = member;
    if (member.foreign) return { node_id, reason: "foreign_summary" };
    if (isFinal(member)) return [];
    if (member.lost) return { node_id, reason: `lost (${member.lost.reason})` };
    return run.trigger ? { node_id, reason: "no_final" } : [];
  });
  return [...reasons, ...bystanders];
}

/**
 * The report of a run that has ended. `revision` counts its versions: a final that comes after the end makes a new one.
 * @throws {ThresholdError} never for a plan that was accepted
 */
export function buildReport(run: RunState, measured: Map<string, Measured> | undefined, revision: number): Report {
  if (!run.ended) throw new Error(`test ${run.test_id} has not ended: it has no report yet`);
  const standing = standingOf(run, measured);
  const { members, totals, nodes } = standing;
  const incomplete_reasons = incompleteReasons(run, members);
  const complete = totals.unknown === 0 && incomplete_reasons.length === 0;
  const zero = zeroMs(run);
  const thresholds = (run.config.plan.thresholds ?? []).map((expression) =>
    judgeThreshold(parseThreshold(expression), { totals, measured: standing.measured, generator: standing.generator }),
  );
  return {
    schema: REPORT_SCHEMA,
    revision,
    test_id: run.test_id,
    name: run.config.plan.name ?? null,
    plan: withoutSecrets(run.config.plan),
    model: run.config.model,
    started_at: zero === null ? null : new Date(zero).toISOString(),
    ended_at: new Date(run.ended.at_ms).toISOString(),
    duration_s: round((standing.window_ms ?? 0) / 1000),
    drain_s: round(standing.drain_ms / 1000),
    status: run.ended.status,
    complete,
    incomplete_reasons,
    verdict: verdictOf(thresholds),
    thresholds,
    totals,
    warmup: warmupOf(members),
    latency: standing.latency,
    tls: tlsOf(standing.measured),
    statuses: sumBy(members, (part) => Object.entries(part.statuses)),
    errors: errorsOf(members),
    nodes,
    timeline: timelineRows(run, members, secondsOf(members)),
    start_spread_ms: spreadOf(nodes),
    generator: standing.generator,
    bugs: [
      ...violations(totals, standing.latency.response.count, false),
      ...nodeViolations(totals, nodes, false),
    ],
  };
}

function warmupOf(members: readonly Member[]): Report["warmup"] {
  const parts = members.flatMap((member) => snapshotOf(member)?.warmup?.counts ?? []);
  if (parts.length === 0) return null;
  const warmup = { sent: 0, completed: 0, errors: 0 };
  for (const counts of parts) {
    warmup.sent += counts.sent;
    warmup.completed += counts.ok + counts.http_error;
    warmup.errors += counts.http_error + counts.network_error + counts.timeout + counts.aborted;
  }
  return warmup;
}

function sumBy(members: readonly Member[], pick: (part: Measures) => [string, number][]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const member of members) {
    const part = snapshotOf(member);
    for (const [key, count] of part ? pick(part) : []) sums[key] = (sums[key] ?? 0) + count;
  }
  return sums;
}

function errorsOf(members: readonly Member[]): Report["errors"] {
  const merged = new Map<string, Report["errors"][number]>();
  for (const member of members) {
    for (const { kind, message, count } of snapshotOf(member)?.errors ?? []) {
      const key = `${kind}\n${message}`;
      const known = merged.get(key);
      if (known) known.count += count;
      else merged.set(key, { kind, message, count });
    }
  }
  return [...merged.values()].sort((a, b) => b.count - a.count || (a.message < b.message ? -1 : 1));
}

/** The largest start offset less the smallest, over the nodes that started. */
function spreadOf(nodes: readonly NodeReport[]): number | null {
  const offsets = nodes.flatMap((node) => node.start_offset_ms ?? []);
  return offsets.length === 0 ? null : round(Math.max(...offsets) - Math.min(...offsets));
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
