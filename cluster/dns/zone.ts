import { oneSpelling } from "../../sip/message/ip-address.ts";
import type { Listener, Transport } from "../../sip/flow/flow.ts";
import { dnsTtlSeconds } from "../limits.ts";

/**
 * What DNS is to say of a SIP domain, so that phones find the gateways and choose among them (RFC 3263, RFC 2782). Each domain has a zone that is whole in
 * itself, with names for its gateways.
 */

export type ZoneGateway = {
  readonly id: string;
  readonly weight: number;
  /** Where phones find it. `host`: an address, or a name that it advertises. */
  readonly listeners: readonly Listener[];
};

export type ZoneWish = {
  readonly domain: string;
  readonly gateways: readonly ZoneGateway[];
  /** Names of gateways by their ids; the others are called by their ids, in the domain. Lower case. */
  readonly names?: ReadonlyMap<string, string>;
  /** Addresses of gateways that advertise a name, by their ids. */
  readonly addresses?: ReadonlyMap<string, readonly string[]>;
  /** The most preferred one first; others are not in the zone. */
  readonly transports?: readonly Transport[];
};

/** One gateway as an SRV record names it. */
export type Target = {
  readonly gateway: string;
  readonly name: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
};

/** One transport of a domain: `_sip._udp.example.test`. */
export type Service = {
  readonly transport: Transport;
  readonly owner: string;
  /** The service of its NAPTR record. */
  readonly service: string;
  readonly order: number;
  readonly targets: readonly Target[];
};

export type Host = { readonly gateway: string; readonly name: string; readonly addresses: readonly string[] };

export type Plan = {
  readonly domain: string;
  readonly services: readonly Service[];
  /** Names that targets have. Without addresses: it is a name that somebody else has to know. */
  readonly hosts: readonly Host[];
  /** Gateways that have not said where they listen. */
  readonly unknown: readonly string[];
  /** Gateways with an address that leads back to whoever sends there, in a system that has others: such addresses are left out. */
  readonly unreachable: readonly string[];
  /** Browsers ask for no SRV: these are for their configuration. */
  readonly softphones: readonly { readonly url: string; readonly weight: number }[];
};

/** Encrypted first, then what brings everything and notices a gateway that has gone; as RFC 3263 4.1 orders them in its example. */
export const usualTransports: readonly Transport[] = ["TLS", "TCP", "UDP", "WSS", "WS"];

/** NAPTR services and the first labels of SRV names: RFC 3263 4.1 and 8, RFC 7118 5. */
export const serviceNames: Readonly<Record<Transport, { readonly service: string; readonly labels: string }>> = {
  UDP: { service: "SIP+D2U", labels: "_sip._udp" },
  TCP: { service: "SIP+D2T", labels: "_sip._tcp" },
  TLS: { service: "SIPS+D2T", labels: "_sips._tcp" },
  WS: { service: "SIP+D2W", labels: "_sip._ws" },
  WSS: { service: "SIPS+D2W", labels: "_sips._ws" },
};

const priority = 10;
/** Of gateways with weight 0: they are asked when no other answers. */
const lastPriority = 20;
const orderStep = 10;
const preference = 50;

/** What is to stand in the zone. */
export function planOf(wish: ZoneWish): Plan {
  const { domain, transports = usualTransports } = wish;
  const { gateways, unreachable } = withoutLoopback(wish.gateways);
  const doors = gateways.map((gateway) => ({ ...gateway, hosts: hostsOf(gateway, wish) }));
  const services = transports.map((transport, index): Service => {
    const { service, labels } = serviceNames[transport];
    return {
      transport,
      owner: `${labels}.${domain}`,
      service,
      order: orderStep * (index + 1),
      targets: doors.flatMap(({ id, weight, hosts }) =>
        hosts.flatMap(({ name, listeners }) =>
          portsOf(listeners, transport).map((port) => ({
            gateway: id,
            name,
            port,
            priority: weight === 0 ? lastPriority : priority,
            weight,
          })),
        ),
      ),
    };
  });
  const served = services.filter(({ targets }) => targets.length > 0);
  return {
    domain,
    services: served,
    hosts: doors.flatMap(({ id, hosts }) => hosts.map(({ name, addresses }) => ({ gateway: id, name, addresses }))),
    unknown: wish.gateways.filter(({ listeners }) => listeners.length === 0).map(({ id }) => id),
    unreachable,
    softphones: served
      .filter(({ transport }) => transport === "WSS" || transport === "WS")
      .flatMap(({ transport, targets }) =>
        targets.map(({ name, port, weight }) => ({ url: `${transport.toLowerCase()}://${name}:${port}`, weight })),
      ),
  };
}

