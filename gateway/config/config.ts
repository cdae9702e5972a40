import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { dirname, resolve } from "node:path";
import { parse } from "smol-toml";
import { type Transport, isTransport } from "../../sip/flow/flow.ts";
import { read } from "../../schemas/reading.ts";
import { hostInUri } from "../../sip/host-in-uri.ts";
import { networkBounds, networkIn } from "../../sip/network.ts";
import { isWildcard } from "./address.ts";
import { GatewayError, UsageError, codeOf } from "../errors.ts";
import { type ConfigFile, configFileSchema } from "./config-file.ts";
import { type GatewayFlags, parseFlags, parseListen } from "./flags.ts";
import { connectionsMax } from "../limits.ts";
import type { MemberFiles } from "../links/member-identity.ts";

/** Where the gateway listens, and how phones see it. */
export type ListenerConfig = {
  readonly transport: Transport;
  /** Address to bind, without brackets: the cluster address. */
  readonly host: string;
  /** 0 (tests only): any free one. */
  readonly port: number;
  /** Host as it stands in Via and Record-Route, IPv6 in brackets. */
  readonly advertisedHost: string;
  /** Undefined: the port it is bound to. */
  readonly advertisedPort?: number;
};

export type TlsConfig = {
  /** PEM texts. */
  readonly cert: string;
  readonly key: string;
  /** Authorities that certificates of servers are checked against, instead of the well-known ones. */
  readonly ca?: string;
  /** False: certificates of servers that the gateway connects to are not checked. */
  readonly verify: boolean;
};

export type GatewayConfig = {
  readonly name: string;
  /** The secret of the system; undefined: it has an authority, and {@link member} is what this gateway is there. */
  readonly secret?: string;
  readonly member?: MemberFiles;
  readonly cells: readonly { readonly id: string; readonly url: string }[];
  readonly listeners: readonly ListenerConfig[];
  readonly tls?: TlsConfig;
  /** Load balancers, addresses and networks, whose connections begin with a PROXY header that is believed. */
  readonly proxyFrom: readonly string[];
  /** Where load balancers may ask how it is; undefined: nowhere. */
  readonly health?: { readonly host: string; readonly port: number };
  /** Who may read metrics there, beside this machine: addresses and networks. */
  readonly metricsFrom: readonly string[];
  /** Empty: those of the system. */
  readonly dnsServers: readonly string[];
  readonly limits: {
    readonly connectionsMax: number;
    /** Messages in 2 s from one address before it is ignored for 120 s; 0: no limit. */
    readonly messagesPerSource: number;
    /** Addresses and networks that are never refused or ignored for how much they ask. */
    readonly trusted: readonly string[];
  };
};

/** What the command line asks for, checked. */
export type Invocation = {
  readonly config: GatewayConfig;
  readonly json: boolean;
  /** Exit when this process is gone. */
  readonly parentPid?: number;
  /** Exit when stdin ends. */
  readonly supervised: boolean;
};

/**
 * Reads flags and the file they name; flags win. Throws {@link UsageError} (exit 2) with `<where>: <key>: <reason>` for what is wrong,
 * {@link GatewayError} (exit 1) for a file that cannot be read.
 */
export function readInvocation(args: readonly string[]): Invocation {
  const flags = parseFlags(args);
  const file = flags.config;
  const source = new Source(file ?? "flags", file === undefined ? {} : readToml(file));
  const config = readConfig(source, flags, file === undefined ? "." : dirname(file));
  return {
    config,
    json: flags.json,
    supervised: flags.supervised,
    ...(flags.parentPid === undefined ? {} : { parentPid: flags.parentPid }),
  };
}

function readToml(file: string): Record<string, unknown> {
  const text = readText(file, file);
  try {
    return parse(text);
  } catch (error) {
    const [first = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    const line = error instanceof Error && "line" in error ? `line ${String(error.line)}: ` : "";
    throw new UsageError(`${file}: ${line}${first.replace("Invalid TOML document: ", "")}`);
  }
}

function readText(path: string, where: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = codeOf(error);
    const reason = code === "ENOENT" ? "does not exist" : code === "EACCES" ? "may not be read" : `cannot be read (${code ?? "?"})`;
    throw new GatewayError(where === path ? `${path} ${reason}` : `${where}: ${path} ${reason}`);
  }
}

