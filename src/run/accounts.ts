import { zeroCounts } from "../metrics/recorder.ts";
import type { Counts } from "../metrics/snapshot.ts";
import { makePacer, rangeLength, type OpenSchedule } from "../plan/pacer.ts";
import type { ConfigMember, LostCommand } from "../protocol/control.ts";
import type { EndReason } from "../protocol/messages.ts";
import type { NeverSentReason, NodeReport, Totals } from "./report-schema.ts";
import { memberKey, zeroMs, type Measured, type RunState } from "./state.ts";

/** One member epoch of a run, with all that is known of it. */
export interface Member {
  node_id: string;
  epoch: number;
  foreign: boolean;
  share: number | null;
  ranges: ConfigMember["ranges"];
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
  const shares = new Map(run.config.members.map((member) => [member.node_id, member]));
  const named = run.trigger?.members ?? run.config.members;
  return named.flatMap(({ node_id, epoch }) => {
    const member = shares.get(node_id);
    if (!member) return [];
    const { foreign, share, ranges } = member;
    const key = memberKey(node_id, epoch);
    return {
      node_id,
      epoch,
      foreign,
      share,
      ranges,
      measured: measured?.get(foreign ? memberKey(node_id, null) : key) ?? null,
      lost: run.lost.get(key) ?? null,
    };
  });
}

/** A member that has said its last word. */
export function isFinal(member: Member): boolean {
  return (member.measured?.final_seq ?? -1) >= 0;
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
  if (isFinal(member) && counts) return finalAccount(run, member, counts);
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
  return member.ranges.reduce((sum, range) => sum + rangeLength(range, run.config.schedule.slots), 0);
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
  const { schedule } = run.config;
  const closedByTime = schedule.kind === "closed" && schedule.window_us !== null && reason === "schedule";
  account.planned = closedByTime ? counts.scheduled : plannedOf(run, member, counts.scheduled);
  const heading = member.lost ? "driver_lost" : NEVER_SENT[reason];
  return neverSent(account, account.planned - account.scheduled, heading);
}

function neverSent(account: Account, slots: number, reason: NeverSentReason | undefined): Account {
  if (slots === 0) return account;
  account.never_sent = slots;
  if (reason) account.never_sent_reasons = { [reason]: slots };
  return account;
}

/**
 * A member without a final. Of its slots due before the cut, all that its last snapshot does not count as finished or
 * dropped are unknown; closed: only what was in flight there. `overlap_max`: what it may send until its lease ends.
 */
function lostAccount(run: RunState, member: Member, counts: Counts | null): Account {
  const account = counted(counts);
  const planned = plannedOf(run, member, account.scheduled);
  account.planned = planned;
  if (!run.trigger) return neverSent(account, planned, "stopped");
  const { schedule } = run.config;
  if (schedule.kind === "closed") {
    account.unknown = account.in_flight + account.waiting;
    account.overlap_max = member.share === null ? null : planned - account.scheduled;
  } else {
    const due = member.lost ? dueBefore(schedule, member, member.lost.cut_us) : planned;
    account.scheduled = Math.max(due, account.scheduled);
    account.unknown = account.scheduled - finishedOrDropped(account);
    if (member.lost) {
      const inLease = dueBefore(schedule, member, leaseEndUs(run, member.lost));
      account.overlap_max = Math.max(0, inLease - account.scheduled);
    }
  }
  account.sent = account.scheduled - account.dropped;
  account.in_flight = 0;
  account.waiting = 0;
  return neverSent(account, planned - account.scheduled, "driver_lost");
}

function dueBefore(schedule: OpenSchedule, member: Member, t_us: number): number {
  const pacer = makePacer(schedule);
  return member.ranges.reduce((sum, range) => sum + pacer.rangeDueBefore(range, t_us), 0);
}

function finishedOrDropped({ ok, http_error, network_error, timeout, aborted, dropped }: Account): number {
  return ok + http_error + network_error + timeout + aborted + dropped;
}

/** The last moment at which a lost driver's lease can still hold: as if it had heard the leader until the decision. */
function leaseEndUs(run: RunState, lost: LostCommand): number {
  return (lost.at_ms + run.config.plan.lease_ms - zeroMs(run)!) * 1000;
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
  "planned",
  "scheduled",
  "never_sent",
  "sent",
  "dropped",
  "ok",
  "http_error",
  "network_error",
  "timeout",
  "aborted",
  "unknown",
  "overlap",
  "completed",
  "in_flight",
  "waiting",
  "bytes_in",
  "bytes_out",
  "reconnects",
  "waited_for_connection",
  "completed_in_window",
] as const;
