import { isParseError, type ParseError } from "../errors.ts";
import {
  awayRetryAfterSeconds,
  branchesMax,
  cancelAnswerMs,
  messageOctetsMax,
  phoneReturnMs,
  phoneSearchMs,
  phoneSilentMs,
  silentSearchMs,
  t1Ms,
  timerCMs,
} from "../limits.ts";
import { buildResponse, type HeaderField } from "../message/build.ts";
import { Header } from "../message/header-names.ts";
import { serializeUri } from "../message/uri.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { Timer, type TimerTable } from "../transaction/timer-table.ts";
import type { TransactionLayer } from "../transaction/transaction-layer.ts";
import type {
  ClientTransaction,
  InviteServerTransaction,
  NonInviteServerTransaction,
  SendingManner,
  ServerTransaction,
  TransportSink,
} from "../transaction/transaction.ts";
import { tagOfRefusal } from "../flow/brief-response.ts";
import { aggregateChallenges, isUnreached, offer, upstreamStatus } from "./best-response.ts";
import { freeBreadth, shareOf } from "./breadth.ts";
import type { ProxyEnvironment } from "./environment.ts";
import { forwardRequest, isPhone, isSentTo, placeOf, referenceOf, viaTokenOf } from "./forward-request.ts";
import { nextHopOf } from "./next-hop.ts";
import { join, OpenRequests, withVias } from "./open-requests.ts";
import { withoutOwnChallenges } from "./own-realms.ts";
import { checkForwarding, identify, spiralsOf } from "./request-validation.ts";
import type { Refusal } from "./request-validation.ts";
import {
  addToTargetSet,
  hasFound,
  hasPendingBranch,
  isAwaiting,
  isBranch,
  isGroupTaken,
  isOpen,
  isResponseContext,
  isTooOften,
  latestOf,
  newBranch,
  newContext,
  nextBatch,
  none,
  qOf,
} from "./response-context.ts";
import type { Branch, ResponseContext, Target } from "./response-context.ts";
import { preprocess } from "./route-preprocessing.ts";
import type { Preprocessed } from "./route-preprocessing.ts";
import { StatelessForwarder } from "./stateless.ts";
import { withoutTopVia } from "./top-via.ts";
import { answeredThere, isUnproven, mayGo } from "./unproven-places.ts";

/** How long a next hop's addresses are waited for. A resolver gives up after 5 s. */
const resolveMs = 6_000;
/** RFC 3261 9.1: how long a cancelled branch is waited for. */
const cancelMs: number = 64 * t1Ms;
/** Addresses of one next hop that are tried (RFC 3263 4.3). */
const addressesMax = 8;
/** RFC 3326: so that a phone does not show a missed call when another one of its user has answered. */
const answeredElsewhere: readonly string[] = ['SIP;cause=200;text="Call completed elsewhere"'];

export type ForwardOptions = {
  /** Stay on the path of the dialog (RFC 3261 16.6 4). */
  readonly recordRoute: boolean;
};

/**
 * RFC 3261 16: a stateful proxy over a transaction layer. The owner of the layer's `user` passes on what belongs here: `response`,
 * `timeout` and `transportError` say by returning false that it does not.
 */
export class Proxy {
  readonly #env: ProxyEnvironment;
  readonly #transactions: TransactionLayer;
  readonly #timers: TimerTable;
  /** Branches for which an address or a phone is looked for, by reference. */
  readonly #sought = new Map<string, Branch>();
  readonly #stateless: StatelessForwarder;
  readonly #open: OpenRequests;

  constructor(env: ProxyEnvironment, transactions: TransactionLayer, timers: TimerTable, transport: TransportSink) {
    this.#env = env;
    this.#transactions = transactions;
    this.#timers = timers;
    this.#open = new OpenRequests(env);
    this.#stateless = new StatelessForwarder(env, timers, transport);
  }

  /** Requests in progress, what is looked for, and ACKs waiting for an address: zero when nothing is going on. */
  get size(): number {
    return this.#sought.size + this.#stateless.size + this.#open.size;
  }

