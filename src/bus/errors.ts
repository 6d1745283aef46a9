/**
 * Stable codes of what can go wrong between a node and its log:
 *
 *     record_too_large     the record is over max_record_bytes, or over the broker's own limit
 *     rejected             the broker refuses this record for good
 *     closed               the bus or the subscription was closed
 *     unreachable          no broker answered in time at the first connection
 *     auth_failed          a broker refused the credentials, or does not let them use a topic
 *     bad_topic            a topic's name or shape is unusable
 *     bad_broker_address   not HOST:PORT
 */
export type BusErrorCode =
  | "record_too_large"
  | "rejected"
  | "closed"
  | "unreachable"
  | "auth_failed"
  | "bad_topic"
  | "bad_broker_address";

/** What a bus rejects with. The message says what is wrong and what to do. */
export class BusError extends Error {
  readonly code: BusErrorCode;

  constructor(code: BusErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "BusError";
    this.code = code;
  }
}

export function closedError(): BusError {
  return new BusError("closed", "the bus is closed");
}

export function tooLargeError(topic: string, bytes: number, limit_bytes: number): BusError {
  const message = `a record of ${bytes} bytes for ${topic} is over the limit of ${limit_bytes} bytes: make it smaller`;
  return new BusError("record_too_large", message);
}
