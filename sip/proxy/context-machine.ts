import { awayRetryAfterSeconds, cancelAnswerMs } from "../limits.ts";
import { buildResponse, type HeaderField } from "../message/build.ts";
import { Header } from "../message/header-names.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { Timer, type TimerTable } from "../transaction/timer-table.ts";
import type { TransactionLayer } from "../transaction/transaction-layer.ts";
import type { ClientTransaction } from "../transaction/transaction.ts";
import { aggregateChallenges, isUnreached, offer, upstreamStatus } from "./best-response.ts";
import { BranchMachine, type BranchOwner } from "./branch-machine.ts";
import { isAwaiting, isTooOften, isUnsent, none, type Branch } from "./branch.ts";
import { freeBreadth, shareOf } from "./breadth.ts";
import type { ProxyEnvironment } from "./environment.ts";
import { isPhone, placeOf } from "./forward-request.ts";
import { OpenRequests, withVias } from "./open-requests.ts";
import { close, hasEnded, hasPendingBranch, isOpen, type ResponseContext } from "./response-context.ts";
import { addToTargetSet, isGroupTaken, nextBatch, qOf, type Target } from "./target-set.ts";
import { withoutTopVia } from "./top-via.ts";
import type { SteadyMs } from "../time.ts";

/** RFC 3326: so that a phone does not show a missed call when another one of its user has answered. */
const answeredElsewhere: readonly string[] = ['SIP;cause=200;text="Call completed elsewhere"'];

/**
 * The machine of a response context (RFC 3261 16.6, 16.7): which branches start, and which response goes upstream. `proceed` is its heart: it goes on
 * with the targets that wait, or ends with the best response when nothing is under way.
 */
export class ContextMachine implements BranchOwner {
  readonly open: OpenRequests;
  readonly branches: BranchMachine;
  readonly #env: ProxyEnvironment;
  readonly #transactions: TransactionLayer;
  readonly #timers: TimerTable;

  constructor(env: ProxyEnvironment, transactions: TransactionLayer, timers: TimerTable) {
    this.#env = env;
    this.#transactions = transactions;
    this.#timers = timers;
    this.open = new OpenRequests(env);
    this.branches = new BranchMachine(env, transactions, timers, this);
  }

  /** RFC 3261 16.6: begins with the targets of a context. Without any a phone is waited for that may return. */
  begin(context: ResponseContext, targets: readonly Target[], now: SteadyMs): void {
    this.open.add(context);
    addToTargetSet(context, targets);
    if (targets.length === 0) this.#awaitPhone(context, now);
    this.#proceed(context, now);
    this.changed(context, now);
  }

  /** Goes on with what another replica began: see {@link BranchMachine.resume}. */
  resume(context: ResponseContext, start: (branch: Branch) => ClientTransaction | undefined, now: SteadyMs): void {
    this.open.add(context);
    context.isStarting = true;
    for (const branch of context.branches) if (branch.state !== "Finished") this.branches.resume(branch, start(branch), now);
    context.isStarting = false;
    if (context.state === "Closing") this.#answerSoon(context, now);
    this.#proceed(context, now);
  }

  /** RFC 3261 16.5: more targets, of which those that may are tried at once. */
  addTargets(context: ResponseContext, targets: readonly Target[], now: SteadyMs): void {
    const added = addToTargetSet(context, targets);
    if (added.length === 0) return;
    const ready = added.filter((target) => !isGroupTaken(context, target));
    context.waiting = context.waiting.filter((target) => !ready.includes(target));
    const count = context.branches.length;
    this.#startAll(context, ready, now, true);
    const awaiting = context.branches.length > count ? context.branches.find(isAwaiting) : undefined;
    if (awaiting !== undefined) awaiting.hasFound = true;
    this.#proceed(context, now);
    this.changed(context, now);
  }

  /** RFC 3261 16.10: the client has cancelled. `reasons`: RFC 3326. */
  cancel(context: ResponseContext, reasons: readonly string[], now: SteadyMs): void {
    context.cancelled = true;
    context.cancelReasons = reasons;
    close(context);
    this.#stopAll(context, now);
    if (!hasPendingBranch(context)) offer(context, 487);
    this.#proceed(context, now);
    this.changed(context, now);
  }

