import type { Command } from "commander";
import type { NodeView } from "../api/views.ts";
import { byName, duration, printable } from "./figures.ts";
import type { Done } from "./options.ts";
import { clientFor, print, systemCommand, table, type SystemOptions } from "./system-options.ts";

/** `onrush nodes`: the drivers of a running system. */
export function nodesCommand(done: Done): Command {
  return systemCommand("nodes", "Lists the drivers of a running system.").action(async (options: SystemOptions) => {
    const client = await clientFor(options);
    print((await client.get("/nodes")) as { nodes: NodeView[] }, options, renderNodes);
    done({});
  });
}

function renderNodes({ nodes }: { nodes: NodeView[] }): string[] {
  const rows = nodes.toSorted((a, b) => byName(a.node_id, b.node_id)).map((node) => [
    printable(node.node_id),
    node.state,
    printable(node.node_ip),
    node.last_heartbeat_age_s === null ? "-" : `${node.last_heartbeat_age_s.toFixed(1)} s ago`,
    duration(node.clock_offset_ms),
    node.test_id === null ? "-" : printable(node.test_id),
    Object.entries(node.labels).map(([key, value]) => printable(`${key}=${value}`)).join(",") || (node.foreign ? "(foreign)" : "-"),
  ]);
  return table(["driver", "state", "address", "heartbeat", "clock", "test", "labels"], rows, "no drivers: start one with `onrush driver`");
}
