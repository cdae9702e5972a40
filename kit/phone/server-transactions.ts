import type { SipMessage } from "../../sip/message/sip-message.ts";
import { branchOf } from "./reading.ts";

/** A request that a phone has received, and what it has said to it last. `Way`: where it came from. */
export type ServerTransaction<Way> = { readonly request: SipMessage; readonly at: number; way: Way; last: Uint8Array | undefined };

/** A phone's server transactions (RFC 3261 17.2.3): a repeated request is answered as before, and nobody hears of it. */
export class ServerTransactions<Way> {
  readonly #byKey = new Map<string, ServerTransaction<Way>>();
  readonly #say: (octets: Uint8Array, way: Way) => void;

  constructor(say: (octets: Uint8Array, way: Way) => void) {
    this.#say = say;
  }

  /** Takes a request that is no ACK. Undefined: it has come before. */
  receive(request: SipMessage, way: Way, now: number): ServerTransaction<Way> | undefined {
    const key = keyOf(request);
    const known = this.#byKey.get(key);
    if (known === undefined) {
      const transaction = { request, at: now, way, last: undefined };
      this.#byKey.set(key, transaction);
      return transaction;
    }
    known.way = way;
    this.again(known);
    return undefined;
  }

  of(request: SipMessage): ServerTransaction<Way> | undefined {
    return this.#byKey.get(keyOf(request));
  }

  respond(transaction: ServerTransaction<Way>, octets: Uint8Array): void {
    transaction.last = octets;
    this.#say(octets, transaction.way);
  }

  /** Says the last response once more, if there is one. */
  again({ last, way }: ServerTransaction<Way>): void {
    if (last !== undefined) this.#say(last, way);
  }

  /** Forgets those that began before this: no repetition of theirs can come any more. */
  forget(before: number): void {
    for (const [key, { at }] of this.#byKey) {
      if (at > before) break;
      this.#byKey.delete(key);
    }
  }
}

function keyOf(request: SipMessage): string {
  return `${branchOf(request)} ${request.method}`;
}
