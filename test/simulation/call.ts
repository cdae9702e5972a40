import type { ClientTransaction } from "../../kit/phone/client-transaction.ts";
import { dialogFields, dialogOfResponse, type Dialog } from "../../kit/phone/dialog.ts";
import { branchOf, cSeqOf } from "../../kit/phone/reading.ts";
import { buildRequest, type HeaderField } from "../../sip/message/build.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import { domain } from "./cluster.ts";
import { Finals } from "./finals.ts";
import { RemoteNumbers } from "./overtaking.ts";
import type { Phone } from "./phone.ts";
import type { Doing } from "./repertoire.ts";
import { finallyTold, refuseInGlare, sayBye } from "./within-calls.ts";

/** What the two people do. */
export type CallPlan = {
  readonly callee: string;
  readonly manner: "answers" | "is busy" | "lets ring";
  readonly ringMs: number;
  readonly talkMs: number;
  /** The caller hangs up before an answer; undefined: waits. */
  readonly cancelMs: number | undefined;
  readonly byeBy: "caller" | "callee" | "both";
  /** Who says something else within the call, if anybody does. */
  readonly reinviteBy: "caller" | "callee" | "both" | "nobody";
  readonly referBy: "caller" | "callee" | "nobody";
};

/** How long a caller who has hung up waits for the last word (RFC 3261 9.1). */
const cancelMs = 32_000;

/** The caller's side of a call. */
export class OutgoingCall {
  readonly #phone: Phone;
  readonly plan: CallPlan;
  readonly callId: string;
  readonly startedAt: number;
  /** Final statuses that have arrived for the first INVITE, as often as they differ. */
  readonly finalStatuses: number[] = [];
  /** `408` of one's own: nobody answered. */
  outcome: number | undefined;
  outcomeAt = 0;
  byeStatus: number | undefined;
  /** When a BYE came, or was answered, true time. */
  endedAt: number | undefined;
  /** The other side has said BYE. */
  isEnded = false;
  /** Of its own re-INVITE and REFER; 0: not answered yet. */
  reinviteStatus: number | undefined;
  referStatus: number | undefined;
  wasCancelled = false;
  lastStatus = 0;
  readonly #tag: string;
  readonly #finals: Finals;
  #invite: ClientTransaction | undefined;
  #cSeq = 1;
  /** Of the first INVITE as it was said last: whoever is asked for his password says it once more. */
  #inviteCSeq = 1;
  #dialog: Dialog | undefined;
  #acks = new Map<string, Uint8Array>();
  readonly #remoteNumbers: RemoteNumbers;
  #cancelSent = false;
  #hasHungUp = false;

  constructor(phone: Phone, plan: CallPlan, index: number) {
    this.#phone = phone;
    this.plan = plan;
    this.callId = `${phone.host.name}-${index}`;
    this.startedAt = phone.host.world.now;
    this.#tag = `t${phone.host.name}${index}`;
    this.#finals = new Finals(phone, this.#tag);
    this.#remoteNumbers = new RemoteNumbers(phone);
    phone.cluster.plans.set(this.callId, plan);
  }

  get isOver(): boolean {
    return this.outcome !== undefined && (this.outcome >= 300 || this.isEnded || this.byeStatus !== undefined);
  }

  get isEstablished(): boolean {
    return this.#dialog !== undefined;
  }

  start(): void {
    this.#sayInvite();
    const { cancelMs: hangUpMs } = this.plan;
    if (hangUpMs !== undefined) this.#phone.host.after(hangUpMs, () => this.#hangUp());
  }

