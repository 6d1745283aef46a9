import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { EndKind, FailureKind } from "../metrics/snapshot.ts";
import { DirectLine } from "./direct.ts";
import type { LoadTarget } from "./engine.ts";
import { connectFailure, streamFailure } from "./failure.ts";
import type { HeadMemo } from "./head-memo.ts";
import { CLOSED_EARLY, DONE, MORE, ResponseParser, TOO_LARGE } from "./parser.ts";
import type { RequestTemplate } from "./template.ts";
import type { Time } from "./time.ts";
import { keepSessions, tellSecured, type TlsWire } from "./tls.ts";

const CLOSED = 0;
const CONNECTING = 1;
export const OPEN = 2;

const FIRST_BACKOFF_MS = 10;
const LAST_BACKOFF_MS = 1000;
/** A connection that lived this long without a request was no failed attempt. */
const LIVED_MS = 1000;

/** The most that one TLS record holds. */
const TLS_RECORD_BYTES = 16 * 1024;

/** What all connections of one engine share. */
export interface Wire {
  target: LoadTarget;
  /** The request, whole. */
  request: Buffer;
  /** Where it differs each time. */
  template: RequestTemplate | null;
  time: Time;
  timeout_us: number;
  /** null: plain TCP. */
  tls: TlsWire | null;
  /** A read buffer that all connections may share, as each read is dealt with before the next begins; else null. */
  read_buffer: Buffer | null;
  /** With a shared read buffer: what the last head meant. */
  head_memo: HeadMemo | null;
  /** A deadline was set on a connection: it must be looked at by then (`time.clock()`, ms). */
  deadline(at_ms: number): void;
  /** Bytes were read or written for the request that is, or last was, on a connection: due at `due_us`. */
  moved(due_us: number, bytes_in: number, bytes_out: number): void;
}

/** What becomes of a connection is told to whoever drives the load. Times are us since the schedule's zero. */
export interface ConnectionOwner {
  /** Established. With a request assigned it is being sent now; else the connection is free. */
  opened(connection: Connection, connect_us: number, first: boolean): void;
  /** The answer is complete (`connection.status`); the connection is free, or CLOSED when the target wanted that. */
  completed(connection: Connection, t_us: number): void;
  /** The request assigned failed; the connection is CLOSED. */
  failed(connection: Connection, t_us: number, kind: EndKind, message: string): void;
  /** CLOSED without a request: the target closed it while idle, or it could not be opened. */
  lost(connection: Connection, kind: FailureKind, message: string): void;
  /** CLOSED as before, but no longer backing off. */
  recovered(connection: Connection): void;
}

/**
 * One connection's life; one request at a time. It is free when OPEN, or any state, without a request and not
 * backing off: a request may be assigned then, and is sent as soon as the connection is established.
 *
 *     CLOSED --open/assign--> CONNECTING --> OPEN --(closed by either side, failed request)--> CLOSED
 *        ^---- failed: backs off 10 ms, doubling to 1 s ----'
 */
export class Connection {
  /** Whom to tell: first whoever opens the connections, then whoever drives the load. */
  owner: ConnectionOwner;
  state = CLOSED;
  /** A request is assigned: it counts as sent. */
  busy = false;
  backing_off = false;
  /** Of the request assigned: the moment due, and the one at which it was handed to the established connection. */
  due_us = 0;
  handed_over_us = 0;
  /** Of the last answer. */
  status = 0;
  /** It was open at least once. */
  established_once = false;
  /** Since when the connection is free. */
  free_since_us = -Infinity;
  /** When the request, or else the attempt to connect, has taken too long (`time.clock()`, ms). */
  deadline_ms = Infinity;

  /** Links of the one list that the connection is in (connection-list.ts). */
  list: object | null = null;
  previous: Connection | null = null;
  next: Connection | null = null;

  private readonly wire: Wire;
  private readonly parser: ResponseParser;
  private readonly head_request: boolean;
  private readonly own_buffer: Buffer | null;
  private socket: Socket | null = null;
  /** The way past the stream layer of a plain socket, where there is one. */
  private line: DirectLine | null = null;
  /** https: TCP is established, TLS is not. */
  private handshaking = false;
  private connect_started_ms = 0;
  private handshake_started_ms = 0;
  private established_ms = 0;
  /** Requests answered since it was established. */
  private served = 0;
  /** Length of the last request. */
  private request_bytes = 0;
  /** Bytes of the answer awaited have come. */
  private answering = false;
  private backoff_ms = FIRST_BACKOFF_MS;
  private backoff_timer: NodeJS.Timeout | undefined;

