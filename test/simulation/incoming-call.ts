import { Header } from "../../sip/message/header-names.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import type { CallPlan } from "./call.ts";
import { domain } from "./cluster.ts";
import { RemoteNumbers } from "./overtaking.ts";
import type { Phone } from "./phone.ts";
import type { Doing } from "./repertoire.ts";
import { branchOf, cSeqOf, requestOf, uriOf, type Line } from "./sip-text.ts";
import { finallyTold, refuseInGlare } from "./within-calls.ts";
import type { Planned } from "./world.ts";

/** The callee's side of a call. */
export class IncomingCall {
  readonly #phone: Phone;
  readonly invite: SipMessage;
  readonly branch: string;
  readonly at: number;
  readonly plan: CallPlan | undefined;
  /** The person has heard it so often. */
  rings = 1;
  state: "rings" | "answered" | "acknowledged" | "refused" | "ended" | "unacknowledged" = "rings";
  byeStatus: number | undefined;
  endedAt: number | undefined;
  readonly #tag: string;
  #again: Planned | undefined;
  #againMs = 500;
  #acksMissing = new Set<number>();
  #hasHungUp = false;
  readonly #remoteNumbers: RemoteNumbers;
  #cSeq = 1_000;
  /** Of its own re-INVITE and REFER; 0: not answered yet. */
  reinviteStatus: number | undefined;
  referStatus: number | undefined;
  #acks = new Map<number, Uint8Array>();

  constructor(phone: Phone, invite: SipMessage) {
    this.#phone = phone;
    this.invite = invite;
    this.branch = branchOf(invite);
    this.at = phone.host.world.now;
    this.plan = phone.cluster.plans.get(invite.callId);
    this.#tag = `c${phone.host.name}${phone.incoming.size}`;
    this.#remoteNumbers = new RemoteNumbers(phone, cSeqOf(invite).number);
  }

  isSame(invite: SipMessage): boolean {
    return invite.fromTag === this.invite.fromTag && cSeqOf(invite).number === cSeqOf(this.invite).number;
  }

