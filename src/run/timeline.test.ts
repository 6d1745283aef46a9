import { expect, test } from "vitest";
import type { Report } from "./report-schema.ts";
import { reportOf } from "./project.ts";
import { answered, measuring, script, type Script } from "./testing/log.ts";

function started(nodes: string[]): { log: Script; epochs: number[] } {
  const log = script();
  log.claim();
  const epochs = nodes.map((node_id) => log.join(node_id));
  log.config("t", { target: { url: "http://h/" }, rate_rps: 1, duration_s: 8 });
  log.trigger("t");
  return { log, epochs };
}

function end(log: Script): Report {
  log.command({ type: "ended", test_id: "t", status: "completed", reason: "", basis: [] });
  return reportOf(log.state, "t")!;
}

test("a second in which a node did nothing is covered: its rows tell of every request that it counted", () => {
  const { log, epochs } = started(["a", "b"]);
  const [a, b] = [measuring(8e6), measuring(8e6)];
  for (const t_s of [0, 2]) answered(a.recorder, t_s * 1e6, 1000);
  for (const t_s of [0, 1, 2, 3]) answered(b.recorder, t_s * 1e6, 1000);
  log.snapshot("a", epochs[0]!, "t", a.snapshot(3e6), { final: true, end_reason: "stopped" });
  log.snapshot("b", epochs[1]!, "t", b.snapshot(3.5e6), { final: true, end_reason: "stopped" });
  const { timeline, nodes } = end(log);
  expect(timeline.map(({ t_s, coverage }) => [t_s, coverage])).toEqual([[0, 1], [1, 1], [2, 1], [3, 1]]);
  expect(nodes.map(({ coverage }) => coverage)).toEqual([1, 1]);
});

test("a node without any work is covered; one of which rows are missing is not", () => {
  const { log, epochs } = started(["a", "b"]);
  const busy = measuring(8e6);
  for (let t_s = 0; t_s < 6; t_s++) answered(busy.recorder, t_s * 1e6, 1000);
  log.snapshot("a", epochs[0]!, "t", measuring(8e6).snapshot(6e6), { final: true, end_reason: "stopped" });
  // Its rows of the first two seconds were in records that the log lost.
  log.snapshot("b", epochs[1]!, "t", busy.snapshot(5.5e6), { final: true, end_reason: "stopped" });
  const { timeline, nodes } = end(log);
  expect(timeline.map(({ t_s, coverage }) => [t_s, coverage])).toEqual([[2, 1], [3, 1], [4, 1], [5, 1]]);
  expect(nodes.map(({ coverage }) => coverage)).toEqual([1, 0.667]);
});

test("a second that a node has not told of yet, or never will, is not covered", () => {
  const { log, epochs } = started(["a", "b"]);
  const [a, b] = [measuring(8e6), measuring(8e6)];
  answered(a.recorder, 0, 1000);
  for (const t_s of [0, 1]) answered(b.recorder, t_s * 1e6, 1000);
  log.snapshot("a", epochs[0]!, "t", a.snapshot(0.5e6));
  log.snapshot("b", epochs[1]!, "t", b.snapshot(1.5e6), { final: true, end_reason: "stopped" });
  expect(end(log).timeline.map(({ t_s, coverage }) => [t_s, coverage])).toEqual([[0, 1], [1, 0.5]]);
});

test("after a stop nothing is aimed at", () => {
  const { log, epochs } = started(["a"]);
  const { recorder, snapshot } = measuring(8e6);
  for (const t_s of [0, 1, 2]) answered(recorder, t_s * 1e6, 1000);
  log.now_ms = log.state.runs.get("t")!.trigger!.start_at + 1_250;
  log.command({ type: "stop", test_id: "t", reason: "operator" });
  log.snapshot("a", epochs[0]!, "t", snapshot(2.5e6), { final: true, end_reason: "stopped" });
  expect(end(log).timeline.map(({ target_rps }) => target_rps)).toEqual([1, 0.25, 0]);
});