  provisional(branch: Branch, message: SipMessage, now: SteadyMs): void {
    const { context } = branch;
    const isRinging = message.status > 100 && context.isInvite;
    const isNews = isRinging && context.tx.lastStatus !== message.status;
    const isMuchLater = this.branches.heard(branch, message.status, now);
    // 16.7 5; RFC 4320 4.1: nothing but 100 answers a non-INVITE before its final response.
    const isDropped = message.status > 100 && isTooOften(branch, now);
    if (isRinging && !hasEnded(context) && !isDropped) {
      const upstream = withoutTopVia(message, context.tx.reliable);
      if (upstream === undefined) return;
      if (message.status >= 180) context.rangAt ??= this.#env.wallAt(now);
      this.#respond(context, message.status, upstream, now);
    }
    // That a branch has said 100 is nothing that another replica needs to know.
    if ((isNews && !isDropped) || (isRinging && isMuchLater) || branch.cancelRequested) this.changed(context, now);
  }

  /** RFC 3261 16.7 5: a 2xx is forwarded at once, every one of an INVITE, and ends the search (16.7 10). */
  success(branch: Branch, message: SipMessage, upstream: Uint8Array, now: SteadyMs): void {
    const { context } = branch;
    this.branches.finish(branch);
    const isFirst = !hasEnded(context);
    if (!isFirst && !context.isInvite) return;
    const commit = this.#env.final(context, message.status, branch, message, now);
    context.state = "Ended";
    this.#respond(context, message.status, upstream, now, commit);
    if (!isFirst) return context.tx.reliable ? this.#env.unacknowledged(context.tx, upstream, now) : undefined;
    context.cancelReasons = answeredElsewhere;
    this.#stopAll(context, now);
    this.#end(context, now);
  }

