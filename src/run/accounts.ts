import { zeroCounts } from "../metrics/recorder.ts";
import type { Counts } from "../metrics/snapshot.ts";
import { makePacer, rangeLength } from "../plan/pacer.ts";
import type { LostCommand } from "../protocol/control.ts";
import type { EndReason } from "../protocol/messages.ts";
import { COUNTS } from "./invariants.ts";
import { ownershipOf, type Owned } from "./ownership.ts";
import { isBoundless } from "./redistribution.ts";
import type { NeverSentReason, NodeReport, Totals } from "./report-schema.ts";
import { memberKey, type Measured, type RunState } from "./state.ts";

/** One member epoch of a run, with all that is known of it. */
export interface Member {
  node_id: string;
  epoch: number;
  foreign: boolean;
  share: number | null;
  owned: readonly Owned[];
  /** Its final has to know of the command at this offset at least. */
  revision: number;
  measured: Measured | null;
  lost: LostCommand | null;
}

/** The counts of a member, before they become rates. */
export type Account = Omit<Totals, "rps" | "target_rps"> & { completed_in_window: number; last_end_us: number };

const NOTHING: Account = {
  ...zeroCounts(),
  planned: 0,
  never_sent: 0,
  never_sent_reasons: {},
  unknown: 0,
  overlap: 0,
  overlap_max: 0,
  completed: 0,
};

/** Who takes part: those named by the trigger (before it: by the config), with what the config gave them. */
export function membersOf(run: RunState, measured: Map<string, Measured> | undefined): Member[] {
  const ownership = ownershipOf(run);
  const shares = new Map(run.config.members.map((member) => [member.node_id, member]));
  const named = run.trigger?.members ?? run.config.members;
  return named.flatMap(({ node_id, epoch }) => {
    const member = shares.get(node_id);
    if (!member) return [];
    const { foreign, share } = member;
    const key = memberKey(node_id, epoch);
    const { owned, revision } = ownership.get(key) ?? { owned: [], revision: 0 };
    return {
      node_id,
      epoch,
      foreign,
      share,
      owned,
      revision,
      measured: measured?.get(foreign ? memberKey(node_id, null) : key) ?? null,
      lost: run.lost.get(key) ?? null,
    };
  });
}

/** A member that has said its last word: a final that knows of all that it was ever given. */
export function isFinal(member: Member): boolean {
  return hasSentFinal(member) && knowsAll(member);
}

/** Its newest word is a final: it sends nothing more, unless it ended by its schedule and is given more. */
function hasSentFinal({ measured }: Member): boolean {
  return measured !== null && measured.final_seq >= 0 && measured.final_seq === measured.snapshot?.seq;
}

function knowsAll({ measured, revision }: Member): boolean {
  return (measured?.snapshot?.revision ?? 0) >= revision;
}

/** What it says of itself is the last that there is to say: it knows of all that it was given, or had given up. */
function isExact(member: Member): boolean {
  const reason = member.measured?.snapshot?.end_reason ?? "schedule";
  return hasSentFinal(member) && (knowsAll(member) || reason !== "schedule");
}

export function stateOf(run: RunState, member: Member): NodeReport["state"] {
  const reason = isFinal(member) ? (member.measured?.snapshot?.end_reason ?? "schedule") : null;
  if (reason === "late_start") return "refused";
  if (reason === "left") return "left";
  if (member.lost) return "lost";
  if (reason !== null) return "finished";
  if (run.ended) return wasTold(run, member) && !member.measured?.plain ? "lost" : "finished";
  return run.trigger ? "running" : "ready";
}

/** Every slot of one member, under the one heading where it belongs (design: accounting). */
export function accountOf(run: RunState, member: Member): Account {
  if (member.foreign) return foreignAccount(run, member);
  const counts = member.measured?.snapshot?.counts ?? null;
  const waited = isFinal(member) || member.lost !== null || run.ended !== null;
  if (waited && counts && isExact(member)) return finalAccount(run, member, counts);
  if (member.lost || run.ended) return lostAccount(run, member, counts);
  return { ...counted(counts), planned: plannedOf(run, member, counts?.scheduled ?? 0) };
}

function counted(counts: Counts | null): Account {
  if (!counts) return { ...NOTHING };
  return { ...NOTHING, ...counts, completed: counts.ok + counts.http_error };
}

/** How many slots the member owns; closed by duration: as many as it scheduled. */
function plannedOf(run: RunState, member: Member, scheduled: number): number {
  if (member.share === null) return scheduled;
  return member.owned.reduce((sum, { kept }) => sum + kept, 0);
}

/** How many slots of a range the member's last snapshot has taken. */
export function takenOf({ measured, owned }: Pick<Member, "measured" | "owned">, range_id: string): number {
  const snapshot = measured?.snapshot;
  const progress = snapshot?.ranges.find((range) => range.range_id === range_id);
  // Who tells of no ranges has one.
  return progress?.taken ?? (owned.length === 1 ? (snapshot?.counts.scheduled ?? 0) : 0);
}

/** Slots that had moved to others and were taken all the same. */
function overlapOf(member: Member): number {
  return member.owned.reduce((sum, { range, kept, moved }) => {
    return sum + (moved ? Math.max(0, takenOf(member, range.range_id) - kept) : 0);
  }, 0);
}

