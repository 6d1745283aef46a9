import type { LatencySummary, Percentile } from "../metrics/statistics.ts";
import type { NodeReport } from "../run/report-schema.ts";
import { count, duration, percentile, printable, rate, tight } from "./figures.ts";
import { doneShare, errorCount, errorKinds, lastSecond, sentUntil, type LiveModel } from "./live-model.ts";
import { aligned, columns as columnsOf, fit, plainPaint, type Paint } from "./paint.ts";

const MIN_WIDTH = 40;
const MAX_WIDTH = 100;
const SHOWN_NODES = 12;
const SHOWN_MARKS = 3;
const LABEL_WIDTH = 8;
const MOST_BARS = 60;

/**
 * The live view, one string a line, none wider than `width` columns. `moment.t_s`: seconds since the schedule's zero, by
 * the viewer's own clock (the model's is as old as the last snapshot).
 */
export function renderLive(model: LiveModel, width: number, paint: Paint = plainPaint, moment?: { t_s: number }): string[] {
  const columns = Math.max(MIN_WIDTH, Math.min(width, MAX_WIDTH));
  const { totals, response } = model;
  const lines = [progressLine(model, columns, paint, moment)];
  if (totals && response) {
    lines.push(...rateLines(model, columns, paint));
    lines.push(...rows("count", columns, [
      `sent ${count(totals.sent)}`,
      `ok ${count(totals.ok)}`,
      alarming(`errors ${count(errorCount(totals))}`, errorCount(totals), paint),
      alarming(`dropped ${count(totals.dropped)}`, totals.dropped, paint),
      `in flight ${count(totals.in_flight)}`,
      ...(totals.waiting > 0 ? [paint("yellow", `waiting ${count(totals.waiting)}`)] : []),
    ]));
    lines.push(...rows("time", columns, [
      `p50 ${percentileOf(model, response, "50")}`,
      `p90 ${percentileOf(model, response, "90")}`,
      `p99 ${percentileOf(model, response, "99")}`,
      `max ${duration(response.max_ms)}`,
    ]));
    const kinds = errorKinds(totals);
    if (kinds.length > 0) lines.push(...rows("errors", columns, kinds.map(([kind, n]) => paint("red", `${kind} ${count(n)}`))));
    lines.push(...nodeLines(model, columns, paint));
  }
  for (const mark of model.marks.slice(-SHOWN_MARKS)) lines.push(paint("yellow", `! ${printable(mark)}`));
  return lines.map((line) => fit(line, Math.max(1, width)));
}

function progressLine(model: LiveModel, columns: number, paint: Paint, moment?: { t_s: number }): string {
  const t_s = moment?.t_s ?? model.t_s;
  if (model.phase === "waiting" || model.phase === "created") return paint("dim", "the drivers are getting ready ...");
  if (t_s === null || t_s < 0) {
    const warming = (model.plan?.warmup_s ?? 0) > 0 ? "warming up" : "starting";
    return paint("dim", t_s === null ? `${warming} ...` : `${warming}, ${Math.ceil(-t_s)} s to go ...`);
  }
  const total_s = model.window_ms === null ? null : model.window_ms / 1000;
  const share = doneShare({ ...model, t_s });
  const over = total_s !== null && t_s >= total_s;
  const counted = model.planned !== null && (model.plan?.requests !== undefined || model.plan?.total_requests !== undefined);
  const state = model.stopping ? "stopping" : model.phase === "ended" ? "ended" : over ? "draining" : "running";
  const time = total_s === null ? `${t_s.toFixed(1)} s` : `${Math.min(t_s, total_s).toFixed(1)} / ${total_s.toFixed(1)} s`;
  const counts = counted ? `${count(model.totals?.scheduled ?? 0)} / ${count(model.planned ?? 0)}` : null;
  const text = counts === null ? time : columns >= 70 ? `${counts}  ${time}` : counts;
  const room = columns - state.length - text.length - 4;
  const bar = share === null || room < 6 ? "" : barOf(share, Math.min(room, 40), paint);
  return `${paint("bold", state)}  ${bar}${bar === "" ? "" : "  "}${text}`;
}

function barOf(share: number, room: number, paint: Paint): string {
  const full = Math.round(share * room);
  return paint("green", "█".repeat(full)) + paint("dim", "░".repeat(room - full));
}

