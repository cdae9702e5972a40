import { isIP } from "node:net";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { servedNamesMax } from "../cluster/authority/limits.ts";
import {
  callRecordDaysDefault,
  callRecordDaysMax,
  callRecordsMostDefault,
  callRecordsMostMax,
  cellNamePattern,
  gatewayNamePattern,
  memberNamePattern,
} from "../cluster/limits.ts";
import { domainNameFault, whyNoHost } from "../cluster/map/domains.ts";
import { isNoMachines } from "../cluster/map/member-addresses.ts";
import { failedLoginsPerAddressDefault, failedLoginsPerAddressMax } from "../sip/limits.ts";
import { networkBounds, networkIn } from "../sip/network.ts";
import { type Arguments, type CommandSpec, usage, wholeNumber } from "./arguments.ts";
import { UsageError } from "./errors.ts";

/** What `tandem up` was asked for. `undefined` where the state directory may know better than a default does. */
export type Settings = {
  readonly domain: string | undefined;
  readonly auth: "digest" | "open";
  /** Algorithms that challenges offer, the preferred one first. */
  readonly digest: readonly DigestAlgorithm[];
  /** Wrong passwords that one address may send at once; 0: as many as it likes; undefined: the default. */
  readonly failedLogins: number | undefined;
  /** For how many days call records are kept, and how many at most; 0 of either: none are made. Undefined: the defaults. */
  readonly callRecordDays?: number | undefined;
  readonly callRecordsMost?: number | undefined;
  /** Addresses and networks that gateways never refuse for how much they ask; undefined: none. */
  readonly trusted?: readonly string[] | undefined;
  /** Load balancers, addresses and networks, whose connections begin with a PROXY header that gateways believe; undefined: none. */
  readonly proxyFrom?: readonly string[] | undefined;
  /** Messages in 2 s from one address before a gateway ignores it for a while; 0: as many as it likes. */
  readonly messagesPerSource?: number | undefined;
  /** Address of the gateways' listeners, an IPv4 or IPv6 address without brackets; `0.0.0.0` or `::` for all of this machine's. */
  readonly host: string;
  /** The address or name that phones use, IPv6 without brackets; absent: {@link host}. */
  readonly advertise?: string | undefined;
  /** Address of the cells' HTTP doors; absent: {@link host} when that is a loopback address, else 127.0.0.1. */
  readonly httpHost?: string | undefined;
  /** Where members of other machines reach the cells, with TLS; the port is that of cell a. Absent: there are no other machines. */
  readonly listen?: { readonly host: string; readonly port: number } | undefined;
  /** What this machine is called among others. Undefined: as it was before, or its host name. */
  readonly name?: string | undefined;
  /** The operator's own certificate and key, absolute paths; absent: one is made. */
  readonly tls?: { readonly certificate: string; readonly key: string } | undefined;
  /** Certificates of an authority that browsers trust; absent: none are asked for. */
  readonly acme?: AcmeSettings | undefined;
  readonly sipPort: number;
  /** Further cluster addresses, each with its port for UDP and TCP; absent: none. */
  readonly furtherSip?: readonly SipAddress[] | undefined;
  readonly tlsPort: number;
  /** Undefined: gateways take no softphones over WebSocket, or none over TLS. */
  readonly wsPort: number | undefined;
  readonly wssPort: number | undefined;
  readonly httpPort: number;
  /** Where load balancers ask the first gateway how it is; further ones have the next ports. Absent: nowhere. */
  readonly health?: SipAddress | undefined;
  /** Who may read the gateways' metrics there, beside their machine. */
  readonly metricsFrom?: readonly string[] | undefined;
  readonly cells: number | undefined;
  readonly gateways: number;
  readonly exchanges: number | undefined;
  /** Whether the two replicas of an exchange keep each other's records. */
  readonly replication: boolean;
  /** The state directory, absolute. */
  readonly state: string;
  readonly restart: boolean;
  readonly json: boolean;
};

