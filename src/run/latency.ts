import { decodeHistogram } from "../metrics/codec.ts";
import { createHistogram, merge, type Histogram } from "../metrics/histogram.ts";
import { mergeTls, type TlsRecord, type TlsSummary } from "../metrics/tls.ts";
import { percentilesUs, summarize, type LatencySummary } from "../metrics/statistics.ts";
import type { Measures } from "../protocol/measures.ts";
import type { PlainMetrics } from "../protocol/messages.ts";
import type { Account } from "./accounts.ts";
import type { Latency, NodeReport } from "./report-schema.ts";

/** The histograms of one node, or of several merged. */
export interface Measurements {
  response: Histogram;
  service: Histogram;
  connect: Histogram;
  tls: TlsRecord | null;
  failed: Histogram;
  send_lateness: Histogram;
}

/** What one node measured. */
export function measurementsOf(part: Measures): Measurements {
  return {
    response: decodeHistogram(part.response),
    service: decodeHistogram(part.service),
    connect: decodeHistogram(part.connect),
    tls: part.tls ?? null,
    failed: decodeHistogram(part.failed),
    send_lateness: decodeHistogram(part.send_lateness),
  };
}

/** What several nodes measured: the same as if one had measured all of it. Of a single one it is that one's own. */
export function mergeMeasurements(parts: readonly Measurements[]): Measurements {
  const [only] = parts;
  if (only && parts.length === 1) return only;
  const merged = (pick: (part: Measurements) => Histogram): Histogram => mergedHistogram(parts.map(pick));
  return {
    response: merged((part) => part.response),
    service: merged((part) => part.service),
    connect: merged((part) => part.connect),
    tls: mergeTls(parts.map(({ tls }) => tls)),
    failed: merged((part) => part.failed),
    send_lateness: merged((part) => part.send_lateness),
  };
}

/** The sum of histograms; of a single one it is that one itself. */
export function mergedHistogram(parts: readonly Histogram[]): Histogram {
  const [only] = parts;
  if (only && parts.length === 1) return only;
  const sum = createHistogram();
  for (const part of parts) merge(sum, part);
  return sum;
}

/**
 * How many requests rank above every completed one: failed and dropped ones. So the response's percentiles rank over
 *
 *     N = scheduled - aborted - unknown = completed + dropped + network_error + timeout
 */
export function infiniteOf({ dropped, network_error, timeout }: Pick<Account, "dropped" | "network_error" | "timeout">): number {
  return dropped + network_error + timeout;
}

/** What was negotiated, without the times of it. */
export function tlsOf({ tls }: Measurements): TlsSummary | null {
  if (tls === null) return null;
  const { protocol, cipher, handshakes, resumed } = tls;
  return { protocol, cipher, handshakes, resumed };
}

export function latencyOf(measured: Measurements, infinite: number): Latency {
  return {
    response: summarize(measured.response, infinite),
    service: summarize(measured.service),
    connect: summarize(measured.connect),
    tls: summarize(measured.tls === null ? createHistogram() : decodeHistogram(measured.tls.duration)),
    failed: summarize(measured.failed),
  };
}

/** A foreign node's own summary under the same names; what it does not say is null. */
export function latencyOfSummary(plain: PlainMetrics | null): Latency {
  const nothing = summarize(createHistogram());
  if (!plain) return { response: nothing, service: nothing, connect: nothing, tls: nothing, failed: nothing };
  const { mean_latency, median_latency, min_latency, max_latency, mode_latency } = plain.metrics;
  const response: LatencySummary = {
    ...nothing,
    min_ms: rounded(min_latency),
    max_ms: rounded(max_latency),
    mean_ms: rounded(mean_latency),
    median_ms: rounded(median_latency),
    mode_ms: rounded(mode_latency),
  };
  return { response, service: nothing, connect: nothing, tls: nothing, failed: nothing };
}

function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 1000) / 1000;
}

/** How late requests went out, whole us. */
export function latenessOf(histogram: Histogram): NodeReport["send_lateness_us"] {
  if (histogram.count === 0) return { p50: null, p99: null, max: null };
  const [p50, p99] = percentilesUs(histogram, [0.5, 0.99]);
  return { p50: p50 ?? null, p99: p99 ?? null, max: histogram.max_us };
}
