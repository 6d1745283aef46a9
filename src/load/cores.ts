import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

type Read = (path: string) => string | null;

/**
 * How many cores this process may use: those that it may run on, or less where a control group of Linux limits its CPU
 * time (containers). Not always whole: half a core is 0.5.
 */
export function availableCores(parallelism = availableParallelism(), read: Read = readText): number {
  const groups = (read("/proc/self/cgroup") ?? "").split("\n").map((line) => line.split(":"));
  let cores = parallelism;
  for (const [, controllers = "", ...rest] of groups) {
    const unified = controllers === "";
    if (!unified && !controllers.split(",").includes("cpu")) continue;
    // A limit of any group above it holds as well. Within a container the path may be that of the host: then only the
    // root, the container's own, is there.
    for (const group of ancestors(rest.join(":"))) {
      cores = Math.min(cores, (unified ? quotaV2(group, read) : quotaV1(group, read)) ?? Infinity);
    }
  }
  return cores;
}

/** "/a/b" -> "/a/b", "/a", "" */
function ancestors(path: string): string[] {
  const names = path.split("/").filter((name) => name !== "");
  return names.map((_, i) => `/${names.slice(0, names.length - i).join("/")}`).concat("");
}

/** cpu.max: "QUOTA PERIOD" in us; QUOTA may be "max". */
function quotaV2(group: string, read: Read): number | null {
  const [quota, period] = (read(`/sys/fs/cgroup${group}/cpu.max`) ?? "").trim().split(" ").map(Number);
  return share(quota, period);
}

/** A quota of -1 means none. */
function quotaV1(group: string, read: Read): number | null {
  const folder = `/sys/fs/cgroup/cpu${group}`;
  return share(Number(read(`${folder}/cpu.cfs_quota_us`) ?? NaN), Number(read(`${folder}/cpu.cfs_period_us`) ?? NaN));
}

function share(quota_us: number | undefined, period_us: number | undefined): number | null {
  return quota_us !== undefined && period_us !== undefined && quota_us > 0 && period_us > 0 ? quota_us / period_us : null;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
