/**
 * Whether this process hears everything: its own heartbeat comes back within 1 s, the log is there, and the process
 * itself did not sleep. Whose silence counts is judged by the moment since when it does.
 *
 *     null --(a heartbeat came back, all topics read to the end)--> since --(break)--> null
 */
export interface Hearing {
  since_ms: number | null;
  /** When this was judged last. */
  judged_ms: number;
  /** The own heartbeat that has not come back yet. */
  asked_ms: number | null;
}

/** Longer than this between two judgements: the process slept. */
const SLEPT_MS = 1_000;
const ANSWER_MS = 1_000;

export function startHearing(now_ms: number): Hearing {
  return { since_ms: null, judged_ms: now_ms, asked_ms: null };
}

/** Judges at this moment; to be called well more often than once a second. */
export function judgeHearing(hearing: Hearing, now_ms: number, connected: boolean): Hearing {
  const slept = now_ms - hearing.judged_ms > SLEPT_MS;
  const unanswered = hearing.asked_ms !== null && now_ms - hearing.asked_ms > ANSWER_MS;
  const broken = slept || unanswered || !connected;
  return { ...hearing, judged_ms: now_ms, since_ms: broken ? null : hearing.since_ms };
}

/** A heartbeat went out. */
export function askHearing(hearing: Hearing, now_ms: number): Hearing {
  return { ...hearing, asked_ms: hearing.asked_ms ?? now_ms };
}

/** The heartbeat sent at `asked_ms` came back; after a break, every topic was read to the end besides. */
export function answerHearing(hearing: Hearing, asked_ms: number, now_ms: number, connected: boolean): Hearing {
  const judged = judgeHearing(hearing, now_ms, connected);
  if (hearing.asked_ms !== asked_ms) return judged;
  const prompt = connected && now_ms - asked_ms <= ANSWER_MS && now_ms - hearing.judged_ms <= SLEPT_MS;
  return { ...judged, asked_ms: null, since_ms: prompt ? (judged.since_ms ?? now_ms) : judged.since_ms };
}
