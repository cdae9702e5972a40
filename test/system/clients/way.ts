import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Tandem } from "../../../kit/world/tandem.ts";

/** What is to be known of a system to reach it. */
export type Reached = Pick<Tandem, "run" | "domain" | "state">;
import type { Transport, Way } from "./stack.ts";

/** A door for softphones: a cell, or the first gateway. */
export type Door = "a" | "b" | "gateway";

/** How a system is reached over a transport: by its first gateway, or over WebSocket by a cell of its (a) or the gateway. */
export function wayOf(system: Reached, transport: Transport, door: Door = "a"): Way {
  const { run, domain } = system;
  const ca = caOf(system);
  if (transport === "WS" && door !== "gateway") {
    const url = new URL(run.cells.find(({ id }) => id === door)?.url ?? "");
    return { transport, host: url.hostname, port: Number(url.port), ca, domain };
  }
  return { transport, ...listenerOf(system, transport), ca, domain };
}

/** Over WebSocket and TLS by the first gateway. */
export function secureWebSocketWayOf(system: Reached): Way {
  return { transport: "WS", isSecure: true, ...listenerOf(system, "WSS"), ca: caOf(system), domain: system.domain };
}

function caOf({ state }: Reached): string {
  return readFileSync(join(state, "tls", "ca.pem"), "utf8");
}

function listenerOf({ run }: Reached, transport: string): { readonly host: string; readonly port: number } {
  const listener = run.gateways[0]?.listeners.find((one) => one.transport === transport);
  if (listener === undefined) throw new Error(`no gateway listens for ${transport}`);
  const { host, port } = listener;
  return { host, port };
}