  /** RFC 3261 16.7 4 to 6: a refusal is kept, and the best one goes upstream when all branches are done. */
  failure(branch: Branch, message: SipMessage, upstream: Uint8Array, now: SteadyMs): void {
    const { context } = branch;
    const { status } = message;
    if (branch.state === "Finished") return;
    if (status === 482 && this.#isSaidAgain(branch, now)) {
      this.branches.goOnWaiting(branch, now);
      return this.changed(context, now);
    }
    this.branches.finish(branch);
    if (hasEnded(context)) return;
    if (status === 430 && branch.target.flow !== undefined) {
      branch.isLost = true;
      this.#env.flowFailed(branch.target.flow, branch.target, now);
    }
    if ((status !== 430 && status !== 408) || !this.#tryNextFlow(branch, now)) {
      if (!(branch.isLost && this.#awaitPhone(context, now))) offer(context, status, message, upstream);
      if (status >= 600) this.#decline(context, now);
    }
    // What the phone has said is noted first: that nobody else is found may be known at once.
    if (status === 481 && branch.target.seek === "onFailure" && isOpen(context)) this.#seekElsewhere(branch, now);
    this.#proceed(context, now);
    this.changed(context, now);
  }

  /** A branch that ends without a response to forward: the status that it counts as. */
  failed(branch: Branch, status: number, now: SteadyMs): void {
    const { context } = branch;
    if (branch.state === "Finished") return;
    this.branches.finish(branch);
    if (hasEnded(context)) return;
    const isReplaced = (status === 408 || status === 430) && this.#tryNextFlow(branch, now);
    // Where the phone is waited for the end of that says whether it was reached; when it has come back, its own answer counts.
    const isOpenYet = isReplaced || branch.hasFound || (branch.isLost && this.#awaitPhone(context, now));
    if (!isOpenYet) offer(context, context.cancelled ? 487 : status);
    this.#proceed(context, now);
    this.changed(context, now);
  }

  /** Another replica goes on with this request, or has answered it: it is forgotten without a word. */
  drop(context: ResponseContext): void {
    for (const branch of context.branches) {
      if (branch.client !== undefined && branch.client.state !== "Terminated") this.#transactions.forget(branch.client);
      this.branches.finish(branch);
    }
    this.#forgetServers(context);
    this.open.remove(context);
    context.state = "Ended";
    context.request = undefined;
    context.waiting = none;
  }

  /** The INVITE has been answered by another replica: what may still ring is stopped. */
  endedElsewhere(context: ResponseContext, now: SteadyMs): void {
    if (hasEnded(context)) return;
    context.state = "Ended";
    this.#stopAll(context, now);
    this.#forgetServers(context);
    this.#end(context, now);
  }

  changed(context: ResponseContext, now: SteadyMs): void {
    if (context.isInvite) this.#env.changed(context, now);
  }

  /** Goes on with what is waiting, or ends with the best response when nothing is. */
  #proceed(context: ResponseContext, now: SteadyMs): void {
    if (context.isStarting || hasEnded(context)) return;
    if (hasPendingBranch(context)) return this.#fillUp(context, now);
    if (isOpen(context) && context.waiting.length > 0) this.#startBatch(context, now);
    if (hasEnded(context) || hasPendingBranch(context)) return;
    if (context.branches.some(isAwaiting) && isUnreached(context.best)) return;
    this.#sendBest(context, now);
  }

  /** RFC 5393 5.3.3.1: a branch has ended, and its Max-Breadth is good for one that waits for it. */
  #fillUp(context: ResponseContext, now: SteadyMs): void {
    if (context.crowdedQ === undefined || !isOpen(context) || freeBreadth(context) === 0) return;
    const batch = nextBatch(context).filter((target) => qOf(target) === context.crowdedQ);
    context.crowdedQ = undefined;
    context.waiting = context.waiting.filter((target) => !batch.includes(target));
    this.#startAll(context, batch, now);
  }

  /** RFC 3261 16.6: starts the waiting targets of the highest q, of each RFC 5626 group one. Lower ones start when all of them fail at once. */
  #startBatch(context: ResponseContext, now: SteadyMs): void {
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
  #startAll(context: ResponseContext, targets: readonly Target[], now: SteadyMs, areLate = false): void {
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
      if (target !== undefined) this.branches.start(context, target, shareOf(free, count, index), now);
    }
    context.isStarting = false;
  }

  /** The flow of a phone has failed, or there is no phone: who comes back in time is called as well (RFC 3261 16.5). True: it is waited for. */
  #awaitPhone(context: ResponseContext, now: SteadyMs): boolean {
    const { request, soughtUntil } = context;
    if (request === undefined || !isOpen(context) || (soughtUntil !== undefined && soughtUntil <= now)) return false;
    if (!this.#env.mayReturn(request, now)) return false;
    const waiting = context.branches.findIndex(isAwaiting);
    // Looked for anew: it may have come back before this flow was known to be dead.
    for (const branch of waiting < 0 ? [] : context.branches.splice(waiting, 1)) this.branches.finish(branch);
    this.branches.start(context, { requestUri: request.message.requestUri, routes: [], seek: "registration" }, 0, now);
    return context.branches.some(isAwaiting);
  }

  /** RFC 5626 7: after a 430 or 408 another flow to the same instance, if there is one. */
  #tryNextFlow(branch: Branch, now: SteadyMs): boolean {
    const { context, target } = branch;
    if (target.group === undefined || !isOpen(context)) return false;
    const index = context.waiting.findIndex((other) => other.group === target.group);
    const next = context.waiting[index];
    if (next === undefined) return false;
    context.waiting = context.waiting.toSpliced(index, 1);
    const count = context.branches.length;
    this.branches.start(context, next, freeBreadth(context), now);
    return context.branches.length > count;
  }

  /**
   * RFC 3261 12.2.1.2: what knows nothing of the dialog may be another phone, at the address that this one had. Is this one on a later flow? One
   * look.
   */
  #seekElsewhere(branch: Branch, now: SteadyMs): void {
    branch.context.soughtUntil = now;
    this.branches.seekAnew(branch, now);
  }

  /** Whether a phone may have had this INVITE before: on another flow, or from another replica. */
  #isSaidAgain(branch: Branch, now: SteadyMs): boolean {
    const { context, target } = branch;
    if (!context.isInvite || hasEnded(context) || !isPhone(target)) return false;
    const place = placeOf(target, branch.flow);
    const isSame = (other: Branch): boolean => other !== branch && placeOf(other.target, other.flow) === place;
    return this.#env.mayBeRepeated(now) || context.branches.some(isSame);
  }

  /** RFC 3261 16.7 5: a 6xx speaks for all phones. */
  #decline(context: ResponseContext, now: SteadyMs): void {
    context.declined = true;
    close(context);
    this.#stopAll(context, now);
  }

  /** RFC 3261 16.7 10, 16.10: every branch is stopped. The caller waits for none of them for long. */
  #stopAll(context: ResponseContext, now: SteadyMs): void {
    context.waiting = none;
    for (const branch of context.branches) this.branches.stop(branch, now);
    if (!hasEnded(context) && hasPendingBranch(context)) this.#answerSoon(context, now);
  }

  /** A branch that says nothing when it is cancelled goes on by itself. It is cancelled when it speaks, and its late 2xx passes (16.7 5). */
  #answerSoon(context: ResponseContext, now: SteadyMs): void {
    const timer = new Timer((at) => {
      if (hasEnded(context)) return;
      if (context.cancelled) offer(context, 487);
      this.#sendBest(context, at);
    });
    this.#timers.set(timer, now + cancelAnswerMs);
  }

  /** RFC 3261 16.7 6: all branches are done, and none has succeeded. */
  #sendBest(context: ResponseContext, now: SteadyMs): void {
    const { tx, request, cancelled } = context;
    const best = context.best ?? { status: cancelled ? 487 : context.branches.length === 0 ? 480 : 408, octets: undefined };
    context.state = "Ended";
    // RFC 4320 4.2: nobody may send a 408 to a non-INVITE; the client has timed out by itself.
    if (best.status === 408 && !context.isInvite) {
      // RFC 3261 15.1.1: nobody is told, but a dialog is over whose BYE nobody has answered.
      if (tx.method === "BYE") this.#env.final(context, best.status, undefined, undefined, now);
      this.#end(context, now);
      for (const joined of context.joined) this.#transactions.abandon(joined.tx, now);
      return this.#transactions.abandon(tx, now);
    }
    const status = upstreamStatus(best.status);
    const octets = status === best.status ? aggregateChallenges(best, context.challenges) : undefined;
    const commit = this.#env.final(context, status, undefined, undefined, now);
    // Whoever was waited for comes back soon, or not at all.
    const isAway = status === 480 && context.soughtUntil !== undefined;
    const headers: HeaderField[] = isAway ? [["Retry-After", String(awayRetryAfterSeconds)]] : [];
    const make = (message: SipMessage): Uint8Array => buildResponse(message, status, { toTag: this.#env.nextTag(), headers });
    const own = octets ?? (request === undefined ? undefined : this.#transactions.brief(tx, make(request.message)));
    if (own !== undefined) this.#respond(context, status, own, now, commit);
    this.#end(context, now);
  }

  /** Answers every copy of the request. */
  #respond(context: ResponseContext, status: number, response: Uint8Array, now: SteadyMs, commit?: number): void {
    const { tx, joined, ownVias } = context;
    const own = ownVias === undefined ? response : withVias(response, ownVias, tx.reliable);
    this.#transactions.respond(tx, status, own, now, commit);
    for (const each of joined) this.#transactions.respond(each.tx, status, withVias(response, each.vias, each.tx.reliable), now, commit);
  }

  /** A final response has been forwarded: what only new branches need is given up. */
  #end(context: ResponseContext, now: SteadyMs): void {
    this.open.remove(context);
    context.request = undefined;
    context.best = undefined;
    context.challenges = none;
    context.waiting = none;
    for (const branch of context.branches) if (isUnsent(branch)) this.branches.finish(branch);
    this.changed(context, now);
  }

  #forgetServers(context: ResponseContext): void {
    if (context.tx.state !== "Terminated") this.#transactions.forget(context.tx);
    for (const { tx } of context.joined) if (tx.state !== "Terminated") this.#transactions.forget(tx);
  }
}
