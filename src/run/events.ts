import type { LatencySummary } from "../metrics/statistics.ts";
import type { Plan } from "../plan/plan.ts";
import type { NodeReport, Report, TimelineRow, Totals } from "./report-schema.ts";
import type { Phase } from "./state.ts";

/** Who takes part, as it stands now. */
export interface RunMember {
  node_id: string;
  epoch: number;
  foreign: boolean;
  share: number | null;
}

/**
 * The one stream that every listener reads: terminal, page, report, thresholds, Prometheus. Events of one run; each
 * one of a kind replaces what came before under the same key (rows: t_s; marks: all kept).
 */
export type RunEvent =
  /** The run was made, triggered, stopped or ended. */
  | {
      type: "run";
      test_id: string;
      phase: Phase;
      name: string | null;
      plan: Plan;
      model: "open" | "closed";
      planned: number | null;
      window_ms: number | null;
      /** Wall clock, ms: the schedule's zero; null before the trigger. */
      zero_at: number | null;
      members: RunMember[];
    }
  /** Where the run stands. */
  | {
      type: "progress";
      test_id: string;
      /** Seconds since the schedule's zero (negative: before it, or in the warm-up). */
      t_s: number;
      totals: Totals;
      latency: { response: LatencySummary; service: LatencySummary };
      nodes: NodeReport[];
    }
  /** One second of the run, all nodes together; sent again when it changed. */
  | { type: "second"; test_id: string; row: TimelineRow }
  /** Something happened to a node. */
  | { type: "mark"; test_id: string; t_s: number; kind: "lost" | "refused" | "stopping"; node_id: string | null; text: string }
  /** It is over; a later revision of the report is sent again. */
  | { type: "ended"; test_id: string; report: Report };

/** An event with its place in the stream. */
export interface NumberedEvent {
  seq: number;
  event: RunEvent;
}
