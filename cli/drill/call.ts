import { nodeEnvironment } from "../../kit/connections/node-environment.ts";
import { dialogFields } from "../../kit/phone/dialog.ts";
import type { Phone, Reply, Response } from "../../kit/phone/phone.ts";
import { branchOf, contactOf, cSeqOf } from "../../kit/phone/reading.ts";
import { RepeatedFinal } from "../../kit/phone/repeated-final.ts";
import type { Outcome, RequestParts, Started } from "../../kit/phone/requests.ts";
import { Header } from "../../sip/message/header-names.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";

/** The same INVITE on another way may come so long (RFC 3261 8.2.2.2): its transaction ends then. */
const mergeMs = 32_000;
/** A 200 whose ACK has not come by then is said to the other target as well. */
const elsewhereMs = 4_000;
/** RFC 3261 9.1: a caller who has hung up waits so long for the last word. */
const cancelMsMax = 32_000;

export type CallKind = "established" | "ringing" | "cancelled" | "new";
export type Side = "caller" | "callee";

/** What became of a call, as its two phones saw it. Times are those of `performance.now()`. */
export type CallReport = {
  readonly id: string;
  readonly kind: CallKind;
  readonly startedAt: number;
  /** The caller had its 200. */
  readonly acceptedAt: number;
  /** From the INVITE to the 200 without the time that the callee took to answer, ms. */
  readonly delayMs: number;
  readonly endedAt: number;
  /** Undefined: all was well. */
  readonly failure: string | undefined;
};

type Dialog = {
  readonly phone: Phone;
  tag: string;
  remoteTag: string;
  readonly uri: string;
  readonly remoteUri: string;
  routes: readonly string[];
  target: string;
  cSeq: number;
  remoteCSeq: number;
};

export type CallOptions = {
  readonly id: string;
  readonly kind: CallKind;
  readonly caller: Phone;
  readonly callee: Phone;
  readonly over: (call: Call) => void;
  readonly progress: (call: Call, event: "rings" | "stands") => void;
  /** Something that must never be: it is counted. */
  readonly anomaly: (what: "rang twice" | "CSeq went back") => void;
};

/** One call between two phones of the drill, with both of its sides. */
export class Call {
  readonly id: string;
  readonly kind: CallKind;
  readonly startedAt = performance.now();
  readonly #options: CallOptions;
  readonly #caller: Dialog;
  readonly #callee: Dialog;
  #inviteReply: Reply | undefined;
  /** Of the INVITE as it came. */
  #inviteBranch: string | undefined;
  #outgoing: Started | undefined;
  #isCancelled = false;
  #cancelReceivedAt = 0;
  #isRefused = false;
  /** Of the last 200, or of a 487 over UDP: it is said until its ACK comes. */
  #final: RepeatedFinal | undefined;
  #whenAcknowledged: () => void = nothing;
  #rings = 0;
  #rangAt = 0;
  #answeredAt = 0;
  #acceptedAt = 0;
  #acknowledgedAt = 0;
  /** What the phones received, for the report of a lost call. */
  readonly #seen: string[] = [];
  /** ACKs of 200s, for the same: one for each copy that came. */
  readonly #acks: string[] = [];
  #byeReceivedBy: Side | undefined;
  #isOver = false;
  #failure: string | undefined;
  #endedAt = 0;
  #delayMs = 0;

  constructor(options: CallOptions) {
    this.#options = options;
    this.id = options.id;
    this.kind = options.kind;
    const { caller, callee } = options;
    this.#caller = dialogOf(caller, `c${options.id}`, callee.uri);
    this.#callee = dialogOf(callee, `d${options.id}`, caller.uri);
  }

  get stands(): boolean {
    return this.#acceptedAt > 0 && this.#acknowledgedAt > 0 && !this.#isOver;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get isFailed(): boolean {
    return this.#failure !== undefined;
  }

  get isRinging(): boolean {
    return this.#rangAt > 0 && this.#answeredAt === 0 && !this.#isOver;
  }

