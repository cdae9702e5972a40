import { isParseError } from "../errors.ts";
import { retryAfterSeconds, t1Ms, t4Ms, transactionsFewShare, transactionsInDialogShare, transactionsMax } from "../limits.ts";
import { buildCancel, buildResponse } from "../message/build.ts";
import { Header } from "../message/header-names.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { briefResponse, tagOfRefusal } from "../flow/brief-response.ts";
import { fallbackFlow, responseFlow } from "../flow/response-flow.ts";
import { sourceOfFlow } from "../flow/source.ts";
import { HeldRequests, type Held } from "./held-requests.ts";
import { fireInviteClient, receiveInviteResponse, startCopy, startInvite, terminateInviteClient } from "./invite-client.ts";
import { fireInviteServer, isToBeRepeated, receiveAck, receiveInviteAgain, respondInvite } from "./invite-server.ts";
import { clientKey, isSameCall, isUniqueServerKey, serverKey } from "./matching.ts";
import { fireNonInviteClient, receiveResponse, startRequest, terminateNonInviteClient } from "./non-invite-client.ts";
import { fireNonInviteServer, receiveRequestAgain, respondNonInvite, startNonInvite } from "./non-invite-server.ts";
import { newClientTransaction, sayOnce } from "./new-client.ts";
import { newServerTransaction } from "./new-server.ts";
import { RefusedInvites } from "./refused-invites.ts";
import type { TimerTable } from "./timer-table.ts";
import { never, readSent, schedule } from "./transaction.ts";
import type {
  ClientTransaction,
  InviteClientTransaction,
  InviteServerTransaction,
  Machinery,
  NonInviteServerTransaction,
  SendingManner,
  ServerTransaction,
  Transaction,
  TransactionUser,
  TransportSink,
} from "./transaction.ts";
import { askedAgain, isTooShortForTrying, openAccount, UnpaidOctets, withinAccount } from "./unproven-callers.ts";
import type { SteadyMs } from "../time.ts";

export type TransactionLayerOptions = {
  readonly timers: TimerTable;
  readonly transport: TransportSink;
  readonly user: TransactionUser;
  /** Whether a flow loses nothing (TCP, TLS, WebSocket). */
  isReliable(flow: string): boolean;
  /** For tests; the limit is limits.ts's. */
  readonly transactionsMax?: number;
};

/**
 * RFC 3261 17: the transactions of one exchange. Messages go in with {@link receive}, time with the timers. What comes out are calls of the transport
 * sink and the transaction user, made before the method returns.
 */
export class TransactionLayer {
  readonly #servers = new Map<string, ServerTransaction>();
  readonly #clients = new Map<string, ClientTransaction>();
  /** Requests that wait for their final responses. */
  readonly #held = new HeldRequests();
  readonly #unpaid = new UnpaidOctets();
  readonly #refused = new RefusedInvites();
  /** Requests waiting for a response, by the connection they were written to. */
  readonly #clientsByFlow = new Map<string, Set<ClientTransaction>>();
  readonly #machinery: Machinery;
  readonly #isReliable: (flow: string) => boolean;
  readonly #transactionsMax: number;
  /** What transactions do when their time has come: one function for all of a side. */
  readonly #fireServer: (this: ServerTransaction, now: SteadyMs) => void;
  readonly #fireClient: (this: ClientTransaction, now: SteadyMs) => void;

