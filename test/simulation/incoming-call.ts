import { dialogFields, dialogOfRequest, type Dialog } from "../../kit/phone/dialog.ts";
import { branchOf, cSeqOf } from "../../kit/phone/reading.ts";
import { buildRequest, type HeaderField } from "../../sip/message/build.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import type { CallPlan } from "./call.ts";
import { domain } from "./cluster.ts";
import { Finals } from "./finals.ts";
import { RemoteNumbers } from "./overtaking.ts";
import type { Phone } from "./phone.ts";
import type { Doing } from "./repertoire.ts";
import { finallyTold, refuseInGlare, sayBye } from "./within-calls.ts";

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
  /** When it was told to ring no more. */
  cancelledAt: number | undefined;
  endedAt: number | undefined;
  readonly #tag: string;
  readonly #dialog: Dialog;
  readonly #finals: Finals;
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
    this.#dialog = dialogOfRequest(invite, this.#tag);
    this.#finals = new Finals(phone, this.#tag);
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
    this.#phone.respond(this.invite, 180, this.#tag, [this.#contact]);
    this.#phone.host.after(plan?.ringMs ?? 0, () => {
      if (this.state !== "rings" || plan?.manner === "lets ring") return;
      if (plan?.manner === "is busy") {
        this.state = "refused";
        return this.#finals.refuse(this.invite, 486);
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
    this.cancelledAt = this.#phone.host.world.now;
    this.#finals.refuse(this.invite, 487);
  }

  acknowledged(ack: SipMessage): void {
    this.#finals.acknowledged(ack);
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
    this.#finals.stop();
  }

  /** RFC 3261 18.4: the connection that had the refusal is gone, and nobody has acknowledged it. */
  resendRefusal(): void {
    if (this.state === "refused" && !this.#finals.areAcknowledged) this.#phone.respondAgain(this.invite);
  }

  get #contact(): HeaderField {
    return ["Contact", `<${this.#phone.contact}>`];
  }

  #ok(request: SipMessage): void {
    this.#finals.accept(request, () => {
      if (this.state === "answered") this.state = "unacknowledged";
    });
  }

  /** A 2xx whose transaction is over. */
  late(message: SipMessage): void {
    const ack = this.#acks.get(cSeqOf(message).number);
    if (message.callId === this.invite.callId && ack !== undefined) this.#phone.send(ack);
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
    this.#finals.stop();
    this.#hasHungUp = true;
    this.#notes("BYE of the callee");
    const told = (status: number): void => {
      this.byeStatus = status;
      if (status !== 408) this.endedAt = this.#phone.host.world.now;
    };
    sayBye(this.#phone, this.#dialog, () => (this.#cSeq += 1), told);
  }

  #refer(): void {
    if (this.state !== "acknowledged") return;
    this.#cSeq += 1;
    this.#notes("REFER of the callee");
    this.referStatus = 0;
    const fields: HeaderField[] = [...dialogFields(this.#dialog, this.#cSeq, "REFER"), ["Refer-To", `<sip:nobody@${domain}>`]];
    this.#phone.request(
      "REFER",
      this.#dialog.target,
      fields,
      finallyTold((status) => (this.referStatus = status)),
    );
  }

  #reinvite(): void {
    if (this.state !== "acknowledged") return;
    this.#cSeq += 1;
    const cSeq = this.#cSeq;
    this.#notes("re-INVITE of the callee");
    this.reinviteStatus = 0;
    const answered = {
      response: (message: SipMessage): void => {
        if (message.status < 200) return;
        this.reinviteStatus = message.status;
        if (message.status < 300) this.#acknowledge(cSeq);
      },
      timeout: (): void => {
        this.reinviteStatus = 408;
      },
    };
    const fields = [...dialogFields(this.#dialog, cSeq, "INVITE"), this.#contact];
    this.#phone.request("INVITE", this.#dialog.target, fields, answered, "v=1");
  }

  #acknowledge(cSeq: number): void {
    const headers: HeaderField[] = [["Via", this.#phone.via()], ["Max-Forwards", "70"], ...dialogFields(this.#dialog, cSeq, "ACK")];
    const ack = buildRequest({ method: "ACK", requestUri: this.#dialog.target, headers });
    this.#acks.set(cSeq, ack);
    this.#phone.send(ack);
  }

  #notes(what: Doing): void {
    const { cluster } = this.#phone;
    cluster.notes(what);
    const caller = cluster.phones.find(({ outgoing }) => outgoing.some(({ callId }) => callId === this.invite.callId));
    if ((caller?.movedAt ?? 0) > this.at) cluster.notes("a request for a caller that has moved");
  }
}
