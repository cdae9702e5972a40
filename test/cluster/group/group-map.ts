import type { HeartbeatSettings } from "../../../cluster/group/view.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";

/** A map of these cells, as it is deployed. */
export function groupMap(cells: readonly string[], heartbeat: HeartbeatSettings = { periodMs: 1_000, missed: 3 }): ClusterMap {
  return {
    version: 1,
    cells: cells.map((id) => ({ id, url: `http://${id}.invalid` })),
    exchangeCount: cells.length,
    lineCount: 1,
    domains: [{ name: "example.test", auth: "open" }],
    aliases: [],
    heartbeat,
    replication: { ackTimeoutMs: 200 },
    flushMs: 1_000,
  };
}
