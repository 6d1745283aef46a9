import type { FastifyInstance } from "fastify";
import type { WebSocket } from "ws";
import type { NumberedEvent } from "../run/events.ts";
import type { Log } from "./log.ts";
import type { Orchestrator } from "./orchestrator.ts";

/** What a client may leave unread before it is dropped. */
const MAX_UNREAD_BYTES = 8_000_000;
const PING_MS = 15_000;
const GOING_AWAY = 1001;
const NOT_LEADER = 4503;

interface Client {
  socket: WebSocket;
  /** null: every test. */
  test_id: string | null;
  answered: boolean;
}

/**
 * `/ws`: the run events as JSON text frames {seq, event}: what was told of the current run (or of `?test_id=`), then what
 * comes live. `seq` counts per test. Nothing is read from clients; one that does not keep up is dropped.
 */
export function addLive(app: FastifyInstance, orchestrator: Orchestrator, log: Log): { close(): void } {
  const clients = new Set<Client>();

  function send(client: Client, frame: string): void {
    const { socket } = client;
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > MAX_UNREAD_BYTES) {
      log.warn("slow_client", { unread_bytes: socket.bufferedAmount }, "a client of /ws does not keep up and was dropped");
      clients.delete(client);
      socket.terminate();
      return;
    }
    socket.send(frame);
  }

  function broadcast(numbered: NumberedEvent): void {
    if (clients.size === 0) return;
    const frame = JSON.stringify(numbered);
    for (const client of [...clients]) {
      if (client.test_id === null || client.test_id === numbered.event.test_id) send(client, frame);
    }
  }

  app.get("/ws", { websocket: true, schema: { hide: true } }, (socket, request) => {
    // Without a listener an error of the connection would end the process.
    socket.on("error", () => socket.terminate());
    if (!orchestrator.leads()) {
      socket.close(NOT_LEADER, "not_leader");
      return;
    }
    const asked = (request.query as { test_id?: unknown }).test_id;
    const test_id = typeof asked === "string" ? asked : null;
    const shown = test_id ?? orchestrator.state().current;
    const client: Client = { socket, test_id, answered: true };
    if (shown !== null) for (const event of orchestrator.history(shown)) send(client, JSON.stringify(event));
    clients.add(client);
    socket.on("pong", () => (client.answered = true));
    socket.on("close", () => clients.delete(client));
  });

  const stopListening = orchestrator.onEvent(broadcast);
  orchestrator.onDeposed(() => {
    for (const { socket } of clients) socket.close(NOT_LEADER, "not_leader");
    clients.clear();
  });
  const pinging = setInterval(() => {
    for (const client of [...clients]) {
      if (!client.answered) client.socket.terminate();
      client.answered = false;
      if (client.socket.readyState === client.socket.OPEN) client.socket.ping();
    }
  }, PING_MS);

  return {
    close: () => {
      clearInterval(pinging);
      stopListening();
      for (const { socket } of clients) socket.close(GOING_AWAY, "the orchestrator is closing");
      clients.clear();
    },
  };
}
