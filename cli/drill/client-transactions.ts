import { randomUUID } from "node:crypto";
import { isParseError } from "../../sip/errors.ts";
import { buildAckForNon2xx, buildCancel } from "../../sip/message/build.ts";
import { octetsOf } from "../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import type { Link } from "./link.ts";

/** RFC 3261 17.1.1.1. */
const t1Ms = 500;
const t2Ms = 4_000;
const transactionMs = 64 * t1Ms;
/** A target that has not answered at all by then is given up for the next one (RFC 3263 4.3), long before Timers B and F. */
const targetMs = 4_000;
/** A connection on which a request is unanswered this long is probed. */
const probeAfterMs = 1_500;

export type RequestParts = {
  readonly method: string;
  readonly requestUri: string;
  /** From, To, Call-ID, CSeq, Route, ...: whole lines, everything but Via, Max-Forwards, Content-Length, and Contact when `hasContact`. */
  readonly head: string;
  /** The Contact of the flow that it leaves on is to be added. */
  readonly hasContact: boolean;
};

/** A request on its way. */
export type Started = {
  /** For people: what happens to it, growing. */
  readonly history: readonly string[];
  /** RFC 3261 9.1: says CANCEL where the request was sent last, once a provisional response has come. */
  cancel(done: (outcome: Outcome) => void): void;
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

/** What the transactions need of their phone. */
export type PhoneFlows = {
  /** The Contact of a flow. */
  contactOn(link: Link): string;
  /** The flow that requests leave on; undefined while there is none. */
  present(): Link | undefined;
  /** Acts when there is a flow: now, or later. */
  whenOpen(act: () => void): void;
  /** A connection may be dead: find out. */
  probe(link: Link): void;
  /** A UDP target did not answer: go to the next one, unless that has been done. */
  giveUp(link: Link): void;
};

type Handlers = {
  readonly done: (outcome: Outcome) => void;
  /** A final response that comes again: a 2xx wants its ACK again (RFC 3261 13.2.2.4). */
  readonly again?: (message: SipMessage) => void;
  /** Stays on this flow: a REGISTER is about it. */
  readonly only?: Link;
};

type Transaction = {
  readonly parts: RequestParts;
  readonly handlers: Handlers;
  readonly startedAt: number;
  /** Of every attempt; the last is the present one. */
  readonly branches: string[];
  readonly history: string[];
  link: Link | undefined;
  octets: Uint8Array;
  /** When the present attempt began. */
  sentAt: number;
  intervalMs: number;
  isProceeding: boolean;
  isDone: boolean;
  wasMoved: boolean;
  timer: NodeJS.Timeout | undefined;
  /** What is done when a provisional response comes. */
  whenHeard: (() => void) | undefined;
};

/** A branch that no other transaction has (RFC 3261 8.1.1.7). */
function newBranch(): string {
  return `z9hG4bK${randomUUID()}`;
}

/**
 * The client transactions of a phone (RFC 3261 17.1) and what a phone does when a target fails: without any answer the request is sent to
 * the next one in a new transaction (RFC 3263 4.3); an INVITE that rings is still the same one, wherever its answer comes, and is sent again on
 * the next flow when its own is gone.
 */
export class ClientTransactions {
  readonly #flows: PhoneFlows;
  /** By branch and method: a CANCEL has the branch of its INVITE. */
  readonly #byKey = new Map<string, Transaction>();
  #isStopped = false;

  constructor(flows: PhoneFlows) {
    this.#flows = flows;
  }

  /** Starts a transaction. */
  start(parts: RequestParts, handlers: Handlers): Started {
    const tx = transactionOf(parts, handlers);
    this.#begin(tx, true);
    return { history: tx.history, cancel: (done) => this.#cancel(tx, done) };
  }

  #begin(tx: Transaction, isNew: boolean): void {
    if (this.#linkFor(tx) === undefined) tx.history.push("no flow");
    // Also the end of one that never finds a flow.
    tx.timer = setTimeout(() => this.#end(tx, 0, undefined), transactionMs);
    this.#send(tx, isNew);
  }

  #cancel(invite: Transaction, done: (outcome: Outcome) => void): void {
    if (!invite.isProceeding) {
      invite.whenHeard = (): void => this.#cancel(invite, done);
      return;
    }
    const message = parseMessage(invite.octets);
    const branch = invite.branches.at(-1);
    if (isParseError(message) || branch === undefined) throw new RangeError("nothing to cancel");
    const told = (outcome: Outcome): void => {
      invite.history.push(`(its CANCEL: ${outcome.history})`);
      done(outcome);
    };
    const tx = transactionOf({ ...invite.parts, method: "CANCEL", hasContact: false }, { done: told });
    tx.octets = buildCancel(message);
    tx.branches.push(branch);
    this.#byKey.set(`${branch} CANCEL`, tx);
    this.#begin(tx, false);
  }

  /** Sends an ACK for a 2xx: no transaction. */
  acknowledge(parts: RequestParts): void {
    this.#flows.whenOpen(() => {
      const link = this.#flows.present();
      link?.send(octetsOf(this.#textOf(parts, link, newBranch())));
    });
  }

  receive(message: SipMessage): void {
    const via = message.topVia;
    const cSeq = message.cSeq;
    if (isParseError(via) || via.branch === undefined || isParseError(cSeq)) return;
    const tx = this.#byKey.get(`${via.branch} ${cSeq.method}`);
    if (tx === undefined) return;
    const { status } = message;
    const isPresent = via.branch === tx.branches.at(-1);
    if (status < 200) {
      if (tx.isDone || !isPresent || tx.isProceeding) return;
      tx.isProceeding = true;
      tx.history.push(`${status} at ${Math.round(performance.now() - tx.startedAt)} ms`);
      // RFC 3261 17.1.1.2: no Timer B from here on; people may let it ring.
      if (tx.parts.method === "INVITE") clearTimeout(tx.timer);
      tx.whenHeard?.();
      tx.whenHeard = undefined;
      return;
    }
    if (tx.parts.method === "INVITE" && status >= 300) this.#acknowledgeRefusal(tx, message);
    if (tx.isDone) return tx.handlers.again?.(message);
    // Of an attempt that was given up only a success still counts.
    if (isPresent || status < 300) this.#end(tx, status, message);
  }

  /** A connection is gone. */
  closed(link: Link, cause: string): void {
    for (const tx of new Set(this.#byKey.values())) {
      if (tx.link !== link || tx.isDone) continue;
      tx.history.push(`flow to ${link.target.name} lost: ${cause}`);
      if (tx.handlers.only !== undefined) {
        this.#end(tx, 0, undefined);
        continue;
      }
      tx.wasMoved = true;
      this.#send(tx, !tx.isProceeding && !isCancel(tx));
    }
  }

  stop(): void {
    this.#isStopped = true;
    for (const tx of this.#byKey.values()) clearTimeout(tx.timer);
  }

  #linkFor(tx: Transaction): Link | undefined {
    return tx.handlers.only ?? this.#flows.present();
  }

  /** Sends a request on the present flow. `isNew`: in a transaction of its own. */
  #send(tx: Transaction, isNew: boolean): void {
    if (tx.isDone || this.#isStopped) return;
    const link = this.#linkFor(tx);
    if (link === undefined) return this.#flows.whenOpen(() => this.#send(tx, isNew));
    clearTimeout(tx.timer);
    const now = performance.now();
    tx.link = link;
    tx.history.push(`${tx.parts.method} to ${link.target.name} at ${Math.round(now - tx.startedAt)} ms`);
    if (isNew) {
      const branch = newBranch();
      tx.branches.push(branch);
      this.#byKey.set(`${branch} ${tx.parts.method}`, tx);
      tx.octets = octetsOf(this.#textOf(tx.parts, link, branch));
      tx.isProceeding = false;
    }
    tx.sentAt = now;
    tx.intervalMs = t1Ms;
    link.send(tx.octets);
    this.#arm(tx);
  }

  #textOf(parts: RequestParts, link: Link, branch: string): string {
    const contact = parts.hasContact ? `Contact: ${this.#flows.contactOn(link)}\r\n` : "";
    const via = `Via: ${link.via};branch=${branch};rport\r\n`;
    return `${parts.method} ${parts.requestUri} SIP/2.0\r\n${via}Max-Forwards: 70\r\n${parts.head}${contact}Content-Length: 0\r\n\r\n`;
  }

  #arm(tx: Transaction): void {
    if (tx.isProceeding && tx.parts.method === "INVITE") return;
    const waitMs = tx.link?.isReliable === true ? probeAfterMs : tx.intervalMs;
    const leftMs = tx.startedAt + transactionMs - performance.now();
    tx.timer = setTimeout(() => this.#late(tx), Math.max(1, Math.min(waitMs, leftMs)));
  }

  /** Nothing has come in time. */
  #late(tx: Transaction): void {
    const now = performance.now();
    const { link } = tx;
    if (now >= tx.startedAt + transactionMs - 1) return this.#end(tx, 0, undefined);
    if (link === undefined || !link.isOpen) return this.#arm(tx);
    if (link.isReliable) this.#flows.probe(link);
    else if (!tx.isProceeding && now - tx.sentAt >= targetMs - 1) {
      this.#flows.giveUp(link);
      tx.wasMoved = true;
      return this.#send(tx, !isCancel(tx));
    } else {
      link.send(tx.octets);
      const doubled = tx.intervalMs * 2;
      // Timers A and E; the last before the target is given up is cut short.
      tx.intervalMs = tx.isProceeding ? t2Ms : Math.min(doubled, t2Ms, Math.max(1, tx.sentAt + targetMs - now));
    }
    this.#arm(tx);
  }

  #end(tx: Transaction, status: number, message: SipMessage | undefined): void {
    if (tx.isDone) return;
    tx.isDone = true;
    clearTimeout(tx.timer);
    // Late and repeated responses still find it for a while (RFC 3261 Timers D and K, 13.2.2.4).
    setTimeout(() => {
      for (const branch of tx.branches) this.#byKey.delete(`${branch} ${tx.parts.method}`);
    }, transactionMs).unref();
    tx.history.push(`${status === 0 ? "no final response" : status} at ${Math.round(performance.now() - tx.startedAt)} ms`);
    tx.handlers.done({ status, message, history: tx.history.join(", "), wasMoved: tx.wasMoved });
  }

  /** RFC 3261 17.1.1.3. */
  #acknowledgeRefusal(tx: Transaction, response: SipMessage): void {
    const invite = parseMessage(tx.octets);
    if (!isParseError(invite)) this.#flows.present()?.send(buildAckForNon2xx(invite, response));
  }
}

function transactionOf(parts: RequestParts, handlers: Handlers): Transaction {
  return {
    parts,
    handlers,
    startedAt: performance.now(),
    branches: [],
    history: [],
    link: undefined,
    octets: new Uint8Array(0),
    sentAt: 0,
    intervalMs: t1Ms,
    isProceeding: false,
    isDone: false,
    wasMoved: false,
    timer: undefined,
    whenHeard: undefined,
  };
}

/** Its branch is that of its INVITE, wherever it is said. */
function isCancel({ parts }: Transaction): boolean {
  return parts.method === "CANCEL";
}