function readConfig(file: Source, flags: GatewayFlags, folder: string): GatewayConfig {
  const name = flags.name ?? file.content.name;
  if (name === undefined) throw file.error("name", "is missing");
  // It is the access part of a flow: it rides in URIs, and a dot would make it a line's name.
  if (!/^[0-9A-Za-z-]{1,32}$/.test(name)) throw file.error("name", `must be 1 to 32 letters, digits or hyphens, is "${name}"`);
  const tls = readTls(file, flags, folder);
  const listeners = flags.listen.length > 0 ? flags.listen.map((text) => parseListen(text)) : readListeners(file);
  const where = flags.listen.length > 0 ? "--listen" : "listeners";
  if (listeners.length === 0) throw file.error("listeners", "is missing: at least one is needed");
  checkListeners(listeners, file, where);
  const secure = listeners.find(({ transport }) => transport === "TLS" || transport === "WSS");
  if (tls === undefined && secure !== undefined) {
    throw file.error("tls", `is missing: a ${secure.transport} listener needs tls.cert and tls.key`);
  }
  return {
    name,
    ...readCredentials(file, flags, folder),
    cells: readCells(file, flags),
    listeners,
    ...(tls === undefined ? {} : { tls }),
    proxyFrom: networksOf(flags.proxyFrom ?? file.content.proxyFrom, (text) => notNetwork(file, "proxyFrom", text)),
    ...readHealth(file, flags),
    metricsFrom: networksOf(flags.metricsFrom ?? file.content.metricsFrom, (text) => notNetwork(file, "metricsFrom", text)),
    dnsServers: readDnsServers(file, flags),
    limits: readLimits(file),
  };
}

function readCredentials(file: Source, flags: GatewayFlags, folder: string): Pick<GatewayConfig, "secret" | "member"> {
  const { member, secret, secretFile } = file.content;
  if (member === undefined) return { secret: readSecret(file, flags, folder) };
  if (secret !== undefined || (flags.secretFile ?? secretFile) !== undefined)
    throw file.error("member", "stands beside a secret: only one of them may be given");
  const at = (name: string): string => resolve(folder, name);
  return { member: { key: at(member.key), cert: at(member.cert), tlsKey: at(member.tlsKey), authority: at(member.authority) } };
}

function readSecret(file: Source, flags: GatewayFlags, folder: string): string {
  const inline = file.content.secret;
  const path = flags.secretFile ?? pathIn(folder, file.content.secretFile);
  if (inline !== undefined && path !== undefined) throw file.error("secretFile", "stands beside secret: only one of them may be given");
  const secret = path === undefined ? inline : readText(path, `${file.where}: secretFile`).trim();
  if (secret === undefined) throw file.error("secret", "is missing: secret or secretFile is needed");
  if (secret.length < 16) throw file.error(path === undefined ? "secret" : "secretFile", "must hold at least 16 characters");
  return secret;
}

function readCells(file: Source, flags: GatewayFlags): GatewayConfig["cells"] {
  const cells = flags.cells.map((text) => ({
    id: text.slice(0, text.indexOf("=")),
    url: text.slice(text.indexOf("=") + 1),
    where: `--cell ${text}`,
  }));
  if (cells.length === 0)
    for (const [index, cell] of (file.content.cells ?? []).entries()) cells.push({ ...cell, where: `cells[${index}]` });
  if (cells.length === 0) throw file.error("cells", "is missing: at least one is needed");
  const ids = new Set<string>();
  for (const { id, url, where } of cells) {
    if (!/^[0-9a-z]{1,16}$/.test(id)) throw file.error(`${where}.id`, `must be 1 to 16 lower-case letters or digits, is "${id}"`);
    if (ids.has(id)) throw file.error(`${where}.id`, `"${id}" stands twice`);
    ids.add(id);
    if (!/^https?:\/\//.test(url) || !URL.canParse(url)) throw file.error(`${where}.url`, `must be an http or https URL, is "${url}"`);
    const { username, password } = new URL(url);
    if (username !== "" || password !== "") throw file.error(`${where}.url`, "must not hold a user or a password: nothing would use them");
  }
  return cells.map(({ id, url }) => ({ id, url }));
}

function readListeners(file: Source): ListenerConfig[] {
  return (file.content.listeners ?? []).map((listener, index) => {
    const error = (key: string, reason: string): UsageError => file.error(`listeners[${index}].${key}`, reason);
    const { port, advertise } = listener;
    const transport = listener.transport.toUpperCase();
    if (!isTransport(transport)) throw error("transport", `must be udp, tcp, tls, ws or wss, is "${listener.transport}"`);
    const host = listener.host.replace(/^\[(.*)\]$/, "$1");
    if (isIP(host) === 0) throw error("host", `must be an IPv4 or IPv6 address, is "${host}"`);
    if (advertise === undefined) {
      if (isWildcard(host)) throw error("advertise", `is missing: ${host} is no address that a phone could send to`);
      return { transport, host, port, advertisedHost: hostInUri(host) };
    }
    const match = /^(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::(\d{1,5}))?$/.exec(advertise);
    const isHost = match?.[1]?.startsWith("[") !== true || isIP(match[1].slice(1, -1)) === 6;
    if (match === null || !isHost || !isPort(match[2])) throw error("advertise", `must be HOST or HOST:PORT, is "${advertise}"`);
    return {
      transport,
      host,
      port,
      advertisedHost: match[1] ?? "",
      ...(match[2] === undefined ? {} : { advertisedPort: Number(match[2]) }),
    };
  });
}

function checkListeners(listeners: readonly ListenerConfig[], file: Source, where: string): void {
  const seen = new Map<string, number>();
  for (const [index, { transport, host, port }] of listeners.entries()) {
    const key = `${transport === "UDP" ? "udp" : "tcp"} ${host} ${port}`;
    const earlier = seen.get(key);
    if (earlier !== undefined && port !== 0) {
      throw file.error(`${where}[${index}]`, `has the address and port of ${where}[${earlier}]`);
    }
    seen.set(key, index);
  }
}

function readTls(file: Source, flags: GatewayFlags, folder: string): TlsConfig | undefined {
  const { tls } = file.content;
  const certPath = flags.tlsCert ?? pathIn(folder, tls?.cert);
  const keyPath = flags.tlsKey ?? pathIn(folder, tls?.key);
  const caPath = flags.tlsCa ?? pathIn(folder, tls?.ca);
  if (tls === undefined && certPath === undefined && keyPath === undefined) return undefined;
  if (certPath === undefined) throw file.error("tls.cert", "is missing");
  if (keyPath === undefined) throw file.error("tls.key", "is missing");
  const cert = readText(certPath, `${file.where}: tls.cert`);
  const key = readText(keyPath, `${file.where}: tls.key`);
  if (!cert.includes("-----BEGIN CERTIFICATE-----")) throw file.error("tls.cert", `${certPath} is no PEM certificate`);
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(key)) throw file.error("tls.key", `${keyPath} is no PEM private key`);
  const ca = caPath === undefined ? undefined : readText(caPath, `${file.where}: tls.ca`);
  if (ca !== undefined && !ca.includes("-----BEGIN CERTIFICATE-----")) throw file.error("tls.ca", `${caPath} is no PEM certificate`);
  return { cert, key, ...(ca === undefined ? {} : { ca }), verify: flags.tlsVerify ?? tls?.verify ?? true };
}