  /** RFC 3261 16.4: see `preprocess` in route-preprocessing.ts. */
  preprocess(message: SipMessage, flow: string): Preprocessed | ParseError {
    const request = preprocess(this.#env, message, flow);
    if (isParseError(request) || request.routes.length === 0 || this.#env.followsRoutes?.(request) !== false) return request;
    return { ...request, ownRoutes: request.ownRoutes + request.routes.length, routes: none };
  }

  /** The same for an INVITE that another replica has authorized: as that one forwarded it. */
  preprocessAdopted(message: SipMessage, flow: string): Preprocessed | ParseError {
    const request = this.preprocess(message, flow);
    if (!isParseError(request) && request.token === undefined) this.#env.vouch?.(request);
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
  refuse(tx: ServerTransaction, message: SipMessage, refusal: Refusal, now: number): void {
    const response = buildResponse(message, refusal.status, { toTag: tagOfRefusal(message), headers: refusal.headers });
    this.#transactions.refuse(tx, refusal.status, response, now);
  }

  /** The INVITE in progress that an early dialog belongs to (RFC 3261 12.1). */
  inviteOf(callId: string, callerTag: string): ResponseContext | undefined {
    return this.#open.inviteOf(callId, callerTag);
  }

  /**
   * RFC 3261 16.5 to 16.8: forwards a request to its targets, those of equal q in parallel, from the highest q on; of the targets of one
   * group one at a time (RFC 5626 7). INVITE is answered with 100 at once. No targets: 480, unless a phone may return that has just lost its
   * connection. The transaction's owner becomes the context.
   * Nothing happens when the transaction has been answered already, by a CANCEL in between.
   */
  forward(tx: ServerTransaction, request: Preprocessed, targets: readonly Target[], options: ForwardOptions, now: number): void {
    if (tx.state !== "Proceeding" && tx.state !== "Trying") return;
    const refusal = request.loop === undefined ? this.checkForwarding(request) : undefined;
    if (refusal !== undefined) return this.refuse(tx, request.message, refusal, now);
    if (this.join(tx, request, now)) return;
    if (request.at === 0) request.at = now;
    const context = newContext(tx, request, options.recordRoute);
    if (this.#env.mayBeRepeated?.(now) === true) context.ownVias = request.message.values(Header.Via);
    tx.owner = context;
    this.#open.add(context);
    this.#transactions.trying(tx, now);
    addToTargetSet(context, targets);
    if (targets.length === 0) this.#awaitPhone(context, now);
    this.#proceed(context, now);
    this.#changed(context, now);
  }

  /** A copy of a request that is being forwarded: it waits for the same answer. False: it is none. */
  join(tx: ServerTransaction, request: Preprocessed, now: number): boolean {
    const context = this.#open.find(request);
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
  addTargets(tx: ServerTransaction, targets: readonly Target[], now: number): boolean {
    const context = tx.owner;
    if (!isResponseContext(context) || !isOpen(context)) return false;
    const added = addToTargetSet(context, targets);
    if (added.length === 0) return true;
    const ready = added.filter((target) => !isGroupTaken(context, target));
    context.waiting = context.waiting.filter((target) => !ready.includes(target));
    const count = context.branches.length;
    this.#startAll(context, ready, now, true);
    const awaiting = context.branches.length > count ? context.branches.find(isAwaiting) : undefined;
    if (awaiting !== undefined) awaiting.isSought = true;
    this.#proceed(context, now);
    this.#changed(context, now);
    return true;
  }

  /**
   * Targets of phones that a request waits for, under the reference of {@link ProxyEnvironment.seek}. Those that it has tried are not tried again,
   * nor is a phone called twice that has moved on while it is called already.
   */
  returned(reference: string, targets: readonly Target[], now: number): void {
    const branch = this.#sought.get(reference);
    if (branch?.state !== "Resolving") return;
    const called = branch.context.branches.filter(({ state }) => state !== "Finished").map(({ target }) => target.requestUri);
    const fresh = targets.filter(({ requestUri }) => !called.includes(requestUri));
    this.addTargets(branch.context.tx, fresh, now);
  }

  /** RFC 3261 16.10, 9.2. `tx` undefined: there is no INVITE to cancel, 481. */
  cancel(tx: InviteServerTransaction | undefined, cancelTx: NonInviteServerTransaction, message: SipMessage, now: number): void {
    if (tx === undefined) return this.refuse(cancelTx, message, { status: 481, headers: [] }, now);
    const toTag = this.#env.nextTag();
    this.#transactions.respond(cancelTx, 200, buildResponse(message, 200, { toTag }), now);
    if (tx.state !== "Proceeding") return;
    const context = isResponseContext(tx.owner) ? tx.owner : undefined;
    if (context !== undefined && context.finalStatus !== 0) return;
    // Not forwarded yet: the INVITE ends here (9.2), and `forward` will find it answered. Or its caller waits on another way now.
    if (context === undefined || tx !== latestOf(context)) {
      if (tx.request !== undefined) this.#transactions.respond(tx, 487, buildResponse(tx.request, 487, { toTag }), now);
      return;
    }
    context.cancelled = true;
    context.cancelReasons = message.values(Header.Reason);
    this.#cancelPending(context, now);
    if (!hasPendingBranch(context)) offer(context, 487);
    this.#proceed(context, now);
    this.#changed(context, now);
  }

  /** RFC 3261 16.7. */
  response(tx: ClientTransaction, received: SipMessage, now: number): boolean {
    const branch = tx.owner;
    if (tx.method === "CANCEL" && branch === undefined) return true; // 9.1: nobody waits for it
    if (!isBranch(branch)) return false;
    if (branch.isUnproven) answeredThere(this.#env, branch, received, now);
    const message = withoutOwnChallenges(this.#env, received);
    const { status } = message;
    if (status < 200) {
      this.#provisional(branch, message, now);
      return true;
    }
    const upstream = withoutTopVia(message, branch.context.tx.reliable);
    // 16.7 3: without a Via for upstream it is not to be forwarded: the next element has broken it.
    if (upstream === undefined) this.#fail(branch, 502, now);
    else if (status < 300) this.#success(branch, message, upstream, now);
    else this.#failure(branch, message, upstream, now);
    return true;
  }

  /** Timer B or F (RFC 3261 16.7: as a 408); the next address or flow is tried where there is one. */
  timeout(tx: ClientTransaction, now: number): boolean {
    const branch = tx.owner;
    if (!isBranch(branch)) return tx.method === "CANCEL" && branch === undefined;
    if (!this.#tryNextAddress(branch, now)) this.#fail(branch, 408, now);
    return true;
  }

  /** A phone has not answered, nor said that it has the request. */
  silent(tx: ClientTransaction, now: number): void {
    const branch = tx.owner;
    if (isBranch(branch) && branch.state === "Calling" && mayBeSilent(branch)) this.#seekSilent(branch, now);
  }

  /**
   * RFC 3261 16.9, RFC 5626 5.3.1: as a 430, wherever it was for, so that its caller hears that nobody is there (480), and not that we have failed
   * (500, for a 503; see docs/statuses.md). The next address or flow is tried. A flow to which there is
   * no way counts as one that has not been tried: should there be one in time, it gets the same branch.
   */
  transportError(tx: ClientTransaction, now: number): boolean {
    const branch = tx.owner;
    if (!isBranch(branch)) return tx.method === "CANCEL" && branch === undefined;
    const { context, target, flow } = branch;
    const silentFlow = branch.silentFlows.at(-1);
    if (silentFlow !== undefined) return this.#goBack(branch, silentFlow, now);
    const isTargetFlow = isPhone(target);
    branch.isLost = true;
    if (isTargetFlow && this.#env.flowFailed(flow, target, now) === "unreachable") {
      context.branches.splice(context.branches.indexOf(branch), 1);
    }
    if (target.seek !== undefined && isOpen(context) && context.branches.length < branchesMax) {
      this.#finish(branch);
      const again: Target = { requestUri: target.requestUri, routes: target.routes, seek: "first" };
      this.#start(context, again, freeBreadth(context), now);
      this.#changed(context, now);
    } else if (!this.#tryNextAddress(branch, now)) this.#fail(branch, 430, now);
    return true;
  }

  /** A silent phone is not on that other flow either. It may only be slow where it was: it is waited for there, or on a third one. */
  #goBack(branch: Branch, silentFlow: string, now: number): true {
    const { silentFlows, flow } = branch;
    branch.silentFlows = none;
    branch.isSought = true;
    this.#send(branch, silentFlow, now);
    if (branch.state === "Calling" && !branch.cancelRequested) this.#seekSilent(branch, now, [...silentFlows, flow]);
    return true;
  }

  /** The flows to a next hop that was asked for, best first; none when the name has no address. Late answers are ignored. */
  resolved(reference: string, flows: readonly string[], now: number): void {
    const branch = this.#sought.get(reference);
    if (branch === undefined) return this.#stateless.resolved(reference, flows);
    const [flow, ...alternatives] = flows.slice(0, addressesMax);
    // The same branch: a phone that has heard the first copy takes it for a retransmission.
    if (branch.isSought && flow !== undefined) {
      if (branch.state === "Calling") {
        if (branch.cancelRequested || branch.context.attempts >= branch.context.attemptsMax) return;
        branch.silentFlows = [...branch.silentFlows, branch.flow];
        branch.isSought = false; // it may be half open as well
        return this.#send(branch, flow, now);
      }
      if (branch.state === "Cancelling" && branch.client !== undefined) {
        this.#transactions.cancel(branch.client, now, branch.context.cancelReasons, flow);
        return;
      }
    }
    if (branch.state !== "Resolving") return;
    if (flow === undefined) return this.#fail(branch, 430, now);
    branch.alternatives = alternatives;
    this.#send(branch, flow, now);
    this.#changed(branch.context, now);
  }

  /** Timer C (RFC 3261 16.8), or the end of a wait. */
  #fire(branch: Branch, now: number): void {
    switch (branch.state) {
      case "Resolving":
        this.#fail(branch, 430, now);
        break;
      case "Calling":
        if (mayBeSilent(branch)) this.#seekSilent(branch, now);
        else if (branch.context.isInvite) this.#giveUp(branch, now);
        break;
      case "Cancelling":
        if (mayBeSilent(branch)) this.#seekSilent(branch, now);
        else this.#giveUp(branch, now);
        break;
      case "Proceeding":
        this.#cancelBranch(branch, now);
        break;
      case "Finished":
        break;
      default:
        branch.state satisfies never;
    }
  }

  /** RFC 3261 16.11, 16.6: forwards the ACK for a 2xx, without state. It is dropped where there is no next hop. */
  ack(request: Preprocessed, target: Target, now: number): void {
    this.#stateless.ack(request, target, now);
  }

  /** Where a response without a transaction goes on: see {@link StatelessForwarder}. */
  strayResponse(message: SipMessage, now: number): { readonly flow: string; readonly octets: Uint8Array } | undefined {
    return this.#stateless.response(message, now);
  }

  /**
   * Takes up an INVITE that another replica was forwarding: its context with server transaction and requests are in place (see
   * `restoreInvite`), `start` gives every unfinished branch its client transaction.
   */
  adopt(context: ResponseContext, start: (branch: Branch) => ClientTransaction | undefined, now: number): void {
    this.#open.add(context);
    context.isStarting = true;
    for (const branch of context.branches) {
      if (branch.state === "Finished") continue;
      branch.client = start(branch);
      if (branch.client === undefined) {
        this.#startBranch(branch, now);
        continue;
      }
      if (branch.state === "Calling" && branch.client.state === "Proceeding") branch.state = "Proceeding";
      if (branch.state === "Proceeding" && branch.cancelRequested) branch.state = "Cancelling";
      this.#watchPhone(branch, now);
      // Nobody knows whether the CANCEL arrived; a second one does no harm (9.2).
      if (branch.state === "Cancelling") this.#transactions.cancel(branch.client, now, context.cancelReasons);
    }
    context.isStarting = false;
    if (context.cancelled || context.declined) this.#answerSoon(context, now);
    this.#proceed(context, now);
  }

  /** The request that a branch has sent, made once more: what another replica needs to repeat or cancel it. */
  requestOf(branch: Branch): Uint8Array {
    const { context, target, flow, via } = branch;
    if (context.request === undefined) throw new RangeError("nothing to forward");
    // A phone that was found on another flow than its target's is in its dialog with that.
    const place = target.flow === undefined || target.flow === flow ? target : { ...target, flow };
    return forwardRequest(this.#env, context.request, place, flow, via, context.recordRoute, branch.breadth);
  }

  /** See unproven-places.ts: of a branch that another replica has sent. */
  isUnproven({ target, flow }: Branch): boolean {
    return isUnproven(this.#env, target, flow);
  }

  /** Another replica goes on with this INVITE: it is forgotten without a word. */
  drop(context: ResponseContext): void {
    for (const branch of context.branches) {
      if (branch.client !== undefined && branch.client.state !== "Terminated") this.#transactions.forget(branch.client);
      this.#finish(branch);
    }
    this.#forgetServers(context);
    this.#open.remove(context);
    context.finalStatus = 500;
    context.request = undefined;
    context.waiting = none;
  }

  /** The INVITE has been answered by another replica: what may still ring is stopped. */
  endedElsewhere(context: ResponseContext, now: number): void {
    if (context.finalStatus !== 0) return;
    context.finalStatus = 487;
    this.#cancelPending(context, now);
    this.#forgetServers(context);
    this.#close(context, now);
  }

  #forgetServers(context: ResponseContext): void {
    if (context.tx.state !== "Terminated") this.#transactions.forget(context.tx);
    for (const { tx } of context.joined) if (tx.state !== "Terminated") this.#transactions.forget(tx);
  }

  /** Goes on with what is waiting, or ends with the best response when nothing is. */
  #proceed(context: ResponseContext, now: number): void {
    if (context.isStarting || context.finalStatus !== 0) return;
    if (hasPendingBranch(context)) return this.#fillUp(context, now);
    if (isOpen(context) && context.waiting.length > 0) this.#startBatch(context, now);
    if (context.finalStatus !== 0 || hasPendingBranch(context)) return;
    if (context.branches.some(isAwaiting) && isUnreached(context.best)) return;
    this.#sendBest(context, now);
  }

  /** RFC 5393 5.3.3.1: a branch has ended, and its Max-Breadth is good for one that waits for it. */
  #fillUp(context: ResponseContext, now: number): void {
    if (context.crowdedQ === undefined || !isOpen(context) || freeBreadth(context) === 0) return;
    const batch = nextBatch(context).filter((target) => qOf(target) === context.crowdedQ);
    context.crowdedQ = undefined;
    context.waiting = context.waiting.filter((target) => !batch.includes(target));
    this.#startAll(context, batch, now);
  }

  /** The flow of a phone has failed, or there is no phone: who comes back in time is called as well (RFC 3261 16.5). True: it is waited for. */
  #awaitPhone(context: ResponseContext, now: number): boolean {
    const { request, soughtUntil } = context;
    if (request === undefined || !isOpen(context) || (soughtUntil !== 0 && soughtUntil <= now)) return false;
    if (!this.#env.mayReturn(request, now)) return false;
    const waiting = context.branches.findIndex(isAwaiting);
    // Looked for anew: it may have come back before this flow was known to be dead.
    for (const branch of waiting < 0 ? [] : context.branches.splice(waiting, 1)) this.#finish(branch);
    this.#start(context, { requestUri: request.message.requestUri, routes: [], seek: "registration" }, 0, now);
    return context.branches.some(isAwaiting);
  }

  /** RFC 3261 16.6: starts the waiting targets of the highest q, of each RFC 5626 group one; lower ones when all of them fail at once. */
  #startBatch(context: ResponseContext, now: number): void {
    while (isOpen(context) && !hasPendingBranch(context)) {
      const batch = nextBatch(context);
      if (batch.length === 0) {
        context.waiting = none; // only flows of instances that have answered are left
        return;
      }
      context.waiting = context.waiting.filter((target) => !batch.includes(target));
      this.#startAll(context, batch, now);
    }
  }

  /**
   * Nothing is concluded from a target that fails at once before the last one has been started. Those for which no Max-Breadth is left wait
   * (RFC 5393 5.3.3). Late ones do not: where the request had no Max-Breadth, it is ours to say that it had one more for each.
   */
  #startAll(context: ResponseContext, targets: readonly Target[], now: number, areLate = false): void {
    const isOurOwn = areLate && context.request?.message.has(Header.MaxBreadth) === false;
    const free = Math.max(freeBreadth(context), isOurOwn ? targets.length : 0);
    const count = Math.min(targets.length, free);
    const [crowded] = targets.slice(count);
    if (crowded !== undefined) {
      context.crowdedQ = qOf(crowded);
      context.waiting = [...targets.slice(count), ...context.waiting];
    }
    context.isStarting = true;
    for (let index = 0; index < count; index += 1) {
      const target = targets[index];
      if (target !== undefined) this.#start(context, target, shareOf(free, count, index), now);
    }
    context.isStarting = false;
  }

  #start(context: ResponseContext, target: Target, breadth: number, now: number): void {
    if (!isOpen(context) || context.branches.length >= branchesMax) return;
    const branch = newBranch(context, target, breadth);
    context.branches.push(branch);
    this.#startBranch(branch, now);
  }

  /** RFC 3261 16.6 7: finds the next hop, and sends when no name is to be resolved. */
  #startBranch(branch: Branch, now: number): void {
    const { context, target } = branch;
    const { request } = context;
    if (request === undefined) return this.#fail(branch, 408, now);
    if (target.seek === "first" || target.seek === "registration") {
      branch.state = "Resolving";
      const reference = this.#name(branch);
      if (context.soughtUntil === 0) context.soughtUntil = now + phoneReturnMs;
      const until = context.soughtUntil;
      // One look is one look. Who is in no dialog may be called elsewhere instead.
      const wayUntil = request.token === undefined || until <= now ? until : until + silentSearchMs - phoneReturnMs;
      // Longer than anybody looks, who says himself when there is none.
      this.#watch(branch, Math.max(wayUntil - now, phoneSearchMs) + phoneSearchMs, now);
      const failed = context.branches.map((other) => other.flow).filter((flow) => flow !== "");
      return this.#env.seek({ request, target, failed, until, wayUntil, reference }, now);
    }
    if (target.flow !== undefined) return this.#send(branch, target.flow, now);
    const nextHop = nextHopOf(request, target);
    if (nextHop === undefined) return this.#fail(branch, 416, now);
    const flow = this.#env.numericFlow(nextHop.uri, request.flow);
    if (flow !== undefined) return this.#send(branch, flow, now);
    branch.state = "Resolving";
    this.#watch(branch, resolveMs, now);
    this.#env.resolve(serializeUri(nextHop.uri), this.#name(branch));
  }

  /** RFC 3261 16.6 8 to 11. */
  #send(branch: Branch, flow: string, now: number): void {
    const { context, target } = branch;
    const { request, tx } = context;
    this.#forget(branch);
    if (request === undefined || context.attempts >= context.attemptsMax) return this.#fail(branch, 408, now);
    if (this.#env.leadsHere?.(flow) === true) return this.#tryNextAddress(branch, now) ? undefined : this.#fail(branch, 482, now);
    if (target.flow === undefined && !mayGo(this.#env, branch, flow)) return this.#fail(branch, 430, now);
    context.attempts += 1;
    const place = placeOf(target, flow);
    let before = 0;
    for (const other of context.branches) if (other !== branch && isSentTo(other, place)) before += 1;
    branch.flow = flow;
    const reference = referenceOf(request, place, before);
    const cell = this.#env.cellFor?.(request, flow, now) ?? this.#env.cell;
    branch.via = viaTokenOf(this.#env, reference, tx.responseFlow, request.loop ?? "0", cell);
    const octets = this.requestOf(branch);
    if (octets.length > messageOctetsMax) return this.#fail(branch, 513, now);
    const manner = this.#mannerOf(branch, now);
    // Its caller has the answer, or gets it once more from the phone.
    if (manner === "copy" && this.#env.hasPassed?.(branch.via.branch) === true) return this.drop(context);
    branch.state = "Calling";
    // It tells of silence, and has Timers B and F.
    branch.client = this.#transactions.request(octets, tx.method, branch.via.branch, flow, now, branch, manner);
  }

  #mannerOf(branch: Branch, now: number): SendingManner {
    const { isInvite, request } = branch.context;
    if (branch.isUnproven) return "once";
    if (isInvite && request !== undefined && this.#env.mayBeCopy?.(request.flow, now) === true) return "copy";
    return mayBeSilent(branch) ? "watched" : "usual";
  }

  /** How long something is waited for from who has the request: a sign of life first, then the answer. */
  #watchPhone(branch: Branch, now: number): void {
    const isSilent = branch.state !== "Proceeding" && mayBeSilent(branch);
    this.#watch(branch, isSilent ? phoneSilentMs : branch.state === "Cancelling" ? cancelMs : timerCMs, now);
  }

  #giveUp(branch: Branch, now: number): void {
    if (branch.client !== undefined) this.#transactions.terminate(branch.client, now);
    this.#fail(branch, 408, now);
  }

  /** Nothing has come back from a phone: it may be on another flow by now, and this one half open. */
  #seekSilent(branch: Branch, now: number, failed: readonly string[] = [...branch.silentFlows, branch.flow]): void {
    const { context, target, state } = branch;
    const { request } = context;
    branch.isSought = true;
    this.#watch(branch, (state === "Cancelling" ? cancelMs : timerCMs) - phoneSilentMs, now);
    if (request === undefined) return;
    const until = now + (request.token === undefined ? phoneReturnMs : silentSearchMs);
    this.#env.seek({ request, target: { ...target, seek: "onSilence" }, failed, until, reference: this.#name(branch) }, now);
  }

  #provisional(branch: Branch, message: SipMessage, now: number): void {
    const { context } = branch;
    const isNews = message.status > 100 && context.isInvite && context.tx.lastStatus !== message.status;
    const isFirst = branch.state === "Calling";
    if (isFirst) branch.state = "Proceeding";
    if (isFirst && isPhone(branch.target)) this.#stopSeeking(branch);
    if ((message.status > 100 || isFirst) && context.isInvite && branch.state === "Proceeding") this.#watch(branch, timerCMs, now); // 16.7 2
    if (branch.cancelRequested && branch.state === "Proceeding") this.#cancelBranch(branch, now);
    // 16.7 5; RFC 4320 4.1: nothing but 100 answers a non-INVITE before its final response.
    const isDropped = message.status > 100 && isTooOften(branch, now);
    if (message.status > 100 && context.isInvite && context.finalStatus === 0 && !isDropped) {
      const upstream = withoutTopVia(message, context.tx.reliable);
      if (upstream === undefined) return;
      this.#env.provisional?.(context, branch, message, now);
      this.#respond(context, message.status, upstream, now);
    }
    // That a branch has said 100 is nothing that another replica needs to know.
    if ((isNews && !isDropped) || branch.cancelRequested) this.#changed(context, now);
  }

  /** RFC 3261 16.7 5: a 2xx is forwarded at once, every one of an INVITE, and ends the search (16.7 10). */
  #success(branch: Branch, message: SipMessage, upstream: Uint8Array, now: number): void {
    const { context } = branch;
    this.#finish(branch);
    if (context.finalStatus !== 0 && !context.isInvite) return;
    const commit = this.#env.final?.(context, message.status, branch, message, now);
    const isFirst = context.finalStatus === 0;
    if (isFirst) context.finalStatus = message.status;
    this.#respond(context, message.status, upstream, now, commit);
    if (!isFirst) return context.tx.reliable ? this.#env.unacknowledged?.(context.tx, upstream, now) : undefined;
    context.cancelReasons = answeredElsewhere;
    this.#cancelPending(context, now);
    this.#close(context, now);
  }

  #failure(branch: Branch, message: SipMessage, upstream: Uint8Array, now: number): void {
    const { context } = branch;
    const { status } = message;
    if (branch.state === "Finished") return;
    if (status === 482 && this.#isSaidAgain(branch, now)) return this.#goOnWaiting(branch, now);
    this.#finish(branch);
    if (context.finalStatus !== 0) return;
    if (status === 430 && branch.target.flow !== undefined) {
      branch.isLost = true;
      this.#env.flowFailed(branch.target.flow, branch.target, now);
    }
    if ((status !== 430 && status !== 408) || !this.#tryNextFlow(branch, now)) {
      if (!(branch.isLost && this.#awaitPhone(context, now))) offer(context, status, message, upstream);
      if (status >= 600) {
        context.declined = true;
        this.#cancelPending(context, now);
      }
    }
    // What the phone has said is noted first: that nobody else is found may be known at once.
    if (status === 481 && branch.target.seek === "onFailure" && isOpen(context)) this.#seekElsewhere(branch, now);
    this.#proceed(context, now);
    this.#changed(context, now);
  }

  /** RFC 3261 12.2.1.2: what knows nothing of the dialog may be another phone, at the address that this one had: is it on a later flow? One look. */
  #seekElsewhere({ context, target }: Branch, now: number): void {
    context.soughtUntil = now;
    this.#start(context, { requestUri: target.requestUri, routes: target.routes, seek: "first" }, freeBreadth(context), now);
  }

  /** Whether a phone may have had this INVITE before: on another flow, or from another replica. */
  #isSaidAgain(branch: Branch, now: number): boolean {
    const { context, target } = branch;
    if (!context.isInvite || context.finalStatus !== 0 || !isPhone(target)) return false;
    const place = placeOf(target, branch.flow);
    const isSame = (other: Branch): boolean => other !== branch && placeOf(other.target, other.flow) === place;
    return this.#env.mayBeRepeated?.(now) === true || context.branches.some(isSame);
  }

  /** RFC 3261 8.2.2.2: the phone refuses a second copy because it has the first. What it says to that one is what counts. */
  #goOnWaiting(branch: Branch, now: number): void {
    const { via, flow } = branch;
    branch.client = this.#transactions.restoreClient(this.requestOf(branch), via.branch, flow, "Proceeding", now, branch);
    if (branch.state === "Calling") branch.state = "Proceeding";
    this.#watchPhone(branch, now);
    if (branch.cancelRequested && branch.state === "Proceeding") this.#cancelBranch(branch, now);
    this.#changed(branch.context, now);
  }

