/** A request's head as far as the test target needs it. */
export interface Head {
  method: string;
  /** Without the query. */
  path: string;
  query: string;
  /** 1: HTTP/1.1, 0: HTTP/1.0. */
  minor: 0 | 1;
  keep_alive: boolean;
  expect_continue: boolean;
  /** Bytes of the body; "chunked": its end is in itself. */
  body: number | "chunked";
}

/** A status that says what is wrong with a request. */
export type Refused = 400 | 417 | 431 | 501 | 505;

export interface RequestListener {
  /** The head is complete; the body may still come. */
  onHead(head: Head): void;
  /** The request is complete. */
  onRequest(head: Head): void;
  /** What comes is no HTTP; nothing after it is read. */
  onRefused(status: Refused): void;
}

const MAX_HEAD_BYTES = 65_536;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP\/(\d)\.(\d)$/;

/**
 * Reads pipelined HTTP/1.x requests from pieces of any size; bodies are discarded. Text is Latin-1 throughout, so one
 * character is one byte.
 *
 *     head --(length)--> length --(all read)--> head
 *       \----(chunked)-> size -> data -> data-end -> size ... -> trailer -> head
 */
export function makeRequestReader(listener: RequestListener, parse = memoized(parseHead)): (chunk: Buffer) => void {
  let state: "head" | "length" | "size" | "data" | "data-end" | "trailer" | "refused" = "head";
  let pending = "";
  let remaining = 0;
  let head: Head | null = null;

  const refuse = (status: Refused): number => {
    state = "refused";
    pending = "";
    listener.onRefused(status);
    return -1;
  };
  const complete = () => {
    state = "head";
    if (head !== null) listener.onRequest(head);
  };

  /** Reads one element at `at`; returns where the next one begins, -1 when more bytes are needed. */
  const step = (text: string, at: number): number => {
    switch (state) {
      case "head": {
        if (text.startsWith("\r\n", at)) return at + 2;
        const end = text.indexOf("\r\n\r\n", at);
        if (end < 0) {
          if (text.length - at > MAX_HEAD_BYTES) return refuse(431);
          return hopeless(text, at) ? refuse(400) : -1;
        }
        const parsed = parse(text.slice(at, end));
        if (typeof parsed === "number") return refuse(parsed);
        head = parsed;
        listener.onHead(parsed);
        if (parsed.body === 0) complete();
        else if (parsed.body === "chunked") state = "size";
        else {
          state = "length";
          remaining = parsed.body;
        }
        return end + 4;
      }
      case "length":
      case "data": {
        const taken = Math.min(remaining, text.length - at);
        remaining -= taken;
        if (remaining === 0) {
          if (state === "length") complete();
          else state = "data-end";
        }
        return at + taken;
      }
      case "data-end":
        if (text.length - at < 2) return -1;
        if (!text.startsWith("\r\n", at)) return refuse(400);
        state = "size";
        return at + 2;
      case "size": {
        const end = text.indexOf("\r\n", at);
        if (end < 0) return text.length - at > 1_024 ? refuse(400) : -1;
        const size = /^([0-9A-Fa-f]{1,12})[\t ]*(;.*)?$/.exec(text.slice(at, end))?.[1];
        if (size === undefined) return refuse(400);
        remaining = parseInt(size, 16);
        state = remaining === 0 ? "trailer" : "data";
        return end + 2;
      }
      case "trailer": {
        const end = text.indexOf("\r\n", at);
        if (end < 0) return text.length - at > MAX_HEAD_BYTES ? refuse(431) : -1;
        if (end === at) complete();
        return end + 2;
      }
      case "refused":
        return -1;
    }
  };

  return (chunk) => {
    if (state === "refused") return;
    if (state === "length" && chunk.length < remaining) {
      remaining -= chunk.length;
      return;
    }
    const text = pending + chunk.toString("latin1");
    pending = "";
    let at = 0;
    while (at < text.length) {
      const next = step(text, at);
      if (next < 0) break;
      at = next;
    }
    if (at < text.length && (state as string) !== "refused") pending = text.slice(at);
  };
}

/** An unfinished head that can no longer become one: a first byte or a first line that HTTP does not have. */
function hopeless(text: string, at: number): boolean {
  if (!TOKEN.test(text.charAt(at)) && text.charAt(at) !== "\r") return true;
  const lineEnd = text.indexOf("\n", at);
  return lineEnd >= 0 && !(text[lineEnd - 1] === "\r" && REQUEST_LINE.test(text.slice(at, lineEnd - 1)));
}

/** Load generators repeat one request: the same text as last time gives the same (shared) head. */
export function memoized(parse: typeof parseHead): typeof parseHead {
  let lastText = "";
  let last: Head | Refused = 400;
  return (text) => {
    if (text !== lastText) {
      last = parse(text);
      lastText = text;
    }
    return last;
  };
}

/** A head without its final empty line, or the status of what is wrong with it. */
export function parseHead(text: string): Head | Refused {
  const [line = "", ...fields] = text.split("\r\n");
  const match = REQUEST_LINE.exec(line);
  if (match === null) return 400;
  const [, method = "", target = "", major, minor] = match;
  if (major !== "1") return 505;
  const http11 = minor !== "0";

  let length: string | null = null;
  let chunked = false;
  let hosts = 0;
  let expect_continue = false;
  let keep_alive = http11;
  for (const field of fields) {
    const colon = field.indexOf(":");
    const name = field.slice(0, Math.max(colon, 0)).toLowerCase();
    if (!TOKEN.test(name) || /[\r\n\0]/.test(field)) return 400;
    const value = field.slice(colon + 1).trim();
    switch (name) {
      case "host":
        hosts++;
        break;
      case "content-length":
        if (!/^\d{1,15}$/.test(value) || (length !== null && length !== value)) return 400;
        length = value;
        break;
      case "transfer-encoding":
        if (value.toLowerCase() !== "chunked") return 501;
        chunked = true;
        break;
      case "expect":
        if (value.toLowerCase() !== "100-continue") return 417;
        expect_continue = http11;
        break;
      case "connection":
        for (const option of value.toLowerCase().split(",")) {
          if (option.trim() === "close") keep_alive = false;
          else if (option.trim() === "keep-alive" && !http11) keep_alive = true;
        }
        break;
    }
  }
  if (chunked && length !== null) return 400;
  if (hosts > 1 || (http11 && hosts === 0)) return 400;

  const origin = /^https?:\/\/[^/?]*(.*)$/i.exec(target)?.[1] ?? target;
  const question = origin.indexOf("?");
  return {
    method,
    path: (question < 0 ? origin : origin.slice(0, question)) || "/",
    query: question < 0 ? "" : origin.slice(question + 1),
    minor: http11 ? 1 : 0,
    keep_alive,
    expect_continue,
    body: chunked ? "chunked" : Number(length ?? 0),
  };
}
