import type { Snapshot } from "../metrics/snapshot.ts";
import type { EndReason } from "../protocol/messages.ts";
import { register } from "./announce.ts";
import { overCap } from "./job.ts";
import { emptySnapshot } from "./report.ts";
import { reportFinal, reportLast, reportProgress } from "./results.ts";
import { hasBegun, ownResults, type Job, type PreparedResult, type Start, type Wanted } from "./state.ts";
import { log, type Turn } from "./turn.ts";

/** A driver that is later than this does not start. */
const LATE_MS = 1_000;
/** A plain trigger waits that long for connections. */
const PLAIN_PATIENCE_MS = 10_000;
const RETRY_MS = 1_000;
/** What is in flight at a stop is aborted after this. */
const GRACE_MS = 2_000;
/** How long a leaver waits: for its final to be read, and in all; with its last words it is gone within 5 s. */
const LEAVER_REPEATS_MS = 3_000;
const LEAVER_LIMIT_MS = 3_700;

/** Prepares what is wanted, and lets go of what is no longer wanted, unless a run has begun. */
export function reconcile(turn: Turn): void {
  const { state } = turn;
  const { job, wanted } = state;
  if (hasBegun(job)) return;
  const fits = job !== null && job.wanted.origin === wanted?.origin && job.wanted.offset === wanted.offset;
  if (job && (!fits || wanted?.refused || state.leaving || state.fenced)) {
    turn.effects.push({ type: "discard", job_id: job.job_id });
    state.job = null;
  }
  if (state.leaving || state.fenced || state.epoch === null || !state.caught_up) return;
  if (wanted && !wanted.refused && !state.job) prepare(turn, wanted);
}

function prepare(turn: Turn, wanted: Wanted): void {
  const { state } = turn;
  const refused = overCap(wanted.spec, state.options.caps);
  if (refused) {
    refuse(turn, wanted, refused.code, refused.message);
    giveUp(turn, wanted);
    return;
  }
  letGoOfFinished(turn);
  state.jobs += 1;
  state.job = {
    job_id: state.jobs,
    wanted,
    stage: "preparing",
    retry_at_ms: 0,
    start: null,
    epoch: state.epoch ?? 0,
    next_seq: 0,
    next_snapshot_ms: 0,
    end_reason: "schedule",
    stopped: false,
    held: null,
    ended: false,
    last: null,
  };
  turn.effects.push({ type: "prepare", job_id: state.jobs, spec: wanted.spec });
}

/** Says why a test will not be run; once for each reason. */
export function refuse(turn: Turn, { test_id, offset }: Pick<Wanted, "test_id" | "offset">, code: string, message: string): void {
  const { state } = turn;
  const told = state.refused?.test_id === test_id && state.refused.code === code && state.refused.message === message;
  state.refused = { test_id, config_offset: offset, code, message: message.slice(0, 1000) };
  if (!told) log(turn, "warn", code, message, { test_id });
}

/** A test that cannot be prepared is not tried again; if it was triggered already, that is told. */
function giveUp(turn: Turn, wanted: Wanted): void {
  const { state } = turn;
  if (wanted.start) declineStart(turn, wanted, "late_start");
  else state.wanted = { ...wanted, refused: true };
  state.job = null;
}

export function onPrepared(turn: Turn, job_id: number, result: PreparedResult): void {
  const { state, now_ms } = turn;
  const { job, wanted } = state;
  if (!job || !wanted || job.job_id !== job_id || job.stage !== "preparing") return;
  if (result.ok) {
    state.job = { ...job, stage: "ready" };
    state.refused = null;
    log(turn, "info", "ready", `ready for ${wanted.test_id}`, { test_id: wanted.test_id, connected: result.connected });
    armIfTriggered(turn);
    return;
  }
  refuse(turn, wanted, result.code, result.message);
  if (result.code === "target_unreachable") state.job = { ...job, stage: "unprepared", retry_at_ms: now_ms + RETRY_MS };
  else giveUp(turn, wanted);
}

