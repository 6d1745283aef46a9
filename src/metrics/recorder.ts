import { encodeHistogram } from "./codec.ts";
import { createHistogram, record, reset, type Histogram } from "./histogram.ts";
import type { Counts, EndKind, ErrorCount, Row, Snapshot } from "./snapshot.ts";
import { createTlsRecorder } from "./tls.ts";

/** What a recorder knows of a Snapshot; the rest is its engine's. */
export type Recording = Pick<
  Snapshot,
  "counts" | "statuses" | "errors" | "response" | "service" | "connect" | "tls" | "failed" | "send_lateness" | "rows"
>;

/**
 * Counts what one load engine does. Every `t_us` is a moment in us since the schedule's zero (a float, from 0 on);
 * durations are us, floats too. Only `snapshot` allocates, and whatever is the first of its kind.
 */
export interface Recorder {
  /** A slot was taken from the schedule because it was due. */
  scheduled(t_us: number): void;
  /** A scheduled slot was given to a connection attempt, `lateness_us` after it could have been. */
  sent(t_us: number, lateness_us: number): void;
  /** A scheduled slot was given up unsent. */
  dropped(t_us: number): void;
  /**
   * A sent request was answered to the last byte. Status 200-399 is ok, all others are http_error.
   * @throws RangeError when status is not a whole number from 100 to 999
   */
  completed(t_us: number, status: number, response_us: number, service_us: number): void;
  /** A sent request ended otherwise, `response_us` after it was due. */
  failed(t_us: number, kind: EndKind, message: string, response_us: number): void;
  /** A connection was opened; `first`: it is not a replacement of an earlier one. */
  connected(connect_us: number, first: boolean): void;
  /** TLS was established, `tls_us` after TCP was. */
  secured(tls_us: number, reused: boolean, protocol: string, cipher: string): void;
  /** A request was due while no connection was free. */
  waitedForConnection(): void;
  /** How many due requests wait for a connection now. */
  backlog(waiting: number): void;
  bytes(bytes_in: number, bytes_out: number): void;
  /**
   * Everything until now, as of one instant; it shares nothing with the recorder. Rows: of the second of `t_us` and
   * the three before it, those in which anything happened. A row that is older changes no more.
   * @throws Error when the engine ended more requests than it sent, or sent and dropped more than were scheduled
   */
  snapshot(t_us: number): Recording;
}

export interface RecorderOptions {
  /** The schedule's window (Schedule.window_us): what completes before its end counts as completed_in_window. */
  window_us: number | null;
}

/** Rows kept: the current second and three whole ones. A power of two. */
const ROWS = 4;
const SECOND_US = 1e6;

const MAX_MESSAGES = 100;
const MAX_MESSAGE_LENGTH = 200;
/** Where errors are counted after the first 100 different (kind, message) pairs. */
const OTHER_MESSAGES = "other messages";

type OpenRow = Omit<Row, "response"> & { response: Histogram };

/** A recorder at zero. */
export function createRecorder(options: RecorderOptions): Recorder {
  const window_us = options.window_us ?? Infinity;
  // `waiting` and `in_flight` follow from the others and are worked out in snapshot().
  const counts = zeroCounts();
  const response = createHistogram();
  const service = createHistogram();
  const connect = createHistogram();
  const tls = createTlsRecorder();
  const failed = createHistogram();
  const send_lateness = createHistogram();
  const statuses = new Float64Array(1000);
  const errors = createErrorTable();
  const rows = createRows();

  return {
    scheduled(t_us) {
      counts.scheduled += 1;
      const row = rows.at(t_us);
      if (row !== null) row.scheduled += 1;
    },

    sent(t_us, lateness_us) {
      counts.sent += 1;
      record(send_lateness, lateness_us);
      const row = rows.at(t_us);
      if (row !== null) row.sent += 1;
    },

    dropped(t_us) {
      counts.dropped += 1;
      rows.at(t_us);
    },

    completed(t_us, status, response_us, service_us) {
      if (!(status >= 100 && status <= 999 && Number.isInteger(status))) {
        throw new RangeError(`a status must be a whole number from 100 to 999, got ${status}`);
      }
      const ok = status >= 200 && status < 400;
      if (ok) counts.ok += 1;
      else counts.http_error += 1;
      if (t_us < window_us) counts.completed_in_window += 1;
      if (t_us > counts.last_end_us) counts.last_end_us = t_us;
      statuses[status]! += 1;
      record(response, response_us);
      record(service, service_us);
      const row = rows.at(t_us);
      if (row === null) return;
      row.completed += 1;
      if (!ok) row.errors += 1;
      record(row.response, response_us);
    },

    failed(t_us, kind, message, response_us) {
      if (kind === "timeout") counts.timeout += 1;
      else if (kind === "aborted") counts.aborted += 1;
      else counts.network_error += 1;
      if (t_us > counts.last_end_us) counts.last_end_us = t_us;
      record(failed, response_us);
      errors.add(kind, message);
      const row = rows.at(t_us);
      if (row !== null) row.errors += 1;
    },

    connected(connect_us, first) {
      record(connect, connect_us);
      if (!first) counts.reconnects += 1;
    },

    secured: (tls_us, reused, protocol, cipher) => tls.secured(tls_us, reused, protocol, cipher),

    waitedForConnection() {
      counts.waited_for_connection += 1;
    },

    backlog(waiting) {
      if (waiting > counts.backlog_max) counts.backlog_max = waiting;
    },

    bytes(bytes_in, bytes_out) {
      counts.bytes_in += bytes_in;
      counts.bytes_out += bytes_out;
    },

    snapshot(t_us) {
      const ended = counts.ok + counts.http_error + counts.network_error + counts.timeout + counts.aborted;
      const in_flight = counts.sent - ended;
      const waiting = counts.scheduled - counts.sent - counts.dropped;
      if (in_flight < 0) throw new Error(`invariant: ${ended} requests ended, only ${counts.sent} were sent`);
      if (waiting < 0) {
        const { sent, dropped, scheduled } = counts;
        throw new Error(`invariant: ${sent} slots sent and ${dropped} dropped, only ${scheduled} were scheduled`);
      }
      return {
        counts: { ...counts, in_flight, waiting },
        statuses: tally(statuses),
        errors: errors.list(),
        response: encodeHistogram(response),
        service: encodeHistogram(service),
        connect: encodeHistogram(connect),
        tls: tls.snapshot(),
        failed: encodeHistogram(failed),
        send_lateness: encodeHistogram(send_lateness),
        rows: rows.recent(t_us),
      };
    },
  };
}

