import { join } from "node:path";
import { type Account as Subscriber, addSubscribers } from "../../kit/world/subscribers.ts";
import { startTandem, type Tandem } from "../../kit/world/tandem.ts";
import type { Account, PhoneTransport } from "./clients/phone.ts";

export type { Subscriber };

export interface Listener {
  readonly host: string;
  readonly port: number;
}

/** One element of what `tandem registrations --json` prints. */
interface Registration {
  readonly aor: string;
  readonly contact: string;
  readonly transport: string;
  readonly expiresSeconds: number;
}

/** A whole Tandem on this machine, as phones and operators see it. */
export interface System {
  readonly domain: string;
  readonly udp: Listener;
  readonly tcp: Listener;
  readonly tls: Listener;
  /** One URL for each cell. */
  readonly ws: readonly string[];
  /** The gateway's URL. */
  readonly gatewayWs: string;
  readonly caFile: string;
  addSubscribers(subscribers: readonly Subscriber[]): Promise<void>;
  registrations(): Promise<readonly Registration[]>;
  /** Ends it with SIGTERM. Rejects when it is not gone after 5 s, or did not end with 0. */
  stop(): Promise<void>;
}

/** Longer than the three seconds that stopping may take. */
const stopMsMax = 5_000;

export interface StartOptions {
  readonly auth: "digest" | "open";
  /** Further options of `tandem up`. */
  readonly options?: readonly string[];
}

/** Starts `tandem up` with a state directory and ports of its own, and waits until it says that it is ready. */
export async function startSystem({ auth, options = [] }: StartOptions): Promise<System> {
  const tandem = await startTandem({ auth, domain: "example.test", webSocket: true, options });
  const { domain, run, state } = tandem;
  const listenerOf = (transport: string): Listener => {
    const all = run.gateways.flatMap(({ listeners }) => listeners);
    const found = all.find((listener) => listener.transport === transport);
    if (found === undefined) throw new Error(`run.json names no ${transport} listener: ${JSON.stringify(all)}`);
    return { host: found.host, port: found.port };
  };
  const webSocket = listenerOf("WS");
  return {
    domain,
    udp: listenerOf("UDP"),
    tcp: listenerOf("TCP"),
    tls: listenerOf("TLS"),
    ws: run.cells.map(({ url }) => new URL("/", url.replace(/^http/, "ws")).href),
    gatewayWs: `ws://${webSocket.host}:${webSocket.port}/`,
    caFile: join(state, "tls", "ca.pem"),
    addSubscribers: async (subscribers) => await addSubscribers(tandem, subscribers),
    registrations: async () => await registrationsOf(tandem),
    stop: async () => {
      const { code, ms } = await tandem.stop("SIGTERM");
      if (code === 0 && ms <= stopMsMax) return;
      const said = tandem.events.slice(-5).map((event) => JSON.stringify(event));
      throw new Error(`tandem up ended with ${code} after ${Math.round(ms)} ms, 0 was expected\n${said.join("\n")}`);
    },
  };
}

async function registrationsOf(tandem: Tandem): Promise<readonly Registration[]> {
  const { code, out, err } = await tandem.cli("registrations", "--json");
  if (code !== 0) throw new Error(err);
  return JSON.parse(out) as Registration[];
}

/** An account of a subscriber at a system, over a transport. For WebSocket the server is the first cell's, and a page is told its own. */
export function accountOf(system: System, subscriber: Subscriber, transport: PhoneTransport): Account {
  const cell = new URL(system.ws[0] ?? "ws://127.0.0.1:1/");
  const servers = { UDP: system.udp, TCP: system.tcp, TLS: system.tls, WS: { host: cell.hostname, port: Number(cell.port) } };
  return { ...subscriber, domain: system.domain, transport, server: servers[transport], caFile: system.caFile };
}
