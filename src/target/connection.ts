import type { Socket } from "node:net";
import { answerText } from "./answer.ts";
import type { Line } from "./faulty.ts";
import { makeRequestReader, type Head, type parseHead, type Refused } from "./request.ts";

/** What a request gets: a whole answer, or a misbehaviour that takes the connection over. */
export type Answer = { text: string; status: number } | { run: (line: Line) => void };

/** The target as its connections see it. */
export interface Host {
  parse: typeof parseHead;
  /** Counts a request, at the moment that its head is complete. */
  received(head: Head): void;
  refused(status: Refused): void;
  bytesIn(count: number): void;
  bytesOut(count: number): void;
  /** Counts an answer that was written. */
  answered(head: Head, status: number): void;
  answerTo(head: Head): Answer;
  /** The moment (performance.now) from which a request that was complete now may be answered; 0: at once. */
  dueAt(head: Head): number;
  /** Calls back at a moment or later, never earlier, and never within a stall. */
  whenDue(due_ms: number, next: () => void): void;
}

interface Turn {
  head: Head | null;
  answer: Answer;
  ready: boolean;
  started: boolean;
  close: boolean;
}

/** Turns that may wait on one connection before it is read no further. */
const MAX_TURNS = 1_024;
/** How long a peer may keep its half open after ours was closed. */
const LINGER_MS = 2_000;
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

/**
 * Serves one connection: requests are read and counted as they come (pipelined ones too), answers leave in their
 * order. Answers that are due at once are collected and leave with one write for each piece that was read.
 */
export function serve(socket: Socket, host: Host): void {
  const turns: Turn[] = [];
  let out = "";
  let closing = false;
  let peerEnded = false;
  let advancing = false;

  const flush = () => {
    if (out === "" || socket.destroyed) return;
    const text = out;
    out = "";
    host.bytesOut(text.length);
    if (!socket.write(text, "latin1")) socket.pause();
  };
  const finish = () => {
    flush();
    closing = true;
    turns.length = 0;
    socket.end();
    socket.resume();
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  };

  const lineOf = (turn: Turn, head: Head): Line => ({
    head,
    write: (data) => {
      if (socket.destroyed || closing) return true;
      flush();
      host.bytesOut(data.length);
      return socket.write(data, "latin1");
    },
    onDrain: (next) => void socket.once("drain", next),
    later: (ms, next) => {
      setTimeout(() => {
        if (!socket.destroyed && !closing) next();
      }, ms).unref();
    },
    done: (status) => {
      host.answered(head, status);
      if (turns[0] !== turn) return;
      turns.shift();
      if (turn.close) finish();
      else advance();
    },
    finish: (status) => {
      if (status !== undefined) host.answered(head, status);
      finish();
    },
    reset: () => {
      closing = true;
      turns.length = 0;
      if ("encrypted" in socket) socket.destroy();
      else socket.resetAndDestroy();
    },
  });

  /** Gives all turns that can be given now. Turns that are done while they are given only continue the loop. */
  const advance = () => {
    if (advancing) return;
    advancing = true;
    for (let turn = turns[0]; turn !== undefined && turn.ready && !turn.started; turn = turns[0]) {
      if ("run" in turn.answer) {
        turn.started = true;
        flush();
        if (turn.head !== null) turn.answer.run(lineOf(turn, turn.head));
        continue;
      }
      turns.shift();
      out += turn.answer.text;
      if (turn.head !== null) host.answered(turn.head, turn.answer.status);
      if (turn.close) finish();
    }
    advancing = false;
    flush();
    if (turns.length === 0 && peerEnded && !closing) finish();
    else if (turns.length < MAX_TURNS && !socket.writableNeedDrain) socket.resume();
  };

  const take = (turn: Turn) => {
    turns.push(turn);
    if (turns.length >= MAX_TURNS) socket.pause();
  };

  const read = makeRequestReader(
    {
      onHead: (head) => {
        if (closing) return;
        host.received(head);
        if (!head.expect_continue || head.body === 0) return;
        if (turns.length === 0) out += CONTINUE;
        else take({ head: null, answer: { text: CONTINUE, status: 100 }, ready: true, started: false, close: false });
      },
      onRequest: (head) => {
        if (closing) return;
        const answer = host.answerTo(head);
        const due_ms = host.dueAt(head);
        if (due_ms === 0 && turns.length === 0 && !("run" in answer)) {
          out += answer.text;
          host.answered(head, answer.status);
          if (!head.keep_alive) finish();
          return;
        }
        const turn: Turn = { head, answer, ready: due_ms === 0, started: false, close: !head.keep_alive };
        take(turn);
        if (due_ms > 0) {
          host.whenDue(due_ms, () => {
            turn.ready = true;
            if (!closing && turns[0] === turn) advance();
          });
        } else if (turns[0] === turn) advance();
      },
      onRefused: (status) => {
        if (closing) return;
        host.refused(status);
        const text = answerText({ method: "GET", minor: 1, keep_alive: false }, status, `${status}`);
        take({ head: null, answer: { text, status }, ready: true, started: false, close: true });
        advance();
      },
    },
    host.parse,
  );

  socket.on("data", (chunk: Buffer) => {
    host.bytesIn(chunk.length);
    if (closing) return;
    read(chunk);
    flush();
  });
  socket.on("drain", () => {
    if (turns.length < MAX_TURNS) socket.resume();
  });
  socket.on("end", () => {
    peerEnded = true;
    if (turns[0]?.started) socket.destroy();
    else if (turns.length === 0 && !closing) finish();
  });
  socket.on("error", () => socket.destroy());
  socket.on("close", () => {
    closing = true;
    turns.length = 0;
  });
}
