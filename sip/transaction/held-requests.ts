import {
  heldInviteOctets,
  heldOctetsMax,
  heldOctetsOfStrangersMax,
  heldOctetsPerCalleeMax,
  heldOctetsPerSourceMax,
  heldRequestOctets,
  heldStrangersShare,
  heldStrangerShare,
} from "../limits.ts";

import type { SteadyMs } from "../time.ts";
import { AnsweredLately } from "./answered-lately.ts";

/** What waits of one source, or for one callee. */
type Count = { readonly name: string; octets: number; ofStrangers: number };

/** What is known of a request that waits for its final response. It is 0 octets when it has had one. */
export type Held = {
  readonly source: Count;
  octets: number;
  /** The address-of-record that it is for; undefined: not known, or none of ours. */
  callee: Count | undefined;
  /** It has been counted for where it goes. */
  isCharged: boolean;
  /** Whoever sent it has shown no password. */
  isStranger: boolean;
};

export type HeldLimits = {
  readonly all: number;
  readonly perSource: number;
  readonly perCallee: number;
  readonly ofStrangers: number;
};

const limits: HeldLimits = {
  all: heldOctetsMax,
  perSource: heldOctetsPerSourceMax,
  perCallee: heldOctetsPerCalleeMax,
  ofStrangers: heldOctetsOfStrangersMax,
};

/**
 * The octets of requests that wait for their final responses: for somebody to answer, for secrets, for an address, for a phone to come back. They are
 * bounded in all, for each source, for each callee, and for all strangers together. So none of these takes the place of the others. The share of a callee
 * is for phones that ring: whoever answers has as much more as he has answered lately.
 */
export class HeldRequests {
  readonly #limits: HeldLimits;
  readonly #sources = new Map<string, Count>();
  readonly #callees = new Map<string, Count>();
  /** Of each stranger's source for each callee (a text of both). */
  readonly #strangers = new Map<string, Count>();
  readonly #answered = new AnsweredLately();
  #octets = 0;
  #ofStrangers = 0;

  constructor(given: HeldLimits = limits) {
    this.#limits = given;
  }

  get octets(): number {
    return this.#octets;
  }

  /** Holds a request of so many octets. `share`: what may be had of the limits, 1 for all. Undefined: there is no room for it. */
  hold(source: string, length: number, isInvite: boolean, share: number): Held | undefined {
    const octets = (isInvite ? heldInviteOctets : heldRequestOctets) + 2 * length;
    const known = this.#sources.get(source);
    const ofSource = (known?.octets ?? 0) + octets;
    if (this.#octets + octets > share * this.#limits.all || ofSource > share * this.#limits.perSource) return undefined;
    this.#octets += octets;
    const count = known ?? countOf(this.#sources, source);
    count.octets = ofSource;
    return { source: count, octets, callee: undefined, isCharged: false, isStranger: false };
  }

  /** It goes on to a callee, with so many octets more. False: too much waits for that one, or of strangers. It stays held. */
  charge(held: Held, callee: string, isStranger: boolean, more: number, now: SteadyMs): boolean {
    if (held.octets === 0 || held.isCharged) return true;
    const octets = held.octets + more;
    const known = callee === "" ? undefined : this.#callees.get(callee);
    const ofCallee = callee === "" ? 0 : (known?.octets ?? 0) + octets;
    if (this.#octets + more > this.#limits.all || !this.#hasRoomFor(callee, ofCallee, 1, now)) return false;
    if (isStranger && !this.#hasRoomForStranger(held, callee, octets, now)) return false;
    this.#octets += more;
    held.source.octets += more;
    held.octets = octets;
    held.isCharged = true;
    held.callee = callee === "" ? undefined : (known ?? countOf(this.#callees, callee));
    if (held.callee !== undefined) held.callee.octets = ofCallee;
    held.isStranger = isStranger;
    if (isStranger) this.#countStranger(held, octets);
    return true;
  }

  /** It has had its final response. `answeredAt`: it was an INVITE, and a 2xx. */
  release(held: Held, answeredAt?: SteadyMs): void {
    const { octets, source, callee } = held;
    if (octets === 0) return;
    if (callee !== undefined && answeredAt !== undefined) this.#answered.add(callee.name, octets, answeredAt);
    held.octets = 0;
    this.#octets -= octets;
    if (held.isStranger) this.#countStranger(held, -octets);
    takeOff(this.#sources, source, octets);
    if (callee !== undefined) takeOff(this.#callees, callee, octets);
  }

  /** Strangers leave room for callers who have shown a password, and one of them for others. */
  #hasRoomForStranger({ source }: Held, callee: string, octets: number, now: SteadyMs): boolean {
    const { ofStrangers } = this.#limits;
    if (this.#ofStrangers + octets > ofStrangers) return false;
    if (callee === "") return true;
    const ofAll = (this.#callees.get(callee)?.ofStrangers ?? 0) + octets;
    const ofOne = (this.#strangers.get(`${source.name} ${callee}`)?.octets ?? 0) + octets;
    return this.#hasRoomFor(callee, ofAll, heldStrangersShare, now) && this.#hasRoomFor(callee, ofOne, heldStrangerShare, now);
  }

  #hasRoomFor(callee: string, octets: number, share: number, now: SteadyMs): boolean {
    const most = share * this.#limits.perCallee;
    return octets <= most || octets <= most + this.#answered.of(callee, now);
  }

  #countStranger({ source, callee }: Held, octets: number): void {
    this.#ofStrangers += octets;
    if (callee === undefined) return;
    callee.ofStrangers += octets;
    const name = `${source.name} ${callee.name}`;
    takeOff(this.#strangers, this.#strangers.get(name) ?? countOf(this.#strangers, name), -octets);
  }
}

/** A new count under a name. */
function countOf(counts: Map<string, Count>, name: string): Count {
  const count = { name, octets: 0, ofStrangers: 0 };
  counts.set(name, count);
  return count;
}

/** What counts nothing is forgotten. */
function takeOff(counts: Map<string, Count>, count: Count, octets: number): void {
  count.octets -= octets;
  if (count.octets <= 0) counts.delete(count.name);
}
