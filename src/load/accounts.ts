import { createRecorder, type Recorder, type Recording } from "../metrics/recorder.ts";
import type { EndKind, Snapshot } from "../metrics/snapshot.ts";
import type { Connection } from "./connection.ts";
import type { LoadJob } from "./engine.ts";
import type { Time } from "./time.ts";

const SECOND_US = 1e6;

/**
 * What a load loop tells of each request, by its due moment: those due before zero are the warm-up, and count apart.
 * All moments are us since the schedule's zero.
 */
export class Accounts {
  in_flight = 0;
  /** Changes whenever the load thread does something. */
  activity = 0;
  due_while_free = 0;
  sent_while_free = 0;

  private readonly main: Recorder;
  private readonly warmup: Recorder | null;
  private readonly warmup_us: number;
  private readonly time: Time;

  constructor({ schedule, warmup_us }: LoadJob, time: Time) {
    this.main = createRecorder({ window_us: schedule.window_us });
    this.warmup = warmup_us > 0 ? createRecorder({ window_us: warmup_us }) : null;
    this.warmup_us = warmup_us;
    this.time = time;
  }

  scheduled(due_us: number): void {
    if (due_us < 0 && this.warmup !== null) this.warmup.scheduled(due_us + this.warmup_us);
    else this.main.scheduled(due_us);
  }

  /** Gives a scheduled request to a free connection. The clock is read here: once per request sent. */
  assign(connection: Connection, due_us: number): void {
    const now_us = this.time.now();
    const free_us = connection.free_since_us;
    const lateness_us = Math.max(0, now_us - (free_us > due_us ? free_us : due_us));
    this.in_flight++;
    this.activity++;
    if (due_us < 0 && this.warmup !== null) {
      this.warmup.sent(now_us + this.warmup_us, lateness_us);
    } else {
      this.main.sent(now_us, lateness_us);
      if (free_us <= due_us) {
        this.due_while_free++;
        if (now_us - due_us < SECOND_US) this.sent_while_free++;
      }
    }
    connection.assign(due_us, now_us);
  }

  dropped(due_us: number): void {
    if (due_us < 0 && this.warmup !== null) this.warmup.dropped(this.time.now() + this.warmup_us);
    else this.main.dropped(this.time.now());
  }

  completed({ due_us, handed_over_us, status }: Connection, t_us: number): void {
    this.in_flight--;
    const response_us = t_us - due_us;
    const service_us = t_us - handed_over_us;
    if (due_us < 0 && this.warmup !== null) {
      this.warmup.completed(t_us + this.warmup_us, status, response_us, service_us);
    } else {
      this.main.completed(t_us, status, response_us, service_us);
    }
  }

  failed({ due_us }: Connection, t_us: number, kind: EndKind, message: string): void {
    this.in_flight--;
    this.activity++;
    if (due_us < 0 && this.warmup !== null) this.warmup.failed(t_us + this.warmup_us, kind, message, t_us - due_us);
    else this.main.failed(t_us, kind, message, t_us - due_us);
  }

  connected(connect_us: number, first: boolean): void {
    this.activity++;
    this.main.connected(connect_us, first);
  }

  secured(tls_us: number, reused: boolean, protocol: string, cipher: string): void {
    this.main.secured(tls_us, reused, protocol, cipher);
  }

  /** A due request found no connection free; `waiting`: how many wait now, or null when it was dropped for that. */
  foundNoneFree(due_us: number, waiting: number | null): void {
    const recorder = due_us < 0 && this.warmup !== null ? this.warmup : this.main;
    recorder.waitedForConnection();
    if (waiting !== null) recorder.backlog(waiting);
  }

  moved(due_us: number, bytes_in: number, bytes_out: number): void {
    this.activity++;
    if (due_us < 0 && this.warmup !== null) this.warmup.bytes(bytes_in, bytes_out);
    else this.main.bytes(bytes_in, bytes_out);
  }

  /** Everything until `now_us` but what only the engine knows; before the schedule has a zero it is 0. */
  snapshot(now_us: number): Recording & Pick<Snapshot, "warmup"> {
    const warmup = this.warmup?.snapshot(now_us + this.warmup_us);
    return {
      ...this.main.snapshot(now_us),
      warmup: warmup === undefined ? null : { counts: warmup.counts, response: warmup.response },
    };
  }
}