/** Where no gateway has another address, all is on one machine, and so are its phones. */
function withoutLoopback(gateways: readonly ZoneGateway[]): Pick<ZoneWish, "gateways"> & Pick<Plan, "unreachable"> {
  if (!gateways.some(({ listeners }) => listeners.some(isReached))) return { gateways, unreachable: [] };
  return {
    gateways: gateways.map((gateway) => ({ ...gateway, listeners: gateway.listeners.filter(isReached) })),
    unreachable: gateways.filter(({ listeners }) => !listeners.every(isReached)).map(({ id }) => id),
  };
}

function isReached({ host }: Listener): boolean {
  return !isLoopback(bare(host));
}

/** An address, IPv6 without brackets, that leads back to the machine that uses it. */
export function isLoopback(host: string): boolean {
  return host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

type NamedHost = { readonly name: string; readonly addresses: readonly string[]; readonly listeners: readonly Listener[] };

/** Addresses with the same doors are one host with one name: the old and the new kind of address, for example. */
function hostsOf({ id, listeners }: ZoneGateway, { domain, names, addresses }: ZoneWish): NamedHost[] {
  const byHost = Map.groupBy(listeners, ({ host }) => bare(host));
  const groups = Map.groupBy([...byHost], ([host, doors]) => (isAddress(host) ? doorsText(doors) : host));
  let number = 0;
  return Array.from(groups.values(), (group): NamedHost => {
    const hosts = group.map(([host]) => host);
    const [first = ""] = hosts;
    const doors = group[0]?.[1] ?? [];
    if (!isAddress(first)) return { name: names?.get(id) ?? first.toLowerCase(), addresses: addresses?.get(id) ?? [], listeners: doors };
    number += 1;
    const own = number === 1 ? `${label(id)}.${domain}` : `${label(id)}-${number}.${domain}`;
    return { name: (number === 1 ? names?.get(id) : undefined) ?? own, addresses: hosts.toSorted(byFamily), listeners: doors };
  });
}

/** IPv4 first. */
function byFamily(one: string, other: string): number {
  return Number(one.includes(":")) - Number(other.includes(":")) || one.localeCompare(other);
}

function portsOf(listeners: readonly Listener[], transport: Transport): number[] {
  return [...new Set(listeners.filter((each) => each.transport === transport).map(({ port }) => port))];
}

function doorsText(listeners: readonly Listener[]): string {
  return listeners
    .map(({ transport, port }) => `${transport}:${port}`)
    .toSorted()
    .join(" ");
}

function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}

export function isAddress(host: string): boolean {
  return host.includes(":") || /^\d+\.\d+\.\d+\.\d+$/.test(host);
}

/** Whether two texts are the same address. */
export function isSameAddress(one: string, other: string): boolean {
  return spelled(one) === spelled(other);
}

function spelled(address: string): string {
  return oneSpelling(address.includes(":") ? `[${address}]` : address);
}

/** Which kind of record an address has. */
export function addressTypeOf(address: string): "A" | "AAAA" {
  return address.includes(":") ? "AAAA" : "A";
}

/** A gateway's id as a label of a name. */
function label(id: string): string {
  const text = id
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, "-")
    .replaceAll(/^-+|-+$/g, "");
  return text === "" ? "gateway" : text;
}

