import { decimalOf } from "../message/characters.ts";

/**
 * Flows (RFC 5626): one phone's connection or address pair, named by its access and a key there.
 *
 * A flow as text is `<access>~<key>`, for example `g1~u0..7f00000113c4`. The key describes itself. So a gateway that was killed and started again, or
 * another gateway of the same cluster address, can still use the key of a UDP flow:
 *
 *     <transport letter><listener>.<connection>.<remote address and port in hex>[.<server name>]
 *
 * `connection` is empty for UDP, and for "any connection to that address, opened when there is none" over TCP and TLS. Only characters that RFC 3261
 * calls unreserved are used: a flow may ride in the user part of a SIP URI.
 */

export type Transport = "UDP" | "TCP" | "TLS" | "WS" | "WSS";

/** Where an access listens, as phones must see it: the cluster address, never a blade's own name. */
export type Listener = { readonly transport: Transport; readonly host: string; readonly port: number };

export type FlowKey = {
  readonly transport: Transport;
  /** Index of the listener in the access's list. */
  readonly listener: number;
  /** Name of the connection in the access; empty: none (UDP) or any. */
  readonly connection: string;
  /** Remote address without brackets, dotted or colon form. */
  readonly address: string;
  readonly port: number;
  /** TLS towards outside: the name that the certificate must carry (RFC 5922). */
  readonly serverName?: string;
};

const letterOf: Readonly<Record<Transport, string>> = { UDP: "u", TCP: "t", TLS: "s", WS: "w", WSS: "x" };
const transportOf: Readonly<Record<string, Transport>> = { u: "UDP", t: "TCP", s: "TLS", w: "WS", x: "WSS" };

/** True for the name of a transport, in capitals. */
export function isTransport(value: unknown): value is Transport {
  return typeof value === "string" && Object.hasOwn(letterOf, value);
}

/** True for transports that lose nothing and keep order (RFC 3261 17): no retransmissions over them. */
export function isReliable(transport: Transport): boolean {
  return transport !== "UDP";
}

/** True for a flow over which a message's end must be found by its Content-Length (RFC 3261 18.3). */
export function isStreamFlow(flow: string): boolean {
  const transport = transportOfFlow(flow);
  return transport === "TCP" || transport === "TLS";
}

/** The default port of a transport (RFC 3261 19.1.2, RFC 7118). */
export function defaultPort(transport: Transport): number {
  switch (transport) {
    case "UDP":
    case "TCP":
      return 5060;
    case "TLS":
      return 5061;
    case "WS":
      return 80;
    case "WSS":
      return 443;
  }
}

export function serializeFlowKey(key: FlowKey): string {
  const remote = addressToHex(key.address) + key.port.toString(16).padStart(4, "0");
  const text = `${letterOf[key.transport]}${key.listener}.${key.connection}.${remote}`;
  return key.serverName === undefined ? text : `${text}.${key.serverName}`;
}

const remotePattern = /^(?:[0-9a-f]{8}|[0-9a-f]{32})[0-9a-f]{4}$/;
const connectionPattern = /^[0-9A-Za-z]{1,32}$/;
const serverNamePattern = /^[0-9A-Za-z.-]{1,253}$/;

/** The inverse of {@link serializeFlowKey}; undefined for what it cannot have made. */
export function parseFlowKey(text: string): FlowKey | undefined {
  const transport = transportOfFlowKey(text);
  const listenerEnd = text.indexOf(".");
  const connectionEnd = text.indexOf(".", listenerEnd + 1);
  if (transport === undefined || listenerEnd < 2 || listenerEnd > 4 || connectionEnd < 0) return undefined;
  const listener = decimalOf(text, 1, listenerEnd);
  const connection = text.slice(listenerEnd + 1, connectionEnd);
  const remoteEnd = text.indexOf(".", connectionEnd + 1);
  const remote = text.slice(connectionEnd + 1, remoteEnd < 0 ? text.length : remoteEnd);
  const serverName = remoteEnd < 0 ? undefined : text.slice(remoteEnd + 1);
  if (listener < 0 || !remotePattern.test(remote) || (connection !== "" && !connectionPattern.test(connection))) return undefined;
  if (serverName !== undefined && !serverNamePattern.test(serverName)) return undefined;
  const address = hexToAddress(remote.slice(0, -4));
  const port = Number.parseInt(remote.slice(-4), 16);
  return serverName === undefined
    ? { transport, listener, connection, address, port }
    : { transport, listener, connection, address, port, serverName };
}

/** The transport of a flow key, without parsing the rest. */
export function transportOfFlowKey(key: string): Transport | undefined {
  return transportOf[key.charAt(0)];
}

/** The listener index of a flow key; 0 when it cannot be read. */
export function listenerOfFlowKey(key: string): number {
  const index = Number.parseInt(key.slice(1), 10);
  return Number.isNaN(index) ? 0 : index;
}

export function joinFlow(access: string, key: string): string {
  return `${access}~${key}`;
}

type Split = { readonly access: string; readonly key: string };

/** A flow text that was read, and what was read of it: `parsed` is made when it is asked for. */
type Reading = { readonly flow: string; readonly split: Split | undefined; parsed: { readonly key: FlowKey | undefined } | undefined };

/** The last two: a message is asked for the flow it came on and the one it leaves on again and again. The later one first. */
let latest: Reading = { flow: "", split: undefined, parsed: undefined };
let earlier: Reading = latest;

function read(flow: string): Reading {
  if (flow === latest.flow) return latest;
  const known = flow === earlier.flow ? earlier : { flow, split: split(flow), parsed: undefined };
  earlier = latest;
  latest = known;
  return known;
}

