import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import { answerText } from "./answer.ts";
import { DEFAULT_BEHAVIOUR, makeErrorPicker, makeStallClock, type Behaviour } from "./behaviour.ts";
import { serve, type Answer, type Host } from "./connection.ts";
import { makeCounters, type TargetCounters } from "./counters.ts";
import { faultOf } from "./faulty.ts";
import { memoized, parseHead, type Head } from "./request.ts";

export interface TargetOptions extends Partial<Behaviour> {
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: any free one. */
  port?: number;
  /** Serves https (PEM). With `ca`: only clients with a certificate that it vouches for. */
  tls?: { key: string; cert: string; ca?: string } & Pick<TlsOptions, "ciphers" | "minVersion" | "maxVersion">;
}

export interface Target {
  /** As http://127.0.0.1:8088, without a path. */
  url: string;
  host: string;
  port: number;
  counters(): TargetCounters;
  /** With record_arrivals: performance.now() of every request (but /metrics) when its head was complete. */
  arrivals_ms(): number[];
  /** Counters, arrivals, and the zero of the stall and of the error rate. Open connections stay. */
  reset(): void;
  /** Changes part of the behaviour for requests from now on; naming the stall starts it anew. */
  setBehaviour(change: Partial<Behaviour>): void;
  /** Ends every connection and stops listening. */
  close(): Promise<void>;
}

/**
 * The test target: GET /ping -> pong, GET /metrics -> counters as JSON, any other path 404; any method, bodies are read
 * and discarded. Rejects with the system's error when it cannot listen (EADDRINUSE, EACCES).
 */
export async function startTarget(options: TargetOptions = {}): Promise<Target> {
  const { host = "127.0.0.1", port = 0, tls, ...behaved } = options;
  const behaviour: Behaviour = { ...DEFAULT_BEHAVIOUR, ...defined(behaved) };
  let stall = makeStallClock(behaviour.stall);
  let fails = makeErrorPicker(behaviour.error_rate);
  let arrivals: number[] = [];
  const store = makeCounters();
  const sockets = new Set<Socket>();

  const whenDue = (due_ms: number, next: () => void): void => {
    const now_ms = performance.now();
    const at_ms = stall.endAt(now_ms) ?? due_ms;
    if (now_ms >= at_ms) next();
    else setTimeout(() => whenDue(due_ms, next), Math.ceil(at_ms - now_ms)).unref();
  };

  const answerTo = (head: Head): Answer => {
    if (head.path === "/metrics") {
      return { text: answerText(head, 200, JSON.stringify(store.counters()), "application/json"), status: 200 };
    }
    const faulty = behaviour.fault !== null ? faultOf(behaviour.fault) : behaviour.faulty ? faultOf(head.path) : null;
    if (faulty !== null) return { run: (line) => faulty.fault(line, faulty.argument) };
    if (head.path !== "/ping") return { text: answerText(head, 404, "not found"), status: 404 };
    if (fails()) return { text: answerText(head, 500, "error"), status: 500 };
    return { text: pong(head), status: 200 };
  };

  const connectionHost: Host = {
    parse: memoized(parseHead),
    received: (head) => {
      if (head.path === "/metrics") return;
      store.received(head.path);
      if (behaviour.stall === null && !behaviour.record_arrivals) return;
      const now_ms = performance.now();
      stall.arrived(store.totals.requests_received, now_ms);
      if (behaviour.record_arrivals) arrivals.push(now_ms);
    },
    refused: () => void store.totals.bad_requests++,
    bytesIn: (count) => void (store.totals.bytes_in += count),
    bytesOut: (count) => void (store.totals.bytes_out += count),
    answered: (head, status) => {
      if (head.path !== "/metrics") store.answered(status);
    },
    answerTo,
    dueAt: (head) => {
      if (head.path === "/metrics" || (behaviour.delay_ms === 0 && behaviour.stall === null)) return 0;
      const now_ms = performance.now();
      return behaviour.delay_ms > 0 || stall.endAt(now_ms) !== null ? now_ms + behaviour.delay_ms : 0;
    },
    whenDue,
  };

  const onConnection = (socket: Socket) => {
    store.totals.connections_opened++;
    store.totals.connections_open++;
    socket.on("close", () => void store.totals.connections_open--);
    serve(socket, connectionHost);
  };
  const settings = { allowHalfOpen: true, noDelay: true };
  const server =
    tls === undefined
      ? createServer(settings, onConnection)
      : createTlsServer({ ...settings, ...tls, requestCert: tls.ca !== undefined }, onConnection);
  // With TLS these are the connections beneath it, which may never end their handshake.
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("tlsClientError", (_error: Error, socket: Socket) => socket.destroy());
  const address = await listen(server, host, port);
  const shown = address.family === "IPv6" ? `[${address.address}]` : address.address;

  return {
    url: `${tls === undefined ? "http" : "https"}://${shown}:${address.port}`,
    host: address.address,
    port: address.port,
    counters: store.counters,
    arrivals_ms: () => [...arrivals],
    reset: () => {
      store.reset();
      arrivals = [];
      stall = makeStallClock(behaviour.stall);
      fails = makeErrorPicker(behaviour.error_rate);
    },
    setBehaviour: (change) => {
      Object.assign(behaviour, defined(change));
      if (change.stall !== undefined) stall = makeStallClock(behaviour.stall);
      if (change.error_rate !== undefined) fails = makeErrorPicker(behaviour.error_rate);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

const PONG = answerText({ method: "GET", minor: 1, keep_alive: true }, 200, "pong");

function pong(head: Head): string {
  return head.keep_alive && head.minor === 1 && head.method !== "HEAD" ? PONG : answerText(head, 200, "pong");
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, 4_096, () => {
      server.off("error", reject);
      resolve(server.address() as AddressInfo);
    });
  });
}

/** Without the keys that are undefined, so that they do not hide a default. */
function defined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}
