import { isParseError } from "../../sip/errors.ts";
import { Header } from "../../sip/message/header-names.ts";
import { stringOf } from "../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import { OutgoingCall, type CallPlan } from "./call.ts";
import { domain, type Cluster } from "./cluster.ts";
import { Attachment, type PhoneTransport } from "./attachment.ts";
import { Host } from "./host.ts";
import { IncomingCall } from "./incoming-call.ts";
import { Registration } from "./registration.ts";
import { branchOf, cSeqOf, requestOf, responseTo, type Line } from "./sip-text.ts";
import type { Planned } from "./world.ts";

const t1Ms = 500;
const t2Ms = 4_000;
const transactionMs = 64 * t1Ms;
/** A phone on a connection takes one that says nothing for so long for dead. */
const silenceMsMax = 5_000;

export type Answered = {
  response(message: SipMessage): void;
  /** Nobody has answered in time. */
  timeout(): void;
};

type ClientTransaction = {
  readonly octets: Uint8Array;
  readonly method: string;
  readonly isInvite: boolean;
  readonly answered: Answered;
  status: number;
  sends: number;
  resend: Planned | undefined;
  readonly end: Planned;
};

type ServerTransaction = { readonly request: SipMessage; last: Uint8Array | undefined; from: string };

/** A phone as RFC 3261 wants it: transactions, a registration, calls. It never fails, and it knows the time. */
export class Phone {
  readonly cluster: Cluster;
  readonly user: string;
  readonly address: string;
  readonly transport: PhoneTransport;
  readonly host: Host;
  readonly registration: Registration;
  readonly outgoing: OutgoingCall[] = [];
  readonly incoming = new Map<string, IncomingCall>();
  readonly #attachment: Attachment;
  readonly #clients = new Map<string, ClientTransaction>();
  readonly #servers = new Map<string, ServerTransaction>();
  #branches = 0;
  /** When it took another network last, true time; undefined: never. */
  movedAt: number | undefined;

