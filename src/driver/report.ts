import { decodeHistogram, encodeHistogram } from "../metrics/codec.ts";
import { createHistogram } from "../metrics/histogram.ts";
import { zeroCounts } from "../metrics/recorder.ts";
import type { Snapshot } from "../metrics/snapshot.ts";
import { meanUs, medianUs, modeUs } from "../metrics/statistics.ts";
import type { Range } from "../plan/schedule.ts";
import { PROTOCOL_VERSION, type CommonMetrics, type EndReason } from "../protocol/messages.ts";
import type { Report } from "./state.ts";

/** Whose report it is, and which one. */
export interface ReportHead {
  node_id: string;
  test_id: string;
  epoch: number;
  seq: number;
  revision: number;
  /** null: not the last one. */
  end_reason: EndReason | null;
}

/** A metrics record: the common format's summary first, then everything that was measured. */
export function reportOf(head: ReportHead, snapshot: Snapshot): Report {
  const { node_id, test_id, epoch, seq, revision, end_reason } = head;
  return {
    node_id,
    test_id,
    report_id: reportId(head, seq),
    metrics: commonMetrics(snapshot),
    v: PROTOCOL_VERSION,
    epoch,
    seq,
    final: end_reason !== null,
    revision,
    ...(end_reason !== null && { end_reason }),
    ...snapshot,
    ranges: snapshot.ranges.map((range) => (end_reason === "left" ? { ...range, given_back: true } : range)),
  };
}

export function reportId({ node_id, epoch }: Pick<ReportHead, "node_id" | "epoch">, seq: number): string {
  return `${node_id}-${epoch}-${seq}`;
}

/** What other implementations read: of the response time of completed requests, ms. Null without any. */
function commonMetrics(snapshot: Snapshot): CommonMetrics {
  const h = decodeHistogram(snapshot.response);
  return {
    mean_latency: toMs(meanUs(h)),
    median_latency: toMs(medianUs(h)),
    min_latency: toMs(snapshot.response.min_us),
    max_latency: toMs(snapshot.response.max_us),
    mode_latency: toMs(modeUs(h)),
  };
}

function toMs(us: number | null): number | null {
  return us === null ? null : Math.round(us) / 1000;
}

/** One key for all reports of a (node, test, epoch): the newest replaces the others. */
export function reportKey({ node_id, test_id, epoch }: Pick<Report, "node_id" | "test_id" | "epoch">): string {
  return `${test_id} ${node_id} ${epoch}`;
}

/** What was measured by a node that never began. */
export function emptySnapshot(ranges: readonly Range[]): Snapshot {
  const empty = encodeHistogram(createHistogram());
  return {
    counts: zeroCounts(),
    statuses: {},
    errors: [],
    response: empty,
    service: empty,
    connect: empty,
    failed: empty,
    send_lateness: empty,
    ranges: ranges.map(({ range_id }) => ({ range_id, taken: 0 })),
    rows: [],
    generator: {
      cpu: 0,
      utilisation: 0,
      seconds: 0,
      saturated_seconds: 0,
      due_while_free: 0,
      sent_while_free: 0,
      pacing: "timer",
    },
    start_offset_us: 0,
    warmup: null,
  };
}
