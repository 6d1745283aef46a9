import { STATUS_CODES } from "node:http";
import type { Head } from "./request.ts";

/** A whole answer as Latin-1 text, with what the request's version and method ask for. */
export function answerText(head: Pick<Head, "method" | "minor" | "keep_alive">, status: number, body: string, type = "text/plain"): string {
  const connection = !head.keep_alive ? "Connection: close\r\n" : head.minor === 0 ? "Connection: keep-alive\r\n" : "";
  const start = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Status"}\r\n${connection}`;
  if (status < 200 || status === 204 || status === 304) return `${start}\r\n`;
  const fields = `Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`;
  return start + fields + (head.method === "HEAD" ? "" : body);
}
