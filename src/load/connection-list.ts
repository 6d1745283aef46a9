import type { Connection } from "./connection.ts";

/** Connections in the order of their coming; each is in at most one list. Adding and removing allocate nothing. */
export class ConnectionList {
  private first: Connection | null = null;
  private last: Connection | null = null;

  /** Appends; takes it out of the list that it was in. */
  push(connection: Connection): void {
    if (connection.list !== null) (connection.list as ConnectionList).remove(connection);
    connection.list = this;
    connection.previous = this.last;
    if (this.last === null) this.first = connection;
    else this.last.next = connection;
    this.last = connection;
  }

  /** The oldest, left where it is; null when empty. */
  peek(): Connection | null {
    return this.first;
  }

  /** Takes out the oldest; null when empty. */
  shift(): Connection | null {
    const { first } = this;
    if (first !== null) this.remove(first);
    return first;
  }

  /** Takes it out, if it is in this list. */
  remove(connection: Connection): void {
    if (connection.list !== this) return;
    const { previous, next } = connection;
    if (previous === null) this.first = next;
    else previous.next = next;
    if (next === null) this.last = previous;
    else next.previous = previous;
    connection.previous = null;
    connection.next = null;
    connection.list = null;
  }
}
