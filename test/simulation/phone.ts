import type { ClientTransaction } from "../../kit/phone/client-transaction.ts";
import { ClientTransactions } from "../../kit/phone/client-transactions.ts";
import { transactionMs } from "../../kit/phone/limits.ts";
import { branchOf, cSeqOf } from "../../kit/phone/reading.ts";
import { ServerTransactions } from "../../kit/phone/server-transactions.ts";
import { isParseError } from "../../sip/errors.ts";
import { buildCancel, buildRequest, buildResponse, type HeaderField } from "../../sip/message/build.ts";
import { Header } from "../../sip/message/header-names.ts";
import { octetsOf, stringOf } from "../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import { OutgoingCall, type CallPlan } from "./call.ts";
import { domain, type Cluster } from "./cluster.ts";
import { Attachment, type PhoneTransport } from "./attachment.ts";
import { HostTime } from "./host-time.ts";
import { Host } from "./host.ts";
import { IncomingCall } from "./incoming-call.ts";
import { Login } from "./login.ts";
import { Registration } from "./registration.ts";

/** A phone on a connection takes one that says nothing for so long for dead. */
const connectionSilentMs = 5_000;
/** Over UDP it looks for another way before it says its request for the fourth time. */
const datagramSilentMs = 3_500;

export type Answered = {
  response(message: SipMessage): void;
  /** Nobody has answered in time. */
  timeout(): void;
};

/** A phone as RFC 3261 wants it: transactions, a registration, calls. It never fails, and it knows the time. */
export class Phone {
  readonly cluster: Cluster;
  readonly user: string;
  readonly address: string;
  readonly transport: PhoneTransport;
  readonly host: Host;
  readonly time: HostTime;
  readonly login: Login;
  readonly registration: Registration;
  readonly outgoing: OutgoingCall[] = [];
  readonly incoming = new Map<string, IncomingCall>();
  readonly #attachment: Attachment;
  readonly #clients: ClientTransactions;
  /** By the address that a request came from. */
  readonly #servers: ServerTransactions<string>;
  #branches = 0;
  /** When it took another network last, true time; undefined: never. */
  movedAt: number | undefined;

  constructor(cluster: Cluster, user: string, index: number, transport: PhoneTransport, isOutbound: boolean) {
    this.cluster = cluster;
    this.user = user;
    this.address = `10.0.0.${index + 1}`;
    this.transport = transport;
    this.host = new Host(cluster.world, `${user}${index}`, { offsetMs: 0, drift: 0 });
    this.time = new HostTime(this.host);
    this.#clients = new ClientTransactions(this.time);
    this.#servers = new ServerTransactions((octets, from) => this.#attachment.send(octets, from));
    this.login = new Login(this);
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
    return this.#clients.waiting().next().done === true;
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

  /** Starts a client transaction. */
  request(method: string, uri: string, fields: readonly HeaderField[], answered: Answered, body?: string): ClientTransaction {
    const via = this.via();
    const octets = buildRequest({
      method,
      requestUri: uri,
      headers: [["Via", via], ["Max-Forwards", "70"], ...fields],
      ...(body === undefined ? {} : { body: { type: "application/sdp", octets: octetsOf(body) } }),
    });
    return this.#transact(method, via, octets, answered);
  }

  /** RFC 3261 9.1. */
  cancel(invite: ClientTransaction): void {
    const message = parsed(invite.octets);
    const ignored = { response: () => undefined, timeout: () => undefined };
    this.#transact("CANCEL", message.values(Header.Via)[0] ?? "", buildCancel(message), ignored);
  }

  /** An ACK, which has no transaction. */
  send(octets: Uint8Array): void {
    this.#attachment.send(octets, undefined);
  }

  respond(request: SipMessage, status: number, tag: string, fields: readonly HeaderField[] = []): void {
    const octets = buildResponse(request, status, { toTag: tag, headers: fields });
    const transaction = this.#servers.of(request);
    this.host.trace(() => `answers ${request.method} ${cSeqOf(request).number} with ${status}`);
    if (transaction === undefined) this.#attachment.send(octets, undefined);
    else this.#servers.respond(transaction, octets);
  }

  /** Sends the last response to a request once more. */
  respondAgain(request: SipMessage): void {
    const transaction = this.#servers.of(request);
    if (transaction !== undefined) this.#servers.again(transaction);
  }

  trace(what: () => string): void {
    this.host.trace(what);
  }

  /** The connection is another one: what nobody has answered goes out again. */
  resendUnanswered(): void {
    for (const transaction of this.#clients.waiting()) {
      if (transaction.status === 0 && transaction.method !== "REGISTER") transaction.send();
    }
    for (const call of this.incoming.values()) call.resendRefusal();
  }

  *#unanswered(): IterableIterator<Uint8Array> {
    for (const { method, octets } of this.#clients.waiting()) if (method !== "CANCEL" && method !== "REGISTER") yield octets;
  }

  #transact(method: string, via: string, octets: Uint8Array, answered: Answered): ClientTransaction {
    if (method !== "CANCEL" && method !== "REGISTER") this.cluster.overtaking.sent(octets, this.#unanswered(), this.host.world.now);
    const branch = via.slice(via.indexOf(";branch=") + 8);
    const { isReliable } = this;
    const silentMs = isReliable ? connectionSilentMs : datagramSilentMs;
    const transaction = this.#clients.add(
      { method, branch, octets, isReliable, endsAfterMs: transactionMs, silentMs },
      {
        send: (said) => {
          this.trace(
            () => `sends ${firstLine(said)}${transaction.sends > 1 && said === octets ? `, for the ${transaction.sends}. time` : ""}`,
          );
          this.#attachment.send(said, undefined);
        },
        silent: () => {
          if (transaction.status === 0) this.#attachment.giveUp("silence");
        },
        provisional: (response) => answered.response(response),
        final: (response) => answered.response(response),
        again: (response) => this.#late(response),
        timeout: () => answered.timeout(),
      },
    );
    transaction.send();
    return transaction;
  }

