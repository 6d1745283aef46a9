import { createRandom, type Random } from "./random.ts";

interface Happening {
  at_ms: number;
  order: number;
  act: () => void;
}

/** A world of its own: time that only moves from one happening to the next, and everything that is found wrong in it. */
export interface World {
  readonly random: Random;
  now_ms: number;
  at(at_ms: number, act: () => void): void;
  /** Lets happen what happens until then, or until `done`. */
  run(until_ms: number, done: () => boolean): void;
  /** Something that must never be. */
  fail(what: string): void;
  readonly failures: string[];
  trace(who: string, what: () => string): void;
  /** Something worth knowing that it happened, over many seeds. */
  readonly count: (what: string) => void;
  readonly counts: Map<string, number>;
  readonly lines: string[];
}

const MOST_FAILURES = 20;
const MOST_HAPPENINGS = 400_000;

export function createWorld(seed: number, traced: boolean): World {
  const heap: Happening[] = [];
  let order = 0;

  const before = (a: Happening, b: Happening) => a.at_ms < b.at_ms || (a.at_ms === b.at_ms && a.order < b.order);

  function push(item: Happening): void {
    let i = heap.push(item) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(item, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = item;
  }

  function pop(): Happening | undefined {
    const top = heap[0];
    const last = heap.pop();
    if (!top || !last || top === last) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
    return top;
  }

  const self: World = {
    random: createRandom(seed),
    now_ms: 0,
    failures: [],
    lines: [],
    counts: new Map(),
    count(what) {
      self.counts.set(what, (self.counts.get(what) ?? 0) + 1);
    },
    at(at_ms, act) {
      push({ at_ms: Math.max(at_ms, self.now_ms), order: order++, act });
    },
    run(until_ms, done) {
      let checked_ms = 0;
      let happened = 0;
      while (heap.length > 0 && heap[0]!.at_ms <= until_ms) {
        const next = pop()!;
        self.now_ms = next.at_ms;
        next.act();
        if (++happened > MOST_HAPPENINGS) {
          self.fail("time stands still");
          return;
        }
        if (self.failures.length >= MOST_FAILURES) return;
        if (self.now_ms - checked_ms < 250) continue;
        checked_ms = self.now_ms;
        if (done()) return;
      }
    },
    fail(what) {
      if (self.failures.length < MOST_FAILURES && !self.failures.includes(what)) self.failures.push(what);
      self.trace("!!!", () => what);
    },
    trace(who, what) {
      if (traced) self.lines.push(`${(self.now_ms / 1000).toFixed(3).padStart(8)}  ${who.padEnd(6)} ${what()}`);
    },
  };
  return self;
}

/** A process: it can crash, and it can be asleep: its time goes on, and nothing in it happens. */
export interface Host {
  readonly name: string;
  /** Its wall clock less the world's. */
  readonly clock_offset_ms: number;
  alive: boolean;
  asleep: boolean;
  /** When it woke up last, and how long it had slept. */
  woke: { at_ms: number; slept_ms: number };
  now_ms(): number;
  /** Happens in this process; never in the one that follows it after a crash. */
  after(delay_ms: number, act: () => void): void;
  /** Happens now or when it wakes up, if it still lives then. */
  now(act: () => void): void;
  boot(): void;
  crash(): void;
  sleep(): void;
  wake: () => void;
}

export function createHost(world: World, name: string, clock_offset_ms: number): Host {
  let generation = 0;
  let slept_at_ms = 0;
  let waiting: (() => void)[] = [];

  const self: Host = {
    name,
    clock_offset_ms,
    alive: false,
    asleep: false,
    woke: { at_ms: -1, slept_ms: 0 },
    now_ms: () => 1_700_000_000_000 + world.now_ms + clock_offset_ms,
    after(delay_ms, act) {
      const own = generation;
      world.at(world.now_ms + delay_ms, () => {
        if (own === generation && self.alive) self.now(act);
      });
    },
    now(act) {
      if (!self.alive) return;
      if (self.asleep) waiting.push(act);
      else act();
    },
    boot() {
      generation++;
      waiting = [];
      self.alive = true;
      self.asleep = false;
      self.woke = { at_ms: -1, slept_ms: 0 };
    },
    crash() {
      if (self.alive) world.trace(name, () => "CRASH");
      generation++;
      waiting = [];
      self.alive = false;
      self.asleep = false;
    },
    sleep() {
      if (!self.alive || self.asleep) return;
      world.trace(name, () => "falls asleep");
      self.asleep = true;
      slept_at_ms = world.now_ms;
    },
    wake() {
      if (!self.alive || !self.asleep) return;
      self.asleep = false;
      self.woke = { at_ms: world.now_ms, slept_ms: world.now_ms - slept_at_ms };
      world.trace(name, () => `wakes up after ${Math.round(self.woke.slept_ms)} ms`);
      // Sockets and timers come in any order.
      const all = world.random.shuffled(waiting);
      waiting = [];
      const own = generation;
      for (const act of all) if (own === generation && self.alive) self.now(act);
    },
  };
  return self;
}
