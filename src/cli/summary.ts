import type { LatencySummary, Percentile } from "../metrics/statistics.ts";
import { PERCENTILES } from "../metrics/statistics.ts";
import type { NodeReport, Report, Totals } from "../run/report-schema.ts";
import { byName, bytes, count, duration, percent, percentile, printable, rate } from "./figures.ts";
import { codesInWords, reasonInWords } from "./generator-words.ts";
import { aligned, columns, fit, folded, plainPaint, wrapped, type Paint, type Tone } from "./paint.ts";
import { actualFigure } from "./threshold-figure.ts";

const MAX_WIDTH = 132;
const SHOWN_ERRORS = 10;
const SHOWN_NODES = 50;

/** What is known beside the report. */
export interface SummaryContext {
  /** Where the report was kept and written. */
  kept?: string[];
}

/** The summary at the end, one string a line, none wider than `width` columns. */
export function renderSummary(report: Report, width: number, paint: Paint = plainPaint, context: SummaryContext = {}): string[] {
  const room = Math.max(40, Math.min(width, MAX_WIDTH));
  const lines = [
    ...headLines(report, room, paint),
    "",
    ...countLines(report, room, paint),
    "",
    ...latencyLines(report, room, paint),
    ...pictureLines(report, room, paint),
    ...nodeTable(report, room, paint),
    ...[...statusLines(report, paint), ...thresholdLines(report, paint)].flatMap((line) => folded(line, room)),
    "",
    ...generatorLines(report, room, paint),
    ...(context.kept ?? []).map((line) => paint("dim", line)),
  ];
  return lines.map((line) => fit(line, Math.max(1, width)));
}

function headLines(report: Report, room: number, paint: Paint): string[] {
  const { status, verdict, totals } = report;
  const name = report.name === null ? "" : ` "${printable(report.name)}"`;
  const bad = verdict === "fail" || status === "failed" || totals.ok === 0;
  const doubtful = verdict === "inconclusive" || !report.complete || status === "stopped" || report.bugs.length > 0;
  const tone = bad ? "red" : doubtful ? "yellow" : "green";
  const word = verdict === "none" ? status.toUpperCase() : `${verdict.toUpperCase()} (${status})`;
  const lines = [
    ...folded(`${paint(tone, word)}  test ${report.test_id}${name}`, room),
    `${report.model} loop, ${seconds(report.duration_s)} + ${seconds(report.drain_s)} drain`,
  ];
  if (totals.ok === 0) lines.push(paint("red", "! not a single request was answered with success"));
  const alarm = (tone: Tone, text: string) => lines.push(...wrapped(`! ${text}`, room).map((line) => paint(tone, line)));
  for (const text of [...shortfall(report), ...incompleteness(report)]) alarm("yellow", text);
  for (const bug of report.bugs) alarm("red", `the figures contradict each other, which is a bug in Onrush: ${printable(bug)}`);
  return lines;
}

/** Requests that were never sent although nobody stopped the run. */
function shortfall({ status, totals: { planned, never_sent, never_sent_reasons } }: Report): string[] {
  const reasons = Object.keys(never_sent_reasons).filter((reason) => reason !== "stopped");
  if (status === "stopped" || never_sent === 0) return [];
  return [`${count(never_sent)} of ${count(planned)} requests were never sent${reasons.length > 0 ? `: ${reasons.join(", ")}` : ""}`];
}

function incompleteness(report: Report): string[] {
  if (report.complete) return [];
  const reasons = report.incomplete_reasons.map(({ node_id, reason }) => `${printable(node_id)}: ${printable(reason)}`);
  const unknown = report.totals.unknown;
  if (unknown > 0) reasons.push(`${count(unknown)} requests at most may have been sent without anybody having counted their answers`);
  return [`incomplete: ${reasons.join("; ") || "something was not reported"}`];
}

function seconds(s: number): string {
  return `${s.toLocaleString("en-US", { maximumFractionDigits: s < 10 ? 2 : 1 })} s`;
}

