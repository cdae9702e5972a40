import type { Socket } from "node:net";
import { linksPerConnectionMax } from "../limits.ts";
import type { Guest } from "./doorkeeper.ts";
import type { PhoneConnection } from "../../actors/gateway/dispatcher.ts";
import type { BackhaulLink } from "../../actors/gateway/backhaul-link.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** Called when a message could not be sent. */
export type Failed = () => void;

/**
 * Why a connection is closed from here. It is asked for by an exchange, of no use any more (idle, or stuck in a message), or closed with the gateway.
 * `draining`: its phone is to connect elsewhere.
 */
export type Ending = "registrar" | "useless" | "stopping" | "draining";

export type ConnectionHandlers = {
  message(connection: Connection, octets: Uint8Array): void;
  keepAlive(connection: Connection): void;
  junk(): void;
  /** The connection is gone; `wasOpen`: it had been made. */
  closed(connection: Connection, wasOpen: boolean): void;
};

export type ConnectionNames = {
  /** Its flow key, unique in this gateway. */
  readonly key: string;
  /** Flow key without the connection's name: "any connection to that address". Undefined: only its own key means it. */
  readonly anyKey: string | undefined;
  /** Remote address. */
  readonly address: string;
};

/** The answer to a keep-alive (RFC 5626 3.5.1). */
export const crlf: Uint8Array = new Uint8Array([0x0d, 0x0a]);

/** What is written to a socket in one turn leaves in one write: all messages of one frame. */
export function gather(socket: Socket): void {
  if (socket.writableCorked > 0) return;
  socket.cork();
  queueMicrotask(() => socket.uncork());
}

/** One connection of a phone or a next hop, whatever carries it. It has its names, when it was last of use, and which backhauls must hear of its end. */
export abstract class Connection implements ConnectionNames, PhoneConnection {
  readonly key: string;
  readonly anyKey: string | undefined;
  readonly address: string;
  readonly #links = new Set<BackhaulLink>();
  /** Who it is at the door; undefined: the gateway opened it. */
  guest: Guest | undefined;
  /** When something last came or went, ms. */
  activeAt: SteadyMs;
  /** Since when a message is incomplete, ms; 0: none is. */
  partialSince = 0;

  constructor({ key, anyKey, address }: ConnectionNames, now: SteadyMs) {
    this.key = key;
    this.anyKey = anyKey;
    this.address = address;
    this.activeAt = now;
  }

  /** Backhauls that this connection's messages came from or went to; undefined: too many to remember, tell all. */
  get links(): ReadonlySet<BackhaulLink> | undefined {
    return this.#links.size > linksPerConnectionMax ? undefined : this.#links;
  }

  usedBy(link: BackhaulLink): void {
    if (this.#links.size <= linksPerConnectionMax) this.#links.add(link);
  }

  /** Sends a message, now or when the connection is made. `failed` is called when it certainly did not leave. */
  abstract send(octets: Uint8Array, failed: Failed, now: SteadyMs): void;

  /** Closes, at once or as soon as its other end has been told why. */
  abstract close(ending: Ending): void;

  /** Something has come: `isWhole` when no message is incomplete now. */
  protected received(isWhole: boolean, now: SteadyMs): void {
    this.activeAt = now;
    if (isWhole) this.partialSince = 0;
    else if (this.partialSince === 0) this.partialSince = now;
  }
}
