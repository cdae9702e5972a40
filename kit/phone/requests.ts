import { isParseError } from "../../sip/errors.ts";
import { buildCancel, buildRequest, type HeaderField } from "../../sip/message/build.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import type { ClientTransaction } from "./client-transaction.ts";
import { ClientTransactions } from "./client-transactions.ts";
import type { PhoneEnvironment, Planned } from "./environment.ts";
import { connectionSilentMs, targetSilentMs, transactionMs } from "./limits.ts";
import type { Link } from "./link.ts";

export type RequestParts = {
  readonly method: string;
  readonly requestUri: string;
  /** Everything but Via, Max-Forwards, Content-Length, and Contact when `hasContact`. */
  readonly headers: readonly HeaderField[];
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

/** What requests need of their phone. */
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

export type RequestHandlers = {
  done(outcome: Outcome): void;
  /** A final response that comes again: a 2xx wants its ACK again (RFC 3261 13.2.2.4). */
  again?(message: SipMessage): void;
  /** Stays on this flow: a REGISTER is about it. */
  readonly only?: Link;
};

type Request = {
  readonly parts: RequestParts;
  readonly handlers: RequestHandlers;
  readonly startedAt: number;
  readonly history: string[];
  /** The present attempt. */
  transaction: ClientTransaction | undefined;
  link: Link | undefined;
  isDone: boolean;
  wasMoved: boolean;
  /** Ends it while it has no transaction that could. */
  end: Planned | undefined;
  /** The attempt that has had a provisional response. */
  heard: ClientTransaction | undefined;
  /** Acts when the first provisional response comes. */
  whenHeard: (() => void) | undefined;
};

/**
 * The requests of a phone and what it does when a target fails. Without any answer a request is sent to the next one in a new transaction (RFC
 * 3263 4.3). An INVITE that rings is still the same one, wherever its answer comes, and is sent again on the next flow when its own is gone.
 */
export class Requests {
  readonly #environment: PhoneEnvironment;
  readonly #flows: PhoneFlows;
  readonly #transactions: ClientTransactions;
  readonly #open = new Set<Request>();
  #isStopped = false;

  constructor(environment: PhoneEnvironment, flows: PhoneFlows) {
    this.#environment = environment;
    this.#flows = flows;
    this.#transactions = new ClientTransactions(environment);
  }

  start(parts: RequestParts, handlers: RequestHandlers): Started {
    const request = this.#begin(parts, handlers);
    this.#attempt(request);
    return { history: request.history, cancel: (done) => this.#cancel(request, done) };
  }

  /** Sends an ACK for a 2xx: no transaction. `sent`: to this target. */
  acknowledge(parts: RequestParts, sent?: (target: string) => void): void {
    this.#flows.whenOpen(() => {
      const link = this.#flows.present();
      link?.send(this.#octetsOf(parts, link, this.#newBranch()));
      if (link !== undefined) sent?.(link.target.name);
    });
  }

  receive(message: SipMessage): void {
    this.#transactions.of(message)?.receive(message);
  }

  /** A connection is gone. */
  closed(link: Link, cause: string): void {
    for (const request of this.#open) {
      if (request.link !== link) continue;
      request.history.push(`flow to ${link.target.name} lost: ${cause}`);
      if (request.handlers.only !== undefined) {
        this.#ended(request, 0, undefined);
        continue;
      }
      this.#move(request);
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#transactions.stop();
    for (const { end } of this.#open) end?.cancel();
  }

  #begin(parts: RequestParts, handlers: RequestHandlers): Request {
    const startedAt = this.#environment.now;
    const request: Request = {
      parts,
      handlers,
      startedAt,
      history: [],
      transaction: undefined,
      link: undefined,
      isDone: false,
      wasMoved: false,
      end: undefined,
      heard: undefined,
      whenHeard: undefined,
    };
    this.#open.add(request);
    return request;
  }

  /** Another target: in a new transaction when the present one has heard nothing. A CANCEL keeps the branch of its INVITE. */
  #move(request: Request): void {
    request.wasMoved = true;
    const { transaction, parts } = request;
    if (transaction !== undefined && (transaction.isProceeding || parts.method === "CANCEL")) this.#sendAgain(request, transaction);
    else {
      transaction?.giveUp();
      this.#attempt(request);
    }
  }

  /** Sends a request in a transaction of its own on the present flow, or on the next one that there will be. */
  #attempt(request: Request): void {
    if (request.isDone || this.#isStopped) return;
    const link = request.handlers.only ?? this.#flows.present();
    if (link === undefined) return this.#wait(request, () => this.#attempt(request));
    const branch = this.#newBranch();
    this.#transact(request, link, branch, this.#octetsOf(request.parts, link, branch));
  }

  #sendAgain(request: Request, transaction: ClientTransaction): void {
    if (request.isDone || this.#isStopped) return;
    const link = this.#flows.present();
    if (link === undefined) return this.#wait(request, () => this.#sendAgain(request, transaction));
    this.#note(request, link);
    transaction.send();
  }

  #wait(request: Request, act: () => void): void {
    request.link = undefined;
    if (request.history.length === 0) request.history.push("no flow");
    // A transaction ends by itself; this is the end of a request that never finds a flow for one.
    if (request.transaction?.isOver !== false)
      request.end ??= this.#environment.after(this.#leftMs(request), () => this.#ended(request, 0, undefined));
    this.#flows.whenOpen(act);
  }

  #note(request: Request, link: Link): void {
    request.link = link;
    request.history.push(`${request.parts.method} to ${link.target.name} at ${this.#age(request)}`);
  }

  #transact(request: Request, link: Link, branch: string, octets: Uint8Array): void {
    const { method } = request.parts;
    this.#note(request, link);
    request.end?.cancel();
    request.end = undefined;
    const transaction = this.#transactions.add(
      {
        method,
        branch,
        octets,
        isReliable: link.isReliable,
        endsAfterMs: this.#leftMs(request),
        silentMs: link.isReliable ? connectionSilentMs : targetSilentMs,
      },
      {
        send: (said) => {
          const way = request.link?.isOpen === true ? request.link : this.#flows.present();
          way?.send(said);
        },
        silent: () => this.#silent(request, transaction),
        provisional: ({ status }) => this.#heard(request, transaction, status),
        final: (response) => this.#ended(request, response.status, response),
        again: (response) => this.#again(request, transaction, response),
        timeout: () => this.#ended(request, 0, undefined),
      },
    );
    request.transaction = transaction;
    transaction.send();
  }

  #silent(request: Request, transaction: ClientTransaction): void {
    const { link } = request;
    if (link === undefined || !link.isOpen) return;
    if (link.isReliable) this.#flows.probe(link);
    else if (!transaction.isProceeding) {
      this.#flows.giveUp(link);
      this.#move(request);
    }
  }

  #heard(request: Request, transaction: ClientTransaction, status: number): void {
    if (request.transaction !== transaction || request.heard === transaction) return;
    request.heard = transaction;
    request.history.push(`${status} at ${this.#age(request)}`);
    const act = request.whenHeard;
    request.whenHeard = undefined;
    act?.();
  }

  /** A final response to what is over. Of an attempt that was given up only a success still counts. */
  #again(request: Request, transaction: ClientTransaction, response: SipMessage): void {
    if (request.isDone) request.handlers.again?.(response);
    else if (response.status < 300 || request.transaction === transaction) this.#ended(request, response.status, response);
  }

  #cancel(invite: Request, done: (outcome: Outcome) => void): void {
    const { transaction } = invite;
    if (transaction?.isProceeding !== true) {
      invite.whenHeard = (): void => this.#cancel(invite, done);
      return;
    }
    const message = parseMessage(transaction.octets);
    if (isParseError(message)) throw new RangeError("nothing to cancel");
    const told = (outcome: Outcome): void => {
      invite.history.push(`(its CANCEL: ${outcome.history})`);
      done(outcome);
    };
    const request = this.#begin({ ...invite.parts, method: "CANCEL", hasContact: false }, { done: told });
    const octets = buildCancel(message);
    const send = (): void => {
      if (request.isDone || this.#isStopped) return;
      const link = this.#flows.present();
      if (link === undefined) this.#wait(request, send);
      else this.#transact(request, link, transaction.branch, octets);
    };
    send();
  }

  #ended(request: Request, status: number, message: SipMessage | undefined): void {
    if (request.isDone) return;
    request.isDone = true;
    this.#open.delete(request);
    request.transaction?.giveUp();
    request.end?.cancel();
    request.history.push(`${status === 0 ? "no final response" : status} at ${this.#age(request)}`);
    request.handlers.done({ status, message, history: request.history.join(", "), wasMoved: request.wasMoved });
  }

  #octetsOf(parts: RequestParts, link: Link, branch: string): Uint8Array {
    const contact: readonly HeaderField[] = parts.hasContact ? [["Contact", this.#flows.contactOn(link)]] : [];
    const headers: HeaderField[] = [["Via", `${link.via};branch=${branch};rport`], ["Max-Forwards", "70"], ...parts.headers, ...contact];
    return buildRequest({ method: parts.method, requestUri: parts.requestUri, headers });
  }

  /** A branch that no other transaction has (RFC 3261 8.1.1.7). */
  #newBranch(): string {
    return `z9hG4bK${this.#environment.newId()}`;
  }

  #leftMs({ startedAt }: Request): number {
    return Math.max(1, startedAt + transactionMs - this.#environment.now);
  }

  #age({ startedAt }: Request): string {
    return `${Math.round(this.#environment.now - startedAt)} ms`;
  }
}