function countLines(report: Report, room: number, paint: Paint): string[] {
  const { totals } = report;
  const failed = (label: string, n: number): [string, string] => [label, n > 0 ? paint("red", count(n)) : count(n)];
  const reasons = Object.entries(totals.never_sent_reasons).map(([reason, n]) => `${reason} ${count(n)}`);
  const cells: [string, string][] = [
    ["planned", count(totals.planned)],
    ["sent", count(totals.sent)],
    ["ok", totals.ok > 0 ? paint("green", count(totals.ok)) : count(totals.ok)],
    failed("http errors", totals.http_error),
    failed("network errors", totals.network_error),
    failed("timeouts", totals.timeout),
    failed("aborted", totals.aborted),
    failed("dropped", totals.dropped),
    failed("never sent", totals.never_sent),
    failed("unknown", totals.unknown),
    ...(totals.overlap > 0 || totals.overlap_max !== 0
      ? [failed("overlap", totals.overlap), ["overlap at most", totals.overlap_max === null ? "unbounded" : count(totals.overlap_max)] as [string, string]]
      : []),
  ];
  const target = totals.target_rps === null ? "" : ` (target ${rate(totals.target_rps)})`;
  return [
    ...grid(cells, room),
    ...folded(`answered ${rate(totals.rps)} rps${target}   received ${bytes(totals.bytes_in)}   sent ${bytes(totals.bytes_out)}`, room),
    ...(reasons.length > 0 ? folded(`never sent because: ${reasons.join(", ")}`, room) : []),
    ...(report.warmup === null
      ? []
      : [`warm-up, counted apart: sent ${count(report.warmup.sent)}, errors ${count(report.warmup.errors)}`]),
    ...[...connectionLines(totals), ...tlsLines(report)].flatMap((line) => folded(line, room)),
  ];
}

function tlsLines({ tls }: Report): string[] {
  if (tls === null) return [];
  const resumed = tls.resumed > 0 ? `, ${count(tls.resumed)} of them resumed` : "";
  return [`${printable(tls.protocol)} with ${printable(tls.cipher)}, ${count(tls.handshakes)} handshakes${resumed}`];
}

function connectionLines({ reconnects, waited_for_connection, backlog_max }: Totals): string[] {
  const parts = [
    ...(waited_for_connection > 0 ? [`${count(waited_for_connection)} requests waited for a free connection (at most ${count(backlog_max)} at once)`] : []),
    ...(reconnects > 0 ? [`${count(reconnects)} reconnects`] : []),
  ];
  return parts.length > 0 ? [parts.join(", ")] : [];
}

/** Label and figure pairs in as many columns as there is room for. */
function grid(cells: [string, string][], room: number): string[] {
  const label = Math.max(...cells.map(([text]) => text.length));
  const figure = Math.max(...cells.map(([, text]) => columns(text)));
  const across = Math.max(1, Math.min(5, Math.floor((room + 4) / (label + figure + 5))));
  const shown = cells.map(([text, value]) => `${text.padEnd(label)} ${" ".repeat(figure - columns(value))}${value}`);
  const lines: string[] = [];
  for (let i = 0; i < shown.length; i += across) lines.push(shown.slice(i, i + across).join("    "));
  return lines;
}

interface LatencyRow {
  name: string;
  of: (s: LatencySummary) => number | null;
  percentile?: Percentile;
}

const LATENCY_ROWS: readonly LatencyRow[] = [
  { name: "min", of: (s) => s.min_ms },
  { name: "mean", of: (s) => s.mean_ms },
  { name: "median", of: (s) => s.median_ms, percentile: "50" },
  { name: "mode", of: (s) => s.mode_ms },
  ...PERCENTILES.filter((p) => p !== "50").map((p) => ({
    name: `p${p}`,
    of: (s: LatencySummary) => s.percentiles_ms[p],
    percentile: p,
  })),
  { name: "max", of: (s) => s.max_ms },
];

function figureOf(summary: LatencySummary, row: LatencyRow, timeout_ms: number): string {
  const ms = row.of(summary);
  return row.percentile === undefined ? duration(ms) : percentile(summary, row.percentile, ms, timeout_ms);
}