/** Whether a member was ever told to start; a foreign one is by the copy of the trigger. */
function wasTold(run: RunState, member: Member): boolean {
  return run.trigger !== null && (!member.foreign || run.copied.trigger);
}

/** What a foreign driver did is only known from its summary: its share stays unknown. */
function foreignAccount(run: RunState, member: Member): Account {
  const planned = member.share ?? 0;
  if (!run.ended && !member.lost) return { ...NOTHING, planned };
  if (!wasTold(run, member)) return neverSent({ ...NOTHING, planned }, planned, member.lost ? "driver_lost" : "stopped");
  return { ...NOTHING, planned, scheduled: planned, sent: planned, unknown: planned };
}

const NEVER_SENT: Partial<Record<EndReason, NeverSentReason>> = {
  stopped: "stopped",
  left: "driver_left",
  late_start: "late_start",
  lease_expired: "lease_expired",
};

function finalAccount(run: RunState, member: Member, counts: Counts): Account {
  const account = counted(counts);
  const reason = member.measured?.snapshot?.end_reason ?? "schedule";
  account.planned = isBoundless(run.config.schedule) && reason === "schedule" ? counts.scheduled : plannedOf(run, member, counts.scheduled);
  account.overlap = overlapOf(member);
  const heading = member.lost || !isFinal(member) ? "driver_lost" : NEVER_SENT[reason];
  return neverSent(account, account.planned + account.overlap - account.scheduled, heading);
}

function neverSent(account: Account, slots: number, reason: NeverSentReason | undefined): Account {
  if (slots === 0) return account;
  account.never_sent = slots;
  if (reason) account.never_sent_reasons = { [reason]: slots };
  return account;
}

/**
 * A member without a final. Of its slots due before the cut, all that its last snapshot does not count as finished or
 * dropped are unknown; closed: only what was in flight there. `overlap_max`: what it may yet send until its lease ends.
 */
function lostAccount(run: RunState, member: Member, counts: Counts | null): Account {
  const account = counted(counts);
  const { schedule } = run.config;
  account.planned = isBoundless(schedule) ? account.scheduled : plannedOf(run, member, account.scheduled);
  if (!run.trigger) return neverSent(account, account.planned, "stopped");
  account.overlap = overlapOf(member);
  if (schedule.kind === "closed") {
    account.unknown = account.in_flight + account.waiting;
    account.overlap_max = isBoundless(schedule) ? null : slotsOf(member, ({ range }) => rangeLength(range, schedule.slots)) - account.scheduled;
  } else {
    const pacer = makePacer(schedule);
    const cut_us = member.lost?.cut_us ?? Infinity;
    const lease_us = member.lost ? leaseEndUs(run, member.lost) : -Infinity;
    const dueOrTaken = ({ range, kept, moved }: Owned) =>
      Math.max(moved ? kept : pacer.rangeDueBefore(range, cut_us), takenOf(member, range.range_id));
    account.scheduled = slotsOf(member, dueOrTaken);
    account.unknown = account.scheduled - finishedOrDropped(account);
    account.overlap_max = slotsOf(member, (owned) => Math.max(0, pacer.rangeDueBefore(owned.range, lease_us) - dueOrTaken(owned)));
  }
  account.sent = account.scheduled - account.dropped;
  account.in_flight = 0;
  account.waiting = 0;
  return neverSent(account, account.planned + account.overlap - account.scheduled, "driver_lost");
}

function slotsOf(member: Member, count: (owned: Owned) => number): number {
  return member.owned.reduce((sum, owned) => sum + count(owned), 0);
}

function finishedOrDropped({ ok, http_error, network_error, timeout, aborted, dropped }: Account): number {
  return ok + http_error + network_error + timeout + aborted + dropped;
}

/**
 * The last moment at which a lost driver's lease can still hold: as if it had heard the leader until the cut (which is
 * later than the decision), by a clock that is known to its error only.
 */
function leaseEndUs(run: RunState, { node_id, cut_us }: LostCommand): number {
  const clock_error_ms = run.trigger?.members.find((member) => member.node_id === node_id)?.clock_error_ms ?? 0;
  return cut_us + (run.config.plan.lease_ms + clock_error_ms) * 1000;
}

/** The sum of accounts; what is unbounded for one is unbounded for all. */
export function sumAccounts(accounts: readonly Account[]): Account {
  const sum: Account = { ...NOTHING, never_sent_reasons: {} };
  for (const account of accounts) {
    for (const key of SUMMED) sum[key] += account[key];
    sum.overlap_max = sum.overlap_max === null || account.overlap_max === null ? null : sum.overlap_max + account.overlap_max;
    sum.backlog_max = Math.max(sum.backlog_max, account.backlog_max);
    sum.last_end_us = Math.max(sum.last_end_us, account.last_end_us);
    for (const [reason, slots] of Object.entries(account.never_sent_reasons) as [NeverSentReason, number][]) {
      sum.never_sent_reasons[reason] = (sum.never_sent_reasons[reason] ?? 0) + slots;
    }
  }
  return sum;
}

const SUMMED = [
  ...COUNTS,
  "in_flight",
  "waiting",
  "bytes_in",
  "bytes_out",
  "reconnects",
  "waited_for_connection",
  "completed_in_window",
] as const;
