import { availableParallelism } from "node:os";
import { expect, test } from "vitest";
import { availableCores } from "./cores.ts";

const from = (files: Record<string, string>) => (path: string) => files[path] ?? null;

test.each<[string, number, Record<string, string>]>([
  ["no control groups", 8, {}],
  ["v2, none", 8, { "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "max 100000\n" }],
  ["v2, in a container", 1.5, { "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "150000 100000\n" }],
  ["v2, more than there are", 8, { "/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/cpu.max": "1600000 100000\n" }],
  [
    "v2, of a group above",
    2,
    {
      "/proc/self/cgroup": "0::/user.slice/x.scope\n",
      "/sys/fs/cgroup/user.slice/x.scope/cpu.max": "max 100000\n",
      "/sys/fs/cgroup/user.slice/cpu.max": "200000 100000\n",
    },
  ],
  [
    "v1, the host's path within a container",
    0.5,
    {
      "/proc/self/cgroup": "3:memory:/docker/1\n2:cpu,cpuacct:/docker/1\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    },
  ],
  [
    "v1, none",
    8,
    {
      "/proc/self/cgroup": "1:cpu:/\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    },
  ],
])("%s", (_name, expected, files) => {
  expect(availableCores(8, from(files))).toBe(expected);
});

test("of this machine: no more than the system says", () => {
  expect(availableCores()).toBeGreaterThan(0);
  expect(availableCores()).toBeLessThanOrEqual(availableParallelism());
});
