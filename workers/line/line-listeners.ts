import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { defaultPort, type Listener, type Transport } from "../../sip/flow/flow.ts";

/**
 * Where the lines of a cell listen, as Via and Record-Route name them (RFC 7118 5). They are named by the domain and the port of the cell's door. All
 * lines of a cell are the same here, and exchanges know them from the map: no line introduces itself. WS first, then WSS: their places in this list
 * are the listener numbers in flow keys.
 */
export function lineListeners(map: ClusterMap, cell: string): readonly Listener[] {
  const host = map.domains[0]?.name ?? "invalid";
  const own = map.cells.find((each) => each.id === cell);
  const url = own?.door ?? own?.url;
  const { protocol, port } = url === undefined ? { protocol: "", port: "" } : new URL(url);
  const portOf = (transport: Transport, scheme: string): number =>
    protocol === scheme && port !== "" ? Number(port) : defaultPort(transport);
  return [
    { transport: "WS", host, port: portOf("WS", "http:") },
    { transport: "WSS", host, port: portOf("WSS", "https:") },
  ];
}

/** Index in {@link lineListeners}. */
export function listenerIndex(transport: "WS" | "WSS"): number {
  return transport === "WS" ? 0 : 1;
}