/** Starts what is ready and triggered, unless it is too late for that. */
export function armIfTriggered(turn: Turn): void {
  const { state, now_ms } = turn;
  const { job, wanted } = state;
  if (!wanted?.start) return;
  const plain = wanted.origin === "plain";
  if (now_ms - wanted.start.start_ms > (plain ? PLAIN_PATIENCE_MS : LATE_MS)) {
    declineStart(turn, wanted, "late_start");
    return;
  }
  if (job?.stage !== "ready" || state.epoch === null) return;
  const start: Start = plain ? { ...wanted.start, start_ms: now_ms } : wanted.start;
  state.job = {
    ...job,
    wanted,
    stage: "armed",
    start,
    epoch: state.epoch,
    next_snapshot_ms: start.start_ms + state.options.snapshot_ms,
  };
  state.wanted = null;
  log(turn, "info", "armed", `${wanted.test_id} starts`, { test_id: wanted.test_id, in_ms: Math.round(start.start_ms - now_ms) });
  turn.effects.push({ type: "start", job_id: job.job_id, zero_ms: start.start_ms + wanted.spec.warmup_ms });
  if (wanted.inherited.length > 0) turn.effects.push({ type: "assign", job_id: job.job_id, ranges: [...wanted.inherited] });
}

/** Does not start what it was told to start: says so with a final report of nothing. */
export function declineStart(turn: Turn, wanted: Wanted, reason: "late_start" | "left" | "stopped"): void {
  const { state } = turn;
  const why = { left: "this driver is leaving", late_start: "it was not ready at its start", stopped: "it was stopped" }[reason];
  log(turn, "warn", reason, `${wanted.test_id} is not started: ${why}`, { test_id: wanted.test_id });
  const { job } = state;
  if (job && !hasBegun(job)) {
    turn.effects.push({ type: "discard", job_id: job.job_id });
    state.job = null;
  }
  state.wanted = null;
  if (state.epoch === null) return;
  const nothing = { wanted, epoch: state.epoch, next_seq: 0, ended: false };
  reportFinal(turn, nothing, emptySnapshot([...wanted.spec.ranges, ...wanted.inherited]), reason);
}

/** Sends nothing from now on; what is in flight gets its grace. */
export function stopJob(turn: Turn, reason: EndReason): void {
  const { job } = turn.state;
  if (!job || job.stopped) return;
  turn.state.job = { ...job, stopped: true, stage: "draining", end_reason: reason };
  log(turn, "info", "stopping", `${job.wanted.test_id} stops: ${reason}`, { test_id: job.wanted.test_id, reason });
  turn.effects.push({ type: "stop", job_id: job.job_id, grace_ms: GRACE_MS });
}

/** Nothing more will be asked of the job that has finished. */
export function letGoOfFinished(turn: Turn): void {
  const { finished } = turn.state;
  if (!finished) return;
  turn.effects.push({ type: "discard", job_id: finished.job_id });
  turn.state.finished = null;
}

/** This registration is lost: nothing is sent any more, what was measured is reported, then it registers again. */
export function fence(turn: Turn): void {
  const { state } = turn;
  state.fenced = true;
  if (state.wanted?.start) state.wanted = null;
  letGoOfFinished(turn);
  if (hasBegun(state.job)) stopJob(turn, "stopped");
  else registerWhenFree(turn);
}

function registerWhenFree(turn: Turn): void {
  if (!turn.state.fenced || turn.state.leaving || hasBegun(turn.state.job)) return;
  reconcile(turn);
  register(turn);
}

/** Leaves: nothing is sent any more; goes when its results are read, or soon after. `code`: how the process exits. */
export function leave(turn: Turn, code: number): void {
  const { state, now_ms } = turn;
  if (state.leaving) return;
  state.leaving = { since_ms: now_ms, code, released: false };
  if (state.wanted?.start) declineStart(turn, state.wanted, "left");
  state.wanted = null;
  letGoOfFinished(turn);
  if (hasBegun(state.job)) stopJob(turn, "left");
}

