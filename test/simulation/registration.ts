import type { HeaderField } from "../../sip/message/build.ts";
import { Header } from "../../sip/message/header-names.ts";
import { stringOf } from "../../sip/message/octets.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import { domain } from "./cluster.ts";
import type { Phone } from "./phone.ts";
import type { Planned } from "./world.ts";

/** What the registrar has said, as the phone knows it. */
export type Acknowledged = {
  readonly isRegistered: boolean;
  readonly cSeq: number;
  /** True time. */
  readonly at: number;
  readonly expiresAt: number;
};

/** A phone's registration: it registers, refreshes, comes back after a failure, and may be taken off. */
export class Registration {
  readonly #phone: Phone;
  readonly #isOutbound: boolean;
  readonly callId: string;
  readonly instanceId: string;
  /** Seconds. */
  expires = 60;
  acknowledged: Acknowledged | undefined;
  /** When it was told that it is registered. True times. */
  readonly registeredAt: number[] = [];
  /** The last REGISTER sent, whatever became of it. */
  lastCSeq = 0;
  /** The connection that it was made on is gone. */
  isFlowLost = false;
  /** When it could not be called, though it should: from the loss of its connection until it has registered on another one. True time. */
  readonly outages: { readonly from: number; until: number }[] = [];
  /** Before it was registered first, and when it had taken itself off, until it was registered again. True time. */
  readonly absences: { readonly from: number; until: number }[] = [{ from: 0, until: Number.POSITIVE_INFINITY }];
  isWanted = false;
  #timer: Planned | undefined;
  #isStopped = false;
  /** The latest that has come to a gateway as a datagram. */
  #arrived = { cSeq: 0, isRemoval: false };

  constructor(phone: Phone, isOutbound: boolean) {
    this.#phone = phone;
    this.#isOutbound = isOutbound;
    this.callId = `reg-${phone.user}-${phone.address}`;
    this.instanceId = `urn:uuid:00000000-0000-4000-8000-${phone.address.slice(7).padStart(12, "0")}`;
  }

  /** The last word of the registrar is the last word of the phone too. */
  get isSettled(): boolean {
    return this.acknowledged?.cSeq === this.lastCSeq;
  }

  /** Nobody takes a phone off in the middle of a call: its connection may be all that leads to it. */
  wish(isWanted: boolean): void {
    if (!isWanted && this.#phone.isInCall) {
      this.#phone.host.after(500, () => this.wish(isWanted));
      return;
    }
    this.isWanted = isWanted;
    if (!isWanted && this.absences.at(-1)?.until !== Number.POSITIVE_INFINITY)
      this.absences.push({ from: this.#phone.host.world.now, until: Number.POSITIVE_INFINITY });
    this.#send();
  }

  /** Registers (again) if it should be: the way is another one, or time has passed. */
  refresh(): void {
    if (this.isWanted || this.acknowledged?.isRegistered === true) this.#send();
  }

  flowLost(): void {
    this.isFlowLost = true;
    if (this.outages.at(-1)?.until !== Number.POSITIVE_INFINITY) {
      this.outages.push({ from: this.#phone.host.world.now, until: Number.POSITIVE_INFINITY });
    }
  }

  /** Says nothing any more, like a phone without power. */
  stop(): void {
    this.#isStopped = true;
  }

  /** One of its datagrams has come to a gateway. */
  arrives(octets: Uint8Array): void {
    if (stringOf(octets, 0, 9) !== "REGISTER ") return;
    const text = stringOf(octets);
    const cSeq = Number(/\r\nCSeq: (\d+)/.exec(text)?.[1] ?? "0");
    if (cSeq > this.#arrived.cSeq) this.#arrived = { cSeq, isRemoval: text.includes(";expires=0") };
    else if (cSeq < this.#arrived.cSeq && this.#arrived.isRemoval)
      this.#phone.cluster.moments.reached("a REGISTER behind the one that took its phone off");
  }

  #send(): void {
    if (this.#isStopped) return;
    const { host, user, contact } = this.#phone;
    const expires = this.isWanted ? this.expires : 0;
    this.lastCSeq += 1;
    const cSeq = this.lastCSeq;
    this.isFlowLost = false;
    if (this.#timer !== undefined) this.#timer.isOff = true;
    const instance = this.#isOutbound ? `;+sip.instance="<${this.instanceId}>";reg-id=1` : "";
    const lines: HeaderField[] = [
      ["From", `<sip:${user}@${domain}>;tag=r${cSeq}`],
      ["To", `<sip:${user}@${domain}>`],
      ["Call-ID", this.callId],
      ["CSeq", `${cSeq} REGISTER`],
      ["Contact", `<${contact}>${instance};expires=${expires}`],
      ["Supported", this.#isOutbound ? "path, outbound" : "path"],
      ...this.#phone.login.fields("Authorization", "REGISTER", `sip:${domain}`),
    ];
    const sentAt = host.world.now;
    this.#phone.request("REGISTER", `sip:${domain}`, lines, {
      response: (message) => this.#answered(message, cSeq, expires, sentAt),
      timeout: () => this.#again(cSeq, 1_000),
    });
    // A refresh whose answer is long in coming must not wait for Timer F.
    if (!this.#phone.isReliable) return;
    this.#timer = host.after(8_000, () => this.#again(cSeq, 0));
  }

  #answered(message: SipMessage, cSeq: number, expires: number, sentAt: number): void {
    if (cSeq !== this.lastCSeq || message.status < 200) return;
    if (this.#phone.login.isAsked(message)) return this.#send();
    if (message.status !== 200) return this.#again(cSeq, 1_000 * Number(message.text(Header.RetryAfter) ?? "1"));
    const { now } = this.#phone.host.world;
    const absence = this.absences.at(-1);
    if (absence !== undefined && expires > 0) absence.until = Math.min(absence.until, now);
    const outage = this.outages.at(-1);
    if (outage !== undefined && !this.isFlowLost) outage.until = Math.min(outage.until, now);
    if (expires > 0) this.registeredAt.push(now);
    this.acknowledged = { isRegistered: expires > 0, cSeq, at: now, expiresAt: sentAt + expires * 1_000 };
    if (this.#timer !== undefined) this.#timer.isOff = true;
    if (expires > 0) this.#timer = this.#phone.host.after((expires * 1_000) / 2, () => this.refresh());
  }

  #again(cSeq: number, ms: number): void {
    if (cSeq !== this.lastCSeq) return;
    if (this.#timer !== undefined) this.#timer.isOff = true;
    this.#timer = this.#phone.host.after(ms, () => {
      if (cSeq === this.lastCSeq) this.#send();
    });
  }
}