function latencyLines(report: Report, room: number, paint: Paint): string[] {
  const { timeout_ms } = report.plan.target;
  const kinds = (["response", "service", "connect", "tls", "failed"] as const).filter(
    (kind) => (kind !== "failed" && kind !== "tls") || report.latency[kind].count > 0,
  );
  const cell = (kind: keyof Report["latency"], row: LatencyRow) =>
    figureOf(report.latency[kind], row, timeout_ms);
  const across = [
    ["latency", ...LATENCY_ROWS.map(({ name }) => name)],
    ...kinds.map((kind) => [kind, ...LATENCY_ROWS.map((row) => cell(kind, row))]),
  ];
  const down = (shown: typeof kinds) => [
    ["latency", ...shown],
    ...LATENCY_ROWS.map((row) => [row.name, ...shown.map((kind) => cell(kind, row))]),
    ["count", ...shown.map((kind) => count(report.latency[kind].count))],
  ];
  const fits = (table: string[]) => table.every((line) => columns(line) <= room);
  const withoutConnect = kinds.filter((kind) => kind !== "connect" && kind !== "tls");
  const lines = [across, down(kinds)].map((rows) => aligned(rows)).find(fits) ?? aligned(down(withoutConnect));
  return lines.map((line, i) => (i === 0 ? paint("dim", line) : line));
}

/** Bars from 0 to the largest percentile: where the time goes as the share of requests grows. */
function pictureLines(report: Report, room: number, paint: Paint): string[] {
  const { percentiles_ms } = report.latency.response;
  const known = PERCENTILES.flatMap((p) => (percentiles_ms[p] === null ? [] : [{ p, ms: percentiles_ms[p] }]));
  const top = Math.max(0, ...known.map(({ ms }) => ms));
  if (top === 0 || known.length < 2) return [];
  const figures = known.map(({ ms }) => duration(ms));
  const widest = Math.max(...figures.map((text) => text.length));
  const length = Math.max(8, Math.min(48, room - widest - 12));
  const bars = known.map(({ p, ms }, i) => {
    const bar = barOf(ms / top, length);
    return `  p${p.padEnd(5)}  ${figures[i]!.padStart(widest)}  ${paint("cyan", bar)}`;
  });
  return ["", paint("dim", "response time by percentile"), ...bars];
}

const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

function barOf(share: number, length: number): string {
  const eighths = Math.max(1, Math.round(share * length * 8));
  return "█".repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8]!;
}

/** `spare`: where there is no room the columns with the highest number go first. */
const NODE_COLUMNS: { name: string; of: (node: NodeReport, timeout_ms: number) => string; spare: number }[] = [
  { name: "state", of: ({ state }) => state, spare: 0 },
  { name: "sent", of: ({ totals }) => count(totals.sent), spare: 0 },
  { name: "dropped", of: ({ totals }) => count(totals.dropped), spare: 4 },
  { name: "min", of: ({ latency }) => duration(latency.response.min_ms), spare: 6 },
  { name: "mean", of: ({ latency }) => duration(latency.response.mean_ms), spare: 2 },
  { name: "median", of: ({ latency }, timeout_ms) => percentile(latency.response, "50", latency.response.median_ms, timeout_ms), spare: 1 },
  { name: "mode", of: ({ latency }) => duration(latency.response.mode_ms), spare: 5 },
  { name: "p99", of: ({ latency }, timeout_ms) => percentile(latency.response, "99", latency.response.percentiles_ms["99"], timeout_ms), spare: 0 },
  { name: "max", of: ({ latency }) => duration(latency.response.max_ms), spare: 3 },
  { name: "start", of: ({ start_offset_ms }) => signed(start_offset_ms), spare: 7 },
  { name: "late p99", of: ({ send_lateness_us: { p99 } }) => duration(p99 === null ? null : p99 / 1000), spare: 8 },
  { name: "pacing", of: ({ pacing }) => pacing ?? "-", spare: 9 },
];

function signed(ms: number | null): string {
  return ms === null ? "-" : `${ms >= 0 ? "+" : ""}${duration(ms)}`;
}

