import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DirectLine } from "./direct.ts";
import { startTarget } from "../target/target.ts";
import { closed, expectEnds, loadJob, loadTarget, runJob } from "./testing/run.ts";

let server: Server;
let peer: Socket;
let socket: Socket;
const received: Buffer[] = [];
const buffer = Buffer.alloc(1024);
let viaStream = 0;

beforeEach(async () => {
  received.length = 0;
  viaStream = 0;
  server = createServer({ pauseOnConnect: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const onread = { buffer, callback: () => ++viaStream > 0 };
  socket = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", onread });
  socket.on("error", () => {});
  await once(socket, "connect");
  [peer] = await accepted;
  peer.on("error", () => {});
});
afterEach(() => {
  socket.destroy();
  peer.destroy();
  server.close();
});

test("this Node's internals are those known", () => {
  expect(DirectLine.over(socket, () => {})).not.toBeNull();
});

test("reads come straight, the end comes through the socket", async () => {
  const read: string[] = [];
  DirectLine.over(socket, (bytes) => read.push(buffer.toString("latin1", 0, bytes)));
  const ended = once(socket, "end");
  peer.end("hello");
  await ended;
  expect(read.join("")).toBe("hello");
  expect(viaStream).toBe(0);
});

test("writes that the system does not take at once arrive whole and in order", async () => {
  const line = DirectLine.over(socket, () => {})!;
  const big = Buffer.alloc(8 << 20, "a");
  const small = Buffer.from("b");
  for (const bytes of [small, big, small, big, small]) line.write(bytes);
  let length = 0;
  peer.on("data", (data: Buffer) => {
    length += data.length;
    received.push(data);
  });
  peer.resume();
  await expect.poll(() => length, { timeout: 10_000 }).toBe(2 * big.length + 3);
  const all = Buffer.concat(received);
  expect([0, 1 + big.length, 2 + 2 * big.length].map((at) => all[at])).toEqual([98, 98, 98]);
  expect(all.filter((byte) => byte === 98)).toHaveLength(3);
});

test("an error of a write is the socket's", async () => {
  const line = DirectLine.over(socket, () => {})!;
  const errors: NodeJS.ErrnoException[] = [];
  socket.on("error", (error) => errors.push(error));
  const big = Buffer.alloc(8 << 20);
  line.write(big);
  peer.resetAndDestroy();
  await expect.poll(() => errors.length, { timeout: 10_000 }).toBe(1);
  expect(["ECONNRESET", "EPIPE"]).toContain(errors[0]!.code);
  expect(socket.destroyed).toBe(true);
  expect(errors[0]!.syscall).toMatch(/write|read/);
});

test("a write to what is closed already fails as one", async () => {
  const line = DirectLine.over(socket, () => {})!;
  socket.destroy();
  expect(() => line.write(Buffer.from("x"))).not.toThrow();
  await once(socket, "close");
});

test("big requests through the engine", async () => {
  const target = await startTarget();
  const body = "x".repeat(3 << 20);
  const job = loadJob(loadTarget(target.port, "/ping", { method: "POST", body }), closed(8, null), { connections: 2 });
  const { counts } = await runJob(job);
  expectEnds(counts, { sent: 8, ok: 8 });
  expect(target.counters().bytes_in).toBe(counts.bytes_out);
  await target.close();
});
