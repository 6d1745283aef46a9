import { readFileSync } from "node:fs";
import { isIPv6 } from "node:net";
import type { LoadTarget } from "./engine.ts";
import { createTemplate, exampleOf, isTemplate, templatePath, type RequestTemplate, type TemplateValues } from "./template.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/** What framing needs is ours alone: a test that sets these cannot make the request mean something else. */
const OURS = new Set(["content-length", "transfer-encoding"]);

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Everything but what would end the line. */
const FIELD_VALUE = /^[^\r\n\0]*$/;
/** Visible characters and bytes above ASCII: no space, no control. */
const REQUEST_TARGET = /^[^\0-\x20\x7f]+$/;

/** One or the other: the bytes of every request, or what makes those of each. */
export type RequestBytes = { request: Buffer; template: RequestTemplate | null };

/**
 * The bytes of one request; the same for every request of a test, or a template where path, headers or body hold
 * placeholders (template.ts). HTTP/1.1 keeps the connection unless told otherwise. Host, User-Agent and Accept are set
 * unless `target.headers` has them, and so is Content-Type for a body of JSON (an object or a list); the body is UTF-8.
 * Throws RangeError on a method, path or header that would not stay within its own line.
 */
export function buildRequest(target: LoadTarget, test_id: string, values: () => TemplateValues): RequestBytes {
  const { head, body } = textOf(target, test_id);
  if (isTemplate(head) || (body !== null && isTemplate(body))) {
    return { request: Buffer.alloc(0), template: createTemplate(head, body, values()) };
  }
  const length = body === null ? "" : `\r\nContent-Length: ${Buffer.byteLength(body, "utf8")}`;
  return { request: Buffer.from(`${head}${length}\r\n\r\n${body ?? ""}`, "utf8"), template: null };
}

/** The head's lines, without the length of a body. */
function textOf(target: LoadTarget, test_id: string): { head: string; body: string | null } {
  const method = checked(TOKEN, target.method, "method");
  const path = checked(REQUEST_TARGET, templatePath(target.path), "path");
  const own = Object.entries(target.headers).filter(([name]) => !OURS.has(name.toLowerCase()));
  const named = new Set(own.map(([name]) => name.toLowerCase()));
  const { body } = target;

  const lines = [`${method} ${path} HTTP/1.1`];
  if (!named.has("host")) lines.push(`Host: ${hostHeader(target)}`);
  if (!named.has("user-agent")) lines.push(`User-Agent: onrush/${version} (test ${printable(test_id)})`);
  if (!named.has("accept")) lines.push("Accept: */*");
  for (const [name, value] of own) {
    lines.push(`${checked(TOKEN, name, "header name")}: ${checked(FIELD_VALUE, value, `value of ${name}`)}`);
  }
  if (body === null && /^(POST|PUT|PATCH)$/.test(method)) lines.push("Content-Length: 0");
  if (body !== null && !named.has("content-type") && isJson(body)) lines.push("Content-Type: application/json");
  return { head: lines.join("\r\n"), body };
}

/** Numbers and words are JSON too, but nobody means it. */
function isJson(body: string): boolean {
  if (!/^\s*[[{]/.test(body)) return false;
  try {
    JSON.parse(exampleOf(body));
    return true;
  } catch {
    return false;
  }
}

function hostHeader({ protocol, hostname, port }: LoadTarget): string {
  const host = isIPv6(hostname) ? `[${hostname}]` : hostname;
  return port === (protocol === "https:" ? 443 : 80) ? host : `${host}:${port}`;
}

/** A test's id may come from elsewhere: it must stay within the comment of the User-Agent. */
function printable(test_id: string): string {
  return test_id.replace(/[^\x20-\x7e]|[()\\]/g, "_").slice(0, 200);
}

function checked(pattern: RegExp, value: string, what: string): string {
  if (!pattern.test(value)) throw new RangeError(`${what}: ${JSON.stringify(value)} cannot be sent`);
  return value;
}
