import type { AlarmPort } from "../../actors/exchange/ports.ts";
import type { DiskRoom } from "../disk-room.ts";

/** An object's alarm: it wakes the object. Set sparingly, because each setting is a write; one that rings too early finds nothing due. */
export class Alarm implements AlarmPort {
  readonly #storage: DurableObjectStorage;
  readonly #room: DiskRoom;
  /** Infinity: no alarm is set. Undefined: the storage has not been asked since this object woke up. */
  #alarmAt: number | undefined;

  constructor(storage: DurableObjectStorage, room: DiskRoom) {
    this.#storage = storage;
    this.#room = room;
  }

  arm(at: number): void {
    if (this.#alarmAt === undefined || this.#alarmAt > at) void this.#arm(at);
  }

  /** The alarm rang: there is none now. */
  rang(): void {
    this.#alarmAt = Number.POSITIVE_INFINITY;
  }

  async #arm(at: number): Promise<void> {
    this.#alarmAt ??= (await this.#storage.getAlarm()) ?? Number.POSITIVE_INFINITY;
    if (this.#alarmAt <= at || this.#room.isFull) return;
    this.#alarmAt = at;
    // Without room it is left until something asks for it again: nothing but memory waits for it.
    if (!(await this.#room.ask(0))) {
      this.#alarmAt = undefined;
      return;
    }
    // A failure resets the object, and its next start sets the alarm again.
    await this.#storage.setAlarm(at);
  }
}
