import { Crowd } from "../../sip/flow/crowd.ts";

type Stranger = { readonly source: string; readonly socket: WebSocket };

export type StrangersLimits = {
  readonly perSourceMax: number;
  /** Closed to make room, and not gone yet. */
  readonly leavingMax: number;
};

/**
 * The WebSockets of a line on which nobody has registered, by where they come from. One source may have so many. When the line is full, room is made
 * among those of the source that has the most, who has been there longest first.
 */
export class Strangers {
  readonly #limits: StrangersLimits;
  readonly #crowd = new Crowd<Stranger>();
  readonly #bySocket = new Map<WebSocket, Stranger>();
  readonly #leaving = new Set<WebSocket>();

  constructor(limits: StrangersLimits) {
    this.#limits = limits;
  }

  /** True when one more may come from this source. */
  mayCome(source: string): boolean {
    return this.#crowd.countOf(source) < this.#limits.perSourceMax;
  }

  add(socket: WebSocket, source: string): void {
    const stranger = { source, socket };
    this.#bySocket.set(socket, stranger);
    this.#crowd.add(stranger);
  }

  /** It has registered, or has gone. */
  remove(socket: WebSocket): void {
    const stranger = this.#bySocket.get(socket);
    this.#leaving.delete(socket);
    if (stranger === undefined) return;
    this.#bySocket.delete(socket);
    this.#crowd.remove(stranger);
  }

  /** Whom to close so that one of this source has room; undefined: nobody. */
  makeRoomFor(source: string): WebSocket | undefined {
    const first = this.#crowd.firstOfLargest();
    if (first === undefined || this.#leaving.size >= this.#limits.leavingMax) return undefined;
    if (this.#crowd.countOf(first.source) <= this.#crowd.countOf(source)) return undefined;
    this.remove(first.socket);
    this.#leaving.add(first.socket);
    return first.socket;
  }

  sockets(): Iterable<WebSocket> {
    return this.#bySocket.keys();
  }
}