  constructor(options: TransactionLayerOptions) {
    const machinery: Machinery = {
      timers: options.timers,
      transport: options.transport,
      user: options.user,
      destroy: (tx, now) => this.#destroy(tx, now),
    };
    this.#machinery = machinery;
    this.#fireServer = function fire(now): void {
      if (this.kind === "inviteServer") fireInviteServer(this, machinery, now);
      else fireNonInviteServer(this, machinery, now);
    };
    this.#fireClient = function fire(now): void {
      if (this.kind === "inviteClient") fireInviteClient(this, machinery, now);
      else fireNonInviteClient(this, machinery, now);
    };
    this.#isReliable = (flow) => options.isReliable(flow);
    this.#transactionsMax = options.transactionsMax ?? transactionsMax;
  }

  /** Transactions held, finished ones that absorb retransmissions included. */
  get size(): number {
    return this.#servers.size + this.#clients.size;
  }

  /**
   * A message from the network: sound (`checkMandatory`), and a request stamped (`stampReceived`).
   * RFC 3261 17.1.3, 17.2.3, 18.1.2, 18.2.1.
   */
  receive(message: SipMessage, flow: string, now: SteadyMs): void {
    if (!message.isRequest) return this.#receiveResponse(message, flow, now);
    const method = message.method;
    if (method === "ACK") return this.#receiveAck(message, flow, now);
    const key = serverKey(message, method);
    if (key === undefined) return;
    const tx = this.#servers.get(key);
    if (tx !== undefined) return this.#receiveAgain(tx, flow);
    const refused = method === "INVITE" ? this.#refused.retryAfterOf(key, now) : undefined;
    if (refused !== undefined) return this.#refuse(message, flow, refused);
    const held = this.#isOverloaded(message) ? undefined : this.#hold(message, method, flow);
    if (held === undefined) {
      if (method === "INVITE") this.#refused.add(key, retryAfterSeconds, now);
      return this.#refuse(message, flow, retryAfterSeconds);
    }
    const created = this.#createServer(key, method, message, flow, held);
    this.#servers.set(key, created);
    if (created.kind === "inviteServer") return this.#machinery.user.request(created, message, now);
    startNonInvite(created, now);
    try {
      if (method === "CANCEL") this.#receiveCancel(created, message, now);
      else this.#machinery.user.request(created, message, now);
    } finally {
      // Most are answered by now, and have their timer; what is not must end whatever has happened.
      if (created.state === "Trying") schedule(created, this.#machinery.timers);
    }
  }

  /** Sends a response of the user's on a server transaction. What the state does not allow is dropped, as the RFC says. */
  respond(tx: ServerTransaction, status: number, response: Uint8Array, now: SteadyMs, commit?: number): void {
    this.#machinery.user.responded?.(tx.method, status);
    if (status >= 300 && !isUniqueServerKey(tx.key)) tx.responseTag = readSent(response).toTag;
    if (tx.kind === "inviteServer") {
      if (status >= 300 && tx.state === "Proceeding") openAccount(tx, response, this.#machinery.user, this.#unpaid, now);
      respondInvite(tx, status, response, this.#machinery, now, commit);
    } else this.#respondNonInvite(tx, status, response, now, commit);
    if (status >= 200) this.#held.release(tx.held, status < 300 && tx.kind === "inviteServer" ? now : undefined);
  }

  /**
   * A request goes on to a callee of ours (""; none), in so many copies. False: too much waits for that one already, or of strangers; it is to be
   * answered 503.
   */
  mayWait(tx: ServerTransaction, callee: string, isStranger: boolean, copies: number, now: SteadyMs): boolean {
    const length = tx.request === undefined ? 0 : lengthOf(tx.request);
    // A record in progress is the request as text, and each branch as text: as much again.
    return this.#held.charge(tx.held, callee, isStranger, (tx.kind === "inviteServer" ? 2 : 1) * copies * length, now);
  }

  /**
   * Answers a request ourselves. One that has proved nothing, and has not been forwarded, is answered once, and forgotten. RFC 3261 26.3.2.4 wants no
   * retransmission to an address that may be forged. It wants no transaction that somebody unknown can fill memory with. A repeated one is answered
   * again (8.2.7), and its ACK belongs to nothing. An INVITE that got 503 gets no other answer: see {@link RefusedInvites}.
   */
  refuse(tx: ServerTransaction, status: number, response: Uint8Array, now: SteadyMs): void {
    if (tx.isProven || tx.owner !== undefined || tx.lastStatus !== 0) return this.respond(tx, status, response, now);
    const { request, responseFlow: flow } = tx;
    if (tx.state === "Terminated" || request === undefined) return;
    this.#machinery.user.responded?.(tx.method, status);
    this.forget(tx);
    if (status === 503 && tx.kind === "inviteServer") this.#refused.add(tx.key, retryAfterIn(response), now);
    this.#machinery.transport.send(flow, briefResponse(request, flow, response));
  }

  /** A refusal of ours, after a while: to a datagram that has proved nothing in few octets. */
  brief(tx: ServerTransaction, response: Uint8Array): Uint8Array {
    return withinAccount(tx, response, this.#machinery.user);
  }

  /**
   * RFC 3261 17.2.1: answers an INVITE with 100 (Trying), unless it has been answered. The user calls it when it forwards, not the
   * machine on arrival: a challenge or a refusal leaves at once and needs none.
   */
  trying(tx: ServerTransaction, now: SteadyMs): void {
    if (tx.kind !== "inviteServer" || tx.lastStatus !== 0 || tx.request === undefined) return;
    const response = buildResponse(tx.request, 100);
    if (!isTooShortForTrying(tx, tx.request, response)) respondInvite(tx, 100, response, this.#machinery, now);
  }

  /** RFC 4320 4.2: ends a server transaction that will not be answered at all. */
  abandon(tx: ServerTransaction, now: SteadyMs): void {
    if (tx.state === "Terminated") return;
    tx.state = "Terminated";
    this.#destroy(tx, now);
  }

  /**
   * Starts a client transaction: sends `octets`, whose top Via has `branch`, on `flow`. `owner` comes back with every event.
   * A transport error is reported later through {@link undeliverable}, never from inside this call.
   */
  request(
    octets: Uint8Array,
    method: string,
    branch: string,
    flow: string,
    now: SteadyMs,
    owner: unknown,
    manner: SendingManner = "usual",
  ): ClientTransaction {
    const tx = this.#createClient(octets, method, branch, flow, owner);
    this.#addClient(tx);
    const isWatched = manner === "watched" || manner === "copy";
    if (tx.kind !== "inviteClient") startRequest(tx, this.#machinery, now, isWatched);
    else if (manner === "copy" && !tx.reliable) startCopy(tx, this.#machinery, now);
    else startInvite(tx, this.#machinery, now, isWatched);
    if (manner === "once") sayOnce(tx, this.#machinery.timers);
    return tx;
  }

  /**
   * RFC 3261 9.1: cancels an INVITE that has had a provisional response and no final one; false when it is not in that state.
   * `reasons` are values of Reason (RFC 3326). The CANCEL's own transaction has the owner undefined: nobody waits for its answer. `flow`: said once
   * more there, where the phone is now.
   */
  cancel(tx: ClientTransaction, now: SteadyMs, reasons: readonly string[] = [], flow?: string): boolean {
    if (tx.kind !== "inviteClient" || tx.state !== "Proceeding") return false;
    const earlier = this.#clients.get(clientKey(tx.branch, "CANCEL"));
    // One that was answered before the INVITE rang has ended nothing: it has overtaken that.
    if (flow === undefined && earlier !== undefined && earlier.state !== "Completed") return false;
    const headers = reasons.map((reason): [string, string] => ["Reason", reason]);
    this.request(buildCancel(readSent(tx.octets), headers), "CANCEL", tx.branch, flow ?? tx.flow, now, undefined);
    return true;
  }

  /** The last status said to a request with this key, 0: none yet. Undefined: none was received, or it was answered more than a moment ago. */
  serverStatus(key: string | undefined): number | undefined {
    return key === undefined ? undefined : this.#servers.get(key)?.lastStatus;
  }

  /** Whether a request with this branch of ours is waited for, or was answered a moment ago. */
  hasClient(branch: string, method = "INVITE"): boolean {
    return this.#clients.has(clientKey(branch, method));
  }

  /** Ends a client transaction that the user waits for no longer (RFC 3261 9.1, 16.8). Later responses are stray. */
  terminate(tx: ClientTransaction, now: SteadyMs): void {
    if (tx.state === "Terminated") return;
    if (tx.kind === "inviteClient") terminateInviteClient(tx, this.#machinery, now);
    else terminateNonInviteClient(tx, this.#machinery, now);
  }

  /**
   * A message of ours that the transport could not deliver. A request fails its client transaction (RFC 3261 17.1.4). A response is
   * tried once more where 18.2.2 says for a lost connection; its server transaction stays (RFC 6026 7.1). False: it has no transaction here.
   *
   * `isWayMissing`: nothing is known of the receiver, it is the way there that is missing for now. A datagram that has been sent before goes on with
   * its Timers A, E, B and F then. Its answer may have been on the way that was lost.
   */
  undeliverable(message: SipMessage, flow: string, now: SteadyMs, isWayMissing = false): boolean {
    const via = message.topVia;
    if (isParseError(via) || via.branch === undefined) return false;
    if (message.isRequest) {
      const tx = this.#clients.get(clientKey(via.branch, message.method));
      if (tx === undefined) return false;
      if (tx.flow !== flow || (tx.state !== "Calling" && tx.state !== "Trying" && tx.state !== "Proceeding")) return true;
      if (isWayMissing && !tx.reliable && tx.retransmitMs > t1Ms) return true;
      this.terminate(tx, now);
      this.#machinery.user.transportError(tx, now);
      return true;
    }
    const cSeq = message.cSeq;
    const key = isParseError(cSeq) ? undefined : serverKey(message, cSeq.method);
    const tx = key === undefined ? undefined : this.#servers.get(key);
    if (tx === undefined) return false;
    if (tx.responseFlow !== flow) return true;
    if (tx.isMoved || this.#machinery.user.responseLost?.(tx, message, now) !== true)
      this.moveResponse(tx, message, fallbackFlow(via, flow), now);
    return true;
  }

  /**
   * Sends a response that was lost on another flow, where later ones go too. Undefined: there is none. Then a refusal of an INVITE is said again like
   * over UDP (Timer G), because its client may come back and would wait for it for ever. A 2xx the callee says again.
   */
  moveResponse(tx: ServerTransaction, response: SipMessage, flow: string | undefined, now: SteadyMs): void {
    if (tx.state === "Terminated") return;
    if (flow === undefined) {
      if (tx.kind !== "inviteServer" || tx.state !== "Completed" || tx.retransmitAt !== never) return;
      tx.retransmitAt = now + tx.retransmitMs;
      return schedule(tx, this.#machinery.timers);
    }
    tx.responseFlow = flow;
    this.#machinery.transport.send(flow, response.octets.slice(response.start, response.end), tx.commit);
  }

  /** Whoever has these transactions is about to go. What Timer G would say again later is said now, where it may be said at all. */
  sayRefusalsAgain(now: SteadyMs): void {
    for (const tx of Array.from(this.#servers.values())) if (isToBeRepeated(tx)) fireInviteServer(tx, this.#machinery, now);
  }

  /**
   * A connection is gone. What was written to it and has got no answer fails at once (RFC 3261 17.1.4, 18.4), not when Timer B or F fires. An
   * INVITE that is ringing stays: its phone may come back and answer.
   */
  flowClosed(flow: string, now: SteadyMs, isConcerned: (tx: ClientTransaction) => boolean = () => true): void {
    const waiting = this.#clientsByFlow.get(flow);
    if (waiting === undefined) return;
    for (const tx of Array.from(waiting)) {
      if (!isConcerned(tx)) continue;
      if (tx.state !== "Calling" && tx.state !== "Trying" && !(tx.kind === "nonInviteClient" && tx.state === "Proceeding")) continue;
      this.terminate(tx, now);
      this.#machinery.user.transportError(tx, now);
    }
  }

  /** The same for all connections of which `isGone` says so. */
  flowsGone(isGone: (flow: string) => boolean, now: SteadyMs, isConcerned?: (tx: ClientTransaction) => boolean): void {
    for (const flow of Array.from(this.#clientsByFlow.keys())) if (isGone(flow)) this.flowClosed(flow, now, isConcerned);
  }

  /**
   * What is unanswered on connections that may be gone, whose end nobody has seen. It is the same for all but INVITEs. Those may have arrived, and
   * would ring here and somewhere else.
   */
  flowsDoubtful(isDoubtful: (flow: string) => boolean, now: SteadyMs): void {
    this.flowsGone(isDoubtful, now, isNoInvite);
  }

  /** Forgets transactions that another replica has taken over: nothing is sent, nobody is told. */
  forget(tx: Transaction): void {
    tx.state = "Terminated";
    this.#remove(tx);
    const cancel = tx.kind === "inviteClient" ? this.#clients.get(clientKey(tx.branch, "CANCEL")) : undefined;
    if (cancel !== undefined) this.forget(cancel);
  }

  /**
   * An INVITE's server transaction taken over from another replica, in state Proceeding with its last provisional response.
   * The one that exists already is returned when the request has been here before.
   */
  restoreServer(message: SipMessage, flow: string, lastStatus: number, lastResponse: Uint8Array | undefined): InviteServerTransaction {
    const key = serverKey(message, "INVITE");
    if (key === undefined) throw new RangeError("an INVITE without a Via cannot have been received");
    const known = this.#servers.get(key);
    if (known?.kind === "inviteServer") return known;
    // What the other replica has let in is not refused here.
    const held = this.#held.hold(sourceOfFlow(flow), lengthOf(message), true, Number.POSITIVE_INFINITY);
    const tx = this.#createServer(key, "INVITE", message, flow, held ?? nothingHeld());
    if (tx.kind !== "inviteServer") throw new RangeError("not an INVITE");
    tx.lastStatus = lastStatus;
    tx.lastResponse = lastResponse;
    this.#servers.set(key, tx);
    return tx;
  }

  /** An INVITE's client transaction taken over from another replica. Unanswered it is sent again; over UDP see {@link startCopy}. */
  restoreClient(
    octets: Uint8Array,
    branch: string,
    flow: string,
    state: "Calling" | "Proceeding",
    now: SteadyMs,
    owner: unknown,
    isOnce = false,
  ): InviteClientTransaction {
    const tx = this.#createClient(octets, "INVITE", branch, flow, owner);
    if (tx.kind !== "inviteClient") throw new RangeError("not an INVITE");
    tx.state = state;
    this.#addClient(tx);
    if (state === "Proceeding") return tx;
    if (!tx.reliable && !isOnce) startCopy(tx, this.#machinery, now);
    else startInvite(tx, this.#machinery, now);
    if (isOnce) sayOnce(tx, this.#machinery.timers);
    return tx;
  }

  /** RFC 3261 18.2.2: over a connection the answer goes where the request came; who repeats it on another one has lost the first. */
  #receiveAgain(tx: ServerTransaction, flow: string): void {
    if (flow !== tx.responseFlow && tx.reliable && this.#isReliable(flow)) tx.responseFlow = flow;
    if (tx.kind === "inviteServer") receiveInviteAgain(tx, this.#machinery);
    else receiveRequestAgain(tx, this.#machinery);
  }

  #receiveCancel(tx: NonInviteServerTransaction, message: SipMessage, now: SteadyMs): void {
    const inviteKey = serverKey(message, "INVITE");
    const invite = inviteKey === undefined ? undefined : this.#servers.get(inviteKey);
    // RFC 3261 9.1: they are the same. A branch alone can be guessed.
    if (invite?.kind !== "inviteServer" || (invite.request !== undefined && !isSameCall(invite.request, message)))
      return this.#machinery.user.cancel(undefined, tx, message, now);
    const wasRefused = invite.state === "Completed";
    this.#machinery.user.cancel(invite, tx, message, now);
    if (wasRefused) askedAgain(invite, tx, message, this.#machinery.transport);
  }

  #receiveAck(message: SipMessage, flow: string, now: SteadyMs): void {
    const key = serverKey(message, "INVITE");
    const tx = key === undefined ? undefined : this.#servers.get(key);
    if (tx?.kind === "inviteServer") receiveAck(tx, message, flow, this.#machinery, now);
    else this.#machinery.user.ack(message, flow, now);
  }

  #receiveResponse(message: SipMessage, flow: string, now: SteadyMs): void {
    const via = message.topVia;
    const cSeq = message.cSeq;
    if (isParseError(via) || isParseError(cSeq) || via.branch === undefined) return;
    const tx = this.#clients.get(clientKey(via.branch, cSeq.method));
    if (tx === undefined) return this.#machinery.user.strayResponse(message, flow, now);
    if (flow !== tx.flow && tx.reliable && message.status >= 200 && message.status < 300 && this.#isReliable(flow)) tx.answeredOn = flow;
    if (tx.kind === "inviteClient") receiveInviteResponse(tx, message, this.#machinery, now);
    else receiveResponse(tx, message, this.#machinery, now);
  }

  #isOverloaded(message: SipMessage): boolean {
    const size = this.#servers.size;
    if (size < this.#transactionsMax) return false;
    return message.toTag === undefined || size >= this.#transactionsMax * transactionsInDialogShare;
  }

  #hold(message: SipMessage, method: string, flow: string): Held | undefined {
    return this.#held.hold(
      sourceOfFlow(flow),
      lengthOf(message),
      method === "INVITE",
      message.toTag === undefined ? 1 : transactionsInDialogShare,
    );
  }

  #respondNonInvite(tx: NonInviteServerTransaction, status: number, response: Uint8Array, now: SteadyMs, commit: number | undefined): void {
    respondNonInvite(tx, status, response, this.#machinery, now, commit);
    if (this.#servers.size <= this.#transactionsMax * transactionsFewShare || tx.state !== "Completed" || tx.endsAt <= now + t4Ms) return;
    tx.endsAt = now + t4Ms;
    schedule(tx, this.#machinery.timers);
  }

  /** 503 without a transaction: state is what there is too much of. */
  #refuse(message: SipMessage, flow: string, retryAfter: number): void {
    const response = buildResponse(message, 503, { headers: [["Retry-After", String(retryAfter)]], toTag: tagOfRefusal(message) });
    this.#machinery.user.responded?.(message.method, 503);
    this.#machinery.transport.send(responseFlow(message, flow), briefResponse(message, flow, response));
  }

  #createServer(key: string, method: string, message: SipMessage, flow: string, held: Held): ServerTransaction {
    return newServerTransaction(key, method, message, flow, this.#isReliable(flow), held, this.#fireServer);
  }

  #createClient(octets: Uint8Array, method: string, branch: string, flow: string, owner: unknown): ClientTransaction {
    return newClientTransaction(octets, method, branch, flow, this.#isReliable(flow), owner, this.#fireClient);
  }

  /** A request that is said again, to the same receiver on another flow, takes the place of its first copy. */
  #addClient(tx: ClientTransaction): void {
    const before = this.#clients.get(tx.key);
    if (before !== undefined) this.forget(before);
    this.#clients.set(tx.key, tx);
    if (!tx.reliable) return;
    const others = this.#clientsByFlow.get(tx.flow);
    if (others === undefined) this.#clientsByFlow.set(tx.flow, new Set([tx]));
    else others.add(tx);
  }

  #destroy(tx: Transaction, now: SteadyMs): void {
    this.#remove(tx);
    this.#machinery.user.terminated?.(tx, now);
  }

  #remove(tx: Transaction): void {
    this.#machinery.timers.clear(tx);
    if (tx.kind === "inviteServer" || tx.kind === "nonInviteServer") {
      this.#servers.delete(tx.key);
      this.#held.release(tx.held);
      return;
    }
    if (this.#clients.get(tx.key) === tx) this.#clients.delete(tx.key);
    if (!tx.reliable) return;
    const others = this.#clientsByFlow.get(tx.flow);
    others?.delete(tx);
    if (others?.size === 0) this.#clientsByFlow.delete(tx.flow);
  }
}

function retryAfterIn(response: Uint8Array): number {
  return Number(readSent(response).text(Header.RetryAfter) ?? retryAfterSeconds);
}

function lengthOf(message: SipMessage): number {
  return message.end - message.start;
}

function nothingHeld(): Held {
  return { source: { name: "", octets: 0, ofStrangers: 0 }, octets: 0, callee: undefined, isCharged: false, isStranger: false };
}

function isNoInvite(tx: ClientTransaction): boolean {
  return tx.kind === "nonInviteClient";
}