/** How certificates are had by ACME (RFC 8555). */
export type AcmeSettings = {
  /** Whom the authority writes to. */
  readonly mail: string;
  /** URL of its directory. */
  readonly directory: string;
  /** The authorities that it is believed by, PEM, an absolute path; undefined: the well-known ones. */
  readonly ca: string | undefined;
  /** What is to stand in the certificate; each has to lead to this machine. */
  readonly names: readonly string[];
  /** Where challenges are answered. Authorities ask at 80; what stands in front may pass that on. */
  readonly port: number;
};

/** An address of the gateways, IPv6 without brackets, and the first port: of UDP and TCP, or of their pages. */
export type SipAddress = { readonly host: string; readonly port: number };

type DigestAlgorithm = "MD5" | "SHA-256";

/** What `--digest` may say. MD5 alone is what every phone understands: docs/decisions/0005-md5-is-what-we-ask-for.md. */
const digestChoices: Readonly<Record<string, readonly DigestAlgorithm[]>> = {
  md5: ["MD5"],
  "sha-256": ["SHA-256"],
  "sha-256,md5": ["SHA-256", "MD5"],
  "md5,sha-256": ["MD5", "SHA-256"],
};

/** Used at the first start of a state directory; later starts use what it holds. */
export const firstStart = { domain: "example.test", cells: 2, exchanges: 2 } as const;
export const defaultState = ".tandem";

/** Of the members' socket of cell a; those of further cells follow. */
const listenPort = 8841;
/** Where its join door is then: the port before. */
export const doorPortDefault = listenPort - 1;

export const upSpec: CommandSpec = {
  name: "up",
  summary: "Starts a whole system on this machine: cells, gateways, subscribers.",
  positionals: [],
  options: [
    { name: "domain", value: "D", help: `SIP domain (${firstStart.domain})` },
    { name: "auth", value: "digest|open", help: "who may register and call (digest: subscribers with a password)" },
    { name: "digest", value: "LIST", help: "what phones are asked for, and what is taken: md5, sha-256, or both (md5)" },
    { name: "failed-logins", value: "N", help: `wrong passwords at once from one address; 0: no limit (${failedLoginsPerAddressDefault})` },
    { name: "call-records", value: "DAYS", help: `how long what became of calls is kept; 0: it is not (${callRecordDaysDefault})` },
    { name: "call-records-most", value: "N", help: `calls of which that is kept, the oldest go first (${callRecordsMostDefault})` },
    { name: "trusted", value: "A[,B]", help: "addresses, networks that are never refused for how much they ask" },
    { name: "proxy-from", value: "A[,B]", help: "load balancers whose PROXY header says who a phone is" },
    { name: "messages-per-source", value: "N", help: "messages in 2 s from one address; ignored for 120 s over it (0: any)" },
    {
      name: "sip",
      value: "ADDRESS[:PORT]",
      help: "UDP and TCP of the first gateway (127.0.0.1:5060); again: one more",
      isMultiple: true,
    },
    { name: "advertise", value: "HOST", help: "the address or name that phones use, if --sip is 0.0.0.0 or behind a NAT" },
    { name: "tls-port", value: "N", help: "TLS of the first gateway (5061); further gateways: the next port pairs" },
    {
      name: "ws-port",
      value: "N",
      help: "SIP over WebSocket of the first gateway (none); further ones as with TLS",
    },
    { name: "wss-port", value: "N", help: "the same over TLS (none)" },
    { name: "tls-cert", value: "FILE", help: "your own certificate for TLS and WSS, PEM, with its chain (one is made)" },
    { name: "tls-key", value: "FILE", help: "its key" },
    { name: "acme", value: "MAIL", help: "a certificate that browsers trust, by ACME; its terms are agreed to" },
    { name: "acme-names", value: "NAME[,..]", help: "names in it, which lead here (what --advertise says)" },
    { name: "acme-directory", value: "URL", help: "of the authority (Let's Encrypt)" },
    { name: "acme-ca", value: "FILE", help: "what that one's own certificate is checked against, PEM (the well-known)" },
    { name: "acme-port", value: "N", help: "where it finds answers to its challenges, over HTTP (80)" },
    {
      name: "http-host",
      value: "ADDRESS",
      help: "where the cells listen, without TLS (127.0.0.1)",
    },
    { name: "listen", value: "ADDRESS[:PORT]", help: `offers this machine to others: cell a's members' socket (port ${listenPort})` },
    { name: "name", value: "HOST", help: "what this machine is called among others, with --listen (its host name)" },
    { name: "http-port", value: "N", help: "SIP over WebSocket and API of cell a (8801); further cells: next ports" },
    { name: "health", value: "ADDRESS:PORT", help: "page for load balancers, of the first gateway (none); others: next ports" },
    { name: "metrics-from", value: "A[,B]", help: "who else may read /metrics there: addresses, networks (nobody)" },
    { name: "cells", value: "N", help: `cells (${firstStart.cells})` },
    { name: "gateways", value: "N", help: "gateways (1)" },
    { name: "exchanges", value: "N", help: `slices of the addresses-of-record (${firstStart.exchanges})` },
    {
      name: "replication",
      value: "on|off",
      help: "off: one replica of everything, to measure what two cost (on)",
    },
    { name: "state", value: "DIR", help: `where everything is kept (${defaultState})` },
    { name: "no-restart", help: "do not start a dead process again" },
    { name: "json", help: "one JSON object per line" },
  ],
};