  #receive(octets: Uint8Array, from: string): void {
    const message = parsed(octets);
    if (message.isRequest) this.#receiveRequest(message, from);
    else this.#receiveResponse(message);
  }

  #receiveResponse(message: SipMessage): void {
    const transaction = this.#clients.of(message);
    this.trace(() => `gets ${message.status} to ${message.text(Header.CSeq) ?? ""}${transaction?.isOver === false ? "" : ", late"}`);
    if (cSeqOf(message).method === "INVITE" && message.status >= 200) for (const call of this.outgoing) call.finals(message);
    if (transaction === undefined) this.#late(message);
    else transaction.receive(message);
  }

  /** A final response whose transaction is over. A 2xx, or its repetition, is the call's business (RFC 3261 13.2.2.4). */
  #late(message: SipMessage): void {
    if (cSeqOf(message).method !== "INVITE" || message.status < 200 || message.status >= 300) return;
    for (const call of this.outgoing) call.late(message);
    this.incoming.get(message.callId)?.late(message);
  }

  #receiveRequest(message: SipMessage, from: string): void {
    const { method } = message;
    const isKnown = this.#servers.of(message) !== undefined;
    this.trace(() => `gets ${method} ${cSeqOf(message).number} of ${message.callId}${isKnown ? ", again" : ""}`);
    if (method === "ACK") {
      this.incoming.get(message.callId)?.acknowledged(message);
      for (const call of this.outgoing) if (call.callId === message.callId) call.acknowledged(message);
      return;
    }
    if (this.#servers.receive(message, from, this.host.steady) !== undefined) this.#newRequest(message);
  }

  #newRequest(message: SipMessage): void {
    const { callId, method } = message;
    const outgoing = this.outgoing.find((call) => call.callId === callId);
    const known = this.incoming.get(callId);
    if (method === "INVITE" && message.toTag === undefined) {
      const again = known?.isSame(message) === true;
      if (known !== undefined && again) return known.repeated(message);
      if (known !== undefined) this.cluster.invitedAnew.add(callId);
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

function parsed(octets: Uint8Array): SipMessage {
  const message = parseMessage(octets);
  if (isParseError(message)) throw new Error(`cannot be parsed: ${stringOf(octets)}`);
  return message;
}
