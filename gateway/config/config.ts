import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { dirname, resolve } from "node:path";
import { parse } from "smol-toml";
import { type Transport, isTransport } from "../../sip/flow/flow.ts";
import { hostInUri, isWildcard } from "./address.ts";
import { GatewayError, UsageError, codeOf } from "../errors.ts";
import { type GatewayFlags, parseFlags, parseListen } from "./flags.ts";
import { connectionsMax } from "../limits.ts";

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
  /** Authorities that peers' certificates are checked against, instead of the well-known ones. */
  readonly ca?: string;
  /** False: certificates of servers that the gateway connects to are not checked. */
  readonly verify: boolean;
};

export type GatewayConfig = {
  readonly name: string;
  readonly secret: string;
  readonly cells: readonly { readonly id: string; readonly url: string }[];
  readonly listeners: readonly ListenerConfig[];
  readonly tls?: TlsConfig;
  /** Empty: those of the system. */
  readonly dnsServers: readonly string[];
  readonly limits: {
    readonly connectionsMax: number;
    /** Messages in 2 s from one address before it is ignored for 120 s; 0: no limit. */
    readonly messagesPerSource: number;
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
  const table = file === undefined ? {} : readToml(file);
  const config = readConfig(new Section(table, file ?? "flags", ""), flags, file === undefined ? "." : dirname(file));
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

function readConfig(file: Section, flags: GatewayFlags, folder: string): GatewayConfig {
  file.allow(["name", "secret", "secretFile", "cells", "listeners", "tls", "dns", "limits"]);
  const name = flags.name ?? file.text("name");
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
    secret: readSecret(file, flags, folder),
    cells: readCells(file, flags),
    listeners,
    ...(tls === undefined ? {} : { tls }),
    dnsServers: readDnsServers(file, flags),
    limits: readLimits(file),
  };
}

function readSecret(file: Section, flags: GatewayFlags, folder: string): string {
  const inline = file.text("secret");
  const path = flags.secretFile ?? pathIn(folder, file.text("secretFile"));
  if (inline !== undefined && path !== undefined) throw file.error("secretFile", "stands beside secret: only one of them may be given");
  const secret = path === undefined ? inline : readText(path, `${file.where}: secretFile`).trim();
  if (secret === undefined) throw file.error("secret", "is missing: secret or secretFile is needed");
  if (secret.length < 16) throw file.error(path === undefined ? "secret" : "secretFile", "must hold at least 16 characters");
  return secret;
}

function readCells(file: Section, flags: GatewayFlags): GatewayConfig["cells"] {
  const cells = flags.cells.map((text) => ({
    id: text.slice(0, text.indexOf("=")),
    url: text.slice(text.indexOf("=") + 1),
    where: `--cell ${text}`,
  }));
  for (const cell of flags.cells.length > 0 ? [] : file.sections("cells")) {
    cell.allow(["id", "url"]);
    cells.push({ id: cell.required("id"), url: cell.required("url"), where: cell.path });
  }
  if (cells.length === 0) throw file.error("cells", "is missing: at least one is needed");
  const ids = new Set<string>();
  for (const { id, url, where } of cells) {
    if (!/^[0-9a-z]{1,16}$/.test(id)) throw file.error(`${where}.id`, `must be 1 to 16 lower-case letters or digits, is "${id}"`);
    if (ids.has(id)) throw file.error(`${where}.id`, `"${id}" stands twice`);
    ids.add(id);
    if (!/^https?:\/\//.test(url) || !URL.canParse(url)) throw file.error(`${where}.url`, `must be an http or https URL, is "${url}"`);
  }
  return cells.map(({ id, url }) => ({ id, url }));
}

function readListeners(file: Section): ListenerConfig[] {
  return file.sections("listeners").map((section) => {
    section.allow(["transport", "host", "port", "advertise"]);
    const transport = section.required("transport").toUpperCase();
    if (!isTransport(transport)) {
      throw section.error("transport", `must be udp, tcp, tls, ws or wss, is "${section.required("transport")}"`);
    }
    const host = section.required("host").replace(/^\[(.*)\]$/, "$1");
    if (isIP(host) === 0) throw section.error("host", `must be an IPv4 or IPv6 address, is "${host}"`);
    const port = section.wholeNumber("port", 1, 65_535);
    if (port === undefined) throw section.error("port", "is missing");
    const advertise = section.text("advertise");
    if (advertise === undefined) {
      if (isWildcard(host)) throw section.error("advertise", `is missing: ${host} is no address that a phone could send to`);
      return { transport, host, port, advertisedHost: hostInUri(host) };
    }
    const match = /^(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::(\d{1,5}))?$/.exec(advertise);
    if (match === null) throw section.error("advertise", `must be HOST or HOST:PORT, is "${advertise}"`);
    return {
      transport,
      host,
      port,
      advertisedHost: match[1] ?? "",
      ...(match[2] === undefined ? {} : { advertisedPort: Number(match[2]) }),
    };
  });
}

function checkListeners(listeners: readonly ListenerConfig[], file: Section, where: string): void {
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

function readTls(file: Section, flags: GatewayFlags, folder: string): TlsConfig | undefined {
  const section = file.section("tls");
  section?.allow(["cert", "key", "ca", "verify"]);
  const certPath = flags.tlsCert ?? pathIn(folder, section?.text("cert"));
  const keyPath = flags.tlsKey ?? pathIn(folder, section?.text("key"));
  const caPath = flags.tlsCa ?? pathIn(folder, section?.text("ca"));
  if (section === undefined && certPath === undefined && keyPath === undefined) return undefined;
  if (certPath === undefined) throw file.error("tls.cert", "is missing");
  if (keyPath === undefined) throw file.error("tls.key", "is missing");
  const cert = readText(certPath, `${file.where}: tls.cert`);
  const key = readText(keyPath, `${file.where}: tls.key`);
  if (!cert.includes("-----BEGIN CERTIFICATE-----")) throw file.error("tls.cert", `${certPath} is no PEM certificate`);
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(key)) throw file.error("tls.key", `${keyPath} is no PEM private key`);
  const ca = caPath === undefined ? undefined : readText(caPath, `${file.where}: tls.ca`);
  if (ca !== undefined && !ca.includes("-----BEGIN CERTIFICATE-----")) throw file.error("tls.ca", `${caPath} is no PEM certificate`);
  return { cert, key, ...(ca === undefined ? {} : { ca }), verify: flags.tlsVerify ?? section?.boolean("verify") ?? true };
}

function readDnsServers(file: Section, flags: GatewayFlags): readonly string[] {
  const section = file.section("dns");
  section?.allow(["servers"]);
  const servers = flags.dns.length > 0 ? flags.dns : (section?.texts("servers") ?? []);
  for (const server of servers) {
    const address = /^\[(.+)\](?::\d{1,5})?$/.exec(server)?.[1] ?? /^([\d.]+)(?::\d{1,5})?$/.exec(server)?.[1] ?? server;
    if (isIP(address) === 0) throw file.error("dns.servers", `must be addresses, with a port or without, has "${server}"`);
  }
  return servers;
}

function readLimits(file: Section): GatewayConfig["limits"] {
  const section = file.section("limits");
  section?.allow(["connections", "messagesPerSource"]);
  return {
    connectionsMax: section?.wholeNumber("connections", 1, 1_000_000) ?? connectionsMax,
    messagesPerSource: section?.wholeNumber("messagesPerSource", 0, 1_000_000) ?? 0,
  };
}

function pathIn(folder: string, path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(folder, path);
}

/** One table of the file, which knows where it stands, so that every complaint names its key. */
class Section {
  readonly #table: Readonly<Record<string, unknown>>;
  readonly where: string;
  /** Key of this table, "" for the file itself. */
  readonly path: string;

  constructor(table: Readonly<Record<string, unknown>>, where: string, path: string) {
    this.#table = table;
    this.where = where;
    this.path = path;
  }

  error(key: string, reason: string): UsageError {
    return new UsageError(`${this.where}: ${this.#key(key)}: ${reason}`);
  }

  allow(keys: readonly string[]): void {
    for (const key of Object.keys(this.#table)) {
      if (!keys.includes(key)) throw this.error(key, `is not known; known here: ${keys.join(", ")}`);
    }
  }

  text(key: string): string | undefined {
    const value = this.#table[key];
    if (value === undefined) return undefined;
    if (typeof value !== "string" || value === "") throw this.error(key, "must be a text in quotes");
    return value;
  }

  required(key: string): string {
    const value = this.text(key);
    if (value === undefined) throw this.error(key, "is missing");
    return value;
  }

  texts(key: string): string[] | undefined {
    const value = this.#table[key];
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) throw this.error(key, "must be a list of texts");
    return value;
  }

  boolean(key: string): boolean | undefined {
    const value = this.#table[key];
    if (value !== undefined && typeof value !== "boolean") throw this.error(key, "must be true or false");
    return value;
  }

  wholeNumber(key: string, min: number, max: number): number | undefined {
    const value = this.#table[key];
    if (value === undefined) return undefined;
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
      throw this.error(key, `must be a whole number from ${min} to ${max}, is ${JSON.stringify(value)}`);
    }
    return value;
  }

  section(key: string): Section | undefined {
    const value = this.#table[key];
    if (value === undefined) return undefined;
    if (!isTable(value)) throw this.error(key, "must be a table");
    return new Section(value, this.where, this.#key(key));
  }

  sections(key: string): Section[] {
    const value = this.#table[key];
    if (value === undefined) return [];
    if (!Array.isArray(value) || !value.every(isTable)) throw this.error(key, `must be tables: [[${key}]]`);
    return value.map((table, index) => new Section(table, this.where, `${this.#key(key)}[${index}]`));
  }

  #key(key: string): string {
    return this.path === "" ? key : `${this.path}.${key}`;
  }
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
