import { Header } from "../../sip/message/header-names.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import { Acceptance } from "./acceptance.ts";
import { domain } from "./cluster.ts";
import { RemoteNumbers } from "./overtaking.ts";
import type { Phone } from "./phone.ts";
import type { Doing } from "./repertoire.ts";
import { branchOf, cSeqOf, requestOf, uriOf, type Line } from "./sip-text.ts";
import { finallyTold, refuseInGlare } from "./within-calls.ts";

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

type Dialog = { readonly route: readonly string[]; target: string; readonly local: string; readonly remote: string };

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
  readonly #acceptance: Acceptance;
  #branch = "";
  #via = "";
  #cSeq = 1;
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
    this.#acceptance = new Acceptance(phone, this.#tag);
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
    this.#via = this.#phone.via();
    this.#branch = this.#phone.request(
      "INVITE",
      `sip:${this.plan.callee}@${domain}`,
      [...this.#lines(1, "INVITE", undefined), ["Contact", `<${this.#phone.contact}>`]],
      { response: (message) => this.#answered(message), timeout: () => this.#ended(408) },
      this.#via,
      "v=0",
    );
    const { cancelMs: hangUpMs } = this.plan;
    if (hangUpMs !== undefined) this.#phone.host.after(hangUpMs, () => this.#hangUp());
  }

  /** Says something else within the call now, if nothing else is under way. */
  speak(): void {
    if (this.outcome === 200 && this.reinviteStatus !== 0) this.#reinvite();
  }

  /** Every final response to the first INVITE. */
  finals(branch: string, message: SipMessage): void {
    if (branch !== this.#branch || cSeqOf(message).number !== 1) return;
    const { status } = message;
    if (!this.finalStatuses.includes(status)) this.finalStatuses.push(status);
  }

  /** A final response whose transaction is over. */
  late(_branch: string, message: SipMessage): void {
    if (message.callId !== this.callId) return;
    if (message.status < 300) this.#acknowledge(message);
    else if (branchOf(message) === this.#branch) this.#acknowledgeRefusal(message);
  }

  acknowledged(ack: SipMessage): void {
    this.#acceptance.acknowledged(ack);
  }

  /** A request of the other side. */
  requested(request: SipMessage): void {
    if (this.#dialog === undefined) return this.#phone.respond(request, 481, this.#tag);
    if (this.isEnded && request.method !== "BYE") return this.#phone.respond(request, 481, this.#tag);
    if (!this.#remoteNumbers.take(request)) return this.#phone.respond(request, 500, this.#tag);
    if (request.method === "INVITE") {
      if (this.reinviteStatus === 0) return refuseInGlare(this.#phone, request, this.#tag);
      return this.#acceptance.accept(request);
    }
    this.#phone.respond(request, 200, this.#tag);
    if (request.method !== "BYE") return;
    if (this.#hasHungUp && this.byeStatus === undefined) this.#phone.cluster.moments.reached("BYEs of both sides at once");
    this.#acceptance.stop();
    this.isEnded = true;
    this.endedAt = this.#phone.host.world.now;
  }

  #lines(cSeq: number, method: string, dialog: Dialog | undefined): Line[] {
    const { user } = this.#phone;
    const lines: Line[] = (dialog?.route ?? []).map((value) => ["Route", value]);
    lines.push(
      ["From", dialog?.local ?? `<sip:${user}@${domain}>;tag=${this.#tag}`],
      ["To", dialog?.remote ?? `<sip:${this.plan.callee}@${domain}>`],
      ["Call-ID", this.callId],
      ["CSeq", `${cSeq} ${method}`],
    );
    return lines;
  }

  #answered(message: SipMessage): void {
    const { status } = message;
    this.lastStatus = Math.max(this.lastStatus, status);
    if (status < 200) {
      if (this.wasCancelled) this.#cancel();
      return;
    }
    if (status >= 300) {
      this.#acknowledgeRefusal(message);
      this.#ended(status);
      return;
    }
    this.#acknowledge(message);
    this.#ended(200);
    this.#talk();
  }

  #ended(status: number): void {
    if (this.outcome !== undefined) return;
    this.#phone.trace(() => `call ${this.callId} has its answer: ${status}`);
    this.outcome = status;
    this.outcomeAt = this.#phone.host.world.now;
  }

  /** RFC 3261 17.1.1.3. */
  #acknowledgeRefusal(message: SipMessage): void {
    const lines: Line[] = [
      ["Via", this.#via],
      ["Max-Forwards", "70"],
      ["From", message.text(Header.From) ?? ""],
      ["To", message.text(Header.To) ?? ""],
      ["Call-ID", this.callId],
      ["CSeq", "1 ACK"],
    ];
    this.#phone.send(requestOf("ACK", `sip:${this.plan.callee}@${domain}`, lines));
  }

  /** RFC 3261 13.2.2.4: every 2xx is acknowledged, every time; a second dialog is ended. */
  #acknowledge(message: SipMessage): void {
    const { number } = cSeqOf(message);
    const made = dialogOf(message);
    const dialog = number > 1 && this.#dialog !== undefined ? { ...this.#dialog, target: made.target } : made;
    const id = `${dialog.remote} ${number}`;
    let ack = this.#acks.get(id);
    if (ack === undefined) {
      ack = requestOf("ACK", dialog.target, [["Via", this.#phone.via()], ["Max-Forwards", "70"], ...this.#lines(number, "ACK", dialog)]);
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
    this.#cSeq += 1;
    this.#notes("BYE of the caller");
    this.#phone.request("BYE", dialog.target, this.#lines(this.#cSeq, "BYE", dialog), {
      response: (message) => (message.status >= 200 ? ended(message.status) : undefined),
      timeout: () => ended(408),
    });
  }

  #refer(): void {
    const dialog = this.#dialog;
    if (dialog === undefined || this.isEnded || this.#hasHungUp) return;
    this.#cSeq += 1;
    this.#notes("REFER of the caller");
    this.referStatus = 0;
    const lines: Line[] = [...this.#lines(this.#cSeq, "REFER", dialog), ["Refer-To", `<sip:nobody@${domain}>`]];
    this.#phone.request(
      "REFER",
      dialog.target,
      lines,
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
    const via = this.#phone.via();
    const lines: Line[] = [...this.#lines(this.#cSeq, "INVITE", dialog), ["Contact", `<${this.#phone.contact}>`]];
    const cSeq = this.#cSeq;
    const end = (status: number): void => {
      this.reinviteStatus = status;
    };
    this.#phone.request(
      "INVITE",
      dialog.target,
      lines,
      {
        response: (message) => {
          if (message.status < 200) return;
          end(message.status);
          if (message.status < 300) return this.#acknowledge(message);
          const ack: Line[] = [
            ["Via", via],
            ["Max-Forwards", "70"],
            ...this.#lines(cSeq, "ACK", { ...dialog, remote: message.text(Header.To) ?? "" }),
          ];
          this.#phone.send(requestOf("ACK", dialog.target, ack));
        },
        timeout: () => end(408),
      },
      via,
      "v=1",
    );
  }

  #hangUp(): void {
    if (this.outcome !== undefined) return;
    this.wasCancelled = true;
    if (this.lastStatus >= 100) this.#cancel();
  }

  #cancel(): void {
    if (this.#cancelSent || this.outcome !== undefined) return;
    this.#cancelSent = true;
    const isAnswered = this.#phone.cluster.phones.some(({ incoming }) => incoming.get(this.callId)?.state === "answered");
    if (isAnswered) this.#phone.cluster.moments.reached("a CANCEL crosses a 200");
    this.#phone.cluster.notes("CANCEL");
    this.#phone.request(
      "CANCEL",
      `sip:${this.plan.callee}@${domain}`,
      this.#lines(1, "CANCEL", undefined),
      { response: () => {}, timeout: () => {} },
      this.#via,
    );
    this.#phone.host.after(cancelMs, () => {
      if (this.outcome !== undefined) return;
      this.#phone.forget(this.#branch);
      this.#ended(408);
    });
  }
}

/** As the caller has it. */
function dialogOf(response: SipMessage): Dialog {
  return {
    route: response.values(Header.RecordRoute).toReversed(),
    target: uriOf(response.text(Header.Contact) ?? ""),
    local: response.text(Header.From) ?? "",
    remote: response.text(Header.To) ?? "",
  };
}
