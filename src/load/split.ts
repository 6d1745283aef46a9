import { rangeLength } from "../plan/pacer.ts";
import type { Range, Schedule } from "../plan/schedule.ts";
import { share } from "../plan/share.ts";
import type { LoadJob } from "./engine.ts";

/** What one load thread sends in an open test before another one is worth its memory. */
const RPS_PER_WORKER = 30_000;
/** Closed: fewer connections than this keep no thread busy. */
const CONNECTIONS_PER_WORKER = 16;
/** Closed: fewer requests than this are over before a further thread is warm. */
const REQUESTS_PER_WORKER = 10_000;
/** Cores that load threads leave to everything else, by default. */
const SPARE_CORES = 2;

export interface WorkersWanted {
  /** The plan's number; null: by cores and rate. */
  asked: number | null;
  /** The driver's limit; null: none. */
  cap: number | null;
  cores: number;
  /** Drivers of this process, which share its cores. */
  drivers: number;
  /** Requests per second of this node; null: closed without a rate. */
  rate_rps: number | null;
}

/**
 * How many load threads a job gets: what the plan asks for, else 1 where one can do it and what the cores allow
 * otherwise; never more than the cap, than connections, or than requests.
 */
export function workersOf(job: LoadJob, wanted: WorkersWanted): number {
  const workers = wanted.asked ?? byDefault(job, wanted);
  return Math.max(1, Math.min(workers, wanted.cap ?? Infinity, most(job)));
}

function byDefault({ connections, ranges, schedule }: LoadJob, { cores, drivers, rate_rps }: WorkersWanted): number {
  const room = Math.floor((cores - SPARE_CORES) / drivers);
  const requests = ranges.reduce((sum, range) => sum + rangeLength(range, schedule.slots), 0);
  const useful =
    rate_rps === null
      ? Math.min(Math.floor(connections / CONNECTIONS_PER_WORKER), Math.ceil(requests / REQUESTS_PER_WORKER))
      : Math.ceil(rate_rps / RPS_PER_WORKER);
  return Math.min(useful, room);
}

/** No worker is without a connection, without a request, or with a rate of 0. */
function most({ connections, ranges, schedule }: LoadJob): number {
  const longest = Math.max(0, ...ranges.map((range) => rangeLength(range, schedule.slots)));
  const rate = schedule.kind === "closed" && schedule.rate_urps !== null ? schedule.rate_urps : Infinity;
  return Math.min(connections, longest, rate);
}

/**
 * A node's job as the jobs of its `workers`, which together do exactly what it says: worker w of W takes every Wth slot
 * of each range, so that drivers and workers interleave one schedule, and an exact share of all that is a number.
 *
 *     {from, to, step}  ->  {from + w step, to, W step}       slots from + m step, m = w (mod W)
 *
 * Each worker keeps its own connections and backlog: a slot waits for a connection of the worker that owns it. Closed
 * with a rate: each worker keeps its share of it, so up to W requests may go out at once.
 */
export function splitJob(job: LoadJob, workers: number): LoadJob[] {
  if (workers === 1) return [job];
  return Array.from({ length: workers }, (_, w) => ({
    ...job,
    schedule: scheduleOf(job.schedule, w, workers),
    ranges: job.ranges.map((range) => rangeOf(range, w, workers)),
    connections: share(w, workers, job.connections),
    backlog: share(w, workers, job.backlog),
  }));
}

function scheduleOf(schedule: Schedule, w: number, workers: number): Schedule {
  if (schedule.kind !== "closed" || schedule.rate_urps === null) return schedule;
  return { ...schedule, rate_urps: share(w, workers, schedule.rate_urps) };
}

/**
 * What worker w of W takes of a range. The place in the interleaving of drivers and workers moves with the beginning. So a range that has a warm-up (from =
 * share) still has one, from + m step, m < 0, m = w (mod W); one that has none (from > share) still has none.
 */
export function rangeOf(range: Range, w: number, workers: number): Range {
  if (workers === 1) return range;
  const { range_id, share, from, to, step } = range;
  const begin = from + w * step;
  return { range_id, share: from === share ? begin : share, from: begin, to, step: step * workers };
}
