import { attemptsMax, provisionalMs, provisionalsMax, spiralAttemptsMax, t1Ms } from "../limits.ts";
import type { Timer } from "../transaction/timer-table.ts";
import type { ClientTransaction, ServerTransaction } from "../transaction/transaction.ts";
import { breadthOf } from "./breadth.ts";
import type { ViaToken } from "./forward-request.ts";
import type { Preprocessed } from "./route-preprocessing.ts";

/** The state of a forwarded request (RFC 3261 16.6, 16.7), as data. */

/** One place to forward a request to (RFC 3261 16.5). */
export type Target = {
  readonly requestUri: string;
  /** Route values to put on top: Path or Service-Route of the binding, first one topmost. */
  readonly routes: readonly string[];
  /** Send there, whatever Request-URI and Route say. */
  readonly flow?: string;
  /** Without a flow: the URI that says where to send, whatever the Request-URI says. A Route comes first. */
  readonly nextHop?: string;
  /** RFC 5626 7: targets that are flows to one instance have the same group: one at a time, the next only when this one fails. */
  readonly group?: string;
  /**
   * In-dialog requests: the phone may be elsewhere than its flow says (RFC 5626 4.3). `first`: its present flow is looked for, or waited for,
   * before anything is sent. `onFailure`: when the flow fails, or is silent (`onSilence`: so it is said then, and the branch goes on meanwhile). Initial requests: `registration` is no place, but stands for phones that have lost
   * their connections and are waited for: when one registers, its target is added (RFC 3261 16.5).
   */
  readonly seek?: "first" | "onFailure" | "onSilence" | "registration";
  /** RFC 3261 20.10: higher ones first, equal ones in parallel. Absent is 1. */
  readonly q?: number;
};

/** A final response that may be forwarded when all branches are done: without our Via. `octets` undefined: we make it ourselves. */
export type Candidate = { readonly status: number; readonly octets: Uint8Array | undefined };

/** RFC 3261 16.7 7: a challenge to pass on with the best response. */
export type Challenge = { readonly isProxy: boolean; readonly value: string };

/**
 * - Resolving: the next hop is looked up
 * - Calling: sent, nothing heard
 * - Proceeding: a provisional response has come
 * - Cancelling: a CANCEL has been sent
 * - Finished: a final response has come, or never will
 */
export type BranchState = "Resolving" | "Calling" | "Proceeding" | "Cancelling" | "Finished";

/** One client transaction of a response context, and the address tried. */
export type Branch = {
  readonly kind: "branch";
  readonly context: ResponseContext;
  readonly target: Target;
  state: BranchState;
  /** Names the branch in questions for addresses and phones; new for every question, and empty while none is asked. */
  reference: string;
  /** Our Via in the request as it was sent last. */
  via: ViaToken;
  flow: string;
  /** RFC 5393 5.3.3: its Max-Breadth; 0 of one that has sent nothing. */
  breadth: number;
  /** RFC 3263 4.3: addresses to try when this one fails. */
  alternatives: readonly string[];
  /** RFC 3261 9.1: a CANCEL waits for the first provisional response. */
  cancelRequested: boolean;
  /** Its flow has failed: another flow of the same phone may be tried. */
  isLost: boolean;
  /** Nobody has ever answered there: it is said once. See unproven-places.ts. */
  isUnproven: boolean;
  /** Nothing has come back, and its phone is looked for, or was found, on another flow. Of one that waits: a phone has come back. */
  isSought: boolean;
  /** When as many provisional responses as ever may be forwarded at once: see {@link isTooOften}. */
  provisionalsFullAt: number;
  /** The flows on which it was silent before it was found on this one, the latest last. */
  silentFlows: readonly string[];
  client: ClientTransaction | undefined;
  /** Timer C, or how long it is waited for something; undefined: never set. */
  timer: Timer | undefined;
};

/** RFC 3261 16.2: what a stateful proxy remembers of a request while it is forwarded. */
export type ResponseContext = {
  readonly kind: "responseContext";
  readonly tx: ServerTransaction;
  /** The same request, come again on other ways (RFC 3263 4.3), the latest last: answered as `tx` is, each with its own Vias. */
  joined: readonly { readonly tx: ServerTransaction; readonly vias: readonly string[] }[];
  /**
   * Set when another replica may have forwarded the same request for another copy of it: the Vias of `tx`, for what the phone answers may have
   * those of the other copy.
   */
  ownVias: readonly string[] | undefined;
  readonly isInvite: boolean;
  readonly recordRoute: boolean;
  /** What is forwarded; undefined when no more branches can start. */
  request: Preprocessed | undefined;
  /** Targets that have not been tried, highest q first. */
  waiting: readonly Target[];
  readonly branches: Branch[];
  /** RFC 5393 5.3.3: the Incoming Max-Breadth. */
  readonly breadth: number;
  /** Set while targets of this q wait for breadth: they need not wait for all the others to end (5.3.3.1). */
  crowdedQ: number | undefined;
  /** Places of {@link Branch.isUnproven} that it has been sent to. */
  unproven: number;
  /** Client transactions started, and how many may be; bounds what DNS and flow failures can make of one request. */
  attempts: number;
  readonly attemptsMax: number;
  best: Candidate | undefined;
  challenges: readonly Challenge[];
  /** The final response forwarded; 0: none so far. */
  finalStatus: number;
  /** The client has sent CANCEL. */
  cancelled: boolean;
  /** RFC 3326: values of Reason for the CANCELs. */
  cancelReasons: readonly string[];
  /** RFC 3261 16.7 5: after a 6xx no new branches. */
  declined: boolean;
  /** While targets are being started: see `Proxy.#startAll`. */
  isStarting: boolean;
  /** Until when phones that are nowhere now are waited for; 0: none has been missed yet. */
  soughtUntil: number;
};

