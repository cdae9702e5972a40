import { isParseError, type ParseError } from "../errors.ts";
import { buildResponse } from "../message/build.ts";
import { Header } from "../message/header-names.ts";
import type { SipMessage } from "../message/sip-message.ts";
import type { TimerTable } from "../transaction/timer-table.ts";
import type { TransactionLayer } from "../transaction/transaction-layer.ts";
import type {
  ClientTransaction,
  InviteServerTransaction,
  NonInviteServerTransaction,
  ServerTransaction,
  TransportSink,
} from "../transaction/transaction.ts";
import { tagOfRefusal } from "../flow/brief-response.ts";
import { isBranch, none, type Branch } from "./branch.ts";
import { ContextMachine } from "./context-machine.ts";
import type { ProxyEnvironment } from "./environment.ts";
import { join, withVias } from "./open-requests.ts";
import { withoutOwnChallenges } from "./own-realms.ts";
import { checkForwarding, identify, spiralsOf } from "./request-validation.ts";
import type { Refusal } from "./request-validation.ts";
import { hasEnded, isOpen, isResponseContext, latestOf, newContext, type ResponseContext } from "./response-context.ts";
import { preprocess } from "./route-preprocessing.ts";
import type { Preprocessed } from "./route-preprocessing.ts";
import { StatelessForwarder } from "./stateless.ts";
import type { Target } from "./target-set.ts";
import { withoutTopVia } from "./top-via.ts";
import { answeredThere } from "./unproven-places.ts";
import type { SteadyMs } from "../time.ts";

export type ForwardOptions = {
  /** Stay on the path of the dialog (RFC 3261 16.6 4). */
  readonly recordRoute: boolean;
};

/**
 * RFC 3261 16: a stateful proxy over a transaction layer, as its owner sees it. What becomes of a request and of its branches decide the machines
 * behind it (context-machine.ts, branch-machine.ts); what has no response context goes through stateless.ts. The owner of the layer's
 * `user` passes on what belongs here: `response`, `timeout` and `transportError` say by returning false that it does not.
 */
export class Proxy {
  readonly #env: ProxyEnvironment;
  readonly #transactions: TransactionLayer;
  readonly #contexts: ContextMachine;
  readonly #stateless: StatelessForwarder;

  constructor(env: ProxyEnvironment, transactions: TransactionLayer, timers: TimerTable, transport: TransportSink) {
    this.#env = env;
    this.#transactions = transactions;
    this.#contexts = new ContextMachine(env, transactions, timers);
    this.#stateless = new StatelessForwarder(env, timers, transport);
  }

  /** Requests in progress, what is looked for, and ACKs waiting for an address: zero when nothing is going on. */
  get size(): number {
    return this.#contexts.branches.size + this.#stateless.size + this.#contexts.open.size;
  }

