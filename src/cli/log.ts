import { printable } from "./figures.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Where the rooms say what happens; what each of them declares for itself has this shape. */
export interface Log {
  info(code: string, fields: Record<string, unknown>, message: string): void;
  warn(code: string, fields: Record<string, unknown>, message: string): void;
  error(code: string, fields: Record<string, unknown>, message: string): void;
}

/**
 * The log of a service, on stderr: short lines for people on a TTY, else one JSON object a line. No field ever holds a
 * secret: what is logged is named one by one.
 */
export async function openLog(service: string, level: LogLevel): Promise<Log> {
  if (process.stderr.isTTY) return lineLog(level, (line) => void process.stderr.write(`${line}\n`));
  const { pino } = await import("pino");
  const destination = pino.destination({ fd: 2, sync: true });
  const options = { level, base: { service, pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime };
  const logger = pino({ ...options, formatters: { level: (label: string) => ({ level: label }) } }, destination);
  return {
    info: (code, fields, message) => logger.info({ ...fields, code }, message),
    warn: (code, fields, message) => logger.warn({ ...fields, code }, message),
    error: (code, fields, message) => logger.error({ ...fields, code }, message),
  };
}

/** Lines for people: `12:30:01 warn  the message (code)`. */
export function lineLog(level: LogLevel, write: (line: string) => void): Log {
  const at = LOG_LEVELS.indexOf(level);
  const say = (own: "info" | "warn" | "error") => (code: string, _fields: Record<string, unknown>, message: string) => {
    if (LOG_LEVELS.indexOf(own) < at) return;
    const time = new Date().toTimeString().slice(0, 8);
    write(`${time} ${own.padEnd(5)} ${printable(message)}${own === "info" ? "" : ` (${code})`}`);
  };
  return { info: say("info"), warn: say("warn"), error: say("error") };
}