  constructor(wire: Wire, owner: ConnectionOwner) {
    this.wire = wire;
    this.owner = owner;
    this.parser = new ResponseParser(wire.head_memo ?? undefined);
    this.head_request = wire.target.method === "HEAD";
    this.own_buffer = wire.read_buffer === null ? Buffer.allocUnsafeSlow(16 * 1024) : null;
  }

  /** Begins to connect. Only when CLOSED. */
  open(): void {
    const { wire } = this;
    const { target, tls } = wire;
    this.state = CONNECTING;
    this.served = 0;
    this.handshaking = false;
    this.connect_started_ms = wire.time.clock();
    if (!this.busy) this.setDeadline(this.connect_started_ms);

    const read_buffer = wire.read_buffer ?? this.own_buffer ?? Buffer.allocUnsafeSlow(16 * 1024);
    const options = {
      ...(target.socket_path === undefined ? { host: target.address, port: target.port } : { path: target.socket_path }),
      noDelay: true,
      onread: {
        buffer: read_buffer,
        callback: (bytes: number, buffer: Uint8Array): boolean => {
          if (this.socket === socket) this.read(bytes, buffer);
          return true;
        },
      },
    };
    const socket: Socket =
      tls === null
        ? connectTcp(options)
        : connectTls({
            ...options,
            host: target.address === "" ? target.hostname : target.address,
            servername: tls.servername,
            rejectUnauthorized: !target.insecure,
            ALPNProtocols: ["http/1.1"],
            secureContext: tls.context,
            session: tls.session,
          });
    this.socket = socket;
    if (tls === null) {
      socket.once("connect", () => {
        if (this.socket !== socket) return;
        this.line = DirectLine.over(socket, (bytes) => {
          if (this.socket === socket) this.read(bytes, read_buffer);
        });
        this.established();
      });
    } else {
      keepSessions(tls, socket as TLSSocket);
      socket.once("connect", () => {
        if (this.socket !== socket) return;
        this.handshaking = true;
        this.handshake_started_ms = wire.time.clock();
      });
      socket.once("secureConnect", () => {
        if (this.socket !== socket) return;
        tellSecured(tls, socket as TLSSocket, (wire.time.clock() - this.handshake_started_ms) * 1000);
        this.established();
      });
    }
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (this.socket === socket) this.broken(error);
    });
    socket.once("end", () => {
      if (this.socket === socket) this.ended();
    });
    socket.once("close", () => {
      if (this.socket === socket) this.ended();
    });
  }

  /**
   * Takes a request that was due at `due_us`. Only when free. `now_us`: now; the request has `timeout_us` from here on,
   * connecting included.
   */
  assign(due_us: number, now_us: number): void {
    this.busy = true;
    this.due_us = due_us;
    this.setDeadline(this.wire.time.zero_ms + now_us / 1000);
    if (this.state === OPEN) this.send(now_us);
    else if (this.state === CLOSED) this.open();
  }

  /** Gives up what has taken too long. */
  expire(): void {
    if (this.state === CONNECTING) this.connectFailed("connect_timeout", "no connection within the timeout");
    else if (this.busy) this.requestFailed("timeout", "no complete answer within the timeout");
  }

  /** Ends the request in flight, if any, as aborted. */
  abort(): void {
    if (this.busy) this.requestFailed("aborted", "stopped");
  }

  /** Closes without a word to the owner. Nothing may be in flight. */
  dispose(): void {
    clearTimeout(this.backoff_timer);
    this.backing_off = false;
    this.disconnect(this.wire.time.now());
  }

  private setDeadline(from_ms: number): void {
    this.deadline_ms = from_ms + this.wire.timeout_us / 1000;
    this.wire.deadline(this.deadline_ms);
  }

  private send(now_us: number): void {
    this.handed_over_us = now_us;
    this.answering = false;
    this.parser.begin(this.head_request);
    const { request, template } = this.wire;
    const bytes = template === null ? request : template.render(this.due_us);
    if (this.line !== null) this.line.write(bytes);
    else this.socket!.write(bytes);
    this.request_bytes = bytes.length;
    if (template !== null && this.unsent()) template.keep();
    this.wire.moved(this.due_us, 0, bytes.length);
  }

  private unsent(): boolean {
    return this.line !== null ? this.line.unsent : this.socket !== null && this.socket.writableLength > 0;
  }

  /**
   * What is answered before it was sent whole stands in the way of the next request. TLS tells that it has sent a request
   * only after the loop's next turn, when its answer may be there already: what fits into one record is taken as sent.
   */
  private blocked(): boolean {
    return this.unsent() && (this.wire.tls === null || this.request_bytes > TLS_RECORD_BYTES);
  }

  private established(): void {
    const { time } = this.wire;
    const now_us = time.now();
    this.established_ms = time.clock();
    this.state = OPEN;
    const first = !this.established_once;
    this.established_once = true;
    if (this.busy) this.send(now_us);
    else {
      this.deadline_ms = Infinity;
      this.free_since_us = now_us;
    }
    this.owner.opened(this, (this.established_ms - this.connect_started_ms) * 1000, first);
  }

  private read(length: number, bytes: Uint8Array): void {
    const now_us = this.wire.time.now();
    this.wire.moved(this.due_us, length, 0);
    if (!this.busy) {
      this.lost("protocol", "bytes that nobody asked for");
      return;
    }
    this.answering = true;
    const code = this.parser.feed(bytes, length);
    if (code === MORE) return;
    if (code === DONE) this.answered(now_us);
    else this.requestFailed(code === TOO_LARGE ? "too_large" : "protocol", this.parser.message);
  }

  private answered(now_us: number): void {
    const { parser } = this;
    this.busy = false;
    this.deadline_ms = Infinity;
    this.status = parser.status;
    this.served++;
    this.backoff_ms = FIRST_BACKOFF_MS;
    this.free_since_us = now_us;
    if (!parser.keep_alive || this.blocked()) this.disconnect(now_us);
    this.owner.completed(this, now_us);
  }

  /** The target sent FIN, or the socket closed without an error. */
  private ended(): void {
    if (this.state === CONNECTING) {
      if (this.handshaking) this.connectFailed("tls", "closed during the TLS handshake");
      else this.connectFailed("connect_reset", "closed while connecting");
    } else if (!this.busy) {
      this.lost("closed_early", "closed while idle");
    } else if (!this.answering && this.served > 0) {
      this.requestFailed("reset_on_reuse", "closed before the answer, on a connection used before");
    } else if (this.parser.end() === CLOSED_EARLY) {
      this.requestFailed("closed_early", this.parser.message);
    } else {
      this.answered(this.wire.time.now());
    }
  }

  private broken(error: NodeJS.ErrnoException): void {
    if (this.state === CONNECTING) {
      const { kind, message } = connectFailure(error, this.handshaking);
      this.connectFailed(kind, message);
    } else {
      const { kind, message } = streamFailure(error, !this.answering && this.served > 0);
      if (this.busy) this.requestFailed(kind, message);
      else this.lost(kind, message);
    }
  }

  private connectFailed(kind: FailureKind, message: string): void {
    if (this.busy) this.requestFailed(kind, message);
    else this.lost(kind, message);
  }

  private requestFailed(kind: EndKind, message: string): void {
    const connecting = this.state === CONNECTING;
    const now_us = this.wire.time.now();
    this.busy = false;
    this.disconnect(now_us);
    if (connecting) this.backOff();
    this.owner.failed(this, now_us, kind, message);
  }

  /** One that was closed at once, before it served anything, was no success: reopening it would be a storm. */
  private lost(kind: FailureKind, message: string): void {
    const { time } = this.wire;
    const lived = this.served > 0 || time.clock() - this.established_ms > LIVED_MS;
    const useless = this.state === CONNECTING || !lived;
    this.disconnect(time.now());
    if (useless) this.backOff();
    this.owner.lost(this, kind, message);
  }

  private backOff(): void {
    this.backing_off = true;
    this.backoff_timer = setTimeout(() => {
      this.backing_off = false;
      this.free_since_us = this.wire.time.now();
      this.owner.recovered(this);
    }, this.backoff_ms);
    this.backoff_ms = Math.min(2 * this.backoff_ms, LAST_BACKOFF_MS);
  }

  private disconnect(now_us: number): void {
    const { socket } = this;
    this.socket = null;
    this.line = null;
    this.state = CLOSED;
    this.deadline_ms = Infinity;
    this.free_since_us = now_us;
    socket?.destroy();
  }
}
