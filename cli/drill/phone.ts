import { isParseError } from "../../sip/errors.ts";
import { buildResponse, type HeaderField } from "../../sip/message/build.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import { ClientTransactions, type Outcome, type RequestParts, type Started } from "./client-transactions.ts";
import { type Link, type LinkOptions, type Target, UdpEndpoint, openLink } from "./link.ts";

/** How long a request may be sent again (RFC 3261 17.2). */
const transactionMs = 32_000;
/** A connection that is silent this long after a probe is dead (RFC 5626 4.4.1 gives it 10 s). */
const probeMs = 1_500;
/** A phone with one WebSocket probes it this often: it could not notice a frozen server otherwise. */
const keepAliveMs = 2_000;
/** Reconnecting: at once but for a jitter, then doubling. */
const reconnectMsMin = 50;
const reconnectMsMax = 2_000;
/** Registrations are renewed this often, far more often than they must be. */
const refreshMs = 60_000;
const expiresSeconds = 600;

export type PhoneOptions = LinkOptions & {
  readonly user: string;
  readonly host: string;
  readonly targets: readonly Target[];
  /**
   * 1: one connection, to the next target when it dies (or UDP). 2: a connection to each of the first two targets, registered as two flows of
   * one instance (RFC 5626 4.2).
   */
  readonly flows: 1 | 2;
  /** Of the target to begin with. */
  readonly first: number;
};

/** An answer to a request that a phone received: status, more headers; sent again for every retransmission. */
export type Reply = (status: number, toTag: string, headers?: readonly HeaderField[]) => Response;

export type Response = {
  readonly octets: Uint8Array;
  /** Sends it once more; `elsewhere`: to the other target, when the first does not seem to get it (RFC 3263 5). */
  again(elsewhere: boolean): void;
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
  timer: NodeJS.Timeout | undefined;
  keepAlive: NodeJS.Timeout | undefined;
  heardAt: number;
};

const run = Math.random().toString(36).slice(2, 8);

/** A SIP phone: it registers, keeps its flows, sends requests and takes them. It knows nothing of calls. */
export class Phone {
  readonly user: string;
  readonly uri: string;
  readonly #instance: string;
  readonly #options: PhoneOptions;
  readonly #handlers: PhoneHandlers;
  readonly #slots: Slot[];
  readonly #transactions: ClientTransactions;
  /** Responses by branch and method of their request: RFC 3261 17.2. */
  readonly #answered = new Map<string, { readonly at: number; response: Response | undefined }>();
  readonly #queue: (() => void)[] = [];
  #endpoint: UdpEndpoint | undefined;
  /** Of the first flow. */
  #contactHost: string | undefined;
  #isStopped = false;
  /** Connections of a network that this phone has left: open still, and nobody is there. */
  readonly #left = new Set<Link>();
  /** Resolved by the first 200 of every flow. */
  #onRegistered: (() => void) | undefined;
  /** What became of REGISTERs that were not answered 200. */
  readonly registerFailures: string[] = [];
  /** Connections on which nothing came back in time: the server was frozen, or slower than the phone would wait. */
  flowsGivenUp = 0;
  /** Why a connection last ended. */
  lastLinkEnd: string | undefined;

