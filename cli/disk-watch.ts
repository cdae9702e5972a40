import { closeSync, openSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { plentyFile, plentyOctets, plentySaidMs, plentyText } from "../cluster/disk-plenty.ts";

export type DiskWatchOptions = {
  /** The cells' room directories, all on one disk. */
  readonly rooms: readonly string[];
  /** Octets that are free there; throws like `statfs`. */
  readonly freeOctets?: (directory: string) => number;
};

/**
 * Tells the cells of this machine, twice a second, that their disk has plenty of room, as long as it has: they need not ask before each write
 * (docs/decisions/0018). It says nothing of a disk that it cannot look at; then cells ask as they did.
 */
export class DiskWatch {
  #rooms: readonly string[];
  readonly #freeOctets: (directory: string) => number;
  /** Open from the first time on: a disk that is full by then has the block for them. */
  readonly #files: number[] = [];
  #timer: NodeJS.Timeout | undefined;
  #said = "";

  constructor({ rooms, freeOctets = freeOctetsOf }: DiskWatchOptions) {
    this.#rooms = rooms;
    this.#freeOctets = freeOctets;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    this.look();
    this.#timer = setInterval(() => this.look(), plentySaidMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const file of this.#files.splice(0)) closeSync(file);
  }

  /** The cells are others from now on. */
  watch(rooms: readonly string[]): void {
    this.#rooms = rooms;
    for (const file of this.#files.splice(0)) closeSync(file);
    this.#said = "";
    if (this.#timer !== undefined) this.look();
  }

  /** Looks and says it. */
  look(): void {
    try {
      const isPlenty = this.#rooms.every((room) => this.#freeOctets(room) >= plentyOctets);
      this.#say(plentyText(isPlenty ? Date.now() : 0));
    } catch {
      // What was said last grows old.
    }
  }

  #say(text: string): void {
    if (text === this.#said) return;
    if (this.#files.length === 0) for (const room of this.#rooms) this.#files.push(openSync(join(room, plentyFile), "w"));
    for (const file of this.#files) writeSync(file, text, 0);
    this.#said = text;
  }
}

function freeOctetsOf(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}
