import type { Socket } from "node:net";
import { getSystemErrorName } from "node:util";

/** What Node's stream layer keeps between a write and its end; Node gives it to the handle with each write. */
interface WriteRequest {
  /** Held while the write is under way. */
  buffer?: Uint8Array;
  oncomplete?: (errno: number) => void;
}

/** What a plain TCP socket is made of within Node (stream_base.cc). */
interface Handle {
  /** 0, or a negative errno. Whether it is done by then says the StreamState. */
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  /** Called with the outcome of each read in the StreamState; returns nothing to keep the socket's buffer. */
  onread: (this: Handle, ...rest: unknown[]) => unknown;
}

interface StreamBinding {
  WriteWrap: new () => WriteRequest;
  streamBaseState: Int32Array;
  kReadBytesOrError: number;
  kLastWriteWasAsync: number;
}

const binding = findBinding();

/** These internals, if this Node has them in the form known here. */
function findBinding(): StreamBinding | null {
  try {
    const found = (process as unknown as { binding(name: string): Partial<StreamBinding> }).binding("stream_wrap");
    const known =
      typeof found.WriteWrap === "function" &&
      found.streamBaseState instanceof Int32Array &&
      typeof found.kReadBytesOrError === "number" &&
      typeof found.kLastWriteWasAsync === "number";
    return known ? (found as StreamBinding) : null;
  } catch {
    return null;
  }
}

/**
 * One established TCP socket's handle, used without the stream layer above it: a write is one system call, allocates
 * nothing and schedules nothing; a read comes straight to `onRead`. Everything else (end, errors, closing) stays with
 * the socket: an error of a write reaches it as the stream layer's would.
 */
export class DirectLine {
  private readonly socket: Socket;
  private readonly handle: Handle;
  /** Used again for each write that was done at once; one that is under way keeps its own. */
  private request: WriteRequest | null = null;
  /** Bytes of the last write are yet to be taken by the system: they may not change, and nothing should follow them. */
  unsent = false;
  private readonly binding: StreamBinding;

  private constructor(socket: Socket, handle: Handle, known: StreamBinding) {
    this.socket = socket;
    this.handle = handle;
    this.binding = known;
  }

  /**
   * Takes over reading and writing from the stream layer of a socket that was made with `onread` and its own buffer.
   * null: this Node's internals are not those known here; the socket is left as it is.
   */
  static over(socket: Socket, onRead: (bytes: number) => void): DirectLine | null {
    const handle = (socket as unknown as { _handle?: Handle | null })._handle;
    if (binding === null || !handle || typeof handle.writeBuffer !== "function" || typeof handle.onread !== "function") {
      return null;
    }
    const { streamBaseState, kReadBytesOrError } = binding;
    const ended = handle.onread;
    handle.onread = function (...rest) {
      const bytes = streamBaseState[kReadBytesOrError]!;
      if (bytes <= 0) return ended.apply(this, rest);
      onRead(bytes);
      return undefined;
    };
    return new DirectLine(socket, handle, binding);
  }

  write(bytes: Uint8Array): void {
    const request = (this.request ??= this.newRequest(bytes));
    const errno = this.handle.writeBuffer(request, bytes);
    if (errno !== 0) this.failed(errno);
    else if (this.binding.streamBaseState[this.binding.kLastWriteWasAsync] !== 0) {
      request.buffer = bytes;
      this.request = null;
      this.unsent = true;
    }
  }

  private newRequest(bytes: Uint8Array): WriteRequest {
    const request = new this.binding.WriteWrap();
    request.buffer = bytes;
    request.oncomplete = (errno) => {
      this.unsent = false;
      if (errno < 0) this.failed(errno);
    };
    return request;
  }

  private failed(errno: number): void {
    const code = getSystemErrorName(errno);
    this.socket.destroy(Object.assign(new Error(`write ${code}`), { code, errno, syscall: "write" }));
  }
}
