import type { SeenCause } from "../../cluster/group/view.ts";
import type { Listener, Transport } from "../../sip/flow/flow.ts";
import { listenersOctetsMax } from "../limits.ts";

/** What gateways say on their control sockets: JSON, read as leniently as it comes. What cannot be read is for later versions. */

/** What a hello says of the start of its gateway. */
export function bootOf(data: ArrayBuffer | string): string | undefined {
  const { type, boot } = messageOf(data) as { readonly type?: unknown; readonly boot?: unknown };
  return type === "hello" && typeof boot === "string" ? boot.slice(0, bootOctetsMax) : undefined;
}

/** Longer is none of ours, and not worth keeping. */
const bootOctetsMax = 64;

export function messageOf(data: ArrayBuffer | string): object {
  if (typeof data !== "string") return {};
  try {
    const message: unknown = JSON.parse(data);
    return typeof message === "object" && message !== null ? message : {};
  } catch {
    return {};
  }
}

export function lostCellOf(data: ArrayBuffer | string): { readonly cell: string; readonly seen: SeenCause } | undefined {
  const { type, cell, seen } = messageOf(data) as { readonly type?: unknown; readonly cell?: unknown; readonly seen?: unknown };
  if (type !== "lost" || typeof cell !== "string") return undefined;
  return { cell, seen: seenCauses.find((each) => each === seen) ?? "closed socket" };
}

/** Which part of new requests a gateway says that it refuses. */
export function refusedShareOf(data: ArrayBuffer | string): number | undefined {
  const { type, refused } = messageOf(data) as { readonly type?: unknown; readonly refused?: unknown };
  return type === "load" && typeof refused === "number" ? refused : undefined;
}

const seenCauses: readonly SeenCause[] = ["closed socket", "connection refused", "missed heartbeats"];

/** Where a hello says that its gateway listens, as phones see it. */
export function listenersOf(data: ArrayBuffer | string): readonly Listener[] {
  const { type, listeners } = messageOf(data) as { readonly type?: unknown; readonly listeners?: unknown };
  if (type !== "hello" || !Array.isArray(listeners)) return [];
  const known = listeners.flatMap((each): Listener[] => listenerIn(each));
  return JSON.stringify(known).length > listenersOctetsMax ? [] : known;
}

function listenerIn(value: unknown): Listener[] {
  if (typeof value !== "object" || value === null) return [];
  const { transport, host, port } = value as Readonly<Record<string, unknown>>;
  const known = transports.find((each) => each === transport);
  const isPort = typeof port === "number" && Number.isInteger(port) && port > 0 && port < 65_536;
  return known === undefined || typeof host !== "string" || !hostPattern.test(host) || !isPort ? [] : [{ transport: known, host, port }];
}

/** An address or a name, and nothing else: `tandem dns` prints it as a line of a zone. */
const hostPattern = /^[\w.:%[\]-]{1,255}$/;

const transports: readonly Transport[] = ["UDP", "TCP", "TLS", "WS", "WSS"];
