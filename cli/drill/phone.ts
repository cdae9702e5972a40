import { isParseError } from "../../sip/errors.ts";
import { buildAckForNon2xx, buildResponse, type HeaderField } from "../../sip/message/build.ts";
import { octetsOf } from "../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import { type Link, type LinkOptions, type Target, UdpEndpoint, openLink } from "./link.ts";

/** RFC 3261 17.1.1.1. */
const t1Ms = 500;
const t2Ms = 4_000;
const transactionMs = 64 * t1Ms;
/** A target that has not answered at all by then is given up for the next one (RFC 3263 4.3); what SIP phones commonly do. */
const targetMs = 4_000;
/** A connection on which a request is unanswered this long is probed; without any octet as long after that it is dead. */
const probeMs = 1_500;
/** A phone with one connection that cannot notice a frozen server otherwise probes it this often. */
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

export type RequestParts = {
  readonly method: string;
  readonly requestUri: string;
  /** From, To, Call-ID, CSeq, Route, ...: everything but Via, Contact, Max-Forwards and Content-Length. */
  readonly head: string;
  readonly hasContact: boolean;
};

export type Outcome = {
  /** 0: no final response. */
  readonly status: number;
  readonly message: SipMessage | undefined;
  /** For people: what happened on the way. */
  readonly history: string;
  /** More than one target was tried: an earlier attempt may have been carried out. */
  readonly wasMoved: boolean;
};