const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory";
const acmeOptions: readonly string[] = ["acme-names", "acme-directory", "acme-ca", "acme-port"];

/** RFC 1035 2.3.4. */
const hostOctetsMax = 253;
/** Each has a letter. */
export const cellsMax = 26;
const gatewaysMax = 64;
const exchangesMax = 1024;
/** What the gateway's file may say. */
const messagesPerSourceMax = 1_000_000;

/** Options that can be taken back on a host that remembers what it was started with. */
const takenBack: readonly string[] = ["ws-port", "wss-port", "trusted", "proxy-from", "metrics-from", "tls-cert", "acme", "http-host"];
const noneText = "none";

/** Whether an option is given to say that there is none. */
export function isTakenBack(option: string, value: string): boolean {
  return value === noneText && takenBack.includes(option);
}

/** Checks every option of `tandem up`. Throws a UsageError with one line. */
export function settingsOf(args: Arguments): Settings {
  const { flags, lists } = args;
  const values = new Map([...args.values].filter(([option, value]) => !isTakenBack(option, value)));
  const count = (option: string, max: number): number | undefined => {
    const text = values.get(option);
    return text === undefined ? undefined : wholeNumber(upSpec, option, text, 1, max);
  };
  const port = (option: string): number | undefined => count(option, 65_535);
  const auth = values.get("auth") ?? "digest";
  if (auth !== "digest" && auth !== "open") throw usage(upSpec, `--auth ${auth}: must be digest or open`);
  const replication = values.get("replication") ?? "on";
  if (replication !== "on" && replication !== "off") throw usage(upSpec, `--replication ${replication}: must be on or off`);
  const digestText = values.get("digest") ?? "md5";
  const digest = Object.hasOwn(digestChoices, digestText) ? digestChoices[digestText] : undefined;
  if (digest === undefined) throw usage(upSpec, `--digest ${digestText}: must be ${Object.keys(digestChoices).join(", or ")}`);
  const domain = values.get("domain");
  const tls = parseTls(values.get("tls-cert"), values.get("tls-key"));
  const sips = lists.get("sip") ?? ["127.0.0.1:5060"];
  const [sip = "", ...others] = sips;
  const { host, port: sipPort } = parseSip(sip);
  const advertised = values.get("advertise");
  const furtherSip = others.map(parseSip);
  checkSips([{ host, port: sipPort }, ...furtherSip], advertised);
  if (isWildcard(host) && advertised === undefined) {
    throw usage(upSpec, `--sip ${sip}: phones cannot send to ${host}: add --advertise with the address or name that they use`);
  }
  return {
    domain: domain === undefined ? undefined : parseDomain(domain),
    auth,
    digest,
    failedLogins: failedLoginsOf(values.get("failed-logins")),
    callRecordDays: wholeUpTo(callRecordDaysMax, "call-records", values),
    callRecordsMost: wholeUpTo(callRecordsMostMax, "call-records-most", values),
    trusted: values
      .get("trusted")
      ?.split(",")
      .map((text) => parseNetwork("trusted", text)),
    proxyFrom: values
      .get("proxy-from")
      ?.split(",")
      .map((text) => parseNetwork("proxy-from", text)),
    messagesPerSource: messagesPerSourceOf(values.get("messages-per-source")),
    host,
    advertise: advertised === undefined ? undefined : parseAdvertise(advertised),
    httpHost: parseHttpHost(values.get("http-host")),
    listen: parseListen(values.get("listen")),
    name: hostNameIn(values.get("name")),
    tls,
    acme: parseAcme(values, tls !== undefined, port("acme-port")),
    sipPort,
    furtherSip: furtherSip.length === 0 ? undefined : furtherSip,
    tlsPort: port("tls-port") ?? 5061,
    wsPort: port("ws-port"),
    wssPort: port("wss-port"),
    httpPort: port("http-port") ?? 8801,
    health: parseHealth(values.get("health")),
    metricsFrom: values
      .get("metrics-from")
      ?.split(",")
      .map((text) => parseNetwork("metrics-from", text)),
    cells: count("cells", cellsMax),
    gateways: count("gateways", gatewaysMax) ?? 1,
    exchanges: count("exchanges", exchangesMax),
    replication: replication === "on",
    state: resolve(values.get("state") ?? defaultState),
    restart: !flags.has("no-restart"),
    json: flags.has("json"),
  };
}

