/** Due requests that wait for a connection, first in, first out: a ring of their due moments (us). */
export class Backlog {
  length = 0;
  private due = new Float64Array(64);
  private head = 0;
  private readonly capacity: number;

  /** `capacity`: how many may wait; memory is taken only as they do. */
  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** false: full, and the request is not taken. */
  push(due_us: number): boolean {
    if (this.length >= this.capacity) return false;
    if (this.length === this.due.length) this.grow();
    this.due[(this.head + this.length) & (this.due.length - 1)] = due_us;
    this.length++;
    return true;
  }

  /** The oldest. Only when not empty. */
  shift(): number {
    const due_us = this.due[this.head]!;
    this.head = (this.head + 1) & (this.due.length - 1);
    this.length--;
    return due_us;
  }

  private grow(): void {
    const larger = new Float64Array(2 * this.due.length);
    for (let i = 0; i < this.length; i++) larger[i] = this.due[(this.head + i) & (this.due.length - 1)]!;
    this.due = larger;
    this.head = 0;
  }
}
