import { grouped } from "./grouped.ts";
import type { Layout } from "./layout.ts";
import type { Plan } from "./plan.ts";

/** The first line of a run: `3 drivers x 200 rps = 600 rps for 10 s against http://host/ping`. */
export function sentenceOf(plan: Plan, layout: Layout): string {
  const n = layout.members.length;
  const drivers = `${grouped(n)} ${n === 1 ? "driver" : "drivers"}`;
  return `${drivers} ${load(plan, layout, n)} against ${plan.target.url}`;
}

function load(plan: Plan, { schedule }: Layout, n: number): string {
  const { slots } = schedule;
  const counted = plan.requests !== undefined || plan.total_requests !== undefined;
  const timed = plan.duration_s === undefined ? null : `for ${grouped(plan.duration_s)} s`;

  if (schedule.kind === "closed") {
    const pace = schedule.rate_urps === null ? "as fast as the target answers" : cap(plan, n);
    const connections = `${grouped(plan.connections)} ${plan.connections === 1 ? "connection" : "connections"}`;
    if (!counted || slots === null) return `x ${connections}, ${pace}, ${timed ?? ""}`;
    const each = n > 1 ? " each" : "";
    const ends = timed === null ? "" : ` ${timed} at most,`;
    return `${count(plan, slots, n)} over ${connections}${each}, ${pace},${ends}`;
  }

  const pace = schedule.kind === "delay" ? everyDelay(schedule.delay_us, n) : rate(plan, schedule.total_rate_urps, n);
  if (!counted) return `${pace} ${timed ?? ""}`;
  const requests = plan.total_requests ?? (plan.requests ?? 0) * n;
  const ends = timed === null ? `for ${requestsOf(requests)}` : `${timed} or ${requestsOf(requests)}, whichever ends first,`;
  return `${pace} ${ends}`;
}

function rate(plan: Plan, total_rate_urps: number, n: number): string {
  const total = `${grouped(total_rate_urps / 1e6)} rps`;
  if (plan.rate_rps === undefined) return n === 1 ? `x ${total}` : `sharing ${total}`;
  return `x ${grouped(plan.rate_rps)} rps` + (n === 1 ? "" : ` = ${total}`);
}

function everyDelay(delay_us: number, n: number): string {
  const total = `${((n * 1e6) / delay_us).toLocaleString("en-US", { maximumSignificantDigits: 4 })} rps`;
  return `x one request every ${grouped(delay_us / 1e3)} ms = ${total}`;
}

function cap(plan: Plan, n: number): string {
  if (plan.rate_rps === undefined) return `at most ${grouped(plan.total_rate_rps ?? 0)} rps in all`;
  return `at most ${grouped(plan.rate_rps)} rps${n === 1 ? "" : " each"}`;
}

function count(plan: Plan, slots: number, n: number): string {
  if (plan.requests === undefined) return n === 1 ? `x ${requestsOf(slots)}` : `sharing ${requestsOf(slots)}`;
  return `x ${requestsOf(plan.requests)}` + (n === 1 ? "" : ` = ${requestsOf(slots)}`);
}

function requestsOf(value: number): string {
  return `${grouped(value)} ${value === 1 ? "request" : "requests"}`;
}
