// The least that a load can be: a prebuilt request, one write each, and answers counted by their bytes alone.
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export interface BareOptions {
  port: number;
  connections: number;
  for_ms: number;
  secure: boolean;
  /** null: closed, the next request goes out when the answer came. Else what is due goes out each millisecond. */
  rate_rps: number | null;
}

/** How many requests were answered in time. Every answer must have as many bytes as the first one. */
export async function bareLoad({ port, connections, for_ms, secure, rate_rps }: BareOptions): Promise<number> {
  const request = Buffer.from(`GET /ping HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: bare\r\nAccept: */*\r\n\r\n`);
  const buffer = Buffer.allocUnsafeSlow(64 * 1024);
  const sockets: Socket[] = [];
  const free: Socket[] = [];
  let answer_bytes = 0;
  let answered = 0;

  function completed(socket: Socket): void {
    answered++;
    if (rate_rps === null) socket.write(request);
    else free.push(socket);
  }

  function open(): Promise<void> {
    let pending = 0;
    const callback = (bytes: number): boolean => {
      if (answer_bytes === 0) answer_bytes = bytes;
      pending += bytes;
      if (pending >= answer_bytes) {
        pending = 0;
        completed(socket);
      }
      return true;
    };
    const options = { host: "127.0.0.1", port, noDelay: true, onread: { buffer, callback } };
    const socket: Socket = secure ? connectTls({ ...options, rejectUnauthorized: false }) : connectTcp(options);
    sockets.push(socket);
    return new Promise((resolve, reject) => {
      socket.once(secure ? "secureConnect" : "connect", resolve);
      socket.once("error", reject);
    });
  }

  await Promise.all(Array.from({ length: connections }, open));
  const begun_ms = performance.now();
  if (rate_rps === null) {
    for (const socket of sockets) socket.write(request);
    await new Promise((resolve) => setTimeout(resolve, for_ms));
  } else {
    free.push(...sockets);
    await sendAtRate(rate_rps);
  }
  const total = answered;
  for (const socket of sockets) socket.destroy();
  return total;

  function sendAtRate(rate: number): Promise<void> {
    let sent = 0;
    return new Promise((resolve) => {
      const tick = (): void => {
        const elapsed_ms = performance.now() - begun_ms;
        if (elapsed_ms >= for_ms) return resolve();
        for (; sent < (elapsed_ms * rate) / 1000 && free.length > 0; sent++) free.shift()!.write(request);
        setTimeout(tick, 1);
      };
      tick();
    });
  }
}
