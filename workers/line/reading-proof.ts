import { unreadLeakOctetsPerSecond, unreadOctetsMax, unreadProofOctets } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

const encoder = new TextEncoder();
const branchStart = encoder.encode("branch=z9hG4bK");
const requestsOnly = encoder.encode("SIP/2.0 ");
const ackStart = encoder.encode("ACK ");

/**
 * Whether a softphone reads what is written to it. The runtime takes everything and says nothing about what has left. So somebody who only writes,
 * keep-alives for instance, has to show that he reads: by saying the branch of a request that he was sent. Nobody can say it who has not read it.
 */
export class ReadingProof {
  /** Octets that may be unread, and when that was. */
  #octets: number;
  #at: number;
  /** Branches of requests that were sent since, and how many octets may have been unread then. */
  #asked: { readonly branch: Uint8Array; readonly octets: number }[] = [];

  /** `octets`: what was not read for all that is known, before this object slept. */
  constructor(octets: number, now: SteadyMs) {
    this.#octets = octets;
    this.#at = now;
  }

  /** Octets that may be unread. */
  get octets(): number {
    return this.#octets;
  }

  /** Counts a message that is sent. "ask": enough is unread to be remembered; "over": too much. */
  sent(message: Uint8Array, now: SteadyMs): "fine" | "ask" | "over" {
    // Who is sent little and answers nothing, the answers to his REGISTERs for one, does no harm.
    const leaked = ((now - this.#at) / 1000) * unreadLeakOctetsPerSecond;
    this.#at = now;
    const before = Math.max(0, this.#octets - leaked);
    this.#octets = before + message.length;
    if (this.#octets > unreadOctetsMax) return "over";
    if (this.#octets < (this.#asked.length + 1) * unreadProofOctets) return "fine";
    const branch = branchOf(message);
    if (branch === undefined) return "fine";
    this.#asked.push({ branch, octets: this.#octets });
    return "ask";
  }

  /** A message came. What was sent up to a request whose branch is in it has been read. */
  heard(message: Uint8Array): void {
    if (this.#asked.length === 0) return;
    for (let last = this.#asked.length - 1; last >= 0; last -= 1) {
      const asked = this.#asked[last];
      if (asked === undefined || indexOf(message, asked.branch) < 0) continue;
      this.#octets = Math.max(0, this.#octets - asked.octets);
      this.#asked = [];
      return;
    }
  }
}

/** The branch in the topmost Via of a request that is answered; undefined: it is none. */
function branchOf(message: Uint8Array): Uint8Array | undefined {
  if (startsWith(message, requestsOnly, 0) || startsWith(message, ackStart, 0)) return undefined;
  const start = indexOf(message, branchStart);
  if (start < 0) return undefined;
  let end = start + branchStart.length;
  while (end < message.length && !isEnd(message[end] ?? 0)) end += 1;
  return message.slice(start, end);
}

function isEnd(octet: number): boolean {
  return octet === 0x3b || octet === 0x2c || octet <= 0x20;
}

function indexOf(message: Uint8Array, wanted: Uint8Array): number {
  const first = wanted[0] ?? 0;
  for (let at = message.indexOf(first); at >= 0; at = message.indexOf(first, at + 1)) if (startsWith(message, wanted, at)) return at;
  return -1;
}

function startsWith(message: Uint8Array, wanted: Uint8Array, at: number): boolean {
  for (let index = 0; index < wanted.length; index += 1) if (message[at + index] !== wanted[index]) return false;
  return true;
}