  get isOver(): boolean {
    if (this.state !== "ended") return this.state === "refused";
    return this.byeStatus !== undefined || this.plan?.byeBy === "caller" || (this.plan?.byeBy === "both" && !this.#hasHungUp);
  }

  start(): void {
    const { plan } = this;
    this.#phone.respond(this.invite, 180, this.#tag, this.#contact());
    this.#phone.host.after(plan?.ringMs ?? 0, () => {
      if (this.state !== "rings" || plan?.manner === "lets ring") return;
      if (plan?.manner === "is busy") {
        this.state = "refused";
        this.#phone.respond(this.invite, 486, this.#tag);
        this.#repeatRefusal();
        return;
      }
      this.state = "answered";
      this.#ok(this.invite);
    });
  }

  /** Says something else within the call now, if nothing else is under way. */
  speak(): void {
    if (this.reinviteStatus !== 0) this.#reinvite();
  }

  /** Answers before its time. */
  pickUp(): void {
    if (this.state !== "rings" || this.plan?.manner !== "answers") return;
    this.state = "answered";
    this.#ok(this.invite);
  }

  /** The same call by another branch: for a person it rings twice. */
  repeated(invite: SipMessage): void {
    this.rings += 1;
    this.#phone.respond(invite, 482, this.#tag);
  }

  cancelled(): void {
    if (this.state !== "rings") return;
    this.state = "refused";
    this.#phone.respond(this.invite, 487, this.#tag);
    this.#repeatRefusal();
  }

  acknowledged(ack: SipMessage): void {
    const { number } = cSeqOf(ack);
    this.#acksMissing.delete(number);
    if (this.#acksMissing.size === 0 && this.#again !== undefined) this.#again.isOff = true;
    if (this.state === "answered" || this.state === "unacknowledged") {
      this.state = "acknowledged";
      this.#talk();
    }
  }

  requested(request: SipMessage): void {
    const { method } = request;
    if (this.#hasHungUp && this.byeStatus === undefined && method === "BYE")
      this.#phone.cluster.moments.reached("BYEs of both sides at once");
    if (this.state === "refused" || this.state === "rings" || this.state === "ended") return this.#phone.respond(request, 481, this.#tag);
    if (!this.#remoteNumbers.take(request)) return this.#phone.respond(request, 500, this.#tag);
    if (method === "INVITE") return this.reinviteStatus === 0 ? refuseInGlare(this.#phone, request, this.#tag) : this.#ok(request);
    this.#phone.respond(request, 200, this.#tag);
    if (method !== "BYE") return;
    this.state = "ended";
    this.endedAt = this.#phone.host.world.now;
    if (this.#again !== undefined) this.#again.isOff = true;
  }

  /** RFC 3261 18.4: the connection that had the refusal is gone, and nobody has acknowledged it. */
  resendRefusal(): void {
    if (this.state === "refused" && this.#acksMissing.size > 0) this.#phone.respondAgain(this.invite);
  }

  #contact(): Line[] {
    return [["Contact", `<${this.#phone.contact}>`]];
  }

  /** RFC 3261 13.3.1.4: a 2xx is repeated until the ACK comes. */
  #ok(request: SipMessage): void {
    const { number } = cSeqOf(request);
    const { host } = this.#phone;
    this.#acksMissing.add(number);
    this.#phone.respond(request, 200, this.#tag, this.#contact());
    this.#againMs = 500;
    const until = host.now + 32_000;
    const again = (): void => {
      this.#again = host.after(this.#againMs, () => {
        if (!this.#acksMissing.has(number) || this.state === "ended") return;
        if (host.now >= until) {
          this.#acksMissing.delete(number);
          if (this.state === "answered") this.state = "unacknowledged";
          return;
        }
        this.#againMs = Math.min(4_000, 2 * this.#againMs);
        this.#phone.respondAgain(request);
        again();
      });
    };
    again();
  }

  /** RFC 3261 17.2.1, timers G and H. */
  #repeatRefusal(): void {
    const { host } = this.#phone;
    const number = cSeqOf(this.invite).number;
    this.#acksMissing.add(number);
    if (this.#phone.isReliable) return;
    const until = host.now + 32_000;
    const again = (): void => {
      this.#again = host.after(this.#againMs, () => {
        if (!this.#acksMissing.has(number) || host.now >= until) return;
        this.#againMs = Math.min(4_000, 2 * this.#againMs);
        this.#phone.respondAgain(this.invite);
        again();
      });
    };
    again();
  }

  /** A final response whose transaction is over. */
  late(message: SipMessage): void {
    const ack = this.#acks.get(cSeqOf(message).number);
    if (message.callId === this.invite.callId && message.status < 300 && ack !== undefined) this.#phone.send(ack);
  }

  #talk(): void {
    const { host } = this.#phone;
    const { plan } = this;
    if (plan?.byeBy === "callee" || plan?.byeBy === "both") host.after(plan.talkMs, () => this.#bye());
    if (plan?.reinviteBy === "callee" || plan?.reinviteBy === "both") host.after(plan.talkMs / 2, () => this.#reinvite());
    if (plan?.referBy === "callee") host.after(plan.talkMs / 3, () => this.#refer());
  }

  #bye(): void {
    if (this.state === "ended") return;
    this.state = "ended";
    this.#hasHungUp = true;
    this.#cSeq += 1;
    const told = finallyTold((status) => {
      this.byeStatus = status;
      if (status !== 408) this.endedAt = this.#phone.host.world.now;
    });
    this.#notes("BYE of the callee");
    this.#phone.request("BYE", this.#target, this.#lines(this.#cSeq, "BYE"), told);
  }

  #refer(): void {
    if (this.state !== "acknowledged") return;
    this.#cSeq += 1;
    this.#notes("REFER of the callee");
    this.referStatus = 0;
    const lines: Line[] = [...this.#lines(this.#cSeq, "REFER"), ["Refer-To", `<sip:nobody@${domain}>`]];
    this.#phone.request(
      "REFER",
      this.#target,
      lines,
      finallyTold((status) => (this.referStatus = status)),
    );
  }

  #reinvite(): void {
    if (this.state !== "acknowledged") return;
    this.#cSeq += 1;
    const cSeq = this.#cSeq;
    this.#notes("re-INVITE of the callee");
    this.reinviteStatus = 0;
    const via = this.#phone.via();
    const ackOf = (ackVia: string): Uint8Array => {
      return requestOf("ACK", this.#target, [["Via", ackVia], ["Max-Forwards", "70"], ...this.#lines(cSeq, "ACK")]);
    };
    const answered = {
      response: (message: SipMessage): void => {
        if (message.status < 200) return;
        this.reinviteStatus = message.status;
        const ack = ackOf(message.status < 300 ? this.#phone.via() : via);
        if (message.status < 300) this.#acks.set(cSeq, ack);
        this.#phone.send(ack);
      },
      timeout: (): void => {
        this.reinviteStatus = 408;
      },
    };
    this.#phone.request("INVITE", this.#target, [...this.#lines(cSeq, "INVITE"), ...this.#contact()], answered, via, "v=1");
  }

  #notes(what: Doing): void {
    const { cluster } = this.#phone;
    cluster.notes(what);
    const caller = cluster.phones.find(({ outgoing }) => outgoing.some(({ callId }) => callId === this.invite.callId));
    if ((caller?.movedAt ?? 0) > this.at) cluster.notes("a request for a caller that has moved");
  }

  get #target(): string {
    return uriOf(this.invite.text(Header.Contact) ?? "");
  }

  /** What a request of its own says of the dialog. */
  #lines(cSeq: number, method: string): Line[] {
    return [
      ...this.invite.values(Header.RecordRoute).map((value): Line => ["Route", value]),
      ["From", `${this.invite.text(Header.To) ?? ""};tag=${this.#tag}`],
      ["To", this.invite.text(Header.From) ?? ""],
      ["Call-ID", this.invite.callId],
      ["CSeq", `${cSeq} ${method}`],
    ];
  }
}
