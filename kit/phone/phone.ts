import { isParseError } from "../../sip/errors.ts";
import { buildResponse, type HeaderField } from "../../sip/message/build.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import type { PhoneEnvironment, Planned } from "./environment.ts";
import {
  expiresSeconds,
  keepAliveMs,
  keepAliveSpreadMs,
  probeMs,
  reconnectMsMax,
  reconnectMsMin,
  refreshMs,
  registerAgainMs,
  transactionMs,
} from "./limits.ts";
import type { Connector, DatagramEndpoint, Link, PhoneTransport, Target } from "./link.ts";
import { type Outcome, type RequestParts, Requests, type Started } from "./requests.ts";
import { ServerTransactions } from "./server-transactions.ts";

export type PhoneOptions = {
  readonly transport: PhoneTransport;
  readonly user: string;
  readonly domain: string;
  readonly userAgent: string;
  readonly targets: readonly Target[];
  /**
   * 1: one connection (or UDP). 2: a connection to each of two targets, registered as two flows of one instance (RFC 5626 4.2). A connection that has
   * died goes to the next target to which there is none.
   */
  readonly flows: 1 | 2;
  /** Of the target to begin with. */
  readonly first: number;
};

/** What a phone has of the world. */
export type PhonePorts = { readonly environment: PhoneEnvironment; readonly connector: Connector };

/** An answer to a request that a phone received: status, more headers; sent again for every retransmission. */
export type Reply = (status: number, toTag: string, headers?: readonly HeaderField[]) => Response;

export type Response = {
  /** Sends it once more. */
  again(): void;
  /** Sends it to the other target, when the first does not seem to get it (RFC 3263 5). */
  elsewhere(): void;
};

export type PhoneHandlers = {
  /** A request that is no retransmission. */
  request(phone: Phone, message: SipMessage, reply: Reply): void;
  ack(phone: Phone, message: SipMessage): void;
};

/** What a phone registers: one flow. */
type Slot = {
  readonly regId: number;
  readonly callId: string;
  targetAt: number;
  link: Link | undefined;
  cSeq: number;
  /** The REGISTER of the present link has been answered 200. */
  isRegistered: boolean;
  isRegistering: boolean;
  failures: number;
  timer: Planned | undefined;
  keepAlive: Planned | undefined;
  heardAt: number;
};

/** A SIP phone: it registers, keeps its flows, sends requests and takes them. It knows nothing of calls. */
export class Phone {
  readonly user: string;
  readonly uri: string;
  readonly #instance: string;
  readonly #options: PhoneOptions;
  readonly #environment: PhoneEnvironment;
  readonly #connector: Connector;
  readonly #handlers: PhoneHandlers;
  readonly #slots: Slot[];
  readonly #requests: Requests;
  readonly #received: ServerTransactions<Link>;
  readonly #queue: (() => void)[] = [];
  #endpoint: DatagramEndpoint | undefined;
  /** Of the first flow. */
  #contactHost: string | undefined;
  #isStopped = false;
  /** Connections of a network that this phone has left: open still, and nobody is there. */
  readonly #left = new Set<Link>();
  /** Targets that name servers name no more. */
  readonly #forgotten = new Set<string>();
  /** Resolved by the first 200 of every flow. */
  #onRegistered: (() => void) | undefined;
  /** What became of REGISTERs that were not answered 200. */
  readonly registerFailures: string[] = [];
  /** Connections on which nothing came back in time: the server was frozen, or slower than the phone would wait. */
  flowsGivenUp = 0;
  /** Why a connection last ended. */
  lastLinkEnd: string | undefined;

