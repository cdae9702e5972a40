import {
  branchesMax,
  cancelWaitMs,
  messageOctetsMax,
  nextHopAddressesMax,
  phoneReturnMs,
  phoneSearchMs,
  phoneSilentMs,
  resolveMs,
  silentSearchMs,
  timerCLateMs,
  timerCMs,
} from "../limits.ts";
import { serializeUri } from "../message/uri.ts";
import { Timer, type TimerTable } from "../transaction/timer-table.ts";
import type { TransactionLayer } from "../transaction/transaction-layer.ts";
import type { ClientTransaction, SendingManner } from "../transaction/transaction.ts";
import { isUnsent, mayBeSilent, newBranch, none, type Branch } from "./branch.ts";
import { freeBreadth } from "./breadth.ts";
import type { ProxyEnvironment } from "./environment.ts";
import { forwardRequest, isPhone, isSentTo, placeOf, referenceOf, viaTokenOf } from "./forward-request.ts";
import { nextHopOf } from "./next-hop.ts";
import { isOpen, type ResponseContext } from "./response-context.ts";
import type { Target } from "./target-set.ts";
import { isUnproven, mayGo } from "./unproven-places.ts";
import type { SteadyMs } from "../time.ts";

/** What becomes of the whole request when one of its branches has come to something. */
export type BranchOwner = {
  /** A branch has ended without a response to forward: the status that it counts as. It is to be finished. */
  failed(branch: Branch, status: number, now: SteadyMs): void;
  /** What is recorded of the request is another thing now. */
  changed(context: ResponseContext, now: SteadyMs): void;
  /** Its caller has the answer already: the request is to be forgotten without a word. */
  drop(context: ResponseContext): void;
};

/**
 * The machine of a branch (RFC 3261 16.6 7 to 11, 16.8): from the question where it goes to its end.
 *
 *     Resolving  an address has come -------.
 *     Seeking    a flow has come ------------+-> Calling -> Proceeding -> Finished
 *     Awaiting   its phones are branches of      |            |
 *                their own, it never sends       `-> Cancelling
 *
 * Every state may end: by a final response, a failure of the way, or a timer. What that means for the request says {@link BranchOwner}.
 */
export class BranchMachine {
  readonly #env: ProxyEnvironment;
  readonly #transactions: TransactionLayer;
  readonly #timers: TimerTable;
  readonly #owner: BranchOwner;
  /** Branches for which an address or a phone is looked for, by reference. */
  readonly #sought = new Map<string, Branch>();

  constructor(env: ProxyEnvironment, transactions: TransactionLayer, timers: TimerTable, owner: BranchOwner) {
    this.#env = env;
    this.#transactions = transactions;
    this.#timers = timers;
    this.#owner = owner;
  }

  /** How many are looked for. */
  get size(): number {
    return this.#sought.size;
  }

  /** The branch for which something is looked for under this reference. */
  soughtAs(reference: string): Branch | undefined {
    return this.#sought.get(reference);
  }

  /** Begins a branch, when the request may have one more. */
  start(context: ResponseContext, target: Target, breadth: number, now: SteadyMs): void {
    if (!isOpen(context) || context.branches.length >= branchesMax) return;
    const branch = newBranch(context, target, breadth);
    context.branches.push(branch);
    this.#begin(branch, now);
  }

  /** Goes on with a branch that another replica began, with its client transaction; undefined: it has sent nothing yet. */
  resume(branch: Branch, client: ClientTransaction | undefined, now: SteadyMs): void {
    branch.client = client;
    if (client === undefined) return this.#begin(branch, now);
    if (branch.state === "Calling" && client.state === "Proceeding") branch.state = "Proceeding";
    if (branch.state === "Proceeding" && branch.cancelRequested) branch.state = "Cancelling";
    if (branch.state === "Proceeding") this.#watch(branch, Math.max(0, branch.timerCFrom + timerCMs + timerCLateMs - now), now);
    else this.#watchPhone(branch, now);
    // Nobody knows whether the CANCEL arrived; a second one does no harm (9.1).
    if (branch.state === "Cancelling") this.#transactions.cancel(client, now, branch.context.cancelReasons);
  }