function nodeTable(report: Report, room: number, paint: Paint): string[] {
  const shown = report.nodes.toSorted((a, b) => byName(a.node_id, b.node_id)).slice(0, SHOWN_NODES);
  if (shown.length === 0) return [];
  const { timeout_ms } = report.plan.target;
  const table = (used: typeof NODE_COLUMNS) =>
    aligned([
      ["driver", ...used.map(({ name }) => name)],
      ...shown.map((node) => [printable(node.node_id).slice(0, 32), ...used.map(({ of }) => of(node, timeout_ms))]),
    ]);
  let lines: string[] = [];
  for (let most = NODE_COLUMNS.length; most >= 0; most--) {
    lines = table(NODE_COLUMNS.filter(({ spare }) => spare <= most));
    if (lines.every((line) => columns(line) <= room)) break;
  }
  const more = report.nodes.length - shown.length;
  return [
    "",
    ...lines.map((line, i) => (i === 0 ? paint("dim", line) : shown[i - 1]!.state === "lost" ? paint("red", line) : line)),
    ...(more > 0 ? [paint("dim", `and ${count(more)} more drivers`)] : []),
  ];
}

function statusLines(report: Report, paint: Paint): string[] {
  const statuses = Object.entries(report.statuses).sort(([a], [b]) => Number(a) - Number(b));
  const answered = statuses.reduce((sum, [, n]) => sum + n, 0);
  const shown = statuses.map(([status, n]) => `${Number(status) >= 400 ? paint("red", status) : status} x ${count(n)} (${percent(n / answered)})`);
  const errors = report.errors.slice(0, SHOWN_ERRORS).map(({ kind, message, count: n }) => [paint("red", kind), `x ${count(n)}`, printable(message)]);
  const widest = Math.max(0, ...errors.map(([kind]) => columns(kind!)));
  const most = Math.max(0, ...errors.map(([, times]) => times!.length));
  const more = report.errors.length - errors.length;
  return [
    ...(shown.length > 0 ? ["", `status   ${shown.join("   ")}`] : []),
    ...(errors.length > 0 ? ["", paint("dim", "errors")] : []),
    ...errors.map(([kind, times, message]) => `  ${kind}${" ".repeat(widest - columns(kind!))}  ${times!.padStart(most)}  ${message}`),
    ...(more > 0 ? [paint("dim", `  and ${count(more)} other kinds of errors`)] : []),
  ];
}

function thresholdLines(report: Report, paint: Paint): string[] {
  if (report.thresholds.length === 0) return [];
  const tones = { pass: "green", fail: "red", inconclusive: "yellow" } as const;
  const rows = report.thresholds.map((result) => {
    const { expression, verdict, reason } = result;
    const why = reason === null ? "" : `  (${codesInWords(printable(reason))})`;
    return { verdict, expression: printable(expression), text: `actual ${actualFigure(result, report)}${why}` };
  });
  const widest = Math.max(...rows.map(({ expression }) => expression.length));
  return [
    "",
    paint("dim", "thresholds"),
    ...rows.map(({ verdict, expression, text }) => `  ${paint(tones[verdict], verdict.padEnd(12))}  ${expression.padEnd(widest)}  ${text}`),
  ];
}

function generatorLines({ generator, nodes, start_spread_ms }: Report, room: number, paint: Paint): string[] {
  const use = `cpu ${generator.cpu.toFixed(2)} cores, utilisation ${percent(generator.utilisation)}`;
  const spread = nodes.length > 1 && start_spread_ms !== null ? `; all drivers started within ${duration(start_spread_ms)}` : "";
  const reasons = generator.reasons.map((reason) => {
    const { cause, advice } = reasonInWords(reason);
    return printable(advice === "" ? cause : `${cause}; ${advice}`);
  });
  const doubt = wrapped(`! the generator did not keep up, its figures are doubtful: ${reasons.join(". ")}`, room);
  return [...wrapped(`generator ${use}${spread}`, room), ...(generator.valid ? [] : doubt.map((line) => paint("yellow", line)))];
}
