/** Randomness from a seed: the same seed gives the same numbers (mulberry32). */
export interface Random {
  /** From 0 (included) to 1. */
  unit(): number;
  /** From low (included) to high. */
  between(low: number, high: number): number;
  /** A whole number, both ends included. */
  whole(low: number, high: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  shuffled<T>(items: readonly T[]): T[];
}

export function createRandom(seed: number): Random {
  let a = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0;
  const self: Random = {
    unit() {
      a = (a + 0x6d2b79f5) >>> 0;
      let t = Math.imul(a ^ (a >>> 15), a | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    },
    between: (low, high) => low + self.unit() * (high - low),
    whole: (low, high) => low + Math.floor(self.unit() * (high - low + 1)),
    chance: (probability) => self.unit() < probability,
    pick: (items) => items[Math.floor(self.unit() * items.length)]!,
    shuffled(items) {
      const result = [...items];
      for (let i = result.length - 1; i > 0; i--) {
        const j = self.whole(0, i);
        [result[i], result[j]] = [result[j]!, result[i]!];
      }
      return result;
    },
  };
  return self;
}