function rateLines(model: LiveModel, columns: number, paint: Paint): string[] {
  const second = lastSecond(model);
  const target_rps = second === null ? (model.totals?.target_rps ?? null) : second.target_rps;
  const now = second === null ? "..." : rate(second.sent);
  const text = `${now}${target_rps === null ? "" : ` of ${rate(target_rps)}`}`;
  const short = second !== null && target_rps !== null && second.sent < 0.95 * target_rps;
  const label = "sent/s".padEnd(LABEL_WIDTH);
  const room = columns - label.length - text.length - 2;
  const line = sparkline(secondsOver(model), room, target_rps);
  return [`${paint("dim", label)}${short ? paint("yellow", text) : text}  ${paint("cyan", line)}`.trimEnd()];
}

/** What was sent in each second that is over, at most the last 60 of them. */
function secondsOver(model: LiveModel): number[] {
  const over = (lastSecond(model)?.t_s ?? -1) + 1;
  const shown = Math.min(over, MOST_BARS);
  return Array.from({ length: shown }, (_, i) => model.seconds.find(({ t_s }) => t_s === over - shown + i)?.sent ?? 0);
}

const LEVELS = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/** The last `room` values as bars; the highest of them, or the `full` value, is a whole block. */
export function sparkline(values: readonly number[], room: number, full: number | null = null): string {
  const shown = values.slice(-Math.max(0, room));
  if (room <= 0 || shown.length === 0) return "";
  const top = Math.max(full ?? 0, ...shown);
  return shown.map((value) => (top === 0 ? LEVELS[0] : LEVELS[Math.min(7, Math.round((value / top) * 7))])).join("");
}

/** A label and its parts, on as many lines as they need. */
function rows(label: string, columns: number, parts: string[]): string[] {
  const gap = columns >= 70 ? "   " : "  ";
  const lines: string[] = [];
  let line = label.padEnd(LABEL_WIDTH);
  let empty = true;
  for (const part of parts) {
    if (!empty && columnsOf(line + gap + part) > columns) {
      lines.push(line);
      line = " ".repeat(LABEL_WIDTH);
      empty = true;
    }
    line += empty ? part : gap + part;
    empty = false;
  }
  return [...lines, line];
}

function alarming(text: string, n: number, paint: Paint): string {
  return n > 0 ? paint("red", text) : text;
}

function percentileOf(model: LiveModel, summary: LatencySummary, name: Percentile): string {
  return percentile(summary, name, summary.percentiles_ms[name], model.plan?.target.timeout_ms ?? null);
}

function nodeLines(model: LiveModel, columns: number, paint: Paint): string[] {
  const second = lastSecond(model);
  const shown = model.nodes.slice(0, SHOWN_NODES);
  const wide = columns >= 60;
  const cells = shown.map((node) => [
    printable(node.node_id).slice(0, wide ? 24 : 12),
    node.state,
    ...(wide ? [`${count(node.totals.sent)} sent`] : []),
    second === null ? "" : `${rate(second.nodes[node.node_id]?.sent ?? 0)}/s`,
    `p99 ${percentileOf(model, node.latency.response, "99")}`,
  ]);
  const lines = aligned(cells).map((line, i) => toned(line, shown[i]!, paint));
  const more = model.nodes.length - shown.length;
  return more > 0 ? [...lines, paint("dim", `and ${count(more)} more drivers`)] : lines;
}

function toned(line: string, node: NodeReport, paint: Paint): string {
  return node.state === "lost" || node.state === "refused" ? paint("red", line) : paint("dim", line);
}

/**
 * One line about each second that is over, for terminals and files that cannot be written over; null: none is yet.
 * What was sent is as of its end, all else as of now:
 * `t=3s sent=1,800 sent/s=600 (target 600) p50=0.41ms p99=1.20ms max=3.10ms errors=0`
 */
export function plainLine(model: LiveModel): string | null {
  const { totals, response } = model;
  const second = lastSecond(model);
  if (second === null || totals === null || response === null) return null;
  const { target_rps } = second;
  return [
    `t=${second.t_s + 1}s`,
    `sent=${count(sentUntil(model, second))}`,
    `sent/s=${rate(second.sent)}${target_rps === null ? "" : ` (target ${rate(target_rps)})`}`,
    `p50=${tight(percentileOf(model, response, "50"))}`,
    `p99=${tight(percentileOf(model, response, "99"))}`,
    `max=${tight(duration(response.max_ms))}`,
    `errors=${count(errorCount(totals))}`,
    ...(totals.waiting > 0 ? [`waiting=${count(totals.waiting)}`] : []),
    ...(totals.dropped > 0 ? [`dropped=${count(totals.dropped)}`] : []),
    ...(totals.unknown > 0 ? [`unknown=${count(totals.unknown)}`] : []),
  ].join(" ");
}
