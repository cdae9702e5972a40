import type { DiskRoom } from "../disk-room.ts";
import { timerSpacingMs } from "../limits.ts";

/**
 * Calls an object back: soon by a timer, which keeps it awake, for transactions live in memory; later by the object's alarm, and it
 * sleeps meanwhile. Both are set sparingly. One that comes too early is left alone: it finds nothing due, and the next is set.
 */
export class Deadlines {
  readonly #storage: DurableObjectStorage;
  readonly #room: DiskRoom;
  readonly #fire: () => void;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #timerAt = Number.POSITIVE_INFINITY;
  /** Infinity: no alarm is set. Undefined: the storage has not been asked since this object woke up. */
  #alarmAt: number | undefined;

  constructor(storage: DurableObjectStorage, room: DiskRoom, fire: () => void) {
    this.#storage = storage;
    this.#room = room;
    this.#fire = fire;
  }

  /** Calls back at `deadline` (ms since the epoch) or a little later. */
  armTimer(deadline: number, now: number): void {
    const at = Math.max(deadline, now + timerSpacingMs);
    if (this.#timerAt <= at) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.#fire();
    }, at - now);
  }

  /** Nothing is in progress: the object may sleep. */
  disarmTimer(): void {
    clearTimeout(this.#timer);
    this.#timerAt = Number.POSITIVE_INFINITY;
  }

  /** Has the object's alarm ring at `at` (ms since the epoch) at the latest. */
  async armAlarm(at: number): Promise<void> {
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

  /** The alarm rang: there is none now. */
  alarmRang(): void {
    this.#alarmAt = Number.POSITIVE_INFINITY;
  }
}
