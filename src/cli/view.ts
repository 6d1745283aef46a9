import type { RunEvent } from "../run/events.ts";
import { printable } from "./figures.ts";
import { emptyModel, lastSecond, reduce, type LiveModel } from "./live-model.ts";
import { plainLine, renderLive } from "./live-view.ts";
import type { Terminal } from "./terminal.ts";

/** One listener of a run's events: what the terminal shows while it lasts. */
export interface View {
  event(event: RunEvent): void;
  /** A line for people while the view is up. */
  readonly note: (text: string) => void;
  /** Takes the view away; what follows may be printed. */
  close(): void;
}

const REDRAW_MS = 250;

/** `quiet`: nothing. On a TTY a live picture, else one line each second. */
export async function openView(test_id: string, terminal: Terminal, quiet: boolean): Promise<View> {
  if (quiet) return { event: () => {}, note: terminal.note, close: () => {} };
  return terminal.is_tty ? openLive(test_id, terminal) : openLines(test_id, terminal);
}

function openLines(test_id: string, terminal: Terminal): View {
  let model = emptyModel(test_id);
  let shown_s = 0;
  return {
    event(event) {
      const told = model.marks.length;
      model = reduce(model, event);
      for (const mark of model.marks.slice(told)) terminal.line(`! ${printable(mark)}`);
      const over_s = (lastSecond(model)?.t_s ?? -1) + 1;
      if ((event.type !== "progress" && event.type !== "ended") || over_s <= shown_s) return;
      shown_s = over_s;
      const line = plainLine(model);
      if (line !== null) terminal.line(line);
    },
    note: terminal.note,
    close: () => {},
  };
}

async function openLive(test_id: string, terminal: Terminal): Promise<View> {
  const { createLogUpdate } = await import("log-update");
  const screen = createLogUpdate(process.stdout);
  let model = emptyModel(test_id);
  let progressed_ms = 0;

  const momentOf = (shown: LiveModel): { t_s: number } | undefined => {
    if (shown.t_s !== null) return { t_s: shown.t_s + (performance.now() - progressed_ms) / 1000 };
    return shown.zero_at === null ? undefined : { t_s: (Date.now() - shown.zero_at) / 1000 };
  };
  const draw = () => {
    const lines = renderLive(model, terminal.width(), terminal.paint, momentOf(model));
    screen(lines.slice(0, Math.max(1, terminal.height() - 1)).join("\n"));
  };
  const timer = setInterval(draw, REDRAW_MS);
  draw();
  return {
    event(event) {
      model = reduce(model, event);
      if (event.type === "progress") progressed_ms = performance.now();
    },
    note(text) {
      screen.clear();
      terminal.note(text);
      draw();
    },
    close() {
      clearInterval(timer);
      screen.clear();
      screen.done();
    },
  };
}