function readHealth(file: Source, flags: GatewayFlags): Pick<GatewayConfig, "health"> {
  const text = flags.health ?? file.content.health;
  if (text === undefined) return {};
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? "";
  if (isIP(host) === 0 || !isPort(match?.[3])) throw file.error("health", `must be ADDRESS:PORT, for example 127.0.0.1:8080, is "${text}"`);
  return { health: { host, port: Number(match?.[3]) } };
}

function readDnsServers(file: Source, flags: GatewayFlags): readonly string[] {
  const servers = flags.dns.length > 0 ? flags.dns : (file.content.dns?.servers ?? []);
  for (const server of servers) {
    const match = /^\[(.+)\](?::(\d{1,5}))?$/.exec(server) ?? /^([\d.]+)(?::(\d{1,5}))?$/.exec(server);
    if (isIP(match?.[1] ?? server) === 0 || !isPort(match?.[2]))
      throw file.error("dns.servers", `must be addresses, with a port or without, has "${server}"`);
  }
  return servers;
}

/** A port that somebody can send to, in digits; true when there is none. */
function isPort(digits: string | undefined): boolean {
  const port = Number(digits ?? 1);
  return port >= 1 && port <= 65_535;
}

function readLimits(file: Source): GatewayConfig["limits"] {
  const { limits } = file.content;
  const trusted = networksOf(limits?.trusted, (text) => notNetwork(file, "limits.trusted", text));
  return { connectionsMax: limits?.connections ?? connectionsMax, messagesPerSource: limits?.messagesPerSource ?? 0, trusted };
}

function networksOf(texts: readonly string[] = [], fail: (text: string) => never): readonly string[] {
  return texts.map((text) => networkIn(text, isIP) ?? fail(text));
}

function notNetwork(file: Source, key: string, text: string): never {
  const what = text.includes("/") ? `networks of ${networkBounds}` : "IPv4 or IPv6 addresses";
  throw file.error(key, `must be ${what}, has "${text}"`);
}

function pathIn(folder: string, path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(folder, path);
}

/** What was read, and where it stands, so that every complaint names its key. */
class Source {
  readonly where: string;
  readonly content: ConfigFile;

  /** Throws {@link UsageError} for the first key that is not known or has a value of another kind. */
  constructor(where: string, table: Readonly<Record<string, unknown>>) {
    this.where = where;
    const { value, fault } = read(configFileSchema, table);
    if (fault !== undefined) throw this.error(fault.path, fault.reason);
    this.content = value;
  }

  error(key: string, reason: string): UsageError {
    return new UsageError(`${this.where}: ${key}: ${reason}`);
  }
}
