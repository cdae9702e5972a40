import type { RecordStore } from "../../sip/record/record-store.ts";
import { diskGroupMs, recordOctetsUsual } from "../limits.ts";
import type { MakeTimer, Timer } from "../timer.ts";
import type { DiskPort, RoomPort } from "./ports.ts";
import type { Clocks, SteadyMs } from "../../sip/time.ts";

export type DiskWriterOptions = {
  readonly disk: DiskPort;
  readonly room: RoomPort;
  readonly timer: MakeTimer;
  readonly now: Clocks["now"];
  readonly store: RecordStore;
  /** How long what has changed may be in memory only, if it changes now. */
  readonly waitMs: () => number;
  /** The disk has become full, or has room again. */
  readonly changed: () => void;
};

type Written = (now: SteadyMs) => void;

/**
 * When an exchange's records go to its disk: soon, together, or at once; and when there is no room, later. What takes a `written` returns true when
 * it is written; else it calls back when it is, or when there was no room for it.
 */
export class DiskWriter {
  readonly #options: DiskWriterOptions;
  /** For the write that is due. */
  readonly #flushTimer: Timer;
  #isPlanned = false;
  #flushedAt = 0;
  /** For the write that commits share. */
  readonly #groupTimer: Timer;
  /** Who waits for the write that commits share, when that has not come yet. */
  #sharing: Written[] | undefined;
  /** Who waits for a write that waits for an answer about room. */
  #flushing: Written[] | undefined;
  #isAgain = false;
  #wasFull: boolean;

  constructor(options: DiskWriterOptions) {
    this.#options = options;
    this.#wasFull = options.room.isFull;
    this.#flushTimer = options.timer(() => {
      this.#isPlanned = false;
      this.flush(options.now());
    });
    this.#groupTimer = options.timer(() => this.#writeShared(options.now()));
  }

  /** There is no room: what is dirty is in memory only. */
  get isFull(): boolean {
    return this.#options.room.isFull;
  }

  /** Writes what has changed, if there is room; else it is tried again. */
  flush(now: SteadyMs, written?: Written): boolean {
    if (this.#isPlanned) this.#flushTimer.clear();
    this.#isPlanned = false;
    this.#flushedAt = now;
    if (this.#flushing !== undefined) this.#isAgain = true;
    else if (this.#options.room.ask(this.#octets(), this.#roomTold)) {
      this.#write();
      return true;
    } else this.#flushing = [];
    if (written !== undefined) this.#flushing.push(written);
    return false;
  }

  /**
   * What was changed is written now, or, when something has just been written, together with what others change meanwhile. One write for each
   * commit would be most of the work of a replica that is alone.
   */
  flushTogether(now: SteadyMs, written: Written): boolean {
    if (this.#sharing === undefined) {
      const waitMs = Math.min(this.#flushedAt + diskGroupMs - now, diskGroupMs);
      if (waitMs <= 0) return this.flush(now, written);
      this.#sharing = [];
      this.#groupTimer.set(waitMs);
    }
    this.#sharing.push(written);
    return false;
  }

  /**
   * In its time. As long as something is to be written the timer keeps the object awake: its memory may be the only place. A full disk is asked again
   * though there is nothing to write. Until it has room a replica that is alone refuses every REGISTER.
   */
  flushLater(): void {
    const { store, waitMs } = this.#options;
    if (this.#isPlanned || !(store.hasDirty || this.isFull)) return;
    this.#isPlanned = true;
    this.#flushTimer.set(waitMs());
  }

  /** In a moment: the other replica is not there any more, and this memory may have been the only place for longer than it was meant to be. */
  flushSoon(): void {
    if (!this.#options.store.hasDirty) return;
    this.#isPlanned = true;
    this.#flushTimer.set(diskGroupMs);
  }

  /**
   * In its time, or now, when a binding has ended earlier than the disk knows: to be called before anybody is told. What is sent after a
   * write waits for it at the output gate. An INVITE that has ended, and has a row, waits for a moment at most.
   */
  flushDue(now: SteadyMs): void {
    const { store } = this.#options;
    if (store.takeShortened()) this.flush(now);
    else if (!store.takeEndedInvite() || !this.flushTogether(now, () => undefined)) this.flushLater();
  }

  /** The same for commits. True as well when there was no such end. */
  flushShortened(now: SteadyMs, written: Written): boolean {
    return !this.#options.store.takeShortened() || this.flushTogether(now, written);
  }

  /** Tells, now or later, whether something may be written now that must be kept or refused, with so many records more. */
  hasRoom(records: number, now: SteadyMs, told: (isRoom: boolean, now: SteadyMs) => void): void {
    const answered = (isRoom: boolean): void => this.#told(isRoom, this.#options.now(), told);
    if (this.#options.room.ask(this.#octets(records), answered)) this.#told(true, now, told);
  }

  /** The same, asked first of all, while nothing else may happen. */
  hasRoomAtFirst(now: SteadyMs, told: (isRoom: boolean, now: SteadyMs) => void): void {
    const answered = (isRoom: boolean): void => this.#told(isRoom, this.#options.now(), told);
    if (this.#options.room.askInside(this.#octets(), answered)) this.#told(true, now, told);
  }

  #told(isRoom: boolean, now: SteadyMs, told: (isRoom: boolean, now: SteadyMs) => void): void {
    this.#look();
    told(isRoom, now);
  }

  #writeShared(now: SteadyMs): void {
    const sharing = this.#sharing ?? [];
    this.#sharing = undefined;
    const callAll = (at: SteadyMs): void => {
      for (const written of sharing) written(at);
    };
    if (this.flush(now, callAll)) callAll(now);
  }

  readonly #roomTold = (isRoom: boolean): void => {
    for (let mayWrite = isRoom; mayWrite;) {
      this.#write();
      // What was changed while room was asked for is in it; what asked for a write after that is not.
      if (!this.#isAgain) break;
      this.#isAgain = false;
      mayWrite = this.#options.room.ask(this.#octets(), this.#roomTold);
      if (!mayWrite) return;
    }
    this.#isAgain = false;
    this.#look();
    const flushing = this.#flushing ?? [];
    this.#flushing = undefined;
    this.flushLater();
    const now = this.#options.now();
    for (const written of flushing) written(now);
  };

  #look(): void {
    if (this.isFull === this.#wasFull) return;
    this.#wasFull = this.isFull;
    this.#options.changed();
    this.flushLater();
  }

  #write(): void {
    const { disk, store } = this.#options;
    disk.write(store.takeDirty());
  }

  /** What a write may take at most, as it looks now, with so many records more. */
  #octets(more = 0): number {
    const { store, disk } = this.#options;
    const records = store.dirtyMost + more;
    return records * recordOctetsUsual + disk.cleaningOctets(records);
  }
}
