import type { MessageOf } from "../../src/protocol/codec.ts";
import type { Control } from "../../src/protocol/control.ts";
import { TOPICS, type Topic } from "../../src/protocol/topics.ts";
import { makePacer, rangeLength, rangeSlot } from "../../src/plan/pacer.ts";
import type { Range } from "../../src/plan/schedule.ts";
import { isFinal, membersOf } from "../../src/run/accounts.ts";
import type { Entry } from "../../src/run/entry.ts";
import { fold } from "../../src/run/fold.ts";
import { ownershipOf } from "../../src/run/ownership.ts";
import { reportOf } from "../../src/run/project.ts";
import { isBoundless } from "../../src/run/redistribution.ts";
import type { Report, Totals } from "../../src/run/report-schema.ts";
import { initialState, type RunState, type SystemState } from "../../src/run/state.ts";
import type { Truth } from "./engine.ts";
import type { SimLog } from "./log.ts";
import type { World } from "./world.ts";

/** What a simulation was like, which tells how much may be asked of its end. */
export interface Circumstances {
  /** The log has lost nothing that it took. */
  faithful: boolean;
  /** Nothing hindered the leader or the log: only drivers died. */
  steady: boolean;
  /** Members (node@epoch) whose process lived to the end. */
  survivors: ReadonlySet<string>;
}

/** Holds a finished simulation against everything that was promised. `truths`: what really happened at the target. */
export function check(world: World, log: SimLog, truths: readonly Truth[], circumstances: Circumstances): void {
  const state = foldAll(log, TOPICS);
  checkAuthority(world, log, state);
  const other = foldMixed(world, log);
  for (const run of state.runs.values()) {
    const truth = truths.filter(({ test_id }) => test_id === run.test_id);
    if (!run.trigger) {
      if (truth.some(({ counts }) => counts.sent > 0)) world.fail(`${run.test_id}: requests were sent without a trigger`);
      continue;
    }
    const report = reportOf(state, run.test_id);
    if (!report) {
      world.fail(`${run.test_id}: the run does not end`);
      continue;
    }
    tally(world, run, report);
    checkReport(world, run, report, truth);
    checkFinals(world, state, run, truth, circumstances);
    checkOwners(world, run);
    checkMoves(world, run, circumstances.steady);
    const again = JSON.stringify(reportOf(other, run.test_id));
    if (JSON.stringify(report) !== again) world.fail(`${run.test_id}: the log read in another order gives another report`);
    world.trace("report", () => JSON.stringify({ ...report.totals, complete: report.complete, why: report.incomplete_reasons }));
    for (const node of report.nodes) world.trace("report", () => `${node.node_id}@${node.epoch} ${node.state} ${JSON.stringify(node.totals)}`);
    for (const { node_id, epoch, counts, received } of truth) world.trace("truth", () => `${node_id}@${epoch} received ${received} ${JSON.stringify(counts)}`);
  }
}

function tally({ count }: World, run: RunState, report: Report): void {
  count("runs");
  if (report.complete) count("complete");
  if (report.totals.unknown > 0) count("with something unknown");
  if (report.totals.overlap > 0) count("with overlap");
  if (report.revision > 1) count("revised after the end");
  if (run.config.term !== run.ended!.term) count("over several terms");
  run.lost.forEach(() => count("drivers lost"));
  run.assigns.forEach(({ from }, i) => {
    count("takeovers");
    if (run.assigns.slice(0, i).some(({ moves }) => moves.some((move) => move.node_id === from.node_id && move.epoch === from.epoch))) count("takeovers of what was taken over");
  });
}

/** The whole log, one topic after the other: observations need no order, and control is one topic. */
function foldAll(log: SimLog, topics: readonly Topic[]): SystemState {
  const state = initialState();
  for (const topic of topics) foldSome(state, log, topic, 0, log.end(topic));
  return state;
}

function foldSome(state: SystemState, log: SimLog, topic: Topic, from: number, to: number): void {
  for (const { offset, timestamp_ms, message } of log.records[topic].slice(from, to)) {
    const place = { topic, partition: 0, offset, timestamp_ms, heard_ms: timestamp_ms, replayed: true };
    fold(state, (message === null ? { ...place, rejected: "rubbish" } : { ...place, message }) as Entry);
  }
}

