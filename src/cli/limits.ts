import { readFileSync } from "node:fs";
import { count } from "./figures.ts";

/** What the system lets one process open. null: unknown, or without limit. */
export interface SystemLimits {
  open_files: number | null;
  local_ports: number | null;
}

/** Files that a process holds open besides its connections. */
const OTHER_FILES = 64;

/** What is too small for so many connections at once, one line each with what to do about it. */
export function limitWarnings(connections: number, limits: SystemLimits): string[] {
  const warnings: string[] = [];
  const { open_files, local_ports } = limits;
  if (open_files !== null && connections + OTHER_FILES > open_files) {
    warnings.push(
      `${count(connections)} connections need more open files than the limit of ${count(open_files)}: ` +
        `raise it with \`ulimit -n ${connections + OTHER_FILES}\`, or use fewer --connections`,
    );
  }
  if (local_ports !== null && connections > local_ports) {
    warnings.push(
      `${count(connections)} connections need more local ports than the ${count(local_ports)} there are for one target: ` +
        "widen net.ipv4.ip_local_port_range, or use fewer --connections",
    );
  }
  return warnings;
}

/** The soft limit of open files in /proc/self/limits. */
export function openFilesOf(limits: string): number | null {
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? null : Number(soft);
}

/** How many ports ip_local_port_range holds. */
export function localPortsOf(range: string): number | null {
  const match = /^\s*(\d+)\s+(\d+)/.exec(range);
  return match ? Number(match[2]) - Number(match[1]) + 1 : null;
}

/** This system's limits; null where it does not tell (they are read from /proc). */
export function readLimits(): SystemLimits {
  const read = (path: string) => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return "";
    }
  };
  return {
    open_files: openFilesOf(read("/proc/self/limits")),
    local_ports: localPortsOf(read("/proc/sys/net/ipv4/ip_local_port_range")),
  };
}
