import { busyRun, type SystemState } from "../run/state.ts";
import type { NodeView, TestView } from "./views.ts";

interface Family {
  name: string;
  type: "counter" | "gauge" | "summary";
  help: string;
  samples: { suffix?: string; labels?: Record<string, string>; value: number }[];
}

const COUNTERS = [
  "scheduled", "never_sent", "sent", "dropped", "ok", "http_error", "network_error", "timeout", "aborted", "unknown", "overlap", "completed",
] as const;
const NODE_STATES = ["idle", "ready", "running", "lost", "left"] as const;

/** The state of an orchestrator in the text format of Prometheus (0.0.4). Times are in seconds, as is the custom there. */
export function exposition(state: SystemState, leads: boolean, nodes: readonly NodeView[], test: TestView | null): string {
  const families: Family[] = [
    gauge("onrush_leader", "1: this orchestrator leads.", [{ value: Number(leads) }]),
    gauge("onrush_term", "The current term.", [{ value: state.leadership.term }]),
    gauge("onrush_test_running", "1: a test is running.", [{ value: busyRun(state) ? 1 : 0 }]),
    gauge("onrush_nodes", "Drivers by state.", NODE_STATES.map((word) => ({ labels: { state: word }, value: nodes.filter((node) => node.state === word).length }))),
    counter("onrush_records_rejected_total", "Records of the log that were skipped.", byReason(state.rejected)),
    counter("onrush_commands_stale_total", "Commands on control that were refused.", byReason(state.stale)),
    ...(test ? testFamilies(test) : []),
  ];
  return families.map(textOf).join("");
}

function testFamilies({ test_id, totals, latency, zero_at }: TestView): Family[] {
  const labels = { test_id };
  const one = (value: number) => [{ labels, value }];
  const { count, mean_ms, percentiles_ms } = latency.response;
  const quantiles = Object.entries(percentiles_ms).flatMap(([percent, ms]) =>
    ms === null ? [] : [{ labels: { ...labels, quantile: String(Number((Number(percent) / 100).toFixed(6))) }, value: ms / 1000 }],
  );
  return [
    gauge("onrush_test_start_timestamp_seconds", "The schedule's zero of the newest test; 0: not started.", one((zero_at ?? 0) / 1000)),
    gauge("onrush_requests_planned", "Requests planned.", one(totals.planned)),
    ...COUNTERS.map((name) => counter(`onrush_requests_${name}_total`, `Requests ${name.replaceAll("_", " ")} in the newest test.`, one(totals[name]))),
    gauge("onrush_requests_in_flight", "Requests in flight.", one(totals.in_flight)),
    gauge("onrush_requests_waiting", "Requests that are due and wait for a connection.", one(totals.waiting)),
    gauge("onrush_rps", "Requests completed per second of the window.", one(totals.rps)),
    counter("onrush_received_bytes_total", "Bytes received.", one(totals.bytes_in)),
    counter("onrush_sent_bytes_total", "Bytes sent.", one(totals.bytes_out)),
    {
      name: "onrush_response_seconds",
      type: "summary",
      help: "Response time, from due to the last byte; quantiles rank failed and dropped requests last.",
      samples: [
        ...quantiles,
        { suffix: "_sum", labels, value: ((mean_ms ?? 0) * count) / 1000 },
        { suffix: "_count", labels, value: count },
      ],
    },
  ];
}

function gauge(name: string, help: string, samples: Family["samples"]): Family {
  return { name, type: "gauge", help, samples };
}

function counter(name: string, help: string, samples: Family["samples"]): Family {
  return { name, type: "counter", help, samples };
}

function byReason(counts: ReadonlyMap<string, number>): Family["samples"] {
  return [...counts].map(([reason, value]) => ({ labels: { reason }, value }));
}

function textOf({ name, type, help, samples }: Family): string {
  const lines = samples.map(({ suffix = "", labels = {}, value }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
    return `${name}${suffix}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