  constructor(options: PhoneOptions, handlers: PhoneHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#transactions = new ClientTransactions({
      contactOn: (link) => this.#contactOn(link),
      present: () => this.#present(),
      whenOpen: (act) => this.#whenOpen(act),
      probe: (link) => this.#probe(link),
      giveUp: (link) => this.#giveUp(link),
    });
    this.user = options.user;
    this.uri = `sip:${options.user}@${options.domain}`;
    const hex = Buffer.from(options.user.padEnd(16, "-").slice(-16)).toString("hex");
    this.#instance = `urn:uuid:${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
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
      this.#transactions.closed(link, "the phone has left its network");
    }
  }

  get isRegistered(): boolean {
    return this.#slots.some(({ isRegistered }) => isRegistered);
  }

  /** Registers every flow; resolves when all are. */
  start(): Promise<void> {
    const { transport, host, targets } = this.#options;
    if (transport === "udp") {
      this.#endpoint = new UdpEndpoint(targets, host, {
        opened: (link) => {
          const slot = this.#slots[0];
          if (slot !== undefined && link === this.#udpLink(slot)) this.#opened(slot, link);
        },
        received: (octets, link) => this.#received(octets, link),
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
      clearTimeout(slot.timer);
      clearInterval(slot.keepAlive);
      slot.link?.close("stopped");
    }
    for (const link of this.#left) link.close("stopped");
    this.#transactions.stop();
    this.#endpoint?.close();
  }

  /** Sends a request. `again`: final responses that come after the first one. */
  request(parts: RequestParts, done: (outcome: Outcome) => void, again?: (message: SipMessage) => void): Started {
    return this.#transactions.start(parts, again === undefined ? { done } : { done, again });
  }

  /** Sends an ACK for a 2xx. */
  acknowledge(parts: RequestParts): void {
    this.#transactions.acknowledge(parts);
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
    const before = performance.now() - transactionMs;
    for (const [key, { at }] of this.#answered) {
      if (at > before) break;
      this.#answered.delete(key);
    }
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

  #received(octets: Uint8Array, link: Link): void {
    if (this.#left.has(link)) return;
    for (const slot of this.#slots) if (slot.link === link) slot.heardAt = performance.now();
    const message = parseMessage(octets);
    if (isParseError(message)) return;
    if (message.isRequest) this.#receivedRequest(message, link);
    else this.#transactions.receive(message);
  }

  #receivedRequest(message: SipMessage, link: Link): void {
    if (message.method === "ACK") return this.#handlers.ack(this, message);
    const via = message.topVia;
    const branch = isParseError(via) ? "" : (via.branch ?? "");
    const key = `${branch} ${message.method}`;
    const known = this.#answered.get(key);
    if (known !== undefined) return known.response?.again(false);
    const entry: { readonly at: number; response: Response | undefined } = { at: performance.now(), response: undefined };
    this.#answered.set(key, entry);
    this.#handlers.request(this, message, (status, toTag, headers = []) => {
      const octets = buildResponse(message, status, { toTag, headers });
      const response = { octets, again: (elsewhere: boolean): void => this.#respond(octets, link, elsewhere) };
      entry.response = response;
      response.again(false);
      return response;
    });
  }

  /** Where the request came from (RFC 3261 18.2.2), or another flow when that one is gone. */
  #respond(octets: Uint8Array, link: Link, elsewhere: boolean): void {
    if (elsewhere && !link.isReliable) {
      const other = this.#endpoint?.links.find((each) => each !== link) ?? link;
      return other.send(octets);
    }
    if (link.isOpen && !this.#left.has(link)) link.send(octets);
    else this.#whenOpen(() => this.#present()?.send(octets));
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
    slot.targetAt += 1;
    const next = this.#udpLink(slot);
    if (next !== undefined) this.#opened(slot, next);
  }

  #connect(slot: Slot): void {
    if (this.#isStopped) return;
    const { targets } = this.#options;
    const target = targets[slot.targetAt % targets.length];
    if (target === undefined) throw new RangeError("a phone without targets");
    openLink(this.#options, target, {
      opened: (link) => {
        if (this.#isStopped) return link.close("stopped");
        slot.failures = 0;
        this.#opened(slot, link);
      },
      received: (octets, link) => this.#received(octets, link),
      pong: () => {
        slot.heardAt = performance.now();
      },
      closed: (link, cause) => this.#closed(slot, link, cause),
    });
  }

  #opened(slot: Slot, link: Link): void {
    slot.link = link;
    slot.heardAt = performance.now();
    slot.isRegistered = false;
    clearTimeout(slot.timer);
    this.#register(slot);
    if (link.isReliable && this.#slots.length === 1 && this.#options.transport === "ws") {
      clearInterval(slot.keepAlive);
      slot.keepAlive = setInterval(() => this.#probe(link), keepAliveMs + Math.random() * 200);
    }
    for (const act of this.#queue.splice(0)) act();
  }

  #unlink(slot: Slot, link: Link): void {
    clearInterval(slot.keepAlive);
    if (slot.link === link) slot.link = undefined;
    slot.isRegistered = false;
    slot.isRegistering = false;
    clearTimeout(slot.timer);
  }

  #closed(slot: Slot, link: Link, cause: string): void {
    if (this.#isStopped || this.#left.delete(link)) return;
    this.#unlink(slot, link);
    this.lastLinkEnd = `${link.target.name}: ${cause}`;
    if (this.#slots.length === 1) slot.targetAt += 1;
    const waitMs = Math.min(reconnectMsMin * 2 ** slot.failures, reconnectMsMax) * (0.5 + Math.random());
    slot.failures += 1;
    slot.timer = setTimeout(() => this.#connect(slot), waitMs);
    this.#transactions.closed(link, cause);
  }

  /** RFC 5626 4.4.1: a connection on which nothing comes back is closed. */
  #probe(link: Link): void {
    const slot = this.#slots.find((each) => each.link === link);
    if (slot === undefined || !link.isOpen) return;
    const at = performance.now();
    if (at - slot.heardAt < probeMs / 2) return;
    link.ping();
    setTimeout(() => {
      if (slot.link !== link || !link.isOpen || slot.heardAt >= at || this.#isStopped) return;
      this.flowsGivenUp += 1;
      link.close("no answer to a probe");
    }, probeMs).unref();
  }

  #register(slot: Slot): void {
    const { link } = slot;
    if (link === undefined || this.#isStopped || slot.isRegistering) return;
    slot.cSeq += 1;
    slot.isRegistering = true;
    const { domain } = this.#options;
    // RFC 5626 4.2: a phone with one connection is the simplest case of outbound; its next connection takes the place of this one.
    const isOutbound = link.isReliable;
    const contact = `<${this.#contactUri(link)}>;+sip.instance="<${this.#instance}>"${isOutbound ? `;reg-id=${slot.regId}` : ""};expires=${expiresSeconds}`;
    const identity = `From: <${this.uri}>;tag=r${slot.regId}\r\nTo: <${this.uri}>\r\nCall-ID: ${slot.callId}\r\n`;
    const parts: RequestParts = {
      method: "REGISTER",
      requestUri: `sip:${domain}`,
      head: `${identity}CSeq: ${slot.cSeq} REGISTER\r\nSupported: outbound, path\r\nUser-Agent: tandem drill\r\nContact: ${contact}\r\n`,
      hasContact: false,
    };
    const done = (outcome: Outcome): void => this.#registered(slot, link, outcome);
    this.#transactions.start(parts, link.isReliable ? { done, only: link } : { done });
  }

  #registered(slot: Slot, link: Link, outcome: Outcome): void {
    if (slot.link !== link && link.isReliable) return;
    slot.isRegistering = false;
    if (this.#isStopped) return;
    clearTimeout(slot.timer);
    if (outcome.status === 200) {
      slot.isRegistered = true;
      slot.timer = setTimeout(() => this.#register(slot), refreshMs * (0.2 + 0.8 * Math.random()));
      if (this.#slots.every(({ isRegistered }) => isRegistered)) this.#onRegistered?.();
      return;
    }
    slot.isRegistered = false;
    this.registerFailures.push(outcome.history);
    slot.timer = setTimeout(() => this.#register(slot), 500 + Math.random() * 1_000);
  }
}