/** Whether a leaver may go. */
export function mayGo(turn: Turn): boolean {
  const { state, now_ms } = turn;
  if (!state.leaving || state.left) return false;
  if (now_ms >= state.leaving.since_ms + LEAVER_LIMIT_MS) return true;
  if (state.job) return false;
  return state.leaving.released || ownResults(state).every(({ since_ms }) => now_ms >= since_ms + LEAVER_REPEATS_MS);
}

export function onProgress(turn: Turn, job_id: number, snapshot: Snapshot): void {
  const { job } = turn.state;
  if (hasBegun(job) && job.job_id === job_id) reportProgress(turn, job, snapshot);
}

export function onFinished(turn: Turn, job_id: number, snapshot: Snapshot): void {
  const { state } = turn;
  const { job } = state;
  if (!hasBegun(job) || job.job_id !== job_id) return;
  state.job = null;
  reportFinal(turn, job, snapshot, job.end_reason);
  const { test_id, origin } = job.wanted;
  if (job.end_reason === "schedule" && origin === "control") state.finished = { ...job, next_seq: job.next_seq + 1 };
  else turn.effects.push({ type: "discard", job_id });
  log(turn, "info", "finished", `${test_id} is finished here: ${job.end_reason}`, { test_id, reason: job.end_reason });
  registerWhenFree(turn);
}

export function onLoadFailed(turn: Turn, job_id: number, message: string): void {
  const { state } = turn;
  const { job } = state;
  if (!job || job.job_id !== job_id) return;
  const { test_id } = job.wanted;
  log(turn, "error", "load_failed", `the load engine broke during ${test_id}: ${message}`, { test_id });
  reportLast(turn, job);
  turn.effects.push({ type: "discard", job_id });
  state.job = null;
  if (!hasBegun(job)) {
    if (state.wanted) state.wanted = { ...state.wanted, refused: true };
  } else if (job.wanted.origin === "control" && !state.leaving) {
    // No final will come. As a newer epoch it makes the older one lost, and others take over.
    state.fenced = true;
  }
  registerWhenFree(turn);
}

/** What time alone brings about for a job. */
export function tickJob(turn: Turn): void {
  const { state, now_ms } = turn;
  armIfTriggered(turn);
  const { job } = state;
  if (!job) return;
  if (job.stage === "unprepared" && now_ms >= job.retry_at_ms) {
    state.job = { ...job, stage: "preparing" };
    turn.effects.push({ type: "prepare", job_id: job.job_id, spec: job.wanted.spec });
    return;
  }
  if (hasBegun(job)) tickRun(turn, job);
}

function tickRun(turn: Turn, job: Job & { start: Start }): void {
  const { state, now_ms } = turn;
  const { start_ms, lease } = job.start;
  const { spec, test_id } = job.wanted;
  const { window_us } = spec.schedule;
  const { snapshot_ms } = state.options;
  if (job.stage === "armed" && now_ms >= start_ms) state.job = job = { ...job, stage: "running" };
  if (job.stage === "armed") return;
  if (now_ms >= job.next_snapshot_ms) {
    const next_snapshot_ms = now_ms + snapshot_ms - ((now_ms - start_ms) % snapshot_ms);
    state.job = job = { ...job, next_snapshot_ms };
    turn.effects.push({ type: "snapshot", job_id: job.job_id });
  }
  if (job.stage === "running" && window_us !== null && now_ms >= start_ms + spec.warmup_ms + window_us / 1e3) {
    state.job = job = { ...job, stage: "draining" };
  }
  if (job.stage === "draining") return;
  const { max_duration_ms } = state.options.caps;
  if (lease && now_ms > lease.until_ms) {
    log(turn, "warn", "lease_expired", `no sign of life from the orchestrator for ${lease.lease_ms} ms: ${test_id} stops`);
    stopJob(turn, "lease_expired");
  } else if (max_duration_ms !== undefined && now_ms > start_ms + max_duration_ms) {
    log(turn, "warn", "duration_over_cap", `${test_id} ran for as long as this driver's cap allows: it stops`);
    stopJob(turn, "stopped");
  }
}
