import type { SipMessage } from "../../sip/message/sip-message.ts";
import type { Phone } from "./phone.ts";
import { cSeqOf } from "./sip-text.ts";

/** RFC 3261 13.3.1.4, 14.2: a re-INVITE that is accepted; its 200 is repeated until the ACK comes. */
export class Acceptance {
  readonly #phone: Phone;
  readonly #tag: string;
  readonly #missing = new Set<number>();

  constructor(phone: Phone, tag: string) {
    this.#phone = phone;
    this.#tag = tag;
  }

  accept(request: SipMessage): void {
    const { number } = cSeqOf(request);
    const { host, contact } = this.#phone;
    this.#missing.add(number);
    this.#phone.respond(request, 200, this.#tag, [["Contact", `<${contact}>`]]);
    const until = host.now + 32_000;
    const repeat = (ms: number): void => {
      host.after(ms, () => {
        if (!this.#missing.has(number) || host.now >= until) return;
        this.#phone.respondAgain(request);
        repeat(Math.min(4_000, 2 * ms));
      });
    };
    repeat(500);
  }

  acknowledged(ack: SipMessage): void {
    this.#missing.delete(cSeqOf(ack).number);
  }

  stop(): void {
    this.#missing.clear();
  }
}