  /**
   * The flows to what was asked for, best first; none when the name has no address, or nobody has found the phone. For one that is Awaiting it is the
   * end: whoever comes back is a target of his own.
   */
  resolved(branch: Branch, flows: readonly string[], now: SteadyMs): void {
    const flow = flows[0];
    switch (branch.state) {
      case "Resolving":
      case "Seeking":
        if (flow === undefined) return this.#owner.failed(branch, 430, now);
        branch.alternatives = flows.length === 1 ? none : flows.slice(1, nextHopAddressesMax);
        this.#send(branch, flow, now);
        return this.#owner.changed(branch.context, now);
      case "Awaiting":
        return this.#owner.failed(branch, 430, now);
      case "Calling":
        if (branch.isSought && flow !== undefined) this.#sendOverAgain(branch, flow, now);
        return;
      case "Cancelling":
        if (!branch.isSought || flow === undefined || branch.client === undefined) return;
        this.#transactions.cancel(branch.client, now, branch.context.cancelReasons, flow);
        return;
      case "Proceeding":
      case "Finished":
        return;
      default:
        branch.state satisfies never;
    }
  }

  /** A provisional response has come. True: Timer C begins again, much later than its record says. */
  heard(branch: Branch, status: number, now: SteadyMs): boolean {
    const isFirst = branch.state === "Calling";
    const { isInvite } = branch.context;
    if (isFirst) branch.state = "Proceeding";
    if (isFirst && isPhone(branch.target)) this.#stopSeeking(branch);
    const begins = (status > 100 || isFirst) && isInvite && branch.state === "Proceeding"; // 16.7 2
    const isMuchLater = begins && this.#beginTimerC(branch, now);
    if (branch.cancelRequested && branch.state === "Proceeding") this.cancel(branch, now);
    return isMuchLater;
  }

  /** A phone has not answered, nor said that it has the request. */
  silent(branch: Branch, now: SteadyMs): void {
    if (branch.state === "Calling" && mayBeSilent(branch)) this.#seekSilent(branch, now);
  }

