import { isIP } from "node:net";
import type { ConnectionOptions as TlsOptions } from "node:tls";
import type * as Client from "@platformatic/kafka";
import type { Connection } from "@platformatic/kafka";
import { BusError } from "../errors.ts";

/** The client package, loaded only by those who connect: importing it costs more than half a second. */
export type KafkaClient = typeof Client;

export interface Address {
  host: string;
  port: number;
}

export interface SaslOptions {
  mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512";
  username: string;
  password: string;
}

export interface LinkSettings {
  client_id: string;
  tls?: TlsOptions;
  sasl?: SaslOptions;
  dial_timeout_ms: number;
}

/** One connection to one broker. After its first failure it is never used again. */
export interface Link {
  readonly usable: boolean;
  /** Rejects when the connection breaks, or when there was no answer in time: then the connection is given up too. */
  request<T>(timeout_ms: number, send: (connection: Connection) => Promise<T>): Promise<T>;
}

/** Connections by purpose and address. A broker answers the requests of one connection one after the other, so
 *  whatever may wait for long (a fetch) has a purpose of its own. */
export interface LinkPool {
  get(purpose: string, address: Address): Promise<Link>;
  /** Gives up every connection of a purpose. */
  drop(purpose: string): void;
  close(): void;
}

/** `HOST:PORT`, `HOST` (port 9092) or `[IPv6]:PORT`. */
export function parseAddress(broker: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+))(?::(\d{1,5}))?$/.exec(broker.trim());
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? 9092);
  if (!host || port < 1 || port > 65_535) {
    throw new BusError("bad_broker_address", `"${broker}" is not a broker's address: give HOST:PORT, like 127.0.0.1:9092`);
  }
  return { host, port };
}

export function showAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

interface Entry {
  purpose: string;
  link: Promise<Link>;
  /** Set once it is open. */
  opened?: Link;
  abort: AbortController;
}

export function createLinkPool(client: KafkaClient, settings: LinkSettings): LinkPool {
  const links = new Map<string, Entry>();
  let closed = false;
  return {
    get(purpose, address) {
      if (closed) return Promise.reject(new BusError("closed", "the bus is closed"));
      const key = `${purpose} ${showAddress(address)}`;
      const known = links.get(key);
      if (known && (!known.opened || known.opened.usable)) return known.link;
      const abort = new AbortController();
      const entry: Entry = { purpose, abort, link: openLink(client, settings, address, abort.signal) };
      links.set(key, entry);
      const forget = () => {
        if (links.get(key) === entry) links.delete(key);
      };
      entry.link.then((link) => (entry.opened = link), forget);
      return entry.link;
    },
    drop(purpose) {
      for (const [key, entry] of links) {
        if (entry.purpose !== purpose) continue;
        links.delete(key);
        entry.abort.abort();
      }
    },
    close() {
      closed = true;
      for (const entry of links.values()) entry.abort.abort();
      links.clear();
    },
  };
}

async function openLink(
  client: KafkaClient,
  settings: LinkSettings,
  address: Address,
  abort: AbortSignal,
): Promise<Link> {
  const connection = new client.Connection(settings.client_id, {
    connectTimeout: settings.dial_timeout_ms,
    // The client's own timers never fire: `request` has its own, which also survive a paused process.
    requestTimeout: 600_000,
    maxInflights: 32,
    ...(settings.tls && { tls: settings.tls, ...(isIP(address.host) === 0 && { tlsServerName: true }) }),
    ...(settings.sasl && { sasl: settings.sasl }),
  });
  const broken = new AbortController();
  const giveUp = (reason: Error) => {
    if (broken.signal.aborted) return;
    broken.abort(reason);
    connection.socket?.destroy(reason);
  };
  const where = showAddress(address);
  // Whoever waits is told through `broken`; an "error" event without a listener would end the process.
  connection.on("error", (error: Error) => giveUp(error));
  connection.on("close", () => giveUp(new Error(`${where} closed the connection`)));
  abort.addEventListener("abort", () => giveUp(new Error("the connection is no longer needed")), { once: true });

  try {
    await withDeadline(settings.dial_timeout_ms + 500, `${where} did not accept the connection`, broken, () => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      void connection.connect(address.host, address.port, (error) => (error ? reject(error) : resolve()));
      if (abort.aborted) giveUp(new Error("the connection is no longer needed"));
      return promise;
    });
  } catch (error) {
    giveUp(error as Error);
    throw error;
  }
  return {
    get usable() {
      return !broken.signal.aborted;
    },
    async request(timeout_ms, send) {
      try {
        return await withDeadline(timeout_ms, `${where} did not answer`, broken, () => send(connection));
      } catch (error) {
        if (error instanceof StalledError) giveUp(error);
        throw error;
      }
    },
  };
}

class StalledError extends Error {}

// After a sleep of the whole process the timer is due although the answer may lie in the socket: it has a last chance.
const LAST_CHANCE_MS = 50;

async function withDeadline<T>(
  timeout_ms: number,
  what: string,
  broken: AbortController,
  start: () => Promise<T>,
): Promise<T> {
  broken.signal.throwIfAborted();
  const { promise: failed, reject } = Promise.withResolvers<never>();
  const onBroken = () => reject(broken.signal.reason as Error);
  broken.signal.addEventListener("abort", onBroken, { once: true });
  let timer = setTimeout(() => {
    timer = setTimeout(() => reject(new StalledError(`${what} within ${timeout_ms} ms`)), LAST_CHANCE_MS);
  }, timeout_ms);
  try {
    const started = start();
    // The one that loses the race must not surface as an unhandled rejection.
    started.catch(() => {});
    return await Promise.race([started, failed]);
  } finally {
    clearTimeout(timer);
    broken.signal.removeEventListener("abort", onBroken);
  }
}
