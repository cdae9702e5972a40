import { isParseError } from "../../sip/errors.ts";
import { parseMessage } from "../../sip/message/sip-message.ts";
import { RecordKind, type FrameRecord } from "./frame.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** A message that was read from a connection; `key` names that one. */
export type ReadMessage = { readonly key: string; readonly octets: Uint8Array };

const alwaysPass: ReadonlySet<string> = new Set(["REGISTER", "ACK", "CANCEL"]);

/**
 * What an access reads after its process stood still had waited in its sockets. Some of it is from phones that have given up and asked elsewhere.
 * Their calls must not be made now. Nobody can tell when a message was sent, but the end of the connection of a phone that has gone was waiting right
 * behind it. So what would ring or beep somewhere (a request outside of dialogs) is kept until those ends have been read as well, with all that
 * follows it on its connection. What came on a connection that ends is dropped. What came on others passes. What belongs to calls and registrations
 * in progress is not kept: late, it is still true, and it is numbered.
 */
export class Backlog<Message extends ReadMessage> {
  readonly #messagesMax: number;
  /** Until when what is read may have waited, ms. */
  #until = Number.NEGATIVE_INFINITY;
  #kept: Message[] = [];
  /** Connections of which something is kept, and how much. */
  readonly #keys = new Map<string, number>();

  /** `messagesMax`: how many are kept; more pass. */
  constructor(messagesMax: number) {
    this.#messagesMax = messagesMax;
  }

  /** What is read until then may have waited; Infinity: nobody knows yet. What is kept is let go by {@link release}. */
  expect(until: SteadyMs): void {
    this.#until = until;
  }

  /** Whether this may be a new request that has waited, of a sender of whom nothing else can be learnt. */
  mayBeOld(octets: Uint8Array, now: SteadyMs): boolean {
    return now < this.#until && isNewRequest(octets);
  }

  /** True: it passes. False: it is kept. */
  offer(message: Message, now: SteadyMs): boolean {
    if (now >= this.#until && this.#kept.length === 0) return true;
    const { key, octets } = message;
    const count = this.#keys.get(key) ?? 0;
    const isDue = count > 0 || (now < this.#until && isNewRequest(octets));
    if (!isDue || this.#kept.length >= this.#messagesMax) return true;
    this.#kept.push(message);
    this.#keys.set(key, count + 1);
    return false;
  }

  /** A connection has ended: what of it passes all the same, in order. The rest is forgotten. */
  closed(key: string): Message[] {
    if (!this.#keys.delete(key)) return [];
    const [mine, others]: [Message[], Message[]] = [[], []];
    for (const message of this.#kept) (message.key === key ? mine : others).push(message);
    this.#kept = others;
    return mine.filter(({ octets }) => !isNewRequest(octets));
  }

  /** All that is kept, in order, if its time is over. */
  release(now: SteadyMs): Message[] {
    if (now < this.#until) return [];
    this.#keys.clear();
    return this.#kept.splice(0);
  }
}

/** Of records that come too late, those that are wanted all the same. They belong to calls in progress, and are no order to take any over. */
export function stillWanted(records: readonly FrameRecord[]): FrameRecord[] {
  return records.filter(({ kind, octets }) => {
    if (kind === RecordKind.message || kind === RecordKind.send) return !isNewRequest(octets);
    return kind === RecordKind.closed || kind === RecordKind.closeFlow;
  });
}

/** A request outside of dialogs that reaches people: not what only says where a phone is, or ends what it began itself. */
export function isNewRequest(octets: Uint8Array): boolean {
  const message = parseMessage(octets);
  return !isParseError(message) && message.isRequest && message.toTag === undefined && !alwaysPass.has(message.method);
}
