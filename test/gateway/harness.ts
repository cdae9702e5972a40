import { generate } from "selfsigned";
import type { GatewayConfig, ListenerConfig, TlsConfig } from "../../gateway/config.ts";
import type { Dns } from "../../gateway/dns.ts";
import { Gateway } from "../../gateway/gateway.ts";
import type { ClusterMap } from "../../sip/placement/cluster-map.ts";
import { FakeCell, mapOf, secret } from "./fake-cell.ts";

/** What a test started, ended in reverse order when it is over. */
export class Started {
  readonly #ends: (() => unknown)[] = [];

  add(end: () => unknown): void {
    this.#ends.push(end);
  }

  async end(): Promise<void> {
    for (const end of this.#ends.splice(0).toReversed()) await end();
  }
}

export function listenerOf(transport: ListenerConfig["transport"], host = "127.0.0.1", port = 0): ListenerConfig {
  return { transport, host, port, advertisedHost: host.includes(":") ? `[${host}]` : host };
}

export function configOf(
  cells: readonly FakeCell[],
  listeners: readonly ListenerConfig[],
  changes: Partial<GatewayConfig> = {},
): GatewayConfig {
  return {
    name: "g1",
    secret,
    cells: cells.map(({ id, url }) => ({ id, url })),
    listeners,
    dnsServers: [],
    limits: { connectionsMax: 100, messagesPerSource: 0 },
    ...changes,
  };
}

export type Rig = { readonly gateway: Gateway; readonly cell: FakeCell; readonly ports: number[]; readonly events: string[] };

/** A gateway with one cell that has trunks, ready to carry messages. */
export async function startRig(
  started: Started,
  listeners: readonly ListenerConfig[],
  changes: { config?: Partial<GatewayConfig>; map?: Partial<ClusterMap>; dns?: Dns } = {},
): Promise<Rig> {
  const cell = await new FakeCell("a").start();
  started.add(() => cell.stop());
  cell.map = mapOf([cell], changes.map);
  const events: string[] = [];
  const gateway = new Gateway(configOf([cell], listeners, changes.config), (event) => events.push(event), changes.dns);
  await gateway.start();
  started.add(() => gateway.stop());
  await cell.until(() => cell.trunks.size === (cell.map?.exchangeCount ?? 1), "trunks");
  await cell.until(() => gateway.isReachable, "trunks that are up");
  return { gateway, cell, ports: gateway.listeners.map(({ port }) => port), events };
}

/** A self-made certificate for example.test, which is its own authority. */
export async function certificateFor(name: string): Promise<TlsConfig> {
  const pems = await generate([{ name: "commonName", value: name }], {
    keyType: "ec",
    extensions: [
      { name: "basicConstraints", cA: true },
      { name: "subjectAltName", altNames: [{ type: 2, value: name }] },
    ],
  });
  return { cert: pems.cert, key: pems.private, ca: pems.cert, verify: true };
}
