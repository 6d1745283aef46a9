const SAMPLE_MS = 1_000;

/**
 * How this process is doing, measured over about the last second: `cpu` (1 = one core), `rss_bytes`,
 * `event_loop_utilisation` (0 to 1).
 */
export function createHealth(): () => Record<string, number> {
  let sampled_ms = performance.now();
  let cpu = process.cpuUsage();
  let loop = performance.eventLoopUtilization();
  let health: Record<string, number> = { cpu: 0, rss_bytes: process.memoryUsage.rss(), event_loop_utilisation: 0 };

  return () => {
    const now_ms = performance.now();
    if (now_ms - sampled_ms < SAMPLE_MS) return health;
    const used = process.cpuUsage(cpu);
    const newest = performance.eventLoopUtilization();
    health = {
      cpu: (used.user + used.system) / 1e3 / (now_ms - sampled_ms),
      rss_bytes: process.memoryUsage.rss(),
      event_loop_utilisation: performance.eventLoopUtilization(newest, loop).utilization,
    };
    sampled_ms = now_ms;
    cpu = process.cpuUsage();
    loop = newest;
    return health;
  };
}
