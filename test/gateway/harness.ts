import { generate } from "selfsigned";
import type { GatewayConfig, ListenerConfig, TlsConfig } from "../../gateway/config/config.ts";
import type { Dns } from "../../gateway/dns/dns.ts";
import { Gateway } from "../../gateway/gateway.ts";
import { type NativeDatagrams, loadNative } from "../../gateway/native/native.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
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

/** The code that gateways have on this machine. */
export function nativeDatagrams(): NativeDatagrams | undefined {
  return loadNative((reason) => {
    throw new Error(reason);
  });
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
    proxyFrom: [],
    metricsFrom: [],
    dnsServers: [],
    limits: { connectionsMax: 100, messagesPerSource: 0, trusted: [] },
    ...changes,
  };
}

/** What datagrams come and go over, as a change of {@link startRig}: both must do the same. */
export const udpSockets = [
  ["many with one system call", {}],
  ["one by one", { native: "none" }],
] as const;

export type Rig = { readonly gateway: Gateway; readonly cell: FakeCell; readonly ports: number[]; readonly events: string[] };

/** A gateway with one cell that has backhauls, ready to carry messages. */
export async function startRig(
  started: Started,
  listeners: readonly ListenerConfig[],
  changes: { config?: Partial<GatewayConfig>; map?: Partial<ClusterMap>; dns?: Dns; native?: "none" } = {},
): Promise<Rig> {
  const cell = await new FakeCell("a").start();
  started.add(() => cell.stop());
  cell.map = mapOf([cell], changes.map);
  const events: string[] = [];
  const gateway = new Gateway(
    configOf([cell], listeners, changes.config),
    (event) => events.push(event),
    changes.native === "none" ? undefined : nativeDatagrams(),
    changes.dns,
  );
  await gateway.start();
  started.add(() => gateway.stop());
  await cell.until(() => cell.backhauls.size === (cell.map?.exchangeCount ?? 1), "backhauls");
  await cell.until(() => gateway.isReachable, "backhauls that are up");
  return { gateway, cell, ports: gateway.listeners.map(({ port }) => port), events };
}

export type PairRig = {
  readonly a: FakeCell;
  readonly b: FakeCell;
  readonly gateway: Gateway;
  readonly port: number;
  /** What the gateway logged, in order. */
  readonly events: { readonly event: string; readonly fields: unknown; readonly at: number }[];
};

/** A gateway with a UDP listener and two cells; `a` is the primary of exchange 0 and serves it. */
export async function startPair(started: Started, map: Partial<ClusterMap> = {}): Promise<PairRig> {
  const a = await new FakeCell("a").start();
  const b = await new FakeCell("b").start();
  started.add(() => Promise.all([a.stop(), b.stop()]));
  for (const cell of [a, b]) cell.map = mapOf([a, b], map);
  const events: { event: string; fields: unknown; at: number }[] = [];
  const log = (event: string, fields?: unknown): void => void events.push({ event, fields, at: performance.now() });
  const gateway = new Gateway(configOf([a, b], [listenerOf("UDP")]), log, nativeDatagrams());
  await gateway.start();
  started.add(() => gateway.stop());
  const count = a.map?.exchangeCount ?? 1;
  await a.until(() => a.backhauls.size === count && b.backhauls.size === count, "backhauls");
  for (let k = 0; k < count; k += 1) {
    for (const cell of ["a", "b"]) await a.until(() => gateway.routeOf(k, cell) === cell, `exchange ${k} in cell ${cell}`);
  }
  return { a, b, gateway, port: gateway.listeners[0]?.port ?? 0, events };
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