/** Metrics are on the page of a gateway. It is asked of all that is said and kept: what a host keeps has a page, maybe. */
export function checkMetrics({ health, metricsFrom }: Pick<Settings, "health" | "metricsFrom">): void {
  if (metricsFrom !== undefined && health === undefined)
    throw usage(upSpec, "--metrics-from: says who reads /metrics of the page that --health makes, and that is missing");
}

function wholeUpTo(max: number, option: string, values: ReadonlyMap<string, string>): number | undefined {
  const text = values.get(option);
  return text === undefined ? undefined : wholeNumber(upSpec, option, text, 0, max);
}

function failedLoginsOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : wholeNumber(upSpec, "failed-logins", text, 0, failedLoginsPerAddressMax);
}

function messagesPerSourceOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : wholeNumber(upSpec, "messages-per-source", text, 0, messagesPerSourceMax);
}

function parseNetwork(option: "trusted" | "proxy-from" | "metrics-from", text: string): string {
  const network = networkIn(text, isIP);
  const narrow = network === undefined ? undefined : networkAround(network);
  if (network !== undefined && narrow === network) return network;
  if (network !== undefined) {
    const [address = ""] = network.split("/", 1);
    throw usage(upSpec, `--${option} ${text}: is an address within its network: write ${narrow} for all of it, or ${address}`);
  }
  const example = "192.0.2.77,198.51.100.0/24";
  const hint = text === "" ? "; one of them is empty" : /\s/.test(text) ? "; no spaces between them" : "";
  throw usage(upSpec, `--${option} ${text}: must be addresses, or networks of ${networkBounds}, for example ${example}${hint}`);
}

