import { hostInUri } from "../sip/host-in-uri.ts";
import { createSocket } from "node:dgram";
import { isIPv6, createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { isLoopback } from "../cluster/dns/zone.ts";
import type { MapCell } from "../cluster/map/cluster-map.ts";
import { Failure, UsageError, codeOf } from "./errors.ts";
import { isWildcard, type Settings } from "./settings.ts";

/** Where a gateway listens, as run.json and the gateway's configuration name it. */
export type Listener = { readonly transport: "UDP" | "TCP" | "TLS" | "WS" | "WSS"; readonly host: string; readonly port: number };

/** Which process listens where. */
export type Layout = {
  readonly cells: readonly {
    readonly id: string;
    readonly port: number;
    /** Its door: for softphones, and for all where there is no authority. */
    readonly url: string;
    /** Where members reach it, in a system with an authority: an address without brackets. */
    readonly members?: { readonly host: string; readonly port: number; readonly url: string };
  }[];
  readonly gateways: readonly {
    readonly id: string;
    readonly listeners: readonly Listener[];
    /** Where load balancers ask how it is. Absent: nowhere. */
    readonly health?: Address;
  }[];
  /** Where machines ask to join, on a host that runs a cell in a system with an authority. */
  readonly door?: Address;
};

/** An address, IPv6 without brackets, and a port. */
type Address = { readonly host: string; readonly port: number };

/** Where the cells listen: on the loopback unless asked, for their doors are without TLS. */
export function httpHostOf({ host, httpHost }: Pick<Settings, "host" | "httpHost">): string {
  return httpHost ?? (isLoopback(host) ? host : "127.0.0.1");
}

/** The addresses or names that phones use: one for each cluster address. */
export function advertisedHostsOf(settings: Pick<Settings, "host" | "advertise" | "furtherSip">): readonly string[] {
  return [advertisedHostOf(settings), ...(settings.furtherSip ?? []).map(({ host }) => host)];
}

/** The address or name that phones use, the first one. */
export function advertisedHostOf({ host, advertise }: Pick<Settings, "host" | "advertise">): string {
  return advertise ?? host;
}

/** Where somebody on this machine finds what listens at an address. */
function reachedAt(host: string): string {
  return isWildcard(host) ? (isIPv6(host) ? "::1" : "127.0.0.1") : host;
}

export type CellOfLayout = Layout["cells"][number];

export function letterOf(index: number): string {
  return String.fromCharCode(97 + index);
}

/** Cell a is on --http-port, and the letters behind it on the ports behind that. */
export function cellOfLetter(settings: Settings, letter: string): CellOfLayout {
  const number = letter.charCodeAt(0) - 97;
  const port = settings.httpPort + number;
  const { listen } = settings;
  const url = `http://${hostInUri(reachedAt(httpHostOf(settings)))}:${port}`;
  if (listen === undefined) return { id: letter, port, url };
  const membersPort = listen.port + number;
  const members = { host: listen.host, port: membersPort, url: `https://${hostInUri(listen.host)}:${membersPort}` };
  return { id: letter, port, url, members };
}

/** The join door has the port before the one that was given for the cells. */
export function doorOf({ host, port }: Address): Address {
  return { host, port: port - 1 };
}

/** How another machine is told of it. */
export function doorUrlOf({ host, port }: Address): string {
  return `https://${hostInUri(host)}:${port}`;
}

/** Where members and commands reach a cell. */
export function membersUrlOf({ url, members }: Pick<CellOfLayout, "url" | "members">): string {
  return members?.url ?? url;
}

/** A cell as the map has it. `host`: this machine, in a system with an authority. */
export function mapCellOf(cell: CellOfLayout, host: string | undefined): MapCell {
  const { id, url, members } = cell;
  return { id, url: membersUrlOf(cell), ...(members === undefined ? {} : { door: url }), ...(host === undefined ? {} : { host }) };
}

/**
 * Cells a, b, ... on the ports from --http-port on, or those with these letters; gateways g1, g2, ..., or those with these names, each two ports after the one
 * before.
 */
export function layoutOf(
  settings: Settings,
  cells: number | readonly string[],
  gateways: readonly string[] = Array.from({ length: settings.gateways }, (_, index) => `g${index + 1}`),
): Layout {
  const sips = [{ host: settings.host, port: settings.sipPort }, ...(settings.furtherSip ?? [])];
  const letters = typeof cells === "number" ? Array.from({ length: cells }, (_, index) => letterOf(index)) : cells;
  const layout: Layout = {
    cells: letters.map((letter) => cellOfLetter(settings, letter)),
    gateways: gateways.map((id, index) => {
      const listeners = sips.flatMap(({ host, port: sipPort }) => {
        const at = (transport: Listener["transport"], first: number | undefined): Listener[] =>
          first === undefined ? [] : [{ transport, host, port: first + 2 * index }];
        return [
          ...at("UDP", sipPort),
          ...at("TCP", sipPort),
          ...at("TLS", settings.tlsPort),
          ...at("WS", settings.wsPort),
          ...at("WSS", settings.wssPort),
        ];
      });
      const { health } = settings;
      return { id, listeners, ...(health === undefined ? {} : { health: { host: health.host, port: health.port + index } }) };
    }),
  };
  const whole = settings.listen === undefined || layout.cells.length === 0 ? layout : { ...layout, door: doorOf(settings.listen) };
  checkOverlap(whole);
  return whole;
}

type Need = { readonly kind: "UDP" | "TCP"; readonly host: string; readonly port: number; readonly who: string; readonly option: string };

/** Listeners by the address and port that they share, as `<host>:<port>`, in their order. */
export function placesOf(listeners: readonly Listener[]): Map<string, Listener[]> {
  return Map.groupBy(listeners, ({ host, port }) => `${hostInUri(host)}:${port}`);
}

const optionOf: Readonly<Record<Listener["transport"], string>> = {
  UDP: "--sip",
  TCP: "--sip",
  TLS: "--tls-port",
  WS: "--ws-port",
  WSS: "--wss-port",
};

function needsOf(layout: Layout, httpHost = ""): Need[] {
  return [
    ...layout.gateways.flatMap(({ id, listeners }) =>
      listeners.map(({ transport, host, port }): Need => ({
        kind: transport === "UDP" ? "UDP" : "TCP",
        host,
        port,
        who: `gateway ${id} for ${transport}`,
        option: optionOf[transport],
      })),
    ),
    ...layout.gateways.flatMap(({ id, health }): Need[] =>
      health === undefined ? [] : [{ kind: "TCP", ...health, who: `gateway ${id} for its page`, option: "--health" }],
    ),
    ...layout.cells.map(({ id, port }): Need => ({
      kind: "TCP",
      host: httpHost,
      port,
      who: `cell ${id} for HTTP`,
      option: "--http-port",
    })),
    ...layout.cells.flatMap(({ id, members }): Need[] =>
      members === undefined
        ? []
        : [{ kind: "TCP", host: members.host, port: members.port, who: `cell ${id} for members`, option: "--listen" }],
    ),
    ...(layout.door === undefined ? [] : [{ kind: "TCP" as const, ...layout.door, who: "the join door", option: "--listen" }]),
  ];
}

function checkOverlap(layout: Layout): void {
  const owners = new Map<string, Need[]>();
  for (const need of needsOf(layout)) {
    if (need.port > 65_535) throw new UsageError(`${need.who} would need port ${need.port}: choose a lower ${need.option}`);
    const others = owners.get(`${need.kind} ${need.port}`) ?? [];
    // A cell's address is not known here, and may be any.
    const other = others.find(({ host }) => host === "" || need.host === "" || host === need.host);
    if (other !== undefined) {
      throw new UsageError(`port ${need.port} is needed by ${other.who} and by ${need.who}: change ${other.option} or ${need.option}`);
    }
    owners.set(`${need.kind} ${need.port}`, [...others, need]);
  }
}

/**
 * Binds every port for a moment, before anything starts. Throws a {@link Failure} that names the port and who needs it.
 * Ports in use are waited for during `patienceMs`: a system that was killed a moment ago may still be about to end. `option`: what chooses all ports of
 * this command, where each has none of its own.
 */
export async function checkPorts(layout: Layout, httpHost: string, patienceMs = 0, option?: string): Promise<void> {
  const until = performance.now() + patienceMs;
  for (const each of needsOf(layout, httpHost)) {
    const need = option === undefined ? each : { ...each, option };
    let code = await tryBind(need);
    while (code === "EADDRINUSE" && performance.now() < until) {
      await delay(50);
      code = await tryBind(need);
    }
    if (code === undefined) continue;
    const where = `${hostInUri(need.host)}:${need.port}`;
    if (code === "EADDRINUSE") throw new Failure(`${where} is in use by another process; ${need.who} needs it (${need.option})`);
    if (code === "EADDRNOTAVAIL") {
      const asked = { "--http-port": "--http-host", "--listen": "--listen", "--health": "--health" }[need.option] ?? "--sip";
      throw notOfHere(need.host, asked);
    }
    if (code === "EACCES") throw new Failure(`${where} may not be opened by this user; ${need.who} needs it (${need.option})`);
    throw new Failure(`${where} cannot be opened (${code}); ${need.who} needs it (${need.option})`);
  }
}

/** Throws a {@link Failure} when what is to listen is to do so at no address of this machine: before anybody is asked for anything. */
export async function checkAddresses({ host, furtherSip = [], listen }: Pick<Settings, "host" | "furtherSip" | "listen">): Promise<void> {
  const sips = [host, ...furtherSip.map((further) => further.host)].map((each) => [each, "--sip"] as const);
  for (const [each, option] of [...sips, ...(listen === undefined ? [] : [[listen.host, "--listen"] as const])])
    if ((await tryTcp(each, 0)) === "EADDRNOTAVAIL") throw notOfHere(each, option);
}

function notOfHere(host: string, option: string): Failure {
  return new Failure(`${host} is not an address of this machine (${option})`);
}

/** The error code of binding a port, undefined when it can be bound. */
function tryBind({ kind, host, port }: Need): Promise<string | undefined> {
  return kind === "UDP" ? tryUdp(host, port) : tryTcp(host, port);
}

function tryTcp(host: string, port: number): Promise<string | undefined> {
  return new Promise((settle) => {
    const server = createServer();
    server.once("error", (error) => settle(codeOf(error) ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => settle(undefined)));
  });
}

function tryUdp(host: string, port: number): Promise<string | undefined> {
  return new Promise((settle) => {
    const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
    socket.once("error", (error) => {
      socket.close();
      settle(codeOf(error) ?? error.message);
    });
    socket.bind({ address: host, port, exclusive: true }, () => socket.close(() => settle(undefined)));
  });
}
