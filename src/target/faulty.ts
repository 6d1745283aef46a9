import { answerText } from "./answer.ts";
import type { Head } from "./request.ts";

/** What a misbehaviour may do with a connection while it is its turn to answer. */
export interface Line {
  head: Head;
  /** false: wait for `onDrain` before more. Nothing happens once the connection is gone. */
  write(data: string): boolean;
  onDrain(next: () => void): void;
  /** Not called once the connection is gone. */
  later(ms: number, next: () => void): void;
  /** The answer is whole: it is counted, and the next request's turn comes. */
  done(status: number): void;
  /** FIN; with a status the answer before it was whole and is counted. */
  finish(status?: number): void;
  /** RST (TLS: the connection is dropped). */
  reset(): void;
}

export type Fault = (line: Line, argument: string) => void;

const BODY = "0123456789";
const PIECE = "x".repeat(65_536);

const start = (status: string, ...fields: string[]) => `HTTP/1.1 ${[status, ...fields].join("\r\n")}\r\n\r\n`;

function number(line: Line, name: string, otherwise: number): number {
  const text = new URLSearchParams(line.head.query).get(name);
  const value = text === null ? otherwise : Number(text);
  return Number.isFinite(value) && value >= 0 ? value : otherwise;
}

function whole(line: Line, status: number, body: string): void {
  line.write(answerText(line.head, status, body));
  line.done(status);
}

/** Misbehaviours by the first part of a path (`/status/503` -> status, "503"). HEAD is only minded by the valid ones. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  /** Never answers. */
  hang: () => {},
  /** RST instead of an answer. */
  reset: (line) => line.reset(),
  /** FIN instead of an answer. */
  close: (line) => line.finish(),
  /** Half of the body, then FIN. */
  half: (line) => {
    line.write(start("200 OK", `Content-Length: ${BODY.length}`) + BODY.slice(0, BODY.length / 2));
    line.finish();
  },
  /** Not HTTP. */
  rubbish: (line) => {
    line.write("\x00\x01 this is not HTTP \xff\r\n\r\n");
    line.finish();
  },
  /** Header fields without end, as fast as they are read. */
  "endless-headers": (line) => {
    let i = 0;
    const more = () => {
      let room = true;
      for (let n = 0; n < 64 && room; n++) room = line.write(`X-Endless-${i++}: ${"x".repeat(100)}\r\n`);
      if (room) line.later(1, more);
      else line.onDrain(more);
    };
    line.write("HTTP/1.1 200 OK\r\n");
    more();
  },
  /** A body shorter than its length (then FIN), or with ?longer=N longer by N bytes. */
  "wrong-length": (line) => {
    const longer = number(line, "longer", 0);
    if (longer === 0) {
      line.write(start("200 OK", `Content-Length: ${BODY.length + 5}`) + BODY);
      line.finish();
      return;
    }
    line.write(start("200 OK", `Content-Length: ${BODY.length}`) + BODY + "y".repeat(Math.min(longer, PIECE.length)));
    line.done(200);
  },
  /** A correct answer, its body one byte each 100 ms (?ms=N&bytes=N). */
  drip: (line) => {
    const bytes = number(line, "bytes", BODY.length);
    const ms = number(line, "ms", 100);
    let sent = 0;
    const next = () => {
      if (sent === bytes) return line.done(200);
      sent++;
      line.write("x");
      line.later(ms, next);
    };
    line.write(start("200 OK", `Content-Length: ${bytes}`));
    line.later(ms, next);
  },
  /** A correct chunked answer: two chunks, an extension and a trailer. */
  chunked: (line) => {
    const body = `4\r\npong\r\n6;note=x\r\n-again\r\n0\r\nX-Trailer: 1\r\n\r\n`;
    line.write(start("200 OK", "Transfer-Encoding: chunked") + (line.head.method === "HEAD" ? "" : body));
    line.done(200);
  },
  /** A chunked answer that ends inside a chunk. */
  "half-chunked": (line) => {
    line.write(start("200 OK", "Transfer-Encoding: chunked") + "a\r\n01234");
    line.finish();
  },
  /** A correct answer without a length: its body ends with the connection. */
  "until-close": (line) => {
    line.write(start("200 OK", "Connection: close") + BODY);
    line.finish(200);
  },
  /** A correct answer, then FIN although nothing said so. */
  "then-close": (line) => {
    line.write(answerText(line.head, 200, "pong"));
    line.finish(200);
  },
  /** A correct answer that says `Connection: close`. */
  last: (line) => {
    line.write(answerText({ ...line.head, keep_alive: false }, 200, "pong"));
    line.finish(200);
  },
  /** Any status: /status/503. */
  status: (line, argument) => {
    const status = /^[2-9]\d\d$/.test(argument) ? Number(argument) : 404;
    whole(line, status, `${status}`);
  },
  /** A body of so many bytes, up to 10^9: /bytes/1000. */
  bytes: (line, argument) => {
    if (!/^\d{1,9}$/.test(argument)) return whole(line, 404, "404");
    let left = Number(argument);
    line.write(start("200 OK", `Content-Length: ${left}`));
    if (line.head.method === "HEAD") left = 0;
    const more = () => {
      while (left > 0) {
        const size = Math.min(left, PIECE.length);
        left -= size;
        if (!line.write(size === PIECE.length ? PIECE : PIECE.slice(0, size)) && left > 0) return line.onDrain(more);
      }
      line.done(200);
    };
    more();
  },
  /** 103, then 200. */
  "1xx": (line) => {
    line.write(start("103 Early Hints", "Link: </style.css>; rel=preload"));
    whole(line, 200, "pong");
  },
  /** No content. */
  "204": (line) => whole(line, 204, ""),
  /** A correct answer after ?ms=N (1,000). */
  slow: (line) => line.later(number(line, "ms", 1_000), () => whole(line, 200, "pong")),
};

/** The misbehaviour that a path names, with its argument. */
export function faultOf(path: string): { fault: Fault; argument: string } | null {
  const [, name = "", argument = ""] = path.split("/");
  const fault = Object.hasOwn(FAULTS, name) ? FAULTS[name] : undefined;
  return fault === undefined ? null : { fault, argument };
}