/** Nothing counted yet. */
export function zeroCounts(): Counts {
  return {
    scheduled: 0,
    sent: 0,
    dropped: 0,
    ok: 0,
    http_error: 0,
    network_error: 0,
    timeout: 0,
    aborted: 0,
    in_flight: 0,
    waiting: 0,
    completed_in_window: 0,
    bytes_in: 0,
    bytes_out: 0,
    reconnects: 0,
    waited_for_connection: 0,
    backlog_max: 0,
    last_end_us: 0,
  };
}

function tally(statuses: Float64Array): Record<string, number> {
  const tallied: Record<string, number> = {};
  statuses.forEach((count, status) => {
    if (count > 0) tallied[status] = count;
  });
  return tallied;
}

/**
 * The newest second that anything is known of and the three before it; second s lives in slot s mod 4, and its memory
 * is taken over by second s + 4.
 */
function createRows(): { at(t_us: number): OpenRow | null; recent(t_us: number): Row[] } {
  const slots: OpenRow[] = Array.from({ length: ROWS }, () => ({ ...zeroRow(-1), response: createHistogram() }));
  const clock = { newest_s: 0 };

  return {
    /** The row of a moment, null when it is out of reach. */
    at(t_us) {
      const t_s = secondOf(t_us);
      if (t_s > clock.newest_s) clock.newest_s = t_s;
      else if (t_s <= clock.newest_s - ROWS) return null;
      const row = slots[t_s & (ROWS - 1)]!;
      if (row.t_s !== t_s) {
        Object.assign(row, zeroRow(t_s));
        reset(row.response);
      }
      return row;
    },

    recent(t_us) {
      clock.newest_s = Math.max(clock.newest_s, secondOf(t_us));
      return slots
        .filter((row) => row.t_s >= 0 && row.t_s > clock.newest_s - ROWS)
        .sort((a, b) => a.t_s - b.t_s)
        .map((row) => ({ ...row, response: encodeHistogram(row.response) }));
    },
  };
}

function secondOf(t_us: number): number {
  return Math.max(0, Math.floor(t_us / SECOND_US));
}

function zeroRow(t_s: number): Omit<OpenRow, "response"> {
  return { t_s, scheduled: 0, sent: 0, completed: 0, errors: 0 };
}

/** Counts by kind and message; the number of different messages is bounded, and so is their length. */
function createErrorTable(): { add(kind: EndKind, message: string): void; list(): ErrorCount[] } {
  const kinds = new Map<EndKind, Map<string, ErrorCount>>();
  let distinct = 0;

  const insert = (messages: Map<string, ErrorCount>, kind: EndKind, message: string): void => {
    messages.set(message, { kind, message, count: 1 });
  };

  return {
    add(kind, message) {
      let messages = kinds.get(kind);
      if (messages === undefined) kinds.set(kind, (messages = new Map<string, ErrorCount>()));
      const text = message.length > MAX_MESSAGE_LENGTH ? message.slice(0, MAX_MESSAGE_LENGTH) : message;
      const known = messages.get(text);
      if (known !== undefined) {
        known.count += 1;
        return;
      }
      if (distinct < MAX_MESSAGES) {
        distinct += 1;
        insert(messages, kind, text);
        return;
      }
      const others = messages.get(OTHER_MESSAGES);
      if (others === undefined) insert(messages, kind, OTHER_MESSAGES);
      else others.count += 1;
    },

    list() {
      return [...kinds.values()].flatMap((messages) => [...messages.values()].map((error) => ({ ...error })));
    },
  };
}
