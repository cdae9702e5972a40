import type { RecordStore } from "../../sip/record/record-store.ts";
import type { DiskRoom } from "../disk-room.ts";
import { diskGroupMs, recordOctetsUsual } from "../limits.ts";
import type { Disk } from "./disk.ts";

export type DiskWriterOptions = {
  readonly disk: Disk;
  readonly room: DiskRoom;
  readonly store: RecordStore;
  readonly flushMs: number;
  /** The disk has become full, or has room again. */
  readonly changed: () => void;
  /** A write was tried and failed: memory counts as written what is not. */
  readonly broken: (error: unknown) => void;
};

/** When an exchange's records go to its disk: soon, together, or at once; and when there is no room, later. */
export class DiskWriter {
  readonly #options: DiskWriterOptions;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #flushedAt = 0;
  /** The write that commits wait for, when it has not come yet. */
  #writing: Promise<void> | undefined;
  #flushing: Promise<void> | undefined;
  #isAgain = false;

  constructor(options: DiskWriterOptions) {
    this.#options = options;
  }

  /** There is no room: what is dirty is in memory only. */
  get isFull(): boolean {
    return this.#options.room.isFull;
  }

  /** Writes what has changed, if there is room; else it is tried again. Undefined: it is written. */
  flush(): Promise<void> | undefined {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#flushedAt = Date.now();
    if (this.#flushing !== undefined) {
      this.#isAgain = true;
      return this.#flushing;
    }
    const room = this.#options.room.ask(this.#octets());
    if (room === true) {
      this.#write();
      return undefined;
    }
    this.#flushing = this.#flushWhenKnown(room).finally(() => (this.#flushing = undefined));
    return this.#flushing;
  }

  /**
   * What was changed is written now, or, when something has just been written, together with what others change meanwhile; then resolves
   * when it is. One write for each commit would be most of the work of a replica that is alone.
   */
  flushTogether(): Promise<void> | undefined {
    if (this.#writing !== undefined) return this.#writing;
    const waitMs = Math.min(this.#flushedAt + diskGroupMs - Date.now(), diskGroupMs);
    if (waitMs <= 0) return this.flush();
    this.#writing = new Promise((resolve) => {
      setTimeout(() => {
        this.#writing = undefined;
        const flushing = this.flush();
        if (flushing === undefined) resolve();
        else void flushing.then(resolve);
      }, waitMs);
    });
    return this.#writing;
  }

  /** Within flushMs. As long as something is to be written the timer keeps the object awake: its memory may be the only place. */
  flushLater(): void {
    const { store, flushMs } = this.#options;
    if (this.#timer !== null || !store.hasDirty) return;
    this.#timer = setTimeout(() => void this.flush(), flushMs);
  }

  /**
   * Within flushMs, or now, when a binding has ended earlier than the disk knows: to be called before anybody is told. What is sent after a
   * write waits for it at the output gate.
   */
  flushDue(): void {
    if (this.#options.store.takeShortened()) void this.flush();
    else this.flushLater();
  }

  /** The same for commits: resolves when such an end is on the disk. Undefined: there was none, or it is. */
  flushShortened(): Promise<void> | undefined {
    return this.#options.store.takeShortened() ? this.flushTogether() : undefined;
  }

  /** Whether something may be written now that must be kept or refused, with so many records more. */
  hasRoom(records = 0): Promise<boolean> {
    return this.#told(this.#options.room.ask(this.#octets() + records * recordOctetsUsual));
  }

  /** The same, asked first of all, while nothing else may happen. */
  async hasRoomAtFirst(): Promise<void> {
    await this.#told(this.#options.room.askInside(this.#octets()));
  }

  async #told(room: true | Promise<boolean>): Promise<boolean> {
    const wasFull = this.isFull;
    const isRoom = await room;
    if (this.isFull !== wasFull) this.#options.changed();
    return isRoom;
  }

  async #flushWhenKnown(room: Promise<boolean>): Promise<void> {
    const wasFull = this.isFull;
    for (let isRoom = await room; isRoom; isRoom = await this.#options.room.ask(this.#octets())) {
      this.#write();
      // What was changed while room was asked for is in it; what asked for a write after that is not.
      if (!this.#isAgain) break;
      this.#isAgain = false;
    }
    this.#isAgain = false;
    if (this.isFull !== wasFull) this.#options.changed();
    this.flushLater();
  }

  #write(): void {
    const { disk, store, broken } = this.#options;
    try {
      disk.write(store.takeDirty());
    } catch (error) {
      broken(error);
      throw error;
    }
  }

  /** What a write may take at most, as it looks now. */
  #octets(): number {
    const { store, disk } = this.#options;
    return store.dirtyMost * recordOctetsUsual + disk.cleaningOctets;
  }
}