  /** A branch that ends without a response to forward: the status that it counts as. */
  #fail(branch: Branch, status: number, now: number): void {
    const { context } = branch;
    if (branch.state === "Finished") return;
    this.#finish(branch);
    if (context.finalStatus !== 0) return;
    const isReplaced = (status === 408 || status === 430) && this.#tryNextFlow(branch, now);
    // Where the phone is waited for the end of that says whether it was reached; when it has come back, its own answer counts.
    const isOpenYet = isReplaced || hasFound(branch) || (branch.isLost && this.#awaitPhone(context, now));
    if (!isOpenYet) offer(context, context.cancelled ? 487 : status);
    this.#proceed(context, now);
    this.#changed(context, now);
  }

  /** RFC 5626 7: after a 430 or 408 another flow to the same instance, if there is one. */
  #tryNextFlow(branch: Branch, now: number): boolean {
    const { context, target } = branch;
    if (target.group === undefined || !isOpen(context)) return false;
    const index = context.waiting.findIndex((other) => other.group === target.group);
    const next = context.waiting[index];
    if (next === undefined) return false;
    context.waiting = context.waiting.toSpliced(index, 1);
    const count = context.branches.length;
    this.#start(context, next, freeBreadth(context), now);
    return context.branches.length > count;
  }

  /** RFC 3261 16.6 7: the next address of the set, with a new branch parameter. */
  #tryNextAddress(branch: Branch, now: number): boolean {
    const [flow, ...alternatives] = branch.alternatives;
    if (flow === undefined || !isOpen(branch.context)) return false;
    branch.alternatives = alternatives;
    this.#send(branch, flow, now);
    this.#changed(branch.context, now);
    return true;
  }

  /**
   * RFC 3261 16.7 10, 16.10: cancels what is ringing; what has not been heard of is cancelled when it is (9.1). The caller waits for none of them
   * for long.
   */
  #cancelPending(context: ResponseContext, now: number): void {
    context.waiting = none;
    for (const branch of context.branches) {
      if (branch.state === "Resolving") this.#finish(branch);
      else if (branch.state === "Calling" || branch.state === "Proceeding") this.#cancelBranch(branch, now);
    }
    if (context.finalStatus === 0 && hasPendingBranch(context)) this.#answerSoon(context, now);
  }

  /** A branch that says nothing when it is cancelled goes on by itself: it is cancelled when it speaks, and its late 2xx passes (16.7 5). */
  #answerSoon(context: ResponseContext, now: number): void {
    const timer = new Timer((at) => {
      if (context.finalStatus !== 0) return;
      if (context.cancelled) offer(context, 487);
      this.#sendBest(context, at);
    });
    this.#timers.set(timer, now + cancelAnswerMs);
  }

  #cancelBranch(branch: Branch, now: number): void {
    if (!branch.context.isInvite) return; // 9.1: CANCEL is for INVITE only
    branch.cancelRequested = true;
    if (branch.state !== "Proceeding" || branch.client === undefined) return;
    branch.state = "Cancelling";
    branch.isSought = false;
    this.#watchPhone(branch, now);
    this.#transactions.cancel(branch.client, now, branch.context.cancelReasons);
  }

  /** RFC 3261 16.7 6: all branches are done, and none has succeeded. */
  #sendBest(context: ResponseContext, now: number): void {
    const { tx, request, cancelled } = context;
    const best = context.best ?? { status: cancelled ? 487 : context.branches.length === 0 ? 480 : 408, octets: undefined };
    // RFC 4320 4.2: nobody may send a 408 to a non-INVITE; the client has timed out by itself.
    if (best.status === 408 && !context.isInvite) {
      context.finalStatus = 408;
      this.#close(context, now);
      for (const joined of context.joined) this.#transactions.abandon(joined.tx, now);
      return this.#transactions.abandon(tx, now);
    }
    const status = upstreamStatus(best.status);
    context.finalStatus = status;
    const octets = status === best.status ? aggregateChallenges(best, context.challenges) : undefined;
    const commit = this.#env.final?.(context, status, undefined, undefined, now);
    // Whoever was waited for comes back soon, or not at all.
    const headers: HeaderField[] = status === 480 && context.soughtUntil !== 0 ? [["Retry-After", String(awayRetryAfterSeconds)]] : [];
    const make = (message: SipMessage): Uint8Array => buildResponse(message, status, { toTag: this.#env.nextTag(), headers });
    const own = octets ?? (request === undefined ? undefined : this.#transactions.brief(tx, make(request.message)));
    if (own !== undefined) this.#respond(context, status, own, now, commit);
    this.#close(context, now);
  }

  /** Answers every copy of the request. */
  #respond(context: ResponseContext, status: number, response: Uint8Array, now: number, commit?: number): void {
    const { tx, joined, ownVias } = context;
    const own = ownVias === undefined ? response : withVias(response, ownVias, tx.reliable);
    this.#transactions.respond(tx, status, own, now, commit);
    for (const each of joined) this.#transactions.respond(each.tx, status, withVias(response, each.vias, each.tx.reliable), now, commit);
  }

  /** A final response has been forwarded: what only new branches need is given up. */
  #close(context: ResponseContext, now: number): void {
    this.#open.remove(context);
    context.request = undefined;
    context.best = undefined;
    context.challenges = none;
    context.waiting = none;
    for (const branch of context.branches) if (branch.state === "Resolving") this.#finish(branch);
    this.#changed(context, now);
  }

  #finish(branch: Branch): void {
    this.#stopSeeking(branch);
    this.#forget(branch);
    branch.state = "Finished";
    branch.alternatives = none;
    branch.timer = undefined;
  }

  #stopSeeking({ state, target, isSought, reference }: Branch): void {
    if (isSought || (state === "Resolving" && target.seek !== undefined)) this.#env.stopSeeking(reference);
  }

  /** Sets the branch's timer: Timer C, or how long it is waited for. */
  #watch(branch: Branch, ms: number, now: number): void {
    branch.timer ??= new Timer((at) => this.#fire(branch, at));
    this.#timers.set(branch.timer, now + ms);
  }

  /** A name under which something is looked for, for the branch. */
  #name(branch: Branch): string {
    this.#sought.delete(branch.reference);
    branch.reference = this.#env.nextReference();
    this.#sought.set(branch.reference, branch);
    return branch.reference;
  }

  #forget(branch: Branch): void {
    if (branch.timer !== undefined) this.#timers.clear(branch.timer);
    if (branch.reference === "") return;
    this.#sought.delete(branch.reference);
    branch.reference = "";
  }

  #changed(context: ResponseContext, now: number): void {
    if (context.isInvite) this.#env.changed?.(context, now);
  }
}

/** Whether silence would mean that the phone is looked for on another flow: it is a phone's, and has not been looked for since it was sent. */
function mayBeSilent({ target, isSought }: Branch): boolean {
  return !isSought && isPhone(target);
}