  constructor(options: PhoneOptions, { environment, connector }: PhonePorts, handlers: PhoneHandlers) {
    this.#options = options;
    this.#environment = environment;
    this.#connector = connector;
    this.#handlers = handlers;
    this.#requests = new Requests(environment, {
      contactOn: (link) => this.#contactOn(link),
      present: () => this.#present(),
      whenOpen: (act) => this.#whenOpen(act),
      probe: (link) => this.#probe(link),
      giveUp: (link) => this.#giveUp(link),
    });
    this.#received = new ServerTransactions((octets, link) => this.#respond(octets, link));
    this.user = options.user;
    this.uri = `sip:${options.user}@${options.domain}`;
    this.#instance = instanceOf(options.user);
    const run = environment.newId();
    const slots = options.transport === "udp" ? 1 : options.flows;
    this.#slots = Array.from({ length: slots }, (_, index) => ({
      regId: index + 1,
      callId: `r${index}.${options.user}.${run}`,
      targetAt: options.first + index,
      link: undefined,
      cSeq: 0,
      isRegistered: false,
      isRegistering: false,
      failures: 0,
      timer: undefined,
      keepAlive: undefined,
      heardAt: 0,
    }));
  }

  get userAgent(): string {
    return this.#options.userAgent;
  }

  /** Loses nothing that it says: does not repeat refusals. */
  get isReliable(): boolean {
    return this.#options.transport !== "udp";
  }

  /** Takes another network: new connections, while the server holds the old ones for good. Datagrams know no connection. */
  changeNetwork(): void {
    if (!this.isReliable || this.#isStopped) return;
    for (const slot of this.#slots) {
      const { link } = slot;
      if (link === undefined) continue;
      this.#left.add(link);
      this.#unlink(slot, link);
      this.#connect(slot);
      this.#requests.closed(link, "the phone has left its network");
    }
  }

  /**
   * A name server does not name this target any more, and this phone has looked. Connections stay, and are not made there again. Over UDP the phone goes elsewhere,
   * its registration too.
   */
  forget(target: string): void {
    this.#forgotten.add(target);
    for (const slot of this.#slots) if (!slot.isRegistering) this.#leaveForgotten(slot);
  }

  /** Over UDP goes to a target that is named, if there is one. False: it stays. */
  #leaveForgotten(slot: Slot): boolean {
    const { link, targetAt } = slot;
    const stays =
      link === undefined || link.isReliable || this.#isNamed(targetAt) || !this.#following(slot).some((at) => this.#isNamed(at));
    if (!stays) this.#giveUp(link);
    return !stays;
  }

  get isRegistered(): boolean {
    return this.#slots.some(({ isRegistered }) => isRegistered);
  }

  /** Registers every flow; resolves when all are. */
  start(): Promise<void> {
    const { transport, targets } = this.#options;
    if (transport === "udp") {
      this.#endpoint = this.#connector.bind(targets, {
        opened: (link) => {
          const slot = this.#slots[0];
          if (slot !== undefined && link === this.#udpLink(slot)) this.#opened(slot, link);
        },
        received: (octets, link) => this.#receive(octets, link),
        pong: () => undefined,
        closed: () => undefined,
      });
      this.#endpoint.open();
    } else for (const slot of this.#slots) this.#connect(slot);
    return new Promise((registered) => {
      this.#onRegistered = registered;
    });
  }

  stop(): void {
    this.#isStopped = true;
    for (const slot of this.#slots) {
      slot.timer?.cancel();
      slot.keepAlive?.cancel();
      slot.link?.close("stopped");
    }
    for (const link of this.#left) link.close("stopped");
    this.#requests.stop();
    this.#endpoint?.close();
  }

  /** Sends a request. `again`: final responses that come after the first one. */
  request(parts: RequestParts, done: (outcome: Outcome) => void, again?: (message: SipMessage) => void): Started {
    return this.#requests.start(parts, again === undefined ? { done } : { done, again });
  }

  /** Sends an ACK for a 2xx. `sent`: to this target. */
  acknowledge(parts: RequestParts, sent?: (target: string) => void): void {
    this.#requests.acknowledge(parts, sent);
  }

  /** The Contact of the present flow, for dialogs. */
  get contact(): string {
    const link = this.#present();
    return link === undefined ? `<sip:${this.user}@invalid.invalid>` : this.#contactOn(link);
  }

  /**
   * A phone that comes back must be known again: softphones and phones with one connection keep their Contact for life, those with two name
   * their instance in it. Phones of both kinds exist.
   */
  #contactOn(link: Link): string {
    return `<${this.#contactUri(link)}>${this.#hasOwnContact ? "" : `;+sip.instance="<${this.#instance}>"`}`;
  }

  #contactUri(link: Link): string {
    this.#contactHost ??= link.contactHost;
    return `sip:${this.user}@${this.#hasOwnContact ? this.#contactHost : link.contactHost}${link.isReliable ? ";ob" : ""}`;
  }

  get #hasOwnContact(): boolean {
    return this.#slots.length === 1 || this.#options.transport === "ws";
  }

  /** Forgets what no retransmission can come for any more. To be called every few seconds. */
  sweep(): void {
    this.#received.forget(this.#environment.now - transactionMs);
  }

  /** The flow that requests leave on: registered ones first. */
  #present(): Link | undefined {
    const open = this.#slots.filter(({ link }) => link?.isOpen === true);
    return (open.find(({ isRegistered }) => isRegistered) ?? open[0])?.link;
  }

  #whenOpen(act: () => void): void {
    if (this.#present() === undefined) this.#queue.push(act);
    else act();
  }

  #receive(octets: Uint8Array, link: Link): void {
    if (this.#left.has(link)) return;
    for (const slot of this.#slots) if (slot.link === link) slot.heardAt = this.#environment.now;
    const message = parseMessage(octets);
    if (isParseError(message)) return;
    if (message.isRequest) this.#receivedRequest(message, link);
    else this.#requests.receive(message);
  }

  #receivedRequest(message: SipMessage, link: Link): void {
    if (message.method === "ACK") return this.#handlers.ack(this, message);
    const transaction = this.#received.receive(message, link, this.#environment.now);
    if (transaction === undefined) return;
    this.#handlers.request(this, message, (status, toTag, headers = []) => {
      const octets = buildResponse(message, status, { toTag, headers });
      this.#received.respond(transaction, octets);
      return {
        again: () => this.#received.again(transaction),
        elsewhere: () => this.#respondElsewhere(octets, transaction.way),
      };
    });
  }

  /** Where the request came from (RFC 3261 18.2.2), or another flow when that one is gone. */
  #respond(octets: Uint8Array, link: Link): void {
    if (link.isOpen && !this.#left.has(link)) link.send(octets);
    else this.#whenOpen(() => this.#present()?.send(octets));
  }

  #respondElsewhere(octets: Uint8Array, link: Link): void {
    if (link.isReliable) return this.#respond(octets, link);
    const other = this.#endpoint?.links.find((each) => each !== link) ?? link;
    other.send(octets);
  }

  #udpLink(slot: Slot): Link | undefined {
    const links = this.#endpoint?.links ?? [];
    return links[slot.targetAt % links.length];
  }

  /** RFC 3263 4.3: from now on everything goes to the other target, the registration too. */
  #giveUp(link: Link): void {
    const slot = this.#slots.find((each) => each.link === link);
    // Another request may have been first.
    if (slot === undefined) return;
    slot.targetAt = this.#following(slot).find((at) => this.#isNamed(at)) ?? slot.targetAt + 1;
    const next = this.#udpLink(slot);
    if (next !== undefined) this.#opened(slot, next);
  }

  #connect(slot: Slot): void {
    if (this.#isStopped) return;
    if (!this.#isNamed(slot.targetAt)) slot.targetAt = this.#nextTarget(slot);
    const { targets } = this.#options;
    const target = targets[slot.targetAt % targets.length];
    if (target === undefined) throw new RangeError("a phone without targets");
    this.#connector.connect(target, {
      opened: (link) => {
        if (this.#isStopped) return link.close("stopped");
        slot.failures = 0;
        this.#opened(slot, link);
      },
      received: (octets, link) => this.#receive(octets, link),
      pong: () => {
        slot.heardAt = this.#environment.now;
      },
      closed: (link, cause) => this.#closed(slot, link, cause),
    });
  }

  #opened(slot: Slot, link: Link): void {
    slot.link = link;
    slot.heardAt = this.#environment.now;
    slot.isRegistered = false;
    slot.timer?.cancel();
    this.#register(slot);
    if (this.#slots.length === 1 && this.#options.transport === "ws") this.#keepAlive(slot, link);
    for (const act of this.#queue.splice(0)) act();
  }

  #keepAlive(slot: Slot, link: Link): void {
    slot.keepAlive?.cancel();
    slot.keepAlive = this.#environment.after(keepAliveMs + this.#environment.random() * keepAliveSpreadMs, () => {
      this.#probe(link);
      this.#keepAlive(slot, link);
    });
  }

  #unlink(slot: Slot, link: Link): void {
    slot.keepAlive?.cancel();
    if (slot.link === link) slot.link = undefined;
    slot.isRegistered = false;
    slot.isRegistering = false;
    slot.timer?.cancel();
  }

  #closed(slot: Slot, link: Link, cause: string): void {
    if (this.#isStopped || this.#left.delete(link)) return;
    this.#unlink(slot, link);
    this.lastLinkEnd = `${link.target.name}: ${cause}`;
    slot.targetAt = this.#nextTarget(slot);
    const waitMs = Math.min(reconnectMsMin * 2 ** slot.failures, reconnectMsMax) * (0.5 + this.#environment.random());
    slot.failures += 1;
    slot.timer = this.#environment.after(waitMs, () => this.#connect(slot));
    this.#requests.closed(link, cause);
  }

  /** The next one that no other flow has; with as many flows as targets the same again. */
  #nextTarget(slot: Slot): number {
    const count = this.#options.targets.length;
    const others = this.#slots.filter((each) => each !== slot);
    const isFree = (at: number): boolean => others.every(({ targetAt }) => targetAt % count !== at % count);
    const following = this.#following(slot).filter((at) => this.#isNamed(at));
    return following.find(isFree) ?? [slot.targetAt, ...following].find((at) => this.#isNamed(at)) ?? slot.targetAt;
  }

  /** All targets, that of the flow last. */
  #following({ targetAt }: Slot): readonly number[] {
    return this.#options.targets.map((_, index) => targetAt + 1 + index);
  }

  #isNamed(at: number): boolean {
    const { targets } = this.#options;
    return !this.#forgotten.has(targets[at % targets.length]?.name ?? "");
  }

  /** RFC 5626 4.4.1: a connection on which nothing comes back is closed. */
  #probe(link: Link): void {
    const slot = this.#slots.find((each) => each.link === link);
    if (slot === undefined || !link.isOpen) return;
    const at = this.#environment.now;
    if (at - slot.heardAt < probeMs / 2) return;
    link.ping();
    this.#environment.after(probeMs, () => {
      if (slot.link !== link || !link.isOpen || slot.heardAt >= at || this.#isStopped) return;
      this.flowsGivenUp += 1;
      link.close("no answer to a probe");
    });
  }

  #register(slot: Slot): void {
    const { link } = slot;
    if (link === undefined || this.#isStopped || slot.isRegistering) return;
    slot.cSeq += 1;
    slot.isRegistering = true;
    const { domain, userAgent } = this.#options;
    // RFC 5626 4.2: a phone with one connection is the simplest case of outbound; its next connection takes the place of this one.
    const isOutbound = link.isReliable;
    const contact = `<${this.#contactUri(link)}>;+sip.instance="<${this.#instance}>"${isOutbound ? `;reg-id=${slot.regId}` : ""};expires=${expiresSeconds}`;
    const parts: RequestParts = {
      method: "REGISTER",
      requestUri: `sip:${domain}`,
      headers: [
        ["From", `<${this.uri}>;tag=r${slot.regId}`],
        ["To", `<${this.uri}>`],
        ["Call-ID", slot.callId],
        ["CSeq", `${slot.cSeq} REGISTER`],
        ["Supported", "outbound, path"],
        ["User-Agent", userAgent],
        ["Contact", contact],
      ],
      hasContact: false,
    };
    const done = (outcome: Outcome): void => this.#registered(slot, link, outcome);
    this.#requests.start(parts, link.isReliable ? { done, only: link } : { done });
  }

  #registered(slot: Slot, link: Link, outcome: Outcome): void {
    if (slot.link !== link && link.isReliable) return;
    slot.isRegistering = false;
    if (this.#isStopped) return;
    slot.timer?.cancel();
    if (outcome.status === 200) {
      if (this.#leaveForgotten(slot)) return;
      slot.isRegistered = true;
      slot.timer = this.#environment.after(refreshMs * (0.2 + 0.8 * this.#environment.random()), () => this.#register(slot));
      if (this.#slots.every(({ isRegistered }) => isRegistered)) this.#onRegistered?.();
      return;
    }
    slot.isRegistered = false;
    this.registerFailures.push(outcome.history);
    slot.timer = this.#environment.after(registerAgainMs * (0.5 + this.#environment.random()), () => this.#register(slot));
  }
}

/** The same for a user each time: what comes back under it is known again (RFC 5626 4.1). */
function instanceOf(user: string): string {
  const hex = Array.from(user.padEnd(16, "-").slice(-16), (character) => character.charCodeAt(0).toString(16).padStart(2, "0")).join("");
  return `urn:uuid:${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
