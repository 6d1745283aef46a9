import type { Bus } from "../bus/bus.ts";
import { encodeMessage, type OutgoingOf } from "../protocol/codec.ts";
import type { Topic } from "../protocol/topics.ts";

/** What a node has to say, at most two records of a key at a time: one on its way and the newest one after it. */
export interface Outbox {
  /** Never blocks and never throws. Of what waits under a key only the newest is sent. */
  put<T extends Topic>(key: string, topic: T, message: OutgoingOf[T], onPublished?: () => void): void;
  /** Resolves when nothing is left to be sent, or after `limit_ms`. */
  flush(limit_ms: number): Promise<void>;
  /** Sends nothing more. */
  close(): void;
}

interface Letter {
  topic: Topic;
  value: Uint8Array;
  onPublished: (() => void) | undefined;
}

/** `onFailed`: the log will never take this record. */
export function createOutbox(bus: Pick<Bus, "append">, onFailed: (topic: Topic, error: unknown) => void): Outbox {
  const waiting = new Map<string, Letter>();
  const sending = new Set<string>();
  let closed = false;
  let onEmpty: (() => void)[] = [];

  async function send(key: string): Promise<void> {
    sending.add(key);
    for (let letter = waiting.get(key); letter && !closed; letter = waiting.get(key)) {
      waiting.delete(key);
      try {
        await bus.append(letter.topic, letter.value);
        if (!closed) letter.onPublished?.();
      } catch (error) {
        if (!closed) onFailed(letter.topic, error);
      }
    }
    sending.delete(key);
    if (sending.size > 0) return;
    for (const resolve of onEmpty) resolve();
    onEmpty = [];
  }

  return {
    put(key, topic, message, onPublished) {
      if (closed) return;
      waiting.set(key, { topic, value: encodeMessage(topic, message), onPublished });
      if (!sending.has(key)) void send(key);
    },

    async flush(limit_ms) {
      if (sending.size === 0) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, limit_ms);
        onEmpty.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    },

    close() {
      closed = true;
      waiting.clear();
    },
  };
}