  constructor(cluster: Cluster, user: string, index: number, transport: PhoneTransport, isOutbound: boolean) {
    this.cluster = cluster;
    this.user = user;
    this.address = `10.0.0.${index + 1}`;
    this.transport = transport;
    this.host = new Host(cluster.world, `${user}${index}`, { offsetMs: 0, drift: 0 });
    this.registration = new Registration(this, isOutbound);
    this.#attachment = new Attachment(this, {
      message: (octets, from) => this.#receive(octets, from),
      attached: () => this.registration.refresh(),
    });
  }

  start(): void {
    this.host.start(() => this.#attachment.start());
  }

  get addressOfRecord(): string {
    return `${this.user}@${domain}`;
  }

  get contact(): string {
    if (this.#isSoftphone) return `sip:${this.user}@p${this.address.slice(7)}.invalid;transport=ws`;
    return `sip:${this.user}@${this.address}:5060${this.transport === "TCP" ? ";transport=tcp" : ""}`;
  }

  get isReliable(): boolean {
    return this.transport !== "UDP";
  }

  get #isSoftphone(): boolean {
    return this.transport === "WS" || this.transport === "WSS";
  }

  get isInCall(): boolean {
    return this.outgoing.some((call) => !call.isOver) || [...this.incoming.values()].some((call) => !call.isOver);
  }

  isTalkingAs(part: "caller" | "callee"): boolean {
    if (part === "caller") return this.outgoing.some((call) => call.isEstablished && !call.isOver);
    return [...this.incoming.values()].some((call) => call.state === "acknowledged");
  }

  /** Takes another network: its old connection stays open, and nobody is there any more. Not while it waits for an answer: that goes to the old one. */
  move(): void {
    if (this.transport === "UDP" || this.registration.acknowledged?.isRegistered !== true) return;
    if (this.outgoing.some((call) => call.outcome === undefined)) this.host.after(500, () => this.move());
    else this.#changeNetwork();
  }

  /** Picks up what rings, or says something else in its calls. */
  hurry(): void {
    for (const call of this.incoming.values()) {
      if (call.state === "rings") call.pickUp();
      else call.speak();
    }
    for (const call of this.outgoing) if (!call.isOver) call.speak();
  }

  /** It has a connection again, at another access than the one before. */
  returnsElsewhere(): void {
    const { moments } = this.cluster;
    if (this.isTalkingAs("caller") || this.isTalkingAs("callee")) moments.reached("a phone in a call returns to another access");
    if ([...this.incoming.values()].some(({ state }) => state === "rings")) moments.reached("a phone that rings returns to another access");
  }

  #changeNetwork(): void {
    this.movedAt = this.host.world.now;
    for (const part of ["caller", "callee"] as const) if (this.isTalkingAs(part)) this.cluster.notes(`the ${part} moves`);
    this.#attachment.move();
  }

  get isIdle(): boolean {
    return this.#clients.size === 0;
  }

  via(): string {
    this.#branches += 1;
    const host = this.#isSoftphone ? `p${this.address.slice(7)}.invalid` : `${this.address}:5060`;
    return `SIP/2.0/${this.transport} ${host};rport;branch=z9hG4bK${this.host.name}x${this.#branches}`;
  }

  call(plan: CallPlan): void {
    const call = new OutgoingCall(this, plan, this.outgoing.length);
    this.outgoing.push(call);
    call.start();
  }

  /** Starts a client transaction. Returns its branch. */
  request(method: string, uri: string, lines: readonly Line[], answered: Answered, via = this.via(), body = ""): string {
    const octets = requestOf(method, uri, [["Via", via], ["Max-Forwards", "70"], ...lines], body);
    if (method !== "CANCEL" && method !== "REGISTER") this.cluster.overtaking.sent(octets, this.#unanswered(), this.host.world.now);
    const branch = via.slice(via.indexOf(";branch=") + 8);
    const key = `${branch} ${method}`;
    const tx: ClientTransaction = {
      octets,
      method,
      isInvite: method === "INVITE",
      answered,
      status: 0,
      sends: 0,
      resend: undefined,
      end: this.host.after(transactionMs, () => {
        if (tx.isInvite && tx.status >= 100) return;
        this.#finish(key, tx);
        answered.timeout();
      }),
    };
    this.#clients.set(key, tx);
    this.#transmit(tx);
    return branch;
  }

  /** An ACK, which has no transaction. */
  send(octets: Uint8Array): void {
    this.#attachment.send(octets, undefined);
  }

  /** Gives an INVITE up that rings for ever. */
  forget(branch: string): void {
    const key = `${branch} INVITE`;
    const tx = this.#clients.get(key);
    if (tx !== undefined) this.#finish(key, tx);
  }

  respond(request: SipMessage, status: number, tag: string, lines: readonly Line[] = []): void {
    const tx = this.#servers.get(`${branchOf(request)} ${request.method}`);
    const octets = responseTo(request, status, tag, lines);
    if (tx !== undefined) tx.last = octets;
    this.host.trace(() => `answers ${request.method} ${cSeqOf(request).number} with ${status}`);
    this.#attachment.send(octets, tx?.from);
  }

  /** Sends the last response to a request once more. */
  respondAgain(request: SipMessage): void {
    const tx = this.#servers.get(`${branchOf(request)} ${request.method}`);
    if (tx?.last !== undefined) this.#attachment.send(tx.last, tx.from);
  }

  trace(what: () => string): void {
    this.host.trace(what);
  }

  /** The connection is another one: what nobody has answered goes out again. */
  resendUnanswered(): void {
    for (const tx of this.#clients.values()) {
      if (tx.status === 0 && tx.method !== "REGISTER") this.#transmit(tx);
    }
    for (const call of this.incoming.values()) call.resendRefusal();
  }

  *#unanswered(): IterableIterator<Uint8Array> {
    for (const { method, octets } of this.#clients.values()) if (method !== "CANCEL" && method !== "REGISTER") yield octets;
  }

  #transmit(tx: ClientTransaction): void {
    tx.sends += 1;
    const { sends } = tx;
    this.trace(() => `sends ${firstLine(tx.octets)}${sends > 1 ? `, for the ${sends}. time` : ""}`);
    this.#attachment.send(tx.octets, undefined);
    if (tx.resend !== undefined) tx.resend.isOff = true;
    if (this.isReliable) {
      tx.resend = this.host.after(silenceMsMax, () => {
        if (tx.status === 0) this.#attachment.giveUp("silence");
      });
      return;
    }
    const wait = t1Ms * 2 ** (sends - 1);
    tx.resend = this.host.after(tx.isInvite ? wait : Math.min(t2Ms, tx.status >= 100 ? t2Ms : wait), () => {
      if (tx.isInvite && tx.status >= 100) return;
      if (tx.sends >= 3 && tx.status === 0) this.#attachment.giveUp("silence");
      this.#transmit(tx);
    });
  }

  #finish(key: string, tx: ClientTransaction): void {
    tx.end.isOff = true;
    if (tx.resend !== undefined) tx.resend.isOff = true;
    this.#clients.delete(key);
  }

  #receive(octets: Uint8Array, from: string): void {
    const message = parseMessage(octets);
    if (isParseError(message)) throw new Error(`received what cannot be parsed: ${stringOf(octets)}`);
    if (message.isRequest) this.#receiveRequest(message, from);
    else this.#receiveResponse(message);
  }

  #receiveResponse(message: SipMessage): void {
    const { method } = cSeqOf(message);
    const branch = branchOf(message);
    const key = `${branch} ${method}`;
    const tx = this.#clients.get(key);
    this.trace(() => `gets ${message.status} to ${message.text(Header.CSeq) ?? ""}${tx === undefined ? ", late" : ""}`);
    if (method === "INVITE" && message.status >= 200) for (const call of this.outgoing) call.finals(branch, message);
    if (tx === undefined) {
      // A 2xx, or its repetition, is the call's business (RFC 3261 13.2.2.4).
      if (method === "INVITE" && message.status >= 200) {
        for (const call of this.outgoing) call.late(branch, message);
        this.incoming.get(message.callId)?.late(message);
      }
      return;
    }
    if (message.status >= 100) tx.status = message.status;
    if (message.status >= 200) this.#finish(key, tx);
    tx.answered.response(message);
  }

  #receiveRequest(message: SipMessage, from: string): void {
    const { method } = message;
    const key = `${branchOf(message)} ${method}`;
    const known = this.#servers.get(key);
    this.trace(() => `gets ${method} ${cSeqOf(message).number} of ${message.callId}${known === undefined ? "" : ", again"}`);
    if (method === "ACK") {
      this.incoming.get(message.callId)?.acknowledged(message);
      for (const call of this.outgoing) if (call.callId === message.callId) call.acknowledged(message);
      return;
    }
    if (known !== undefined) {
      known.from = from;
      if (known.last !== undefined) this.#attachment.send(known.last, from);
      return;
    }
    this.#servers.set(key, { request: message, last: undefined, from });
    this.#newRequest(message);
  }

  #newRequest(message: SipMessage): void {
    const { callId, method } = message;
    const outgoing = this.outgoing.find((call) => call.callId === callId);
    const known = this.incoming.get(callId);
    if (method === "INVITE" && message.toTag === undefined) {
      const again = known?.isSame(message) === true;
      if (known !== undefined && again) return known.repeated(message);
      const call = new IncomingCall(this, message);
      this.incoming.set(callId, call);
      call.start();
    } else if (method === "CANCEL") {
      const isKnown = known?.branch === branchOf(message);
      this.respond(message, isKnown ? 200 : 481, "cancelled");
      if (isKnown) known.cancelled();
      else this.cluster.cancelsRefused.add(callId);
    } else if (outgoing !== undefined) outgoing.requested(message);
    else if (known !== undefined) known.requested(message);
    else this.respond(message, 481, "unknown");
  }
}

function firstLine(octets: Uint8Array): string {
  return stringOf(octets, 0, Math.max(0, octets.indexOf(13)));
}