type Transaction = {
  readonly parts: RequestParts;
  readonly isInvite: boolean;
  readonly startedAt: number;
  readonly branches: string[];
  readonly provisional: (message: SipMessage) => void;
  readonly done: (outcome: Outcome) => void;
  readonly history: string[];
  link: Link | undefined;
  sent: Uint8Array;
  sentAt: number;
  intervalMs: number;
  sends: number;
  isProceeding: boolean;
  isDone: boolean;
  moves: number;
  timer: NodeJS.Timeout | undefined;
  /** 2xx and other finals that come again. */
  again: ((message: SipMessage) => void) | undefined;
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

let branches = 0;
const run = Math.random().toString(36).slice(2, 8);

/** A SIP phone: it registers, keeps its flows, sends requests and takes them. It knows nothing of calls. */
export class Phone {
  readonly user: string;
  readonly uri: string;
  readonly instance: string;
  readonly #options: PhoneOptions;
  readonly #handlers: PhoneHandlers;
  readonly #slots: Slot[];
  readonly #transactions = new Map<string, Transaction>();
  /** Responses by branch and method of their request: RFC 3261 17.2. */
  readonly #answered = new Map<string, { readonly at: number; response: Response | undefined }>();
  readonly #queue: (() => void)[] = [];
  #endpoint: UdpEndpoint | undefined;
  #isStopped = false;
  /** Resolved by the first 200 of every flow. */
  #onRegistered: (() => void) | undefined;
  registerFailures: string[] = [];
  linksLost = 0;
  /** Why a connection last ended. */
  lastLinkEnd: string | undefined;

  constructor(options: PhoneOptions, handlers: PhoneHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.user = options.user;
    this.uri = `sip:${options.user}@${options.domain}`;
    const hex = Buffer.from(options.user.padEnd(16, "-").slice(-16)).toString("hex");
    this.instance = `urn:uuid:${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
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
      slot.link?.close();
    }
    for (const tx of this.#transactions.values()) clearTimeout(tx.timer);
    this.#endpoint?.close();
  }

  /** Starts a client transaction. `again`: responses that come after the first final one (a 2xx again wants its ACK again). */
  request(
    parts: RequestParts,
    done: (outcome: Outcome) => void,
    provisional: (message: SipMessage) => void = () => undefined,
    again?: (message: SipMessage) => void,
  ): void {
    const tx: Transaction = {
      parts,
      isInvite: parts.method === "INVITE",
      startedAt: performance.now(),
      branches: [],
      provisional,
      done,
      history: [],
      link: undefined,
      sent: new Uint8Array(0),
      sentAt: 0,
      intervalMs: t1Ms,
      sends: 0,
      isProceeding: false,
      isDone: false,
      moves: 0,
      timer: undefined,
      again,
    };
    this.#whenOpen(() => this.#send(tx, true));
    if (tx.sends === 0) {
      tx.history.push("no flow");
      tx.timer = setTimeout(() => this.#give(tx, 0, undefined), transactionMs);
    }
  }

  /** Sends an ACK for a 2xx, outside of any transaction. */
  ack(parts: RequestParts): void {
    this.#whenOpen(() => {
      const link = this.#present();
      link?.send(octetsOf(this.#textOf(parts, link, nextBranch())));
    });
  }

  /** The Contact of the present flow. */
  get contact(): string {
    return `<sip:${this.user}@${this.#present()?.contactHost ?? "invalid.invalid"}>`;
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

  #textOf(parts: RequestParts, link: Link, branch: string): string {
    const contact = parts.hasContact ? `Contact: <sip:${this.user}@${link.contactHost}${link.isReliable ? ";ob" : ""}>\r\n` : "";
    return `${parts.method} ${parts.requestUri} SIP/2.0\r\nVia: ${link.via};branch=${branch};rport\r\nMax-Forwards: 70\r\n${parts.head}${contact}Content-Length: 0\r\n\r\n`;
  }

  /** Sends a request on the present flow; `isNew`: as a new transaction, with a branch of its own. */
  #send(tx: Transaction, isNew: boolean, on?: Link): void {
    if (tx.isDone || this.#isStopped) return;
    const link = on ?? this.#present();
    if (link === undefined) return this.#whenOpen(() => this.#send(tx, isNew));
    clearTimeout(tx.timer);
    tx.link = link;
    tx.history.push(`${tx.parts.method} to ${link.target.name} at ${Math.round(performance.now() - tx.startedAt)} ms`);
    if (isNew) {
      const branch = nextBranch();
      tx.branches.push(branch);
      this.#transactions.set(branch, tx);
      tx.sent = octetsOf(this.#textOf(tx.parts, link, branch));
      tx.isProceeding = false;
    }
    tx.sentAt = performance.now();
    tx.intervalMs = t1Ms;
    tx.sends += 1;
    link.send(tx.sent);
    this.#arm(tx);
  }

  #arm(tx: Transaction): void {
    const now = performance.now();
    const endsAt = tx.startedAt + transactionMs;
    // RFC 3261 17.1.1.2: an INVITE that was answered provisionally has no Timer B; people may let it ring.
    if (tx.isInvite && tx.isProceeding) return;
    const link = tx.link;
    const wait = link === undefined || link.isReliable ? probeMs : tx.intervalMs;
    tx.timer = setTimeout(() => this.#late(tx), Math.max(1, Math.min(wait, endsAt - now)));
  }

  /** Nothing came in time. */
  #late(tx: Transaction): void {
    if (tx.isDone) return;
    const now = performance.now();
    if (now >= tx.startedAt + transactionMs - 1) return this.#give(tx, 0, undefined);
    const { link } = tx;
    if (link === undefined || !link.isOpen) return this.#arm(tx);
    if (link.isReliable) {
      this.#probe(link);
      return this.#arm(tx);
    }
    if (!tx.isProceeding && now - tx.sentAt >= targetMs - 1) {
      const slot = this.#slots[0];
      // Another request may have moved the phone already.
      if (slot !== undefined && slot.link === link) this.#moveUdp(slot);
      tx.moves += 1;
      return this.#send(tx, true);
    }
    tx.intervalMs = tx.isInvite ? tx.intervalMs * 2 : tx.isProceeding ? t2Ms : Math.min(tx.intervalMs * 2, t2Ms);
    if (!tx.isProceeding) tx.intervalMs = Math.min(tx.intervalMs, Math.max(1, targetMs - (now - tx.sentAt)));
    link.send(tx.sent);
    tx.sends += 1;
    this.#arm(tx);
  }

  #give(tx: Transaction, status: number, message: SipMessage | undefined): void {
    tx.isDone = true;
    clearTimeout(tx.timer);
    // Late and repeated responses still find it for a while (RFC 3261 Timers D and K, 13.2.2.4).
    setTimeout(() => {
      for (const branch of tx.branches) this.#transactions.delete(branch);
    }, transactionMs).unref();
    tx.history.push(`${status === 0 ? "no final response" : status} at ${Math.round(performance.now() - tx.startedAt)} ms`);
    tx.done({ status, message, history: tx.history.join(", "), wasMoved: tx.moves > 0 });
  }

  #received(octets: Uint8Array, link: Link): void {
    for (const slot of this.#slots) if (slot.link === link) slot.heardAt = performance.now();
    const message = parseMessage(octets);
    if (isParseError(message)) return;
    if (message.isRequest) this.#receivedRequest(message, link);
    else this.#receivedResponse(message);
  }

  #receivedResponse(message: SipMessage): void {
    const via = message.topVia;
    if (isParseError(via) || via.branch === undefined) return;
    const tx = this.#transactions.get(via.branch);
    const cSeq = message.cSeq;
    if (tx === undefined || isParseError(cSeq) || cSeq.method !== tx.parts.method) return;
    const { status } = message;
    if (status < 200) {
      if (tx.isDone || via.branch !== tx.branches.at(-1)) return;
      if (!tx.isProceeding) {
        tx.isProceeding = true;
        if (tx.isInvite) clearTimeout(tx.timer);
      }
      return tx.provisional(message);
    }
    if (tx.isInvite && status >= 300) this.#ackRefusal(tx, message);
    if (tx.isDone) return tx.again?.(message);
    // An answer to an attempt that was given up: only a success still counts (RFC 3261 13.2.2.4).
    if (via.branch !== tx.branches.at(-1) && status >= 300) return;
    this.#give(tx, status, message);
  }

  /** RFC 3261 17.1.1.3. */
  #ackRefusal(tx: Transaction, response: SipMessage): void {
    const invite = parseMessage(tx.sent);
    if (!isParseError(invite)) this.#present()?.send(buildAckForNon2xx(invite, response));
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
    if (link.isOpen) link.send(octets);
    else this.#whenOpen(() => this.#present()?.send(octets));
  }

  #udpLink(slot: Slot): Link | undefined {
    const links = this.#endpoint?.links ?? [];
    return links[slot.targetAt % links.length];
  }

  /** RFC 3263 4.3: from now on everything goes to the other target, the registration too. */
  #moveUdp(slot: Slot): void {
    slot.targetAt += 1;
    const link = this.#udpLink(slot);
    if (link !== undefined) this.#opened(slot, link);
  }

  #connect(slot: Slot): void {
    if (this.#isStopped) return;
    const { targets } = this.#options;
    const target = targets[slot.targetAt % targets.length];
    if (target === undefined) throw new RangeError("a phone without targets");
    openLink(this.#options, target, {
      opened: (link) => {
        if (this.#isStopped) return link.close();
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

  #closed(slot: Slot, link: Link, cause: string): void {
    if (this.#isStopped) return;
    clearInterval(slot.keepAlive);
    if (slot.link === link) {
      slot.link = undefined;
      this.linksLost += 1;
    }
    slot.isRegistered = false;
    slot.isRegistering = false;
    clearTimeout(slot.timer);
    this.lastLinkEnd = `${link.target.name}: ${cause}`;
    if (this.#slots.length === 1) slot.targetAt += 1;
    const waitMs = Math.min(reconnectMsMin * 2 ** slot.failures, reconnectMsMax) * (0.5 + Math.random());
    slot.failures += 1;
    slot.timer = setTimeout(() => this.#connect(slot), waitMs);
    for (const tx of new Set(this.#transactions.values())) {
      if (tx.link !== link || tx.isDone || tx.parts.method === "REGISTER") continue;
      tx.history.push(`flow to ${link.target.name} ${cause}`);
      tx.moves += 1;
      // Without any answer a new transaction (RFC 3263 4.3); one that rings is the same, wherever its answer comes.
      this.#whenOpen(() => this.#send(tx, !tx.isProceeding));
    }
  }

  /** RFC 5626 4.4.1: a connection on which nothing comes back is closed. */
  #probe(link: Link): void {
    const slot = this.#slots.find((each) => each.link === link);
    if (slot === undefined || !link.isOpen) return;
    const at = performance.now();
    if (at - slot.heardAt < probeMs / 2) return;
    link.ping();
    setTimeout(() => {
      if (slot.link === link && link.isOpen && slot.heardAt < at && !this.#isStopped) link.close();
    }, probeMs).unref();
  }

  #register(slot: Slot): void {
    const { link } = slot;
    if (link === undefined || this.#isStopped || slot.isRegistering) return;
    slot.cSeq += 1;
    slot.isRegistering = true;
    const { domain } = this.#options;
    const isOutbound = this.#slots.length > 1;
    const contact = `<sip:${this.user}@${link.contactHost}${isOutbound ? ";ob" : ""}>;+sip.instance="<${this.instance}>"${isOutbound ? `;reg-id=${slot.regId}` : ""};expires=${expiresSeconds}`;
    const parts: RequestParts = {
      method: "REGISTER",
      requestUri: `sip:${domain}`,
      head: `From: <${this.uri}>;tag=r${slot.regId}\r\nTo: <${this.uri}>\r\nCall-ID: ${slot.callId}\r\nCSeq: ${slot.cSeq} REGISTER\r\nSupported: outbound, path\r\nUser-Agent: tandem drill\r\nContact: ${contact}\r\n`,
      hasContact: false,
    };
    const tx: Transaction = {
      parts,
      isInvite: false,
      startedAt: performance.now(),
      branches: [],
      provisional: () => undefined,
      done: (outcome) => this.#registered(slot, link, outcome),
      history: [],
      link,
      sent: new Uint8Array(0),
      sentAt: 0,
      intervalMs: t1Ms,
      sends: 0,
      isProceeding: false,
      isDone: false,
      moves: 0,
      timer: undefined,
      again: undefined,
    };
    this.#send(tx, true, link);
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

function nextBranch(): string {
  branches += 1;
  return `z9hG4bK${run}${branches.toString(36)}`;
}
