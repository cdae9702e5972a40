import { isParseError } from "../../sip/errors.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import type { Cluster } from "./cluster.ts";
import type { Phone } from "./phone.ts";
import { cSeqOf } from "../../kit/phone/reading.ts";

/** A request that came behind a later one of its dialog. `from`: when the later one was sent; `until`: when it came itself. True times. */
export type Overtaken = { readonly what: string; readonly isByDatagram: boolean; readonly from: number; readonly until: number };

/**
 * Requests of one side of a call that were under way at the same time. SIP keeps no order between transactions: datagrams overtake each other,
 * and where a backhaul has failed the later one may find a way before the earlier one.
 */
export class Overtaking {
  readonly overtaken: Overtaken[] = [];
  /** When the later one was sent. */
  readonly #behind = new Map<string, number>();

  /** A phone sends a request while others of its own have had no answer: each of the same dialog may come after it. */
  sent(request: Uint8Array, unanswered: Iterable<Uint8Array>, now: number): void {
    let later: SipMessage | undefined;
    for (const octets of unanswered) {
      later ??= read(request);
      const earlier = read(octets);
      if (earlier.callId !== later.callId || earlier.fromTag !== later.fromTag) continue;
      if (cSeqOf(earlier).number < cSeqOf(later).number && !this.#behind.has(keyOf(earlier))) this.#behind.set(keyOf(earlier), now);
    }
  }

  /** One has come behind a later one. False: they were not under way together. */
  happened(request: SipMessage, isByDatagram: boolean, now: number): boolean {
    const key = keyOf(request);
    const from = this.#behind.get(key);
    if (from !== undefined) this.overtaken.push({ what: key, isByDatagram, from, until: now });
    return from !== undefined;
  }
}

/** RFC 3261 12.2.2: the numbers of the other side's requests, as a phone has heard them. */
export class RemoteNumbers {
  readonly #phone: Phone;
  readonly #heard = new Set<number>();
  #last: number;

  constructor(phone: Phone, last = 0) {
    this.#phone = phone;
    this.#last = last;
  }

  /**
   * False: it is older than what came before, because that overtook it, and gets a 500. Nothing else may be out of order. The same one again, by
   * another way, must not be done again; a BYE alone may come twice, because nothing comes of it.
   */
  take(request: SipMessage): boolean {
    const { number, method } = cSeqOf(request);
    const { cluster, host } = this.#phone;
    const isLower = number < this.#last;
    const isNew = !this.#heard.has(number);
    this.#heard.add(number);
    if (isLower && isNew && cluster.overtaking.happened(request, goesByDatagram(cluster, request), cluster.world.now)) return false;
    if (isLower || (number === this.#last && method !== "BYE")) {
      cluster.world.violated("cSeqRises", `${host.name}: ${method} ${number} after ${this.#last} in ${request.callId}`);
    }
    this.#last = number;
    return true;
  }
}

/** One of the two is reached by datagrams. */
function goesByDatagram({ phones }: Cluster, { callId }: SipMessage): boolean {
  const isOfTheCall = ({ outgoing, incoming }: Phone): boolean => incoming.has(callId) || outgoing.some((call) => call.callId === callId);
  return phones.some((phone) => !phone.isReliable && isOfTheCall(phone));
}

function read(octets: Uint8Array): SipMessage {
  const message = parseMessage(octets);
  if (isParseError(message)) throw new Error(message.reason);
  return message;
}

function keyOf(request: SipMessage): string {
  return `${request.callId} ${request.fromTag} ${cSeqOf(request).number}`;
}
