import { connect, type Socket } from "node:net";

/** A bare connection: what was received so far as Latin-1, and how it ended. */
export interface Wire {
  socket: Socket;
  received(): string;
  send(text: string): void;
  /** Resolves with everything received as soon as `done` says so. */
  until(done: (received: string) => boolean): Promise<string>;
  /** Resolves when the peer ended it: "end" (FIN) or the error's code. */
  ended: Promise<string>;
}

/** Opens a bare connection to a target. */
export async function openWire(port: number): Promise<Wire> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  let received = "";
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => (received += text));
  const ended = new Promise<string>((resolve) => {
    socket.on("end", () => resolve("end"));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on("close", () => resolve("close"));
  });
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  return {
    socket,
    received: () => received,
    send: (text) => void socket.write(text, "latin1"),
    until: (done) =>
      new Promise((resolve) => {
        const look = () => {
          if (!done(received)) return;
          socket.off("data", look);
          resolve(received);
        };
        socket.on("data", look);
        look();
      }),
    ended,
  };
}