  #sayInvite(): void {
    const uri = `sip:${this.plan.callee}@${domain}`;
    this.#inviteCSeq = this.#cSeq;
    this.lastStatus = 0;
    this.#invite = this.#phone.request(
      "INVITE",
      uri,
      [
        ...this.#fields(this.#cSeq, "INVITE", undefined),
        ["Contact", `<${this.#phone.contact}>`],
        ...this.#phone.login.fields("Proxy-Authorization", "INVITE", uri),
      ],
      { response: (message) => this.#answered(message), timeout: () => this.#ended(408) },
      "v=0",
    );
  }

  /** Says something else within the call now, if nothing else is under way. */
  speak(): void {
    if (this.outcome === 200 && this.reinviteStatus !== 0) this.#reinvite();
  }

  /** Every final response to the first INVITE. */
  finals(message: SipMessage): void {
    if (branchOf(message) !== this.#invite?.branch || cSeqOf(message).number !== this.#inviteCSeq) return;
    const { status } = message;
    if (status === 407) return;
    if (!this.finalStatuses.includes(status)) this.finalStatuses.push(status);
  }

  /** A 2xx whose transaction is over. */
  late(message: SipMessage): void {
    if (message.callId === this.callId) this.#acknowledge(message);
  }

  acknowledged(ack: SipMessage): void {
    this.#finals.acknowledged(ack);
  }

  /** A request of the other side. */
  requested(request: SipMessage): void {
    if (this.#dialog === undefined) return this.#phone.respond(request, 481, this.#tag);
    // Who has no dialog any more judges no order: a BYE that was said again, for its sender was asked for a password, may come before the first one.
    if (this.isEnded) return this.#phone.respond(request, request.method === "BYE" ? 200 : 481, this.#tag);
    if (!this.#remoteNumbers.take(request)) return this.#phone.respond(request, 500, this.#tag);
    if (request.method === "INVITE") {
      if (this.reinviteStatus === 0) return refuseInGlare(this.#phone, request, this.#tag);
      return this.#finals.accept(request);
    }
    this.#phone.respond(request, 200, this.#tag);
    if (request.method !== "BYE") return;
    if (this.#hasHungUp && this.byeStatus === undefined) this.#phone.cluster.moments.reached("BYEs of both sides at once");
    this.#finals.stop();
    this.isEnded = true;
    this.endedAt = this.#phone.host.world.now;
  }

  #fields(cSeq: number, method: string, dialog: Dialog | undefined): HeaderField[] {
    const { callId } = this;
    const local = `<sip:${this.#phone.user}@${domain}>;tag=${this.#tag}`;
    return dialogFields(dialog ?? { callId, local, remote: `<sip:${this.plan.callee}@${domain}>`, routes: [] }, cSeq, method);
  }

  #answered(message: SipMessage): void {
    const { status } = message;
    this.lastStatus = Math.max(this.lastStatus, status);
    if (status < 200) {
      if (this.wasCancelled) this.#cancel();
      return;
    }
    if (status >= 300) return this.#refused(message);
    this.#acknowledge(message);
    this.#ended(200);
    this.#talk();
  }

  #refused(message: SipMessage): void {
    if (!this.#phone.login.isAsked(message)) return this.#ended(message.status);
    if (this.wasCancelled) return this.#ended(487);
    this.#cSeq += 1;
    this.#sayInvite();
  }

  #ended(status: number): void {
    if (this.outcome !== undefined) return;
    this.#phone.trace(() => `call ${this.callId} has its answer: ${status}`);
    this.outcome = status;
    this.outcomeAt = this.#phone.host.world.now;
  }

  /** RFC 3261 13.2.2.4: every 2xx is acknowledged, every time; a second dialog is ended. */
  #acknowledge(message: SipMessage): void {
    const { number } = cSeqOf(message);
    const made = dialogOfResponse(message);
    const dialog = number > this.#inviteCSeq && this.#dialog !== undefined ? { ...this.#dialog, target: made.target } : made;
    const id = `${dialog.remote} ${number}`;
    let ack = this.#acks.get(id);
    if (ack === undefined) {
      const headers: HeaderField[] = [["Via", this.#phone.via()], ["Max-Forwards", "70"], ...this.#fields(number, "ACK", dialog)];
      ack = buildRequest({ method: "ACK", requestUri: dialog.target, headers });
      this.#acks.set(id, ack);
      if (this.#dialog === undefined) this.#dialog = dialog;
      else if (this.#dialog.remote !== dialog.remote) this.#bye(dialog, () => {});
    }
    this.#phone.send(ack);
    // It was given up before: the other side must not be left alone.
    if (this.outcome !== undefined && this.outcome >= 300 && this.byeStatus === undefined) this.#bye(dialog, () => {});
  }

  #talk(): void {
    const { host } = this.#phone;
    const { plan } = this;
    if (plan.reinviteBy === "caller" || plan.reinviteBy === "both") host.after(plan.talkMs / 2, () => this.#reinvite());
    if (plan.referBy === "caller") host.after(plan.talkMs / 3, () => this.#refer());
    if (this.wasCancelled) this.#hangUpCall();
    else if (plan.byeBy !== "callee") host.after(plan.talkMs, () => this.#hangUpCall());
  }

  #hangUpCall(): void {
    if (this.isEnded || this.#dialog === undefined) return;
    this.#hasHungUp = true;
    this.#bye(this.#dialog, (status) => {
      this.byeStatus = status;
      this.endedAt = this.#phone.host.world.now;
    });
  }

  #bye(dialog: Dialog, ended: (status: number) => void): void {
    this.#notes("BYE of the caller");
    sayBye(this.#phone, dialog, () => (this.#cSeq += 1), ended);
  }

  #refer(): void {
    const dialog = this.#dialog;
    if (dialog === undefined || this.isEnded || this.#hasHungUp) return;
    this.#cSeq += 1;
    this.#notes("REFER of the caller");
    this.referStatus = 0;
    const fields: HeaderField[] = [...this.#fields(this.#cSeq, "REFER", dialog), ["Refer-To", `<sip:nobody@${domain}>`]];
    this.#phone.request(
      "REFER",
      dialog.target,
      fields,
      finallyTold((status) => (this.referStatus = status)),
    );
  }

  #notes(what: Doing): void {
    const { cluster } = this.#phone;
    cluster.notes(what);
    const callee = cluster.phones.find(({ user }) => user === this.plan.callee);
    if ((callee?.movedAt ?? 0) > this.startedAt) cluster.notes("a request for a callee that has moved");
  }

  #reinvite(): void {
    const dialog = this.#dialog;
    if (dialog === undefined || this.isEnded || this.#hasHungUp) return;
    this.#cSeq += 1;
    this.#notes("re-INVITE of the caller");
    this.reinviteStatus = 0;
    const end = (status: number): void => {
      this.reinviteStatus = status;
    };
    const answered = {
      response: (message: SipMessage): void => {
        if (message.status < 200) return;
        end(message.status);
        if (message.status < 300) this.#acknowledge(message);
      },
      timeout: () => end(408),
    };
    const contact: HeaderField = ["Contact", `<${this.#phone.contact}>`];
    this.#phone.request("INVITE", dialog.target, [...this.#fields(this.#cSeq, "INVITE", dialog), contact], answered, "v=1");
  }

  #hangUp(): void {
    if (this.outcome !== undefined) return;
    this.wasCancelled = true;
    if (this.lastStatus >= 100) this.#cancel();
  }

  #cancel(): void {
    const invite = this.#invite;
    if (invite === undefined || this.#cancelSent || this.outcome !== undefined) return;
    this.#cancelSent = true;
    const isAnswered = this.#phone.cluster.phones.some(({ incoming }) => incoming.get(this.callId)?.state === "answered");
    if (isAnswered) this.#phone.cluster.moments.reached("a CANCEL crosses a 200");
    this.#phone.cluster.notes("CANCEL");
    this.#phone.cancel(invite);
    this.#phone.host.after(cancelMs, () => {
      if (this.outcome !== undefined) return;
      invite.giveUp();
      this.#ended(408);
    });
  }
}
