import { cSeqOf } from "../../kit/phone/reading.ts";
import { RepeatedFinal } from "../../kit/phone/repeated-final.ts";
import type { HeaderField } from "../../sip/message/build.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import type { Phone } from "./phone.ts";

/** The final responses of one side of a call to INVITEs, by their numbers: each is said again until its ACK comes. */
export class Finals {
  readonly #phone: Phone;
  readonly #tag: string;
  /** Undefined: it is not repeated, because its connection loses nothing. */
  readonly #unacknowledged = new Map<number, RepeatedFinal | undefined>();

  constructor(phone: Phone, tag: string) {
    this.#phone = phone;
    this.#tag = tag;
  }

  /** RFC 3261 13.3.1.4, 14.2. `given`: no ACK came, and none is waited for any more. */
  accept(request: SipMessage, given: () => void = () => undefined): void {
    this.#say(request, 200, [["Contact", `<${this.#phone.contact}>`]], given);
  }

  /** RFC 3261 17.2.1, Timers G and H. */
  refuse(request: SipMessage, status: number): void {
    this.#say(request, status, [], () => undefined);
  }

  acknowledged(ack: SipMessage): void {
    const { number } = cSeqOf(ack);
    this.#unacknowledged.get(number)?.stop();
    this.#unacknowledged.delete(number);
  }

  get areAcknowledged(): boolean {
    return this.#unacknowledged.size === 0;
  }

  /** The call is over: nobody waits for an ACK. */
  stop(): void {
    for (const final of this.#unacknowledged.values()) final?.stop();
    this.#unacknowledged.clear();
  }

  #say(request: SipMessage, status: number, fields: readonly HeaderField[], given: () => void): void {
    const { number } = cSeqOf(request);
    this.#phone.respond(request, status, this.#tag, fields);
    const handlers = {
      again: (): void => this.#phone.respondAgain(request),
      unacknowledged: (): void => {
        this.#unacknowledged.delete(number);
        given();
      },
    };
    const isRepeated = status < 300 || !this.#phone.isReliable;
    this.#unacknowledged.set(number, isRepeated ? new RepeatedFinal(this.#phone.time, handlers) : undefined);
  }
}