/** Another order of the topics, record by record, and observations now and then twice. */
function foldMixed(world: World, log: SimLog): SystemState {
  const state = initialState();
  const { random } = world;
  const next = new Map<Topic, number>(TOPICS.map((topic) => [topic, 0]));
  for (let open = TOPICS.filter((topic) => log.end(topic) > 0); open.length > 0; open = open.filter((topic) => next.get(topic)! < log.end(topic))) {
    const topic = random.pick(open);
    const from = next.get(topic)!;
    const to = Math.min(log.end(topic), from + random.whole(1, 20));
    const again = topic !== "control" && random.chance(0.2) ? random.whole(0, from) : from;
    foldSome(state, log, topic, again, to);
    next.set(topic, to);
  }
  return state;
}

/** Exactly one term acts: worked out here once more from the bare records, without the code that is judged. */
function checkAuthority(world: World, log: SimLog, state: SystemState): void {
  let term = 0;
  let owner = "";
  let last = -1;
  const valid: Control[] = [];
  for (const { message } of log.records.control) {
    if (!message) continue;
    if (message.type === "claim") {
      if (message.term !== term + 1) continue;
      ({ term, owner } = message);
      last = message.command_seq;
      continue;
    }
    if (message.term !== term || message.owner !== owner || message.command_seq !== last + 1) continue;
    last++;
    valid.push(message);
  }
  if (state.leadership.term !== term || state.leadership.owner !== (owner || null)) world.fail("the fold sees another leader than the log has");
  for (const run of state.runs.values()) {
    const of = <T extends Control["type"]>(type: T) =>
      valid.filter((command): command is Extract<Control, { type: T }> => command.type === type && "test_id" in command && command.test_id === run.test_id);
    const acts = [...run.lost.values(), ...run.assigns, ...(run.trigger ? [run.trigger] : []), ...(run.stop ? [run.stop] : []), ...(run.ended ? [run.ended] : [])];
    for (const act of acts) {
      const found = of(act.type).some((command) => command.term === act.term && command.command_seq === act.command_seq && command.owner === act.owner);
      if (!found) world.fail(`${run.test_id}: a ${act.type} of term ${act.term} takes effect out of its term`);
    }
    for (const command of of("lost")) {
      if (!run.ended && !run.lost.has(`${command.node_id}@${command.epoch}`)) world.fail(`${run.test_id}: a valid lost has no effect`);
    }
  }
}

function checkReport(world: World, run: RunState, report: Report, truth: readonly Truth[]): void {
  const { test_id } = run;
  const fail = (what: string) => world.fail(`${test_id}: ${what}`);
  for (const bug of report.bugs) fail(bug);
  const { slots } = run.config.schedule;
  if (!isBoundless(run.config.schedule) && report.totals.planned !== slots) fail(`planned ${report.totals.planned}, the plan has ${slots}`);
  const received = truth.reduce((sum, one) => sum + one.received, 0);
  checkBounds(fail, "in all", report.totals, received);
  for (const { node_id, epoch, totals } of report.nodes) {
    const own = truth.filter((one) => one.node_id === node_id && one.epoch === epoch);
    checkBounds(fail, `${node_id}@${epoch}`, totals, own.reduce((sum, one) => sum + one.received, 0));
  }
  const members = new Set(report.nodes.map(({ node_id, epoch }) => `${node_id}@${epoch}`));
  for (const { node_id, epoch, counts } of truth) {
    if (counts.sent > 0 && !members.has(`${node_id}@${epoch}`)) fail(`${node_id}@${epoch} has sent and is no member`);
  }
  if (report.complete && report.totals.unknown > 0) fail("complete, and something is unknown");
  if (report.complete && received > report.totals.sent) fail(`complete, and ${received} received of ${report.totals.sent} sent`);
}

function checkBounds(fail: (what: string) => void, who: string, totals: Totals, received: number): void {
  const { completed, sent, overlap_max, network_error, timeout, aborted, unknown } = totals;
  if (completed > received) fail(`${who}: ${completed} completed, ${received} received`);
  if (overlap_max !== null && received > sent + overlap_max) fail(`${who}: ${received} received, ${sent} sent + ${overlap_max} overlap_max`);
  if (network_error + timeout + aborted + unknown === 0 && overlap_max === 0 && received !== sent) fail(`${who}: ${received} received, ${sent} sent, and nothing is uncertain`);
}

