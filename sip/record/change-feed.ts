import type { Entry } from "./entry.ts";
import type { StateRecord } from "./state-record.ts";

/** Records changed after some sequence number. */
export type Changes = {
  readonly records: readonly StateRecord[];
  /** Goes on from here: acknowledge it, or ask for what changed after it. */
  readonly sequence: number;
  /** True when there are more than were asked for. */
  readonly more: boolean;
};

/** The entries of a table in the order of their last changes: what the peer has not seen yet. */
export class ChangeFeed {
  #oldest: Entry | undefined;
  #newest: Entry | undefined;
  #sequence = 0;
  /** The highest sequence number that was ever given out to the peer, and the highest that it has acknowledged. */
  #given = 0;
  #acknowledged: number;
  /** The highest that a third replica holds, which all of this is copied to; `Infinity`: there is none. */
  #copied = Number.POSITIVE_INFINITY;
  /** Where {@link changedSince} stopped: the next chunk goes on there. */
  #cursor: Entry | undefined;

  constructor(isPaired: boolean) {
    this.#acknowledged = isPaired ? 0 : Number.POSITIVE_INFINITY;
  }

  /** The sequence number of the latest change. */
  get sequence(): number {
    return this.#sequence;
  }

  /** The highest sequence number that the peer holds; `Infinity`: there is none. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** The entry that has changed last; the others are before it. */
  get newest(): Entry | undefined {
    return this.#newest;
  }

  /** The sequence number of a change that is happening. */
  next(): number {
    this.#sequence += 1;
    return this.#sequence;
  }

  /**
   * Records changed after `after`, in that order, at most about `max` of them. What came from the peer itself is left out unless `all`. A peer that
   * has started again needs everything (`after` 0, and then the sequence of each answer).
   */
  changedSince(after: number, max: number, all = false): Changes {
    const records: StateRecord[] = [];
    let sequence = after;
    let entry = this.#firstAfter(after);
    for (; entry !== undefined && records.length < max; entry = entry.next) {
      sequence = entry.sequence;
      this.#cursor = entry;
      if (entry.isEcho && !all) continue;
      if (all || after < entry.othersKnownAt) records.push(...entry.others);
      records.push(entry.record);
    }
    if (sequence > this.#given) this.#given = sequence;
    return { records, sequence, more: entry !== undefined };
  }

  /** All that has changed after `after`, in that order. Nobody is told of it by this. */
  *changesAfter(after: number): IterableIterator<Entry> {
    for (let entry = this.#firstAfter(after); entry !== undefined; entry = entry.next) yield entry;
  }

  /** The peer holds everything up to this sequence number. `Infinity`: there is no peer to wait for. */
  acknowledge(sequence: number): void {
    if (sequence > this.#acknowledged) this.#acknowledged = sequence;
  }

  /** The peer is new, or has started anew, and holds nothing: ends wait for it from now on. */
  forgetPeer(): void {
    this.#acknowledged = 0;
    this.#cursor = undefined;
  }

  /** A third replica, which all of this is copied to, holds everything up to this sequence number. `Infinity`: there is none any more. */
  copied(sequence: number): void {
    this.#copied = sequence;
  }

  /** True when another replica may hold what this tombstone ends. What was never given out to the peer, it cannot hold. */
  isMissedEnd(entry: Entry): boolean {
    if (entry.sequence > this.#copied) return true;
    return entry.sequence > this.#acknowledged && entry.first <= this.#given && !entry.isEcho;
  }

  append(entry: Entry): void {
    entry.previous = this.#newest;
    entry.next = undefined;
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.next = entry;
    this.#newest = entry;
  }

  remove(entry: Entry): void {
    if (this.#cursor === entry) this.#cursor = undefined;
    if (entry.previous === undefined) this.#oldest = entry.next;
    else entry.previous.next = entry.next;
    if (entry.next === undefined) this.#newest = entry.previous;
    else entry.next.previous = entry.previous;
    entry.previous = undefined;
    entry.next = undefined;
  }

  /** The entry that changed first after `after`: from the cursor when a chunk is continued, else back from the newest one. */
  #firstAfter(after: number): Entry | undefined {
    if (after <= 0) return this.#oldest;
    if (this.#cursor !== undefined && this.#cursor.sequence === after) return this.#cursor.next;
    let found: Entry | undefined;
    for (let entry = this.#newest; entry !== undefined && entry.sequence > after; entry = entry.previous) found = entry;
    return found;
  }
}
