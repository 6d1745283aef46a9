import type { DriverLog } from "../log.ts";

/** Remembers what was logged. */
export function recordingLog(): DriverLog & { entries: { level: string; code: string; message: string }[]; codes(): string[] } {
  const entries: { level: string; code: string; message: string }[] = [];
  const at = (level: string) => (code: string, _fields: Record<string, unknown>, message: string) => {
    entries.push({ level, code, message });
  };
  return { entries, codes: () => entries.map(({ code }) => code), info: at("info"), warn: at("warn"), error: at("error") };
}