  /** Timer B or F (RFC 3261 16.7: as a 408); the next address is tried where there is one. */
  timedOut(branch: Branch, now: SteadyMs): void {
    if (!this.#tryNextAddress(branch, now)) this.#owner.failed(branch, 408, now);
  }

  /**
   * RFC 3261 16.9, RFC 5626 5.3.1: its flow delivers nothing. It counts as a 430, wherever it was for. So its caller hears that nobody is there
   * (480), and not that we have failed (500, for a 503; see docs/statuses.md). The next address or flow is tried. A flow to which there is no way
   * counts as one that has not been tried. If there is a way in time, it gets the same branch.
   */
  unreachable(branch: Branch, now: SteadyMs): void {
    const { context, target, flow } = branch;
    const silentFlow = branch.silentFlows.at(-1);
    if (silentFlow !== undefined) return this.#goBack(branch, silentFlow, now);
    branch.isLost = true;
    if (isPhone(target) && this.#env.flowFailed(flow, target, now) === "unreachable") {
      context.branches.splice(context.branches.indexOf(branch), 1);
    }
    if (target.seek !== undefined && isOpen(context) && context.branches.length < branchesMax) {
      this.finish(branch);
      this.seekAnew(branch, now);
      this.#owner.changed(context, now);
    } else if (!this.#tryNextAddress(branch, now)) this.#owner.failed(branch, 430, now);
  }

  /** The phone of a branch that has ended is looked for: it may be on another flow. */
  seekAnew({ context, target }: Branch, now: SteadyMs): void {
    this.start(context, { requestUri: target.requestUri, routes: target.routes, seek: "first" }, freeBreadth(context), now);
  }

  /** RFC 3261 8.2.2.2: the phone refuses a second copy because it has the first. What it says to that one is what counts. */
  goOnWaiting(branch: Branch, now: SteadyMs): void {
    const { via, flow } = branch;
    branch.client = this.#transactions.restoreClient(this.requestOf(branch), via.branch, flow, "Proceeding", now, branch);
    if (branch.state === "Calling") branch.state = "Proceeding";
    if (branch.state === "Proceeding") this.#beginTimerC(branch, now);
    else this.#watchPhone(branch, now);
    if (branch.cancelRequested && branch.state === "Proceeding") this.cancel(branch, now);
  }

  /** RFC 3261 9.1, 16.10: gives a branch up. One that has sent nothing ends; what has not been heard of is cancelled when it is. */
  stop(branch: Branch, now: SteadyMs): void {
    if (isUnsent(branch)) this.finish(branch);
    else if (branch.state === "Calling" || branch.state === "Proceeding") this.cancel(branch, now);
  }

  cancel(branch: Branch, now: SteadyMs): void {
    if (!branch.context.isInvite) return; // 9.1: CANCEL is for INVITE only
    branch.cancelRequested = true;
    if (branch.state !== "Proceeding" || branch.client === undefined) return;
    branch.state = "Cancelling";
    branch.isSought = false;
    this.#watchPhone(branch, now);
    this.#transactions.cancel(branch.client, now, branch.context.cancelReasons);
  }

  finish(branch: Branch): void {
    this.#stopSeeking(branch);
    this.#forget(branch);
    branch.state = "Finished";
    branch.alternatives = none;
    branch.timer = undefined;
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

  /** RFC 3261 16.6 7: finds the next hop, and sends when no name is to be resolved. */
  #begin(branch: Branch, now: SteadyMs): void {
    const { context, target } = branch;
    const { request } = context;
    if (request === undefined) return this.#owner.failed(branch, 408, now);
    if (target.seek === "first" || target.seek === "registration") return this.#seek(branch, target.seek, now);
    if (target.flow !== undefined) return this.#send(branch, target.flow, now);
    const nextHop = nextHopOf(request, target);
    if (nextHop === undefined) return this.#owner.failed(branch, 416, now);
    const flow = this.#env.numericFlow(nextHop.uri, request.flow);
    if (flow !== undefined) return this.#send(branch, flow, now);
    branch.state = "Resolving";
    this.#watch(branch, resolveMs, now);
    this.#env.resolve(serializeUri(nextHop.uri), this.#name(branch), now);
  }

  /** Its phone is not where anybody knows: its present flow is looked for, or its next registration is waited for. */
  #seek(branch: Branch, seek: "first" | "registration", now: SteadyMs): void {
    const { context, target } = branch;
    const { request } = context;
    if (request === undefined) return;
    branch.state = seek === "first" ? "Seeking" : "Awaiting";
    const reference = this.#name(branch);
    context.soughtUntil ??= now + phoneReturnMs;
    const until = context.soughtUntil;
    // One look is one look. Who is in no dialog may be called elsewhere instead.
    const wayUntil = request.token === undefined || until <= now ? until : until + silentSearchMs - phoneReturnMs;
    // Longer than anybody looks, who says himself when there is none.
    this.#watch(branch, Math.max(wayUntil - now, phoneSearchMs) + phoneSearchMs, now);
    const failed = context.branches.map((other) => other.flow).filter((flow) => flow !== "");
    this.#env.seek({ request, target, failed, until, wayUntil, reference }, now);
  }

  /** RFC 3261 16.6 8 to 11. */
  #send(branch: Branch, flow: string, now: SteadyMs): void {
    const { context, target } = branch;
    const { request, tx } = context;
    this.#forget(branch);
    if (request === undefined || context.attempts >= context.attemptsMax) return this.#owner.failed(branch, 408, now);
    if (this.#env.leadsHere(flow)) return this.#tryNextAddress(branch, now) ? undefined : this.#owner.failed(branch, 482, now);
    if (target.flow === undefined && !mayGo(this.#env, branch, flow)) return this.#owner.failed(branch, 430, now);
    context.attempts += 1;
    const place = placeOf(target, flow);
    let before = 0;
    for (const other of context.branches) if (other !== branch && isSentTo(other, place)) before += 1;
    branch.flow = flow;
    const reference = referenceOf(request, place, before);
    const cell = this.#env.cellFor(request, flow, now);
    branch.via = viaTokenOf(this.#env, reference, tx.responseFlow, request.loop ?? "0", cell);
    const octets = this.requestOf(branch);
    if (octets.length > messageOctetsMax) return this.#owner.failed(branch, 513, now);
    const manner = this.#mannerOf(branch, now);
    // Its caller has the answer, or gets it once more from the phone.
    if (manner === "copy" && this.#env.hasPassed(branch.via.branch)) return this.#owner.drop(context);
    branch.state = "Calling";
    // It tells of silence, and has Timers B and F.
    branch.client = this.#transactions.request(octets, tx.method, branch.via.branch, flow, now, branch, manner);
  }

  #mannerOf(branch: Branch, now: SteadyMs): SendingManner {
    const { isInvite, request } = branch.context;
    if (branch.isUnproven) return "once";
    if (isInvite && request !== undefined && this.#env.mayBeCopy(request.flow, now)) return "copy";
    return mayBeSilent(branch) ? "watched" : "usual";
  }

  /** A silent phone has been found on another flow. The same branch: where it has heard the first copy it takes this for a retransmission. */
  #sendOverAgain(branch: Branch, flow: string, now: SteadyMs): void {
    const { context } = branch;
    if (branch.cancelRequested || context.attempts >= context.attemptsMax) return;
    branch.silentFlows = [...branch.silentFlows, branch.flow];
    branch.isSought = false; // it may be half open as well
    this.#send(branch, flow, now);
  }

  /** A silent phone is not on that other flow either. It may only be slow where it was: it is waited for there, or on a third one. */
  #goBack(branch: Branch, silentFlow: string, now: SteadyMs): void {
    const { silentFlows, flow } = branch;
    branch.silentFlows = none;
    branch.isSought = true;
    this.#send(branch, silentFlow, now);
    if (branch.state === "Calling" && !branch.cancelRequested) this.#seekSilent(branch, now, [...silentFlows, flow]);
  }

  /** RFC 3261 16.6 7: the next address of the set, with a new branch parameter. */
  #tryNextAddress(branch: Branch, now: SteadyMs): boolean {
    const [flow, ...alternatives] = branch.alternatives;
    if (flow === undefined || !isOpen(branch.context)) return false;
    branch.alternatives = alternatives;
    this.#send(branch, flow, now);
    this.#owner.changed(branch.context, now);
    return true;
  }

  /** Nothing has come back from a phone: it may be on another flow by now, and this one half open. */
  #seekSilent(branch: Branch, now: SteadyMs, failed: readonly string[] = [...branch.silentFlows, branch.flow]): void {
    const { context, target, state } = branch;
    const { request } = context;
    branch.isSought = true;
    this.#watch(branch, (state === "Cancelling" ? cancelWaitMs : timerCMs) - phoneSilentMs, now);
    if (request === undefined) return;
    const until = now + (request.token === undefined ? phoneReturnMs : silentSearchMs);
    this.#env.seek({ request, target: { ...target, seek: "onSilence" }, failed, until, reference: this.#name(branch) }, now);
  }

  /** True: its record says that it began more than {@link timerCLateMs} ago. */
  #beginTimerC(branch: Branch, now: SteadyMs): boolean {
    this.#watch(branch, timerCMs, now);
    if (now - branch.timerCFrom <= timerCLateMs) return false;
    branch.timerCFrom = now;
    return true;
  }