  report(): CallReport {
    const { id, kind, startedAt } = this;
    return { id, kind, startedAt, acceptedAt: this.#acceptedAt, delayMs: this.#delayMs, endedAt: this.#endedAt, failure: this.#failure };
  }

  /** The caller sends its INVITE. */
  start(): void {
    this.#invite(this.#caller, `<${this.#caller.remoteUri}>`, this.#caller.remoteUri, (outcome) => {
      if (this.#isCancelled) return this.#ended487(outcome);
      if (outcome.status < 200 || outcome.status >= 300) return this.#lost(`INVITE: ${outcome.history}`);
      this.#acceptedAt = performance.now();
      this.#delayMs = this.#acceptedAt - this.startedAt - (this.#answeredAt - this.#rangAt);
      this.#check();
    });
  }

  /** The callee lifts the receiver. */
  answer(): void {
    if (this.#inviteReply === undefined || this.#answeredAt > 0 || this.#isOver) return;
    this.#answeredAt = performance.now();
    this.#accept(this.#callee, this.#inviteReply, () => {
      this.#acknowledgedAt = performance.now();
      this.#check();
    });
  }

  /** The caller hangs up before an answer. */
  cancel(): void {
    if (!this.isRinging || this.#outgoing === undefined) return;
    this.#isCancelled = true;
    this.#outgoing.cancel(({ status, history }) => {
      // Who answers is of no interest as long as it is over, but nobody must say that there is no call.
      if (status === 481 && this.#cancelReceivedAt === 0) this.#lost(`CANCEL: ${history}`);
    });
    const late = (): void => {
      this.#lost(`cancelled, ${this.#isRefused ? "487, but the other side had no CANCEL" : "and no last word"}: ${this.#stateText()}`);
    };
    setTimeout(late, cancelMsMax).unref();
  }

  /** A REFER within the call. It must be answered, or the call is lost. */
  refer(side: Side, done: () => void): void {
    if (!this.stands) return;
    const dialog = this.#sideOf(side);
    dialog.cSeq += 1;
    const parts = partsOf(dialog, "REFER", toOf(dialog), dialog.target, dialog.cSeq);
    dialog.phone.request({ ...parts, headers: [...parts.headers, ["Refer-To", "<sip:nobody@drill.invalid>"]] }, (outcome) => {
      if (this.#isOver) return;
      if (outcome.status === 200) done();
      else this.#lost(`REFER of the ${side}: ${outcome.history}`);
    });
  }

  /** The phone of one side changes its network. */
  move(side: Side): void {
    if (this.stands) this.#sideOf(side).phone.changeNetwork();
  }

  /** A re-INVITE within the call. It must be answered, or the call is lost. */
  refresh(side: Side, done: () => void): void {
    if (!this.stands) return;
    const dialog = this.#sideOf(side);
    dialog.cSeq += 1;
    this.#invite(dialog, toOf(dialog), dialog.target, (outcome) => {
      if (outcome.status >= 200 && outcome.status < 300) done();
      else this.#lost(`re-INVITE of the ${side}: ${outcome.history}`);
    });
  }

  /** One side ends the call. */
  hangUp(side: Side): void {
    if (this.#isOver) return;
    if (!this.stands) return this.#lost(`it never stood: ${this.#stateText()}`);
    const dialog = this.#sideOf(side);
    dialog.cSeq += 1;
    dialog.phone.request(partsOf(dialog, "BYE", toOf(dialog), dialog.target, dialog.cSeq), (outcome) => this.#byeAnswered(side, outcome));
  }

  /** Gives up a call of which nothing more is expected. */
  abandon(): void {
    if (!this.#isOver) this.#lost(`never over: ${this.#stateText()}`);
  }

  /** A request for one of the two phones. */
  receive(phone: Phone, message: SipMessage, reply: Reply): void {
    const { number } = cSeqOf(message);
    this.#seen.push(`${message.method} ${number} at ${this.#sinceStart()}`);
    if (message.method === "CANCEL") return this.#receiveCancel(message, reply);
    if (message.toTag === undefined) return this.#receiveInvite(message, reply, number);
    const side = message.toTag === this.#caller.tag ? "caller" : message.toTag === this.#callee.tag ? "callee" : undefined;
    if (side === undefined || this.#isOver || this.#byeReceivedBy !== undefined) return void reply(481, "");
    const dialog = this.#sideOf(side);
    if (phone !== dialog.phone) return void reply(481, "");
    if (number < dialog.remoteCSeq) {
      // RFC 3261 12.2.2.
      this.#options.anomaly("CSeq went back");
      return void reply(500, "");
    }
    dialog.remoteCSeq = number;
    if (message.method === "BYE") {
      this.#byeReceivedBy = side;
      reply(200, "");
    } else if (message.method === "INVITE") {
      const target = contactOf(message);
      if (target !== undefined) dialog.target = target;
      this.#accept(dialog, reply, () => undefined);
    } else reply(200, "");
  }

  /** An ACK for one of the two phones. */
  acknowledge(): void {
    this.#final?.stop();
    this.#final = undefined;
    const acknowledged = this.#whenAcknowledged;
    this.#whenAcknowledged = nothing;
    acknowledged();
  }

  #receiveInvite(message: SipMessage, reply: Reply, number: number): void {
    const now = performance.now();
    if (this.#rings > 0 || this.#isOver) {
      // RFC 3261 8.2.2.2: the same request on another way. Long after, a phone would take it for a new call.
      if (now - this.#rangAt < mergeMs && !this.#isOver) return void reply(482, `m${this.id}`);
      this.#options.anomaly("rang twice");
      return void reply(486, `m${this.id}`);
    }
    this.#rings += 1;
    this.#rangAt = now;
    this.#callee.remoteTag = message.fromTag ?? "";
    this.#callee.remoteCSeq = number;
    this.#callee.routes = message.values(Header.RecordRoute);
    this.#callee.target = contactOf(message) ?? "";
    this.#inviteReply = reply;
    this.#inviteBranch = branchOf(message);
    reply(180, this.#callee.tag, [["Contact", this.#callee.phone.contact]]);
    this.#options.progress(this, "rings");
  }

  /** RFC 3261 9.2. A refusal over UDP is repeated until it is acknowledged (17.2.1). */
  #receiveCancel(message: SipMessage, reply: Reply): void {
    if (branchOf(message) !== this.#inviteBranch || this.#inviteReply === undefined) return void reply(481, "none");
    reply(200, this.#callee.tag);
    if (this.#answeredAt > 0 || this.#cancelReceivedAt > 0) return;
    this.#cancelReceivedAt = performance.now();
    const response = this.#inviteReply(487, this.#callee.tag);
    if (!this.#callee.phone.isReliable) this.#repeat(response, nothing);
    this.#checkCancelled();
  }

  #ended487({ status, history }: Outcome): void {
    if (status !== 487) return this.#lost(`cancelled INVITE: ${history}; ${this.#stateText()}`);
    this.#isRefused = true;
    this.#checkCancelled();
  }

  /** Over when both know: the caller may hear of it before a phone that has to come back first. */
  #checkCancelled(): void {
    if (this.#isRefused && this.#cancelReceivedAt > 0) this.#end();
  }

  #invite(dialog: Dialog, to: string, requestUri: string, done: (outcome: Outcome) => void): void {
    const { cSeq } = dialog;
    const acknowledge = (response: SipMessage): void => {
      if (dialog.remoteTag === "") {
        dialog.remoteTag = response.toTag ?? "";
        dialog.routes = response.values(Header.RecordRoute).toReversed();
      }
      dialog.target = contactOf(response) ?? dialog.target;
      dialog.phone.acknowledge(partsOf(dialog, "ACK", toOf(dialog), dialog.target, cSeq), (target) =>
        this.#acks.push(`${cSeq} to ${target} at ${this.#sinceStart()}`),
      );
    };
    this.#outgoing = dialog.phone.request(
      { ...partsOf(dialog, "INVITE", to, requestUri, cSeq), hasContact: true },
      (outcome) => {
        if (outcome.message !== undefined && outcome.status < 300) acknowledge(outcome.message);
        if (!this.#isOver) done(outcome);
      },
      (response) => {
        if (response.status < 300) acknowledge(response);
      },
    );
  }

  #accept(dialog: Dialog, reply: Reply, acknowledged: () => void): void {
    this.#final?.stop();
    const response = reply(200, dialog.tag, [["Contact", dialog.phone.contact]]);
    this.#whenAcknowledged = acknowledged;
    const final: RepeatedFinal = this.#repeat(response, () => {
      if (this.#final === final) this.#lost(`no ACK for the 200, sent ${final.sends} times: ${this.#stateText()}`);
    });
  }

  #repeat(response: Response, unacknowledged: () => void): RepeatedFinal {
    this.#final = new RepeatedFinal(nodeEnvironment, {
      again: (ageMs) => {
        response.again();
        if (ageMs >= elsewhereMs - 1) response.elsewhere();
      },
      unacknowledged,
    });
    return this.#final;
  }

  #byeAnswered(side: Side, outcome: Outcome): void {
    if (this.#isOver) return;
    const arrived = this.#byeReceivedBy !== undefined;
    // A BYE that had to be sent once more elsewhere meets a call that its first copy ended.
    const isWell = outcome.status === 200 || (outcome.status === 481 && outcome.wasMoved && arrived);
    if (!isWell)
      return this.#lost(`BYE of the ${side}: ${outcome.history}${arrived ? " (the other side had it)" : " (the other side had none)"}`);
    if (!arrived) return this.#lost(`BYE of the ${side}: 200, but the other side had none`);
    this.#end();
  }

  #check(): void {
    if (this.#acceptedAt > 0 && this.#acknowledgedAt > 0 && !this.#isOver) this.#options.progress(this, "stands");
  }

  #lost(failure: string): void {
    if (this.#isOver) return;
    this.#failure = `${this.#options.caller.user} to ${this.#options.callee.user}: ${failure}`;
    this.#end();
  }

  #end(): void {
    this.#isOver = true;
    this.#endedAt = performance.now();
    // A refusal is said until it is acknowledged: its caller may have had it before.
    if (!this.#isCancelled) this.#final?.stop();
    this.#options.over(this);
  }

  #sideOf(side: Side): Dialog {
    return side === "caller" ? this.#caller : this.#callee;
  }

  #sinceStart(): string {
    return `${Math.round(performance.now() - this.startedAt)} ms`;
  }

  #stateText(): string {
    const at = (time: number, what: string): string => (time === 0 ? `not ${what}` : `${what} at ${Math.round(time - this.startedAt)} ms`);
    return `${at(this.#rangAt, "rang")}, ${at(this.#answeredAt, "answered")}, ${at(this.#acceptedAt, "accepted")}, ${at(this.#acknowledgedAt, "acknowledged")}; received: ${this.#seen.join(", ")}; sent: ${this.#outgoing?.history.join(", ") ?? "nothing"}; ACKs: ${this.#acks.join(", ") || "none"}`;
  }
}

function nothing(): void {}

function dialogOf(phone: Phone, tag: string, remoteUri: string): Dialog {
  return { phone, tag, remoteTag: "", uri: phone.uri, remoteUri, routes: [], target: "", cSeq: 1, remoteCSeq: 0 };
}

function toOf(dialog: Dialog): string {
  return `<${dialog.remoteUri}>;tag=${dialog.remoteTag}`;
}

function partsOf(dialog: Dialog, method: string, to: string, requestUri: string, cSeq: number): RequestParts {
  const { phone, tag, uri, routes } = dialog;
  return {
    method,
    requestUri,
    headers: [
      ...dialogFields({ callId: tag.slice(1), local: `<${uri}>;tag=${tag}`, remote: to, routes }, cSeq, method),
      ["Supported", "outbound"],
      ["User-Agent", phone.userAgent],
    ],
    hasContact: false,
  };
}