/** An IPv4 network by its first address; anything else as it is. */
function networkAround(network: string): string {
  const [address = "", bits] = network.split("/");
  if (bits === undefined || isIP(address) !== 4) return network;
  const host = 2 ** (32 - Number(bits));
  const value = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const first = Math.floor(value / host) * host;
  return `${[24, 16, 8, 0].map((shift) => Math.floor(first / 2 ** shift) % 256).join(".")}/${bits}`;
}

/** What the gateways would refuse of their environment is said before anything is started. */
export function checkNative(value = ""): void {
  if (!["", "on", "off"].includes(value.toLowerCase())) throw new UsageError(`TANDEM_NATIVE takes on or off, is ${value}`);
}

function parseSip(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(text);
  if (match === null) throw usage(upSpec, `--sip ${text}: must be ADDRESS or ADDRESS:PORT, for example 127.0.0.1:5060 or [::1]:5060`);
  const host = match[1] ?? match[2] ?? "";
  const family = isIP(host);
  if (family === 0 || (family === 6) !== (match[1] !== undefined)) {
    throw usage(upSpec, `--sip ${text}: ADDRESS must be an address of this machine, for example 127.0.0.1 or [::1]`);
  }
  return { host, port: wholeNumber(upSpec, "sip", match[3] ?? "5060", 1, 65_535) };
}

/** Two processes at one cluster address would share its datagrams at random, so each address has one listener of each kind in a gateway. */
function checkSips(sips: readonly SipAddress[], advertised: string | undefined): void {
  if (sips.length === 1) return;
  if (advertised !== undefined) throw usage(upSpec, "--advertise stands for one address: with several --sip, phones use those");
  for (const [index, { host }] of sips.entries()) {
    if (isWildcard(host)) throw usage(upSpec, `--sip ${host}: is all addresses of this machine: give it alone, or name each`);
    if (sips.findIndex((other) => other.host === host) < index) throw usage(upSpec, `--sip ${host}: is given twice`);
  }
}

/** What a machine is to be called among members: cells and gateways have names of their own kinds. */
function hostNameIn(name: string | undefined): string | undefined {
  if (name === undefined) return undefined;
  if (!memberNamePattern.test(name)) throw usage(upSpec, `--name ${name}: must be 1 to 32 letters, digits or hyphens`);
  if (cellNamePattern.test(name) || gatewayNamePattern.test(name))
    throw usage(upSpec, `--name ${name}: is a name for a cell (one character) or a gateway (g and a number)`);
  return name;
}

function parseListen(text: string | undefined): Settings["listen"] {
  if (text === undefined) return undefined;
  const bare = isIP(text) === 6 ? `[${text}]` : text;
  const [, v6, v4 = "", port] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(bare) ?? [];
  const host = v6 ?? v4;
  if (isIP(host) === 0 || (isIP(host) === 6) !== (v6 !== undefined) || isNoMachines(host)) {
    throw usage(upSpec, `--listen ${text}: must be an address of this machine that the others reach, for example 192.0.2.10`);
  }
  return { host, port: wholeNumber(upSpec, "listen", port ?? String(listenPort), 2, 65_535) };
}

function parseHealth(text: string | undefined): SipAddress | undefined {
  if (text === undefined) return undefined;
  const [, v6, v4 = "", port] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d+)$/.exec(text) ?? [];
  const host = v6 ?? v4;
  if (port !== undefined && isIP(host) === (v6 === undefined ? 4 : 6))
    return { host, port: wholeNumber(upSpec, "health", port, 1, 65_535) };
  throw usage(upSpec, `--health ${text}: must be ADDRESS:PORT of this machine, for example 127.0.0.1:8080 or [::1]:8080`);
}

/** All addresses of a machine: good to listen at, and nothing that a phone could send to. */
export function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || /^[0:]+$/.test(host);
}

