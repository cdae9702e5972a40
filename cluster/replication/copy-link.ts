import type { Changes } from "../../sip/record/change-feed.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import { PeerLink, type PeerLinkEffect, type PeerLinkOptions } from "./peer-link.ts";
import type { PairedStore } from "./sending-side.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** What the link needs of its record store beside what each link needs. */
export type CopiedStore = PairedStore & {
  /** See RecordStore. */
  copied(sequence: number): void;
};

export type CopyLinkOptions = Omit<PeerLinkOptions, "before" | "isNewcomer">;

/**
 * One replica's side of the link to a third one, that is to take the place of its peer. It is told everything, first all that there is, then each change.
 * When it has it all the map can name it: then this link becomes the one to the peer, and nothing has to be told again.
 *
 * It is a {@link PeerLink}, with all that is known there of gaps, new starts, refusals and silence. Two things differ. What came from the peer is told as
 * well, for the third one has not heard it. And no commit waits for it.
 */
export class CopyLink {
  readonly link: PeerLink;
  readonly #records: CopiedRecords;
  /** What the link said last of what it knows; undefined: nothing. */
  #known: PeerLinkEffect | undefined;

  constructor(options: CopyLinkOptions, store: CopiedStore, now: SteadyMs) {
    this.#records = new CopiedRecords(store);
    this.link = new PeerLink({ ...options, before: { isServing: true } }, this.#records, now);
  }

  /** The other one has everything but what has changed just now. */
  get isComplete(): boolean {
    return this.link.state === "together";
  }

  /** What the link wants done that concerns nobody but the two. What it says of the pair is kept until it is the pair's. */
  takeEffects(): PeerLinkEffect[] {
    return this.link.takeEffects().filter((effect) => {
      if (effect.type === "known") this.#known = effect;
      return effect.type === "send" || effect.type === "abandon" || effect.type === "state";
    });
  }

  /** The other one is not to be told any more. */
  end(): void {
    this.link.end();
    this.#records.end();
  }

  /** The other one is the peer from now on. What the link has said of the pair so far. */
  becomePeer(): readonly PeerLinkEffect[] {
    this.#records.becomePeer();
    return this.#known === undefined ? [] : [this.#known];
  }
}

/** The records as they are told to a replica that is not the peer, or not until a moment ago. */
class CopiedRecords implements PairedStore {
  readonly #store: CopiedStore;
  #isPeer = false;
  /** What came from the peer is told up to here: it came from the one that was the peer before. */
  #wholeUntil = Number.POSITIVE_INFINITY;
  /** The other one has everything up to here. */
  #covered = 0;

  constructor(store: CopiedStore) {
    this.#store = store;
    store.copied(0);
  }

  get sequence(): number {
    return this.#store.sequence;
  }

  changedSince(after: number, max: number, all = false): Changes {
    return this.#store.changedSince(after, max, all || after < this.#wholeUntil);
  }

  textOf(record: StateRecord): string {
    return this.#store.textOf(record);
  }

  acknowledge(sequence: number): void {
    this.#covered = sequence;
    if (this.#isPeer) this.#store.acknowledge(sequence);
    else this.#store.copied(sequence);
  }

  forgetPeer(): void {
    this.#covered = 0;
    if (this.#isPeer) this.#store.forgetPeer();
    else this.#store.copied(0);
  }

  end(): void {
    this.#store.copied(Number.POSITIVE_INFINITY);
  }

  becomePeer(): void {
    this.#isPeer = true;
    this.#wholeUntil = this.#store.sequence;
    this.#store.forgetPeer();
    this.#store.acknowledge(this.#covered);
    this.end();
  }
}