/** A final tells the truth; and whoever did not die has told it. */
function checkFinals(world: World, state: SystemState, run: RunState, truth: readonly Truth[], { faithful, survivors }: Circumstances): void {
  for (const member of membersOf(run, state.measured.get(run.test_id))) {
    const who = `${run.test_id} ${member.node_id}@${member.epoch}`;
    const own = truth.filter(({ node_id, epoch, counts }) => node_id === member.node_id && epoch === member.epoch && counts.scheduled > 0);
    if (own.length > 1) world.fail(`${who}: ran twice`);
    const [real] = own;
    const counts = member.measured?.snapshot?.counts;
    const last = member.measured?.snapshot?.final;
    // One that ended by its schedule and was given more may have died before it could tell of that.
    const isLast = last && (isFinal(member) || member.measured?.snapshot?.end_reason !== "schedule");
    if (isLast && real && counts && (counts.ok !== real.counts.ok || counts.sent !== real.counts.sent || counts.dropped !== real.counts.dropped)) {
      world.fail(`${who}: the final counts ${counts.sent} sent and ${counts.ok} ok, in truth ${real.counts.sent} and ${real.counts.ok}`);
    }
    if (!faithful || !real || !survivors.has(`${member.node_id}@${member.epoch}`)) continue;
    if (!last) world.fail(`${who}: it lives, and its final never came`);
    if (!isFinal(member) && !member.lost) world.fail(`${who}: its final does not know of all that it was given`);
  }
}

/** Every slot has one owner. */
function checkOwners(world: World, run: RunState): void {
  const { slots } = run.config.schedule;
  if (slots === null || isBoundless(run.config.schedule)) return;
  const owners = new Uint8Array(slots);
  for (const { owned } of ownershipOf(run).values()) {
    for (const { range, kept } of owned) for (let i = 0; i < kept; i++) owners[rangeSlot(range, i)]!++;
  }
  const none = owners.indexOf(0);
  if (none >= 0) world.fail(`${run.test_id}: slot ${none} belongs to nobody`);
  const twice = owners.findIndex((count) => count > 1);
  if (twice >= 0) world.fail(`${run.test_id}: slot ${twice} belongs to several`);
}

/** What is taken from someone is all that it had left; `steady`: and nothing is left with the dead (nothing hindered the leader). */
function checkMoves(world: World, run: RunState, steady: boolean): void {
  const { schedule } = run.config;
  if (schedule.kind === "closed") return;
  const pacer = makePacer(schedule);
  const left = (range: Range, cut_us: number) => rangeLength(range, schedule.slots) - pacer.rangeDueBefore(range, cut_us);
  run.assigns.forEach(({ from, kept, cut_us }, i) => {
    const before = ownershipOf({ ...run, assigns: run.assigns.slice(0, i) }).get(`${from.node_id}@${from.epoch}`);
    for (const { range, moved } of before?.owned ?? []) {
      const named = kept.some(({ range_id }) => range_id === range.range_id);
      if (!named && !moved && left(range, cut_us) > 0) world.fail(`${run.test_id}: ${left(range, cut_us)} slots of ${range.range_id} stay with ${from.node_id}, which is gone`);
    }
  });
  if (!steady || run.stop || run.config.plan.on_driver_loss !== "redistribute") return;
  const ownership = ownershipOf(run);
  const end_us = [...ownership].filter(([key]) => !run.lost.has(key)).map(([, { owned }]) => Math.max(...owned.map(({ range, kept }) => (kept > 0 ? pacer.dueUs(rangeSlot(range, kept - 1)) : 0))));
  for (const [key, { cut_us }] of run.lost) {
    if (!end_us.some((last_us) => last_us > cut_us + SURELY_ALIVE_US)) continue;
    for (const { range, moved } of ownership.get(key)?.owned ?? []) {
      if (!moved && left(range, cut_us + SURELY_ALIVE_US) > 0) world.fail(`${run.test_id}: ${range.range_id} stays with ${key}, which is lost`);
    }
  }
}

/** Whoever still has to send this long after a cut is there to take over. */
const SURELY_ALIVE_US = 2e6;

/** Any record that was there before. */
export function isReplayable(topic: Topic, message: MessageOf[Topic] | null): boolean {
  // A register record that is put there again is a new registration of its node: that is its meaning.
  return message !== null && topic !== "register";
}
