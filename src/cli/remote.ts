import { setTimeout as sleep } from "node:timers/promises";
import type { NumberedEvent, RunEvent } from "../run/events.ts";
import type { Report } from "../run/report-schema.ts";
import type { ApiClient } from "./client.ts";
import type { Session } from "./session.ts";

const RECONNECT_MS = 500;
const POLL_MS = 1_000;
/** An orchestrator that restarts is waited for; one that stays away this long is given up. */
const AWAY_LIMIT_MS = 30_000;

/** A session on a running system: commands by HTTP, events from /ws. */
export function openRemote(client: ApiClient): Session {
  const followers = new Set<() => void>();
  const path = (test_id: string, what: string) => `/tests/${encodeURIComponent(test_id)}/${what}`;
  let closed = false;

  return {
    create: async (plan) => ((await client.post("/tests", plan)) as { test_id: string }).test_id,
    trigger: async (test_id) => void (await client.post(path(test_id, "trigger"), {})),
    stop: async (test_id) => void (await client.post(path(test_id, "stop"), {})),
    follow: (test_id, listener) => {
      const end = followEvents(client, test_id, listener);
      followers.add(end);
      return () => {
        followers.delete(end);
        end();
      };
    },
    async report(test_id) {
      let heard_ms = performance.now();
      for (;;) {
        try {
          const report = (await client.find(path(test_id, "report"), "report_not_ready")) as Report | null;
          if (report !== null) return report;
          heard_ms = performance.now();
        } catch (error) {
          if (closed || performance.now() - heard_ms > AWAY_LIMIT_MS) throw error;
        }
        await sleep(POLL_MS, undefined, { ref: !closed });
      }
    },
    kept: (test_id) => [`stored    ${client.url}${path(test_id, "report")}`],
    abandoned: (test_id) =>
      `ended at once: nothing was kept here${test_id === null ? "" : `; the system's own result: onrush report ${test_id} --orchestrator ${client.url}`}`,
    async close() {
      closed = true;
      for (const end of followers) end();
    },
  };
}

/** Listens to /ws, again after every break: the history comes first each time, and an event replaces what it said before. */
function followEvents(client: ApiClient, test_id: string, listener: (event: RunEvent) => void): () => void {
  let ended = false;
  let socket: WebSocket | null = null;
  let retry: NodeJS.Timeout | undefined;
  let told_seq = 0;

  const connect = () => {
    const url = `${client.url.replace(/^http/, "ws")}/ws?test_id=${encodeURIComponent(test_id)}`;
    socket = new WebSocket(url, { headers: client.headers });
    socket.addEventListener("message", ({ data }) => {
      for (const { seq, event } of eventsOf(String(data))) {
        // After a break the history comes again: what is replaced by its key may, a mark would be told twice.
        if (event.test_id !== test_id || (seq <= told_seq && event.type === "mark")) continue;
        told_seq = Math.max(told_seq, seq);
        listener(event);
      }
    });
    socket.addEventListener("close", () => {
      if (!ended) retry = setTimeout(connect, RECONNECT_MS);
    });
    socket.addEventListener("error", () => {});
  };
  connect();
  return () => {
    ended = true;
    clearTimeout(retry);
    socket?.close();
  };
}

/** What a message on /ws says; what is no run event is passed over. */
export function eventsOf(data: string): NumberedEvent[] {
  let message: unknown;
  try {
    message = JSON.parse(data);
  } catch {
    return [];
  }
  const list: unknown[] = Array.isArray(message) ? message : [message];
  return list.filter((one): one is NumberedEvent => {
    const { seq, event } = (one ?? {}) as Partial<NumberedEvent>;
    return typeof seq === "number" && typeof event?.type === "string" && typeof event.test_id === "string";
  });
}
