import { isIP, isIPv6 } from "node:net";
import { isParseError } from "../../sip/errors.ts";
import { type SipUri, isSipUri, parseUri } from "../../sip/message/uri.ts";
import { type Transport, defaultPort, serializeFlowKey } from "../../sip/flow/flow.ts";
import type { Dns, SrvRecord } from "./dns.ts";
import { flowsPerResolutionMax, resolutionTimeoutMs, resolutionsMax } from "../limits.ts";

type NextTransport = Exclude<Transport, "WS" | "WSS">;
/** Somewhere to send: before its name has an address. */
type Host = { readonly transport: NextTransport; readonly name: string; readonly port: number };
type Service = { readonly transport: NextTransport; readonly name: string };

/** A flow key has 255 octets, and what is not the name takes at most 55. */
const serverNameMax = 200;

/** Listeners by index: what a flow leaves from. */
export type ListenerPlace = { readonly transport: Transport; readonly host: string };

/** Finds the flows to try, in order, for a next hop that is named by URI (RFC 3263 4). */
export class NextHopResolver {
  readonly #dns: Dns;
  readonly #listeners: readonly ListenerPlace[];
  readonly #random: () => number;
  #underWay = 0;

  constructor(dns: Dns, listeners: readonly ListenerPlace[], random: () => number = Math.random) {
    this.#dns = dns;
    this.#listeners = listeners;
    this.#random = random;
  }

  /** Flow keys in the order to try them; empty where there is no way. Never rejects, and answers in bounded time. */
  async resolve(text: string): Promise<readonly string[]> {
    const uri = parseUri(text);
    if (isParseError(uri) || !isSipUri(uri) || this.#underWay >= resolutionsMax) return [];
    this.#underWay += 1;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<readonly string[]>((resolve) => {
      timer = setTimeout(() => resolve([]), resolutionTimeoutMs);
    });
    try {
      return await Promise.race([this.#flowsOf(uri), timeout]);
    } catch {
      return [];
    } finally {
      clearTimeout(timer);
      this.#underWay -= 1;
    }
  }

  async #flowsOf(uri: SipUri): Promise<readonly string[]> {
    // RFC 3263 4: TARGET is maddr when there is one.
    const target = (uri.params.get("maddr") ?? uri.host).toLowerCase();
    const address = target.replace(/^\[(.*)\]$/, "$1");
    const asked = transportOf(uri);
    if (asked === "none") return [];
    if (isIP(address) !== 0) {
      // 4.1: UDP for a sip URI, TLS for sips, and the address as it is.
      const transport = asked ?? (uri.scheme === "sips" ? "TLS" : "UDP");
      return this.#flows({ transport, name: address, port: uri.port ?? defaultPort(transport) }, [address], undefined);
    }
    const flows: string[] = [];
    for (const host of await this.#hostsOf(uri, target, asked)) {
      // one after the other: most are never asked for, the first has flows
      const addresses = await this.#dns.addresses(host.name);
      flows.push(...this.#flows(host, addresses, target));
      if (flows.length >= flowsPerResolutionMax) break;
    }
    return flows.slice(0, flowsPerResolutionMax);
  }

  /** Names and ports to try, in order (RFC 3263 4.1 and 4.2). */
  async #hostsOf(uri: SipUri, target: string, asked: NextTransport | undefined): Promise<readonly Host[]> {
    const plain = asked ?? (uri.scheme === "sips" ? "TLS" : "UDP");
    // An explicit port: no SRV, whatever the port is.
    if (uri.port !== undefined) return [{ transport: plain, name: target, port: uri.port }];
    const services = asked === undefined ? await this.#servicesOf(uri.scheme, target) : [srvService(asked, target)];
    const hosts: Host[] = [];
    for (const service of services) {
      if (!this.#supports(service.transport)) continue;
      // in order of preference, and few
      const records = await this.#dns.srv(service.name);
      // RFC 2782: a single "." says that the service is decidedly not there.
      for (const { name, port } of orderByPriority(
        records.filter((record) => record.name !== "" && record.name !== "."),
        this.#random,
      )) {
        hosts.push({ transport: service.transport, name, port });
      }
      if (hosts.length >= flowsPerResolutionMax) break;
    }
    return hosts.length > 0 ? hosts : [{ transport: plain, name: target, port: defaultPort(plain) }];
  }

  /** NAPTR, or without it an SRV name for each transport (4.1). */
  async #servicesOf(scheme: "sip" | "sips", target: string): Promise<readonly Service[]> {
    const records = await this.#dns.naptr(target);
    const services = records
      .filter((record) => record.flags.toLowerCase() === "s" && record.regexp === "" && record.replacement !== "")
      .toSorted((left, right) => left.order - right.order || left.preference - right.preference)
      .flatMap(({ service, replacement }): Service[] => {
        switch (service.toUpperCase()) {
          case "SIPS+D2T":
            return [{ transport: "TLS", name: replacement }];
          case "SIP+D2T":
            return scheme === "sips" ? [] : [{ transport: "TCP", name: replacement }];
          case "SIP+D2U":
            return scheme === "sips" ? [] : [{ transport: "UDP", name: replacement }];
          default:
            return [];
        }
      });
    if (services.length > 0) return services;
    return scheme === "sips" ? [srvService("TLS", target)] : [srvService("UDP", target), srvService("TCP", target)];
  }