  /** RFC 3261 16.4: see `preprocess` in route-preprocessing.ts. */
  preprocess(message: SipMessage, flow: string): Preprocessed | ParseError {
    const request = preprocess(this.#env, message, flow);
    if (isParseError(request) || request.routes.length === 0 || this.#env.followsRoutes(request)) return request;
    return { ...request, ownRoutes: request.ownRoutes + request.routes.length, routes: none };
  }

  /** The same for an INVITE that another replica has authorized: as that one forwarded it. */
  preprocessAdopted(message: SipMessage, flow: string): Preprocessed | ParseError {
    const request = this.preprocess(message, flow);
    if (!isParseError(request) && request.token === undefined) this.#env.vouch(request);
    return request;
  }

  /** RFC 3261 16.3: what forbids to forward the request; ask before authenticating it. {@link forward} asks when nobody has. */
  checkForwarding(request: Preprocessed): Refusal | undefined {
    return checkForwarding(request, this.#env);
  }

  /** Sets what an INVITE is known by that was forwarded before and is not any more. */
  identify(request: Preprocessed): void {
    identify(request, this.#env);
    request.spirals = spiralsOf(request.message, "", this.#env.sign);
  }

  /** Answers a request with a response of our own. */
  refuse(tx: ServerTransaction, message: SipMessage, refusal: Refusal, now: SteadyMs): void {
    const response = buildResponse(message, refusal.status, { toTag: tagOfRefusal(message), headers: refusal.headers });
    this.#transactions.refuse(tx, refusal.status, response, now);
  }

  /** The INVITE in progress that an early dialog belongs to (RFC 3261 12.1). */
  inviteOf(callId: string, callerTag: string): ResponseContext | undefined {
    return this.#contexts.open.inviteOf(callId, callerTag);
  }

  /**
   * RFC 3261 16.5 to 16.8: forwards a request to its targets, from the highest q on, those of equal q in parallel. It tries the targets of one group
   * one at a time (RFC 5626 7). INVITE is answered with 100 at once. No targets: 480, unless a phone may return that has just lost its connection.
   * The transaction's owner becomes the context. Nothing happens when the transaction has been answered already, by a CANCEL in between.
   */
  forward(tx: ServerTransaction, request: Preprocessed, targets: readonly Target[], options: ForwardOptions, now: SteadyMs): void {
    if (tx.state !== "Proceeding" && tx.state !== "Trying") return;
    const refusal = request.loop === undefined ? this.checkForwarding(request) : undefined;
    if (refusal !== undefined) return this.refuse(tx, request.message, refusal, now);
    if (this.join(tx, request, now)) return;
    if (request.at === 0) request.at = this.#env.wallAt(now);
    const context = newContext(tx, request, options.recordRoute);
    if (this.#env.mayBeRepeated(now)) context.ownVias = request.message.values(Header.Via);
    tx.owner = context;
    this.#transactions.trying(tx, now);
    this.#contexts.begin(context, targets, now);
  }

  /** A copy of a request that is being forwarded: it waits for the same answer. False: it is none. */
  join(tx: ServerTransaction, request: Preprocessed, now: SteadyMs): boolean {
    const context = this.#contexts.open.find(request);
    if (context === undefined) return false;
    // One that has come back would wait for itself: what it came of waits for it.
    if (request.spirals > 0 || !join(context, tx, request.message)) {
      this.refuse(tx, request.message, { status: 482, headers: [] }, now);
      return true;
    }
    this.#transactions.trying(tx, now);
    const { lastStatus, lastResponse } = context.tx;
    if (lastStatus > 100 && lastResponse !== undefined) {
      this.#transactions.respond(tx, lastStatus, withVias(lastResponse, request.message.values(Header.Via), tx.reliable), now);
    }
    return true;
  }

  /** RFC 3261 16.5: targets that became known while the request is ringing, tried at once. False: it is too late. */
  addTargets(tx: ServerTransaction, targets: readonly Target[], now: SteadyMs): boolean {
    const context = tx.owner;
    if (!isResponseContext(context) || !isOpen(context)) return false;
    this.#contexts.addTargets(context, targets, now);
    return true;
  }

  /**
   * Targets of phones that a request waits for, under the reference of {@link ProxyEnvironment.seek}. Those that it has tried are not tried again,
   * nor is a phone called twice that has moved on while it is called already.
   */
  returned(reference: string, targets: readonly Target[], now: SteadyMs): void {
    const branch = this.#contexts.branches.soughtAs(reference);
    if (branch?.state !== "Awaiting") return;
    const called = branch.context.branches.filter(({ state }) => state !== "Finished").map(({ target }) => target.requestUri);
    const fresh = targets.filter(({ requestUri }) => !called.includes(requestUri));
    this.addTargets(branch.context.tx, fresh, now);
  }

  /** RFC 3261 16.10, 9.2. `tx` undefined: there is no INVITE to cancel, 481. */
  cancel(tx: InviteServerTransaction | undefined, cancelTx: NonInviteServerTransaction, message: SipMessage, now: SteadyMs): void {
    if (tx === undefined) return this.refuse(cancelTx, message, { status: 481, headers: [] }, now);
    const toTag = this.#env.nextTag();
    this.#transactions.respond(cancelTx, 200, buildResponse(message, 200, { toTag }), now);
    if (tx.state !== "Proceeding") return;
    const context = isResponseContext(tx.owner) ? tx.owner : undefined;
    if (context !== undefined && hasEnded(context)) return;
    // Not forwarded yet: the INVITE ends here (9.2), and `forward` will find it answered. Or its caller waits on another way now.
    if (context === undefined || tx !== latestOf(context)) {
      if (tx.request !== undefined) this.#transactions.respond(tx, 487, buildResponse(tx.request, 487, { toTag }), now);
      return;
    }
    this.#contexts.cancel(context, message.values(Header.Reason), now);
  }

  /** RFC 3261 16.10: an INVITE in progress ends without its caller's wish. Its phones are cancelled, and its caller gets 487. */
  takeBack(context: ResponseContext, reasons: readonly string[], now: SteadyMs): void {
    if (!hasEnded(context)) this.#contexts.cancel(context, reasons, now);
  }

  /** RFC 3261 16.7. */
  response(tx: ClientTransaction, received: SipMessage, now: SteadyMs): boolean {
    const branch = tx.owner;
    if (tx.method === "CANCEL" && branch === undefined) return true; // 9.1: nobody waits for it
    if (!isBranch(branch)) return false;
    if (branch.isUnproven) answeredThere(this.#env, branch, received, now);
    const message = withoutOwnChallenges(this.#env, received);
    if (message.status < 200) this.#contexts.provisional(branch, message, now);
    else this.#finalResponse(branch, message, now);
    return true;
  }

  #finalResponse(branch: Branch, message: SipMessage, now: SteadyMs): void {
    const upstream = withoutTopVia(message, branch.context.tx.reliable);
    // 16.7 3: without a Via for upstream it is not to be forwarded: the next element has broken it.
    if (upstream === undefined) this.#contexts.failed(branch, 502, now);
    else if (message.status < 300) this.#contexts.success(branch, message, upstream, now);
    else this.#contexts.failure(branch, message, upstream, now);
  }

  /** Timer B or F: see {@link BranchMachine.timedOut}. */
  timeout(tx: ClientTransaction, now: SteadyMs): boolean {
    const branch = tx.owner;
    if (!isBranch(branch)) return tx.method === "CANCEL" && branch === undefined;
    this.#contexts.branches.timedOut(branch, now);
    return true;
  }

  /** A phone has not answered, nor said that it has the request. */
  silent(tx: ClientTransaction, now: SteadyMs): void {
    if (isBranch(tx.owner)) this.#contexts.branches.silent(tx.owner, now);
  }

  /** RFC 3261 16.9: see {@link BranchMachine.unreachable}. */
  transportError(tx: ClientTransaction, now: SteadyMs): boolean {
    const branch = tx.owner;
    if (!isBranch(branch)) return tx.method === "CANCEL" && branch === undefined;
    this.#contexts.branches.unreachable(branch, now);
    return true;
  }

  /** The flows to a next hop that was asked for, best first; none when the name has no address. Late answers are ignored. */
  resolved(reference: string, flows: readonly string[], now: SteadyMs): void {
    const branch = this.#contexts.branches.soughtAs(reference);
    if (branch === undefined) this.#stateless.resolved(reference, flows);
    else this.#contexts.branches.resolved(branch, flows, now);
  }

  /** RFC 3261 16.11, 16.6: forwards the ACK for a 2xx, without state. It is dropped where there is no next hop. */
  ack(request: Preprocessed, target: Target, now: SteadyMs): void {
    this.#stateless.ack(request, target, now);
  }

  /** Where a response without a transaction goes on: see {@link StatelessForwarder}. */
  strayResponse(message: SipMessage, now: SteadyMs): { readonly flow: string; readonly octets: Uint8Array } | undefined {
    return this.#stateless.response(message, now);
  }

  /**
   * Takes up an INVITE that another replica was forwarding. Its context with server transaction and requests is in place (see `restoreInvite`).
   * `start` gives every unfinished branch its client transaction.
   */
  adopt(context: ResponseContext, start: (branch: Branch) => ClientTransaction | undefined, now: SteadyMs): void {
    this.#contexts.resume(context, start, now);
  }

  /** The request that a branch has sent, made once more: what another replica needs to repeat or cancel it. */
  requestOf(branch: Branch): Uint8Array {
    return this.#contexts.branches.requestOf(branch);
  }

  /** See unproven-places.ts: of a branch that another replica has sent. */
  isUnproven(branch: Branch): boolean {
    return this.#contexts.branches.isUnproven(branch);
  }

  /** Another replica goes on with this INVITE: it is forgotten without a word. */
  drop(context: ResponseContext): void {
    this.#contexts.drop(context);
  }

  /** The INVITE has been answered by another replica: what may still ring is stopped. */
  endedElsewhere(context: ResponseContext, now: SteadyMs): void {
    this.#contexts.endedElsewhere(context, now);
  }
}