function split(flow: string): Split | undefined {
  const at = flow.indexOf("~");
  if (at <= 0 || at === flow.length - 1) return undefined;
  const access = flow.slice(0, at);
  // Mostly the same access: one text for all is found in a Map by what it is and not by what it says.
  return { access: access === latest.split?.access ? latest.split.access : access, key: flow.slice(at + 1) };
}

/** Splits `<access>~<key>`; undefined when there is no access or no key. */
export function splitFlow(flow: string): Split | undefined {
  return read(flow).split;
}

/** A flow's key, parsed; undefined when it is none. */
export function flowKeyOf(flow: string): FlowKey | undefined {
  const reading = read(flow);
  reading.parsed ??= { key: reading.split === undefined ? undefined : parseFlowKey(reading.split.key) };
  return reading.parsed.key;
}

/**
 * Whoever sends on a flow, as limits count: an IPv4 address, or the /64 of an IPv6 address. One customer has all the others of a /64, too.
 * `addressOf` says the address itself. A flow that cannot be read is one source like all of those.
 */
export function sourceOf(flow: string): string {
  const address = addressOf(flow);
  if (!address.includes(":")) return address;
  const hex = addressToHex(address);
  // An IPv4 address in IPv6 clothes (RFC 4291 2.5.5.2).
  return hex.startsWith("00000000000000000000ffff") ? hexToAddress(hex.slice(24)) : hex.slice(0, 16);
}

/** The remote address of a flow, empty when it cannot be read. */
export function addressOf(flow: string): string {
  return flowKeyOf(flow)?.address ?? "";
}

/** The far end of a flow as `address:port`; empty when it cannot be read. */
export function placeOfFlow(flow: string): string {
  const key = flowKeyOf(flow);
  if (key === undefined) return "";
  return key.address.includes(":") ? `[${key.address}]:${key.port}` : `${key.address}:${key.port}`;
}

/** The access of a flow text. */
export function accessOfFlow(flow: string): string {
  const at = flow.indexOf("~");
  return at < 0 ? flow : flow.slice(0, at);
}

/** Whether a connection was made in this start of its access: its name begins with that. */
export function isOfBoot(flow: string, boot: string | undefined): boolean {
  if (boot === undefined || boot === "") return false;
  const key = splitFlow(flow)?.key;
  return key !== undefined && parseFlowKey(key)?.connection.startsWith(boot) === true;
}

/** The transport of a flow text `<access>~<key>`. */
export function transportOfFlow(flow: string): Transport | undefined {
  return transportOf[flow.charAt(flow.indexOf("~") + 1)];
}

/** Access names: a gateway is `g1`, a line is `<cell>.<n>`. */
export function isLine(access: string): boolean {
  return access.includes(".");
}

/** The cell of a line's access name `<cell>.<n>`. */
export function cellOfLine(access: string): string {
  return access.slice(0, access.indexOf("."));
}

export function lineOf(cell: string, index: number): string {
  return `${cell}.${index}`;
}

/** Dotted IPv4 or colon IPv6 (brackets allowed) to 8 or 32 hex digits. Anything else becomes 0.0.0.0: it names no host. */
export function addressToHex(address: string): string {
  if (!address.includes(":")) {
    const parts = address.split(".");
    if (parts.length !== 4) return "00000000";
    let hex = "";
    for (const part of parts) {
      const value = Number(part);
      if (part === "" || !Number.isInteger(value) || value < 0 || value > 255) return "00000000";
      hex += value.toString(16).padStart(2, "0");
    }
    return hex;
  }
  const bare = address.startsWith("[") ? address.slice(1, -1) : address;
  return ipv6ToHex(bare);
}

function ipv6ToHex(address: string): string {
  const zone = address.indexOf("%");
  let text = zone < 0 ? address : address.slice(0, zone);
  const lastColon = text.lastIndexOf(":");
  if (text.indexOf(".", lastColon) > 0) {
    const v4 = addressToHex(text.slice(lastColon + 1));
    text = `${text.slice(0, lastColon + 1)}${v4.slice(0, 4)}:${v4.slice(4)}`;
  }
  const gap = text.indexOf("::");
  const head = (gap < 0 ? text : text.slice(0, gap)).split(":").filter((part) => part !== "");
  const tail =
    gap < 0
      ? []
      : text
          .slice(gap + 2)
          .split(":")
          .filter((part) => part !== "");
  const missing = 8 - head.length - tail.length;
  if (missing < 0 || (gap < 0 && missing !== 0)) return "0".repeat(32);
  const groups = [...head, ...Array<string>(missing).fill("0"), ...tail];
  if (!groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) return "0".repeat(32);
  return groups.map((group) => group.toLowerCase().padStart(4, "0")).join("");
}

/** 8 hex digits to dotted IPv4, 32 to the shortest IPv6 form (RFC 5952). */
export function hexToAddress(hex: string): string {
  if (hex.length === 8) {
    const bits = Number.parseInt(hex, 16);
    return `${bits >>> 24}.${(bits >>> 16) & 255}.${(bits >>> 8) & 255}.${bits & 255}`;
  }
  const groups: string[] = [];
  for (let at = 0; at < 32; at += 4) groups.push(Number.parseInt(hex.slice(at, at + 4), 16).toString(16));
  let bestStart = -1;
  let bestLength = 1;
  for (let start = 0; start < 8; start += 1) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === "0") length += 1;
    if (length > bestLength) {
      bestStart = start;
      bestLength = length;
    }
  }
  if (bestStart < 0) return groups.join(":");
  return `${groups.slice(0, bestStart).join(":")}::${groups.slice(bestStart + bestLength).join(":")}`;
}