  /** How long something is waited for from who has the request and has not said so, or is to end it: a sign of life first, then the answer. */
  #watchPhone(branch: Branch, now: SteadyMs): void {
    this.#watch(branch, mayBeSilent(branch) ? phoneSilentMs : branch.state === "Cancelling" ? cancelWaitMs : timerCMs, now);
  }

  /** Sets the branch's timer: Timer C, or how long it is waited for. */
  #watch(branch: Branch, ms: number, now: SteadyMs): void {
    branch.timer ??= new Timer((at) => this.#fire(branch, at));
    this.#timers.set(branch.timer, now + ms);
  }

  /** Timer C (RFC 3261 16.8), or the end of a wait. */
  #fire(branch: Branch, now: SteadyMs): void {
    switch (branch.state) {
      case "Resolving":
      case "Seeking":
      case "Awaiting":
        return this.#owner.failed(branch, 430, now);
      case "Calling":
        if (mayBeSilent(branch)) this.#seekSilent(branch, now);
        else if (branch.context.isInvite) this.#giveUp(branch, now);
        return;
      case "Cancelling":
        if (mayBeSilent(branch)) this.#seekSilent(branch, now);
        else this.#giveUp(branch, now);
        return;
      case "Proceeding":
        return this.cancel(branch, now);
      case "Finished":
        return;
      default:
        branch.state satisfies never;
    }
  }

  #giveUp(branch: Branch, now: SteadyMs): void {
    if (branch.client !== undefined) this.#transactions.terminate(branch.client, now);
    this.#owner.failed(branch, 408, now);
  }

  /** A name under which something is looked for, for the branch. */
  #name(branch: Branch): string {
    this.#sought.delete(branch.reference);
    branch.reference = this.#env.nextReference();
    this.#sought.set(branch.reference, branch);
    return branch.reference;
  }

  #stopSeeking({ state, isSought, reference }: Branch): void {
    if (isSought || state === "Seeking" || state === "Awaiting") this.#env.stopSeeking(reference);
  }

  #forget(branch: Branch): void {
    if (branch.timer !== undefined) this.#timers.clear(branch.timer);
    if (branch.reference === "") return;
    this.#sought.delete(branch.reference);
    branch.reference = "";
  }
}
