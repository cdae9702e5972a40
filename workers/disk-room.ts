import { plentyFile, plentyForOneOctets, plentyLeftMs } from "../cluster/disk-plenty.ts";
import { roomAgainOctets, roomProvenMs, roomReserveOctets, roomSlackOctets } from "./limits.ts";
import type { Clocks, SteadyMs } from "../sip/time.ts";

/** What a change that needs the disk is refused with while there is no room. */
export const diskFullText = "the disk is full";
/** The same between cells, and to commands (RFC 4918 11.5: Insufficient Storage). */
export const diskFullStatus = 507;

type Waiting = { readonly octets: number; readonly write: () => void };

/**
 * Whether an object of a local cell may write. A write that fails on a full disk resets the object, with all that is in its memory. Nothing that its
 * script does can catch that (docs/decisions/0018). So room is asked for before: a file as large as what is to come is written, and removed again.
 * Cloudflare's disks are not full; there nothing is asked, and what is to be written is written at once. Where a supervisor says that there is plenty
 * of room (cluster/disk-plenty.ts), that is read instead: writing everything twice was a sixth of all work of a REGISTER.
 *
 * A reserve is kept from the start. What the runtime writes by itself, the end of an alarm, finds room in it when nothing else is left.
 */
export class DiskRoom {
  readonly #files: Fetcher | undefined;
  readonly #name: string;
  readonly #reserveOctets: number;
  readonly #now: Clocks["now"];
  #isFull = false;
  #hasReserve = false;
  /** Until when so many octets more may be written without another question. */
  #provenUntil: SteadyMs = 0;
  #provenOctets = 0;
  #asking: Promise<boolean> | undefined;
  #askedOctets = 0;
  readonly #waiting: Waiting[] = [];

  /** `files`: the directory for these files, beside the databases. `name`: of the object, for its files. */
  constructor(files: Fetcher | undefined, name: string, now: Clocks["now"], reserveOctets: number = roomReserveOctets) {
    this.#files = files;
    this.#name = name;
    this.#now = now;
    this.#reserveOctets = reserveOctets;
  }

  /** As it was found when it was asked last. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Whether so many octets may be written right now: true, or the answer to come. Write in the same turn in which it is known. */
  ask(octets: number): true | Promise<boolean> {
    const files = this.#files;
    if (files === undefined) return true;
    if (this.#now() < this.#provenUntil && octets <= this.#provenOctets) {
      this.#provenOctets -= octets;
      return true;
    }
    if (this.#asking !== undefined && this.#askedOctets >= octets) return this.#asking;
    return this.#askAnew(files, octets);
  }

  /**
   * The same for `blockConcurrencyWhile`, inside of which the answer to a question that was asked outside never comes. Whoever awaited that there
   * would wait until the runtime gives the object up, 30 s later.
   */
  askInside(octets: number): true | Promise<boolean> {
    return this.#files === undefined ? true : this.#askAnew(this.#files, octets);
  }

  #askAnew(files: Fetcher, octets: number): Promise<boolean> {
    this.#askedOctets = octets;
    const asking = this.#look(files, octets).finally(() => {
      if (this.#asking === asking) this.#asking = undefined;
    });
    this.#asking = asking;
    return asking;
  }

  /** Writes when there is room: now, or, in this order, when {@link retry} finds some. */
  write(octets: number, write: () => void): void {
    if (this.#files === undefined) return write();
    this.#waiting.push({ octets, write });
    if (!this.#isFull) void this.retry();
  }

  /** Writes what has waited for room. Resolves with whether there is any. */
  async retry(): Promise<boolean> {
    let octets = 0;
    for (const waiting of this.#waiting) octets += waiting.octets;
    if (!(await this.ask(octets))) return false;
    for (const { write } of this.#waiting.splice(0)) write();
    return true;
  }

  async #look(files: Fetcher, octets: number): Promise<boolean> {
    this.#provenUntil = 0;
    if (!this.#isFull && this.#hasReserve && octets <= plentyForOneOctets && (await this.#isPlenty(files, octets))) return true;
    const isRoom = await put(files, `${this.#name}.room`, Math.max(octets, this.#isFull ? roomAgainOctets : 0) + roomSlackOctets);
    if (isRoom) {
      await remove(files, `${this.#name}.room`);
      // Those of the objects that start first must not take each other's last room.
      if (!this.#hasReserve) this.#hasReserve = await put(files, `${this.#name}.reserve`, this.#reserveOctets);
    } else if (!this.#isFull) {
      this.#hasReserve = false;
      await remove(files, `${this.#name}.reserve`);
    }
    this.#isFull = !isRoom;
    if (isRoom) [this.#provenUntil, this.#provenOctets] = [this.#now() + roomProvenMs, roomSlackOctets / 2];
    return isRoom;
  }

  async #isPlenty(files: Fetcher, octets: number): Promise<boolean> {
    const text = await read(files, plentyFile);
    const leftMs = plentyLeftMs(text, Date.now());
    if (leftMs === 0) return false;
    [this.#provenUntil, this.#provenOctets] = [this.#now() + leftMs, plentyForOneOctets - octets];
    return true;
  }
}

/** False: there was no room for it. */
async function put(files: Fetcher, name: string, octets: number): Promise<boolean> {
  try {
    const response = await files.fetch(`http://disk/${name}`, { method: "PUT", body: new Uint8Array(octets) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

/** The text of a file; "": it cannot be read. */
async function read(files: Fetcher, name: string): Promise<string> {
  try {
    const response = await files.fetch(`http://disk/${name}`);
    if (response.ok) return await response.text();
    await response.body?.cancel();
    return "";
  } catch {
    return "";
  }
}

async function remove(files: Fetcher, name: string): Promise<void> {
  try {
    const response = await files.fetch(`http://disk/${name}`, { method: "DELETE" });
    await response.body?.cancel();
  } catch {
    // It is not there.
  }
}
