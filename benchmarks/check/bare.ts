// The least that a closed loop can do: a prebuilt request, one write each, and answers counted by their bytes alone.
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** How many requests were answered within `for_ms`. Every answer must have as many bytes as the first one. */
export async function bareLoop(port: number, connections: number, for_ms: number, secure: boolean): Promise<number> {
  const request = Buffer.from(`GET /ping HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: bare\r\nAccept: */*\r\n\r\n`);
  const buffer = Buffer.allocUnsafeSlow(64 * 1024);
  const sockets: Socket[] = [];
  let answer_bytes = 0;
  let answered = 0;
  let over = false;
  await Promise.all(
    Array.from({ length: connections }, () => {
      let pending = 0;
      const onread = {
        buffer,
        callback: (bytes: number): boolean => {
          if (answer_bytes === 0) answer_bytes = bytes;
          pending += bytes;
          if (pending < answer_bytes) return true;
          pending = 0;
          answered++;
          if (!over) socket.write(request);
          return true;
        },
      };
      const options = { host: "127.0.0.1", port, noDelay: true, onread };
      const socket: Socket = secure ? connectTls({ ...options, rejectUnauthorized: false }) : connectTcp(options);
      sockets.push(socket);
      return new Promise<void>((resolve, reject) => {
        socket.once(secure ? "secureConnect" : "connect", resolve);
        socket.once("error", reject);
      });
    }),
  );
  answered = 0;
  for (const socket of sockets) socket.write(request);
  await new Promise((resolve) => setTimeout(resolve, for_ms));
  over = true;
  const total = answered;
  for (const socket of sockets) socket.destroy();
  return total;
}
