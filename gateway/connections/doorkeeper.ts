import type { Socket } from "node:net";
import type { Transport } from "../../sip/flow/flow.ts";
import { sourceOfAddress } from "../../sip/flow/source.ts";
import type { ProxiedPlace } from "../listen/proxy-header.ts";
import type { Counters } from "../counters.ts";
import { Crowd } from "../../sip/flow/crowd.ts";
import {
  firstMessageMs,
  greetingMs,
  handshakeMs,
  handshakesMax,
  openedShareMax,
  refusedTogetherMax,
  strangersPerSourceMax,
} from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * `handshake`: of TLS, or of a WebSocket. `silent`: it can speak, and no whole message of its has come. `stranger`: it has spoken. `known`: a REGISTER
 * of its was answered with 2xx.
 */
type Stage = "handshake" | "silent" | "stranger" | "known";

/** One connection, from the moment when the system hands it over to its end. */
export type Guest = {
  readonly key: string;
  readonly source: string;
  /** The phone: the other end of the socket, or whom a load balancer has named. */
  readonly address: string;
  readonly port: number;
  readonly socket: Socket;
  /** When it came, ms. */
  readonly since: SteadyMs;
  /** It has no place, and is here to be told so. */
  readonly isSurplus: boolean;
  stage: Stage;
};

/**
 * Counts the connections of all listeners, whatever their stage, and makes room when there is none. Whoever has shown no password may have to go. The
 * one goes who has been there longest of the source that has the most. So whoever floods the gateway with connections closes his own, and a phone of
 * another address gets in. Those of registered phones are never closed for others.
 */
export class Doorkeeper {
  #connectionsMax: number;
  readonly #counters: Counters;
  /** By their places: TLS has another socket than the one that came. */
  readonly #guests = new Map<string, Guest>();
  /** All that are not `known`. */
  readonly #strangers = new Crowd<Guest>();
  readonly #handshakes = new Crowd<Guest>();
  /** Those in `handshake` or `silent`, in the order of arrival. */
  readonly #waiting = new Set<Guest>();
  #opened = 0;
  #surplus = 0;

  constructor(connectionsMax: number, counters: Counters) {
    this.#connectionsMax = connectionsMax;
    this.#counters = counters;
  }

  /** As many from now on. Those that are there stay: room is made when somebody comes. */
  become(connectionsMax: number): void {
    this.#connectionsMax = connectionsMax;
  }

  get size(): number {
    return this.#guests.size + this.#opened - this.#surplus;
  }

  /** True when a connection has been let in to be told that there is no place for it. */
  isSurplus(socket: Socket): boolean {
    return this.#guests.get(keyOf(socket) ?? "")?.isSurplus === true;
  }

  /**
   * A connection was accepted by a listener of this transport. False: it was closed, there is no place for it. A few softphones are let in all the
   * same, to be told in HTTP: {@link isSurplus}. `named`: whom a load balancer says that it is.
   */
  admit(socket: Socket, transport: Transport, now: SteadyMs, named?: ProxiedPlace): boolean {
    const key = keyOf(socket);
    // Gone before it was here.
    if (key === undefined) return refuse(socket);
    const { address, port } = named ?? { address: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 };
    const source = sourceOfAddress(address);
    const hasHandshake = transport !== "TCP";
    const isSurplus = !this.#hasRoomFor(source, hasHandshake, now);
    if (isSurplus && (!speaksHttp(transport) || this.#surplus >= refusedTogetherMax)) {
      this.#counters.connectionsRefused += 1;
      return refuse(socket);
    }
    const guest: Guest = { key, source, address, port, socket, since: now, isSurplus, stage: hasHandshake ? "handshake" : "silent" };
    this.#guests.set(key, guest);
    this.#waiting.add(guest);
    socket.once("close", () => this.#leave(guest));
    if (isSurplus) {
      this.#surplus += 1;
      return true;
    }
    this.#strangers.add(guest);
    if (hasHandshake) this.#handshakes.add(guest);
    return true;
  }

  /** A connection has all its handshakes behind it. Undefined: it is not here any more. */
  greeted(socket: Socket): Guest | undefined {
    const guest = this.#guests.get(keyOf(socket) ?? "");
    if (guest === undefined || guest.socket.destroyed) return undefined;
    if (guest.stage === "handshake") {
      guest.stage = "silent";
      this.#handshakes.remove(guest);
    }
    return guest;
  }

  /** A whole message came. */
  spoke(guest: Guest): void {
    if (guest.stage !== "silent") return;
    guest.stage = "stranger";
    this.#waiting.delete(guest);
  }

  /** A REGISTER of its was granted. */
  proved(guest: Guest): void {
    if (guest.stage === "known") return;
    guest.stage = "known";
    this.#strangers.remove(guest);
    this.#waiting.delete(guest);
  }

  /** The gateway is about to open a connection. False: it must not. */
  mayOpen(): boolean {
    return this.#opened < this.#connectionsMax * openedShareMax && this.size < this.#connectionsMax;
  }

  opened(socket: Socket): void {
    this.#opened += 1;
    socket.once("close", () => {
      this.#opened -= 1;
    });
  }

  /** Closes those that have not finished their handshakes, or have not said anything, in time. To be called every second or so. */
  sweep(now: SteadyMs): void {
    for (const { socket, since, stage } of this.#waiting) {
      const age = now - since;
      // The rest is younger.
      if (age <= handshakeMs) return;
      if (stage === "handshake" || age > firstMessageMs) socket.destroy();
    }
  }

  #hasRoomFor(source: string, hasHandshake: boolean, now: SteadyMs): boolean {
    const isAlone = this.#strangers.countOf(source) < strangersPerSourceMax;
    if (!isAlone && !this.#closeOwn(this.#strangers.firstOf(source), now)) return false;
    if (hasHandshake && this.#handshakes.size >= handshakesMax && !this.#makeRoom(this.#handshakes, source, now)) return false;
    return this.size < this.#connectionsMax || this.#makeRoom(this.#strangers, source, now);
  }

  /** Closes one of the source that has the most. False: there is none that should go for one of `source`. */
  #makeRoom(crowd: Crowd<Guest>, source: string, now: SteadyMs): boolean {
    const first = crowd.firstOfLargest();
    if (first === undefined) return false;
    if (crowd.countOf(first.source) > crowd.countOf(source)) return this.#close(first);
    return this.#closeOwn(crowd.firstOf(source), now);
  }

  /** Makes room within a source: an office that comes back all at once must not close what it has just begun. */
  #closeOwn(first: Guest | undefined, now: SteadyMs): boolean {
    return first !== undefined && now - first.since > greetingMs && this.#close(first);
  }

  #close(guest: Guest): boolean {
    this.#counters.connectionsEvicted += 1;
    guest.socket.destroy();
    this.#leave(guest);
    return true;
  }

  #leave(guest: Guest): void {
    if (this.#guests.get(guest.key) === guest) {
      this.#guests.delete(guest.key);
      if (guest.isSurplus) this.#surplus -= 1;
    }
    this.#strangers.remove(guest);
    this.#handshakes.remove(guest);
    this.#waiting.delete(guest);
  }
}

function speaksHttp(transport: Transport): boolean {
  return transport === "WS" || transport === "WSS";
}

function refuse(socket: Socket): false {
  socket.destroy();
  return false;
}

/** Undefined: the connection is gone. Local and remote place: one remote port may be used to several listeners. */
function keyOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | undefined {
  if (remoteAddress === undefined || remotePort === undefined) return undefined;
  return `${remoteAddress} ${remotePort} ${localAddress ?? ""} ${localPort ?? 0}`;
}
