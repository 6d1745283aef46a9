import { stopJob } from "./lifecycle.ts";
import { hasBegun } from "./state.ts";
import { log, type Turn } from "./turn.ts";

/** Nobody was taken for dead in a gap that is no longer than this. */
const HARMLESS_GAP_MS = 3_000;

/**
 * The engine did not run for a while (suspended, blocked): others may have been given its slots. It sends nothing before
 * control was read to its end.
 */
export function onGap(turn: Turn, job_id: number, gap_ms: number): void {
  const { state } = turn;
  const { job } = state;
  if (!hasBegun(job) || job.job_id !== job_id || job.stopped) return;
  const { test_id, origin } = job.wanted;
  log(turn, "warn", "gap", `nothing was sent for ${Math.round(gap_ms)} ms: ${test_id} waits until control is read`, { test_id, gap_ms });
  state.reads += 1;
  state.job = { ...job, held: { gap_ms, read: state.reads } };
  if (origin === "plain") resume(turn);
  else turn.effects.push({ type: "read_control_to_end", read: state.reads });
}

export function onControlRead(turn: Turn, read: number): void {
  if (turn.state.job?.held?.read === read) resume(turn);
}

/**
 * To be asked when the state of the log is fresh: what was known of it before the gap says nothing. While it is away a short gap is no more than the
 * outage itself: the lease holds. A long one waits for the log.
 */
export function resumeWithoutLog(turn: Turn): void {
  const { job, bus_connected } = turn.state;
  if (job?.held && !bus_connected && job.held.gap_ms <= HARMLESS_GAP_MS) resume(turn);
}

function resume(turn: Turn): void {
  const { state, now_ms } = turn;
  const { job } = state;
  if (!job) return;
  state.job = { ...job, held: null };
  const lease = job.start?.lease;
  if (lease && now_ms > lease.until_ms) stopJob(turn, "lease_expired");
  else if (!job.stopped) turn.effects.push({ type: "resume", job_id: job.job_id });
}
