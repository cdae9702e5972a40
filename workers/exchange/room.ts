import type { RoomPort } from "../../actors/exchange/ports.ts";
import type { DiskRoom } from "../disk-room.ts";

/** The room on an object's disk, for an actor. */
export class Room implements RoomPort {
  readonly #room: DiskRoom;

  constructor(room: DiskRoom) {
    this.#room = room;
  }

  get isFull(): boolean {
    return this.#room.isFull;
  }

  ask(octets: number, told: (isRoom: boolean) => void): boolean {
    return tell(this.#room.ask(octets), told);
  }

  askInside(octets: number, told: (isRoom: boolean) => void): boolean {
    return tell(this.#room.askInside(octets), told);
  }
}

function tell(answer: true | Promise<boolean>, told: (isRoom: boolean) => void): boolean {
  if (answer === true) return true;
  void answer.then((isRoom) => told(isRoom));
  return false;
}
