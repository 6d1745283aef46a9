/** Longer heads are read each time. */
const LONGEST = 2048;
const MOST_SKIPPED = 1024;

/**
 * The bytes of a head read before and what they meant: a head of the same bytes means the same, so it need not be read
 * again. One memo serves all connections of a test, as answers are alike. A target whose heads always differ costs
 * little: each memo that was of no use doubles the number of heads until the next one is kept.
 *
 * A buffer is compared in words of four bytes; the view that takes is made once for each buffer.
 */
export class HeadMemo {
  /** Bytes of the head; 0: none is remembered. */
  length = 0;
  /** What it meant (parser.ts). */
  status = 0;
  keep_alive = true;
  state = 0;
  remaining = 0;

  private readonly bytes = new Uint8Array(LONGEST);
  private readonly words = new Int32Array(this.bytes.buffer);
  private buffer: Uint8Array | null = null;
  private buffer_words: Int32Array = this.words;
  private hits = 0;
  private skipped = 1;
  private to_skip = 0;

  /** Do bytes[0, length) begin with the head remembered? */
  matches(bytes: Uint8Array, length: number): boolean {
    const known = this.length;
    if (known === 0 || length < known) return false;
    if (bytes !== this.buffer) this.look(bytes);
    const { words, buffer_words } = this;
    const whole = known >>> 2;
    for (let i = 0; i < whole; i++) if (words[i] !== buffer_words[i]) return false;
    for (let i = whole << 2; i < known; i++) if (this.bytes[i] !== bytes[i]) return false;
    this.hits++;
    return true;
  }

  /** Remembers bytes[0, length) instead of what was, if that is worth while; true: what it means is to be set. */
  keep(bytes: Uint8Array, length: number): boolean {
    if (length > LONGEST || bytes.byteOffset % 4 !== 0) return false;
    if (this.to_skip > 0) {
      this.to_skip--;
      return false;
    }
    if (this.length > 0) {
      this.skipped = this.hits > 0 ? 1 : Math.min(2 * this.skipped, MOST_SKIPPED);
      this.to_skip = this.skipped - 1;
    }
    this.hits = 0;
    this.length = length;
    this.bytes.set(bytes.subarray(0, length));
    return true;
  }

  private look(bytes: Uint8Array): void {
    this.buffer = bytes;
    // A view that cannot be had is an empty one: no head has the words that it lacks.
    const words = bytes.byteOffset % 4 === 0 ? bytes.length >>> 2 : 0;
    this.buffer_words = new Int32Array(bytes.buffer, words > 0 ? bytes.byteOffset : 0, words);
  }
}