/** An address, IPv6 with or without brackets, or a name. */
function parseAdvertise(text: string): string {
  const host = text.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  const isName = host.length <= hostOctetsMax && /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/.test(host) && !/^[\d.]+$/.test(host);
  if (isWildcard(host) || (isIP(host) === 0 && !isName)) {
    throw usage(upSpec, `--advertise ${text}: must be the address or the name that phones use, without a port`);
  }
  return host;
}

function parseHttpHost(text: string | undefined): string | undefined {
  const host = text?.replace(/^\[(.*)\]$/, "$1");
  if (host === undefined || isIP(host) !== 0) return host;
  throw usage(upSpec, `--http-host ${text}: must be an address of this machine, for example 127.0.0.1 or 0.0.0.0`);
}

function parseTls(certificate: string | undefined, key: string | undefined): Settings["tls"] {
  if (certificate === undefined && key === undefined) return undefined;
  if (certificate === undefined) throw usage(upSpec, "--tls-key needs --tls-cert beside it");
  if (key === undefined) throw usage(upSpec, "--tls-cert needs --tls-key beside it");
  return { certificate: resolve(certificate), key: resolve(key) };
}

function parseAcme(values: ReadonlyMap<string, string>, hasOwn: boolean, port: number | undefined): Settings["acme"] {
  const mail = values.get("acme");
  const [surplus] = acmeOptions.filter((option) => values.has(option));
  if (mail === undefined && surplus !== undefined) throw usage(upSpec, `--${surplus} needs --acme beside it`);
  if (mail === undefined) return undefined;
  if (!/^[^\s@]{1,64}@[^\s@]{1,253}$/.test(mail))
    throw usage(upSpec, `--acme ${mail}: must be a mail address, to which the authority writes`);
  if (hasOwn) throw usage(upSpec, "--acme and --tls-cert exclude each other: one of them says which certificate it is");
  const directory = values.get("acme-directory") ?? letsEncrypt;
  if (!URL.canParse(directory) || new URL(directory).protocol !== "https:") {
    throw usage(upSpec, `--acme-directory ${directory}: must be an https URL`);
  }
  const advertised = values.get("advertise")?.toLowerCase();
  const text =
    values.get("acme-names") ?? (advertised === undefined || isIP(advertised.replace(/^\[(.*)\]$/, "$1")) !== 0 ? "" : advertised);
  const names = text === "" ? [] : text.toLowerCase().split(",");
  if (names.length === 0)
    throw usage(upSpec, "--acme needs the names that browsers and phones use: --acme-names, or a name in --advertise");
  if (names.length > servedNamesMax) throw usage(upSpec, `--acme-names: ${servedNamesMax} at most`);
  for (const name of names) {
    const isName = name.length <= hostOctetsMax && /^(?!-)[a-z0-9-]{1,63}(?:\.(?!-)[a-z0-9-]{1,63})+$/.test(name) && isIP(name) === 0;
    if (!isName) throw usage(upSpec, `--acme-names ${name}: must be names of this machine in DNS`);
  }
  const ca = values.get("acme-ca");
  return { mail, directory, ca: ca === undefined ? undefined : resolve(ca), names, port: port ?? 80 };
}

/** Its host name, with what stands behind it or without. */
export function isOwnName(domain: string): boolean {
  const own = hostname().toLowerCase();
  return domain === own || domain === own.split(".", 1)[0];
}

function parseDomain(text: string): string {
  const domain = text.toLowerCase();
  if (isIP(domain.replace(/^\[(.*)\]$/, "$1")) !== 0) {
    throw usage(
      upSpec,
      `--domain ${text}: an address is no domain, for it would end with its machine: leave it to --sip, phones may use it as their domain too`,
    );
  }
  const fault = domainNameFault(domain);
  if (fault !== undefined) throw usage(upSpec, `--domain ${text}: ${fault}`);
  if (isOwnName(domain)) throw usage(upSpec, `--domain ${text}: is this machine's own name; choose another one: ${whyNoHost}`);
  return domain;
}
