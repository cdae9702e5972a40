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

/** What is known of a request that waits for its final response. It is 0 octets when it has had one. */
export type Held = {
  readonly source: string;
  octets: number;
  /** The address-of-record that it is for; "": not known, or none of ours. */
  callee: string;
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
 * bounded in all, for each source, for each callee, and for all strangers together, so that none of these takes the place of the others.
 */
export class HeldRequests {
  readonly #limits: HeldLimits;
  readonly #bySource = new Map<string, number>();
  readonly #byCallee = new Map<string, number>();
  /** Of strangers only: for each callee, and of each source for each callee (a text of both). */
  readonly #strangersByCallee = new Map<string, number>();
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
    const ofSource = (this.#bySource.get(source) ?? 0) + octets;
    if (this.#octets + octets > share * this.#limits.all || ofSource > share * this.#limits.perSource) return undefined;
    this.#octets += octets;
    this.#bySource.set(source, ofSource);
    return { source, octets, callee: "", isStranger: false };
  }

  /** It goes on to a callee, with so many octets more. False: too much waits for that one, or of strangers. It stays held. */
  charge(held: Held, callee: string, isStranger: boolean, more: number): boolean {
    if (held.octets === 0 || held.callee !== "" || held.isStranger) return true;
    const octets = held.octets + more;
    const ofCallee = callee === "" ? 0 : (this.#byCallee.get(callee) ?? 0) + octets;
    if (this.#octets + more > this.#limits.all || ofCallee > this.#limits.perCallee) return false;
    if (isStranger && (this.#ofStrangers + octets > this.#limits.ofStrangers || !this.#hasRoomForStranger(held, callee, octets)))
      return false;
    add(this.#bySource, held.source, more);
    this.#octets += more;
    if (callee !== "") this.#byCallee.set(callee, ofCallee);
    if (isStranger) this.#countStranger(held.source, callee, octets);
    held.octets = octets;
    held.callee = callee;
    held.isStranger = isStranger;
    return true;
  }

  /** It has had its final response. */
  release(held: Held): void {
    const { octets } = held;
    if (octets === 0) return;
    held.octets = 0;
    this.#octets -= octets;
    add(this.#bySource, held.source, -octets);
    if (held.callee !== "") add(this.#byCallee, held.callee, -octets);
    if (held.isStranger) this.#countStranger(held.source, held.callee, -octets);
  }

  /** Strangers leave room for callers who have shown a password, and one of them for others. */
  #hasRoomForStranger({ source }: Held, callee: string, octets: number): boolean {
    if (callee === "") return true;
    const { perCallee } = this.#limits;
    const ofAll = (this.#strangersByCallee.get(callee) ?? 0) + octets;
    const ofOne = (this.#strangersByCallee.get(`${source} ${callee}`) ?? 0) + octets;
    return ofAll <= perCallee * heldStrangersShare && ofOne <= perCallee * heldStrangerShare;
  }

  #countStranger(source: string, callee: string, octets: number): void {
    this.#ofStrangers += octets;
    if (callee === "") return;
    add(this.#strangersByCallee, callee, octets);
    add(this.#strangersByCallee, `${source} ${callee}`, octets);
  }
}

function add(counts: Map<string, number>, key: string, octets: number): void {
  const count = (counts.get(key) ?? 0) + octets;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