export type RecordType = "A" | "AAAA" | "NAPTR" | "SRV";

/** A record as a zone has it; names are whole, without the dot at their end. */
export type ZoneRecord = { readonly name: string; readonly ttl: number; readonly type: RecordType; readonly data: string };

export function naptrText({ order, service, owner }: Pick<Service, "order" | "service" | "owner">): string {
  return `${order} ${preference} "s" "${service}" "" ${owner}.`;
}

export function srvText({ priority: first, weight, port, name }: Pick<Target, "priority" | "weight" | "port" | "name">): string {
  return `${first} ${weight} ${port} ${name}.`;
}

function record(name: string, type: RecordType, data: string): ZoneRecord {
  return { name, ttl: dnsTtlSeconds, type, data };
}

/** The records of a plan, without those that make it a zone. */
export function recordsOf({ domain, services, hosts }: Plan): ZoneRecord[] {
  return [
    ...services.map((service) => record(domain, "NAPTR", naptrText(service))),
    ...services.flatMap(({ owner, targets }) => targets.map((target) => record(owner, "SRV", srvText(target)))),
    ...hosts.flatMap(({ name, addresses }) => addresses.map((address) => record(name, addressTypeOf(address), address))),
  ];
}

/** Within the zone of a domain, a name that is none of it stands in another zone. */
export function isWithin(domain: string, name: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}

/** The zone as a file that name servers load (RFC 1035 5). `serial`: higher each time, 32 bits. */
export function zoneText(plan: Plan, serial: number): string {
  const { domain, services, hosts, unknown, unreachable, softphones } = plan;
  const records = recordsOf(plan);
  const rows = (type: RecordType, owner?: string): string[] =>
    records
      .filter((each) => each.type === type && (owner === undefined || each.name === owner) && isWithin(domain, each.name))
      .map((each) => rowText(domain, each));
  const nameless = hosts.filter(({ addresses }) => addresses.length === 0).map(({ name }) => name);
  const lines = [
    `; The zone of ${domain}, by tandem dns. Print it again when gateways come, go, or get another weight.`,
    `$ORIGIN ${domain}.`,
    `$TTL ${dnsTtlSeconds}`,
    "; Where the zone exists already leave the next two out. Else name your own name servers in the second.",
    `@ SOA localhost. hostmaster ${serial} 3600 600 604800 ${dnsTtlSeconds}`,
    "@ NS localhost.",
    "",
    "; Transports, the most preferred one first: order, preference, flag, service, target",
    ...rows("NAPTR"),
    "",
    "; Gateways of each: priority, weight, port, target",
    ...services.flatMap(({ owner }) => rows("SRV", owner)),
    "",
    "; Where they are",
    ...rows("A"),
    ...rows("AAAA"),
    ...nameless.map(
      (name) => `; ${name} needs an A or AAAA record${isWithin(domain, name) ? " here: tandem dns --addresses" : ", in its own zone"}`,
    ),
    ...unknown.map((id) => `; ${id} has not said where it listens, and is missing here`),
    ...unreachable.map((id) => `; ${id} is at a loopback address (--sip), which no phone of another machine reaches: that is left out`),
    ...(softphones.length === 0 ? [] : ["", "; Browsers look for no SRV. Name these to their softphones:"]),
    ...softphones.map(({ url, weight }) => `; ${url} weight ${weight}`),
  ];
  return `${lines.join("\n")}\n`;
}

/** A record as it is typed in the zone of a domain: names within it are short. */
export function rowText(domain: string, { name, type, data }: Pick<ZoneRecord, "name" | "type" | "data">): string {
  return `${relative(domain, name)} ${type} ${data.replace(/\S+\.$/, (target) => relative(domain, target.slice(0, -1)))}`;
}

function relative(domain: string, name: string): string {
  if (name === domain) return "@";
  return name.endsWith(`.${domain}`) ? name.slice(0, -domain.length - 1) : `${name}.`;
}