/** One empty list for all that have none, most of them for as long as they last. */
export const none: readonly never[] = [];

/** Of a branch that has sent nothing. */
const noVia: ViaToken = { branch: "", mark: "" };

/** Of a request that has not been forwarded anywhere. */
export function newContext(tx: ServerTransaction, request: Preprocessed, recordRoute: boolean): ResponseContext {
  return {
    kind: "responseContext",
    tx,
    joined: none,
    ownVias: undefined,
    isInvite: tx.kind === "inviteServer",
    recordRoute,
    request,
    waiting: none,
    branches: [],
    breadth: breadthOf(request.message),
    crowdedQ: undefined,
    unproven: 0,
    attempts: 0,
    attemptsMax: request.spirals === 0 ? attemptsMax : spiralAttemptsMax,
    best: undefined,
    challenges: none,
    finalStatus: 0,
    cancelled: false,
    cancelReasons: none,
    declined: false,
    isStarting: false,
    soughtUntil: 0,
  };
}

export function newBranch(context: ResponseContext, target: Target, breadth: number): Branch {
  return {
    kind: "branch",
    context,
    target,
    state: "Resolving",
    reference: "",
    via: noVia,
    flow: "",
    breadth,
    alternatives: none,
    cancelRequested: false,
    isLost: false,
    isUnproven: false,
    isSought: false,
    provisionalsFullAt: 0,
    silentFlows: none,
    client: undefined,
    timer: undefined,
  };
}

export function isResponseContext(owner: unknown): owner is ResponseContext {
  return typeof owner === "object" && owner !== null && "kind" in owner && owner.kind === "responseContext";
}

export function isBranch(owner: unknown): owner is Branch {
  return typeof owner === "object" && owner !== null && "kind" in owner && owner.kind === "branch";
}

/** The copy of a request that came last: its caller listens there. */
export function latestOf({ joined, tx }: ResponseContext): ServerTransaction {
  return joined.at(-1)?.tx ?? tx;
}

/** Whether an answer is under way; of a phone that is only waited for none is, nor of one that was silent when it was to be cancelled. */
export function hasPendingBranch(context: ResponseContext): boolean {
  return context.branches.some((branch) => branch.state !== "Finished" && !isAwaiting(branch) && !isLeftAlone(branch));
}

/** RFC 3261 9.1, 16.10: to be cancelled, and silent for so long that the INVITE was said twice. A phone answers within T1. */
function isLeftAlone({ cancelRequested, state, client }: Branch): boolean {
  return cancelRequested && state === "Calling" && client !== undefined && client.retransmitMs > t1Ms;
}

/** Stands for phones that are waited for: see `Target.seek`. */
export function isAwaiting(branch: Branch): boolean {
  return branch.state !== "Finished" && branch.target.seek === "registration";
}

/** Whether a phone that was waited for has come back. */
export function hasFound({ isSought, target }: Branch): boolean {
  return isSought && target.seek === "registration";
}

/** Notes a provisional response of a branch. True: it has had too many of late, this one is not forwarded. */
export function isTooOften(branch: Branch, now: number): boolean {
  if (branch.provisionalsFullAt - now > (provisionalsMax - 1) * provisionalMs) return true;
  branch.provisionalsFullAt = Math.max(branch.provisionalsFullAt, now) + provisionalMs;
  return false;
}

/** Whether a new branch may still start (RFC 3261 16.7 5, 10; RFC 4320 4.2). */
export function isOpen(context: ResponseContext): boolean {
  return context.finalStatus === 0 && !context.cancelled && !context.declined && context.tx.state !== "Terminated";
}

/**
 * Adds targets that are not there yet (RFC 3261 16.5: "Targets can only be placed in the target set once"), highest q first.
 * Returns those.
 */
export function addToTargetSet(context: ResponseContext, targets: readonly Target[]): Target[] {
  const added: Target[] = [];
  for (const target of targets) {
    const isKnown = (other: Target): boolean => isSameTarget(other, target);
    if (added.some(isKnown) || context.waiting.some(isKnown) || context.branches.some((branch) => isKnown(branch.target))) continue;
    added.push(target);
  }
  const waiting = context.waiting.length === 0 ? added : [...context.waiting, ...added];
  context.waiting = waiting.length > 1 ? waiting.toSorted((left, right) => qOf(right) - qOf(left)) : waiting;
  return added;
}

/** The waiting targets to try now: the highest q, of each group one, none of a group that has had its turn (RFC 5626 7). */
export function nextBatch(context: ResponseContext): Target[] {
  const batch: Target[] = [];
  for (const target of context.waiting) {
    if (isGroupTaken(context, target)) continue;
    if (batch[0] !== undefined && qOf(batch[0]) !== qOf(target)) break;
    if (target.group === undefined || !batch.some((other) => other.group === target.group)) batch.push(target);
  }
  return batch;
}

/** True when a flow of the same instance is being tried, or has answered. */
export function isGroupTaken(context: ResponseContext, target: Target): boolean {
  return target.group !== undefined && context.branches.some((branch) => branch.target.group === target.group && !branch.isLost);
}

export function qOf(target: Target): number {
  return target.q ?? 1;
}

function isSameTarget(left: Target, right: Target): boolean {
  return (
    left.requestUri === right.requestUri &&
    left.flow === right.flow &&
    left.group === right.group &&
    left.routes.length === right.routes.length &&
    left.routes.every((route, index) => route === right.routes[index])
  );
}
