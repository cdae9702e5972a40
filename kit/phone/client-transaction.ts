import { isParseError } from "../../sip/errors.ts";
import { t1Ms, t2Ms } from "../../sip/limits.ts";
import { buildAckForNon2xx } from "../../sip/message/build.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import type { PhoneTime, Planned } from "./environment.ts";

export type ClientTransactionOptions = {
  readonly method: string;
  readonly branch: string;
  readonly octets: Uint8Array;
  readonly isReliable: boolean;
  /** It ends by itself after this, unless an INVITE rings. */
  readonly endsAfterMs: number;
  /** Each time that it has waited so long for an answer, `silent` is called. */
  readonly silentMs: number;
};

export type ClientTransactionHandlers = {
  /** Says this: the request, the request again, the ACK of a refusal. */
  send(octets: Uint8Array): void;
  /** An INVITE has had no answer at all, another request no final one. */
  silent(): void;
  provisional(response: SipMessage): void;
  final(response: SipMessage): void;
  /** A final response after the first one: a 2xx wants its ACK again (RFC 3261 13.2.2.4). */
  again(response: SipMessage): void;
  /** No final response in time. */
  timeout(): void;
};

/** The transaction of a request that a phone has sent: RFC 3261 17.1.1 and 17.1.2 over any connection. */
export class ClientTransaction {
  readonly method: string;
  readonly branch: string;
  readonly octets: Uint8Array;
  /** Of the last response; 0: none has come. */
  status = 0;
  /** How often the request was said. */
  sends = 0;
  #isOver = false;
  readonly #time: PhoneTime;
  readonly #isReliable: boolean;
  readonly #silentMs: number;
  readonly #handlers: ClientTransactionHandlers;
  readonly #over: () => void;
  #end: Planned | undefined;
  #repeat: Planned | undefined;
  #silence: Planned | undefined;
  #intervalMs = t1Ms;

  /** `over`: called once, when nothing is waited for any more. */
  constructor(time: PhoneTime, options: ClientTransactionOptions, handlers: ClientTransactionHandlers, over: () => void) {
    this.#time = time;
    this.method = options.method;
    this.branch = options.branch;
    this.octets = options.octets;
    this.#isReliable = options.isReliable;
    this.#silentMs = options.silentMs;
    this.#handlers = handlers;
    this.#over = over;
    this.#end = time.after(options.endsAfterMs, () => this.#timedOut());
  }

  /** It has its final response, or none is waited for any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** An INVITE rings, or another request has had a 1xx. */
  get isProceeding(): boolean {
    return this.status >= 100 && !this.#isOver;
  }

  /** Says the request: for the first time, or once more because its way is another one. */
  send(): void {
    if (this.#isOver) return;
    this.#intervalMs = t1Ms;
    this.#say();
    this.#watch();
  }

  receive(response: SipMessage): void {
    const { status } = response;
    if (this.method === "INVITE" && status >= 300) this.#acknowledge(response);
    if (this.#isOver) {
      if (status >= 200) this.#handlers.again(response);
      return;
    }
    this.status = status;
    if (status >= 200) {
      this.giveUp();
      return this.#handlers.final(response);
    }
    // RFC 3261 17.1.1.2: no Timers A and B from here on. People may let it ring.
    if (this.method === "INVITE") this.#callOff();
    this.#handlers.provisional(response);
  }

  /** Nothing is waited for any more. */
  giveUp(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#callOff();
    this.#over();
  }

  #callOff(): void {
    this.#end?.cancel();
    this.#repeat?.cancel();
    this.#silence?.cancel();
  }

  get #isWaiting(): boolean {
    return !this.#isOver && !(this.method === "INVITE" && this.isProceeding);
  }

  #say(): void {
    this.sends += 1;
    this.#handlers.send(this.octets);
    this.#repeat?.cancel();
    if (this.#isReliable || !this.#isWaiting) return;
    this.#repeat = this.#time.after(this.isProceeding ? t2Ms : this.#intervalMs, () => this.#say());
    // Timer A doubles without a bound, Timer E up to T2.
    this.#intervalMs = this.method === "INVITE" ? 2 * this.#intervalMs : Math.min(2 * this.#intervalMs, t2Ms);
  }

  #watch(): void {
    this.#silence?.cancel();
    if (!this.#isWaiting) return;
    this.#silence = this.#time.after(this.#silentMs, () => {
      this.#handlers.silent();
      if (this.#isWaiting) this.#watch();
    });
  }

  #timedOut(): void {
    this.giveUp();
    this.#handlers.timeout();
  }

  /** RFC 3261 17.1.1.3. */
  #acknowledge(response: SipMessage): void {
    const invite = parseMessage(this.octets);
    if (!isParseError(invite)) this.#handlers.send(buildAckForNon2xx(invite, response));
  }
}
