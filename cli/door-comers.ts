import type { Socket } from "node:net";
import { Crowd } from "../sip/flow/crowd.ts";
import { sourceOfAddress } from "../sip/flow/source.ts";

type Comer = { readonly source: string; readonly socket: Socket };

/** How many connections a door has at once. */
export type DoorRoom = { readonly inAllMax: number; readonly perSourceMax: number };

/** Who is at a door that strangers reach. Room is made where the most come from, so who floods it closes his own connections, and others get in. */
export class DoorComers {
  readonly #room: DoorRoom;
  readonly #comers = new Crowd<Comer>();

  constructor(room: DoorRoom) {
    this.#room = room;
  }

  /** Counts a connection until it is closed. False: it is closed already. */
  admit(socket: Socket): boolean {
    socket.on("error", () => undefined);
    if (socket.remoteAddress === undefined) {
      socket.destroy();
      return false;
    }
    const comer = { source: sourceOfAddress(socket.remoteAddress), socket };
    if (this.#comers.countOf(comer.source) >= this.#room.perSourceMax) this.#turnAway(this.#comers.firstOf(comer.source));
    if (this.#comers.size >= this.#room.inAllMax) this.#turnAway(this.#comers.firstOfLargest());
    this.#comers.add(comer);
    socket.once("close", () => this.#comers.remove(comer));
    return true;
  }

  #turnAway(comer: Comer | undefined): void {
    if (comer === undefined) return;
    this.#comers.remove(comer);
    comer.socket.destroy();
  }
}
