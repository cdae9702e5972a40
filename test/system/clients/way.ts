import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Tandem } from "../tandem.ts";
import type { Transport, Way } from "./stack.ts";

/** How a system is reached over a transport: by its first gateway, or over WebSocket by a cell of its (a). */
export function wayOf(system: Tandem, transport: Transport, cell = "a"): Way {
  const { run, domain, state } = system;
  const ca = readFileSync(join(state, "tls", "ca.pem"), "utf8");
  if (transport === "WS") {
    const url = new URL(run.cells.find(({ id }) => id === cell)?.url ?? "");
    return { transport, host: url.hostname, port: Number(url.port), ca, domain };
  }
  const listener = run.gateways[0]?.listeners.find((one) => one.transport === transport);
  if (listener === undefined) throw new Error(`no gateway listens for ${transport}`);
  return { transport, host: listener.host, port: listener.port, ca, domain };
}