  #supports(transport: NextTransport): boolean {
    return this.#listeners.some((listener) => listener.transport === transport);
  }

  /** One flow for each address that one of our listeners can send to. `verify`: the name that a certificate must carry (RFC 5922). */
  #flows(host: Host, addresses: readonly string[], verify: string | undefined): string[] {
    return addresses.flatMap((address) => {
      const listener = this.#listeners.findIndex((each) => each.transport === host.transport && isIPv6(each.host) === isIPv6(address));
      if (listener < 0 || host.port === 0) return [];
      // It has to fit in the key of a frame's record.
      if (verify !== undefined && verify.length > serverNameMax) return [];
      const named = host.transport === "TLS" && verify !== undefined ? { serverName: verify } : {};
      return [serializeFlowKey({ transport: host.transport, listener, connection: "", address, port: host.port, ...named })];
    });
  }
}

/** What scheme and `transport` parameter ask for; undefined: nothing; "none": what cannot be (`sips` over UDP) or what we do not open (ws, sctp). */
function transportOf(uri: SipUri): NextTransport | "none" | undefined {
  const isSecure = uri.scheme === "sips";
  switch (uri.params.get("transport")?.toLowerCase()) {
    case undefined:
      return undefined;
    case "udp":
      return isSecure ? "none" : "UDP";
    case "tcp":
      return isSecure ? "TLS" : "TCP";
    case "tls":
      return "TLS";
    default:
      return "none";
  }
}

function srvService(transport: NextTransport, target: string): Service {
  switch (transport) {
    case "UDP":
      return { transport, name: `_sip._udp.${target}` };
    case "TCP":
      return { transport, name: `_sip._tcp.${target}` };
    case "TLS":
      return { transport, name: `_sips._tcp.${target}` };
  }
}

/** RFC 2782: ascending priority; within one, drawn by weight, those of weight 0 with a small chance. `random` gives 0..1. */
export function orderByPriority(records: readonly SrvRecord[], random: () => number): SrvRecord[] {
  const left = records.toSorted((one, other) => one.priority - other.priority || one.weight - other.weight);
  const ordered: SrvRecord[] = [];
  while (left.length > 0) {
    const priority = left[0]?.priority;
    const count = left.findIndex((record) => record.priority !== priority);
    const group = count < 0 ? left : left.slice(0, count);
    const total = group.reduce((sum, record) => sum + record.weight, 0);
    const drawn = Math.floor(random() * (total + 1));
    let sum = 0;
    const index = group.findIndex((record) => {
      sum += record.weight;
      return sum >= drawn;
    });
    ordered.push(...left.splice(Math.max(0, index), 1));
  }
  return ordered;
}
