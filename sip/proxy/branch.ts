import { provisionalMs, provisionalsMax, t1Ms } from "../limits.ts";
import type { Timer } from "../transaction/timer-table.ts";
import type { ClientTransaction } from "../transaction/transaction.ts";
import { isPhone, type ViaToken } from "./forward-request.ts";
import type { ResponseContext } from "./response-context.ts";
import type { Target } from "./target-set.ts";
import type { SteadyMs } from "../time.ts";

/** The state of one branch of a forwarded request (RFC 3261 16.6, 16.7), as data. branch-machine.ts says how it changes. */

/**
 * - Resolving: the addresses of the next hop are looked up (RFC 3263)
 * - Seeking: the present flow of its phone is looked for, before anything is sent
 * - Awaiting: it is no place, but stands for phones that may come back: see {@link Target.seek}
 * - Calling: sent, nothing heard
 * - Proceeding: a provisional response has come
 * - Cancelling: a CANCEL has been sent
 * - Finished: a final response has come, or never will
 */
export type BranchState = "Resolving" | "Seeking" | "Awaiting" | "Calling" | "Proceeding" | "Cancelling" | "Finished";

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
  /** Nothing has come back, and its phone is looked for, or was found, on another flow. */
  isSought: boolean;
  /** Of one that is Awaiting, or was: a phone has come back, and is called. */
  hasFound: boolean;
  /** When as many provisional responses as ever may be forwarded at once: see {@link isTooOften}. */
  provisionalsFullAt: SteadyMs;
  /** The flows on which it was silent before it was found on this one, the latest last. */
  silentFlows: readonly string[];
  client: ClientTransaction | undefined;
  /** When Timer C began as its record says it, at most {@link timerCLateMs} too early; `-Infinity`: it has not. */
  timerCFrom: SteadyMs;
  /** Timer C, or how long it is waited for something; undefined: never set. */
  timer: Timer | undefined;
};

/** One empty list for all that have none, most of them for as long as they last. */
export const none: readonly never[] = [];

/** Of a branch that has sent nothing. */
const noVia: ViaToken = { branch: "", mark: "" };

export function newBranch(context: ResponseContext, target: Target, breadth: number): Branch {
  return {
    kind: "branch",
    context,
    target,
    state: firstState(target),
    reference: "",
    via: noVia,
    flow: "",
    breadth,
    alternatives: none,
    cancelRequested: false,
    isLost: false,
    isUnproven: false,
    isSought: false,
    hasFound: false,
    provisionalsFullAt: 0,
    silentFlows: none,
    client: undefined,
    timerCFrom: Number.NEGATIVE_INFINITY,
    timer: undefined,
  };
}

export function isBranch(owner: unknown): owner is Branch {
  return typeof owner === "object" && owner !== null && "kind" in owner && owner.kind === "branch";
}

/** The state that a branch for this target begins in. */
export function firstState({ seek }: Target): "Resolving" | "Seeking" | "Awaiting" {
  if (seek === "registration") return "Awaiting";
  return seek === "first" ? "Seeking" : "Resolving";
}

/** Nothing has been sent for it yet. */
export function isUnsent({ state }: Branch): boolean {
  return state === "Resolving" || state === "Seeking" || state === "Awaiting";
}

/** Whether its answer is under way. None is of a phone that is only waited for, nor of one that was silent when it was to be cancelled. */
export function isPending(branch: Branch): boolean {
  return branch.state !== "Finished" && branch.state !== "Awaiting" && !isLeftAlone(branch);
}

/** RFC 3261 9.1, 16.10: to be cancelled, and silent for so long that the INVITE was said twice. A phone answers within T1. */
function isLeftAlone({ cancelRequested, state, client }: Branch): boolean {
  return cancelRequested && state === "Calling" && client !== undefined && client.retransmitMs > t1Ms;
}

/** Stands for phones that are waited for. */
export function isAwaiting({ state }: Branch): boolean {
  return state === "Awaiting";
}

/**
 * Whether silence would mean that the phone is looked for on another flow. So it is for a phone that has not been looked for since the request was
 * sent.
 */
export function mayBeSilent({ target, isSought }: Branch): boolean {
  return !isSought && isPhone(target);
}

/** Notes a provisional response of a branch. True: it has had too many of late, this one is not forwarded. */
export function isTooOften(branch: Branch, now: SteadyMs): boolean {
  if (branch.provisionalsFullAt - now > (provisionalsMax - 1) * provisionalMs) return true;
  branch.provisionalsFullAt = Math.max(branch.provisionalsFullAt, now) + provisionalMs;
  return false;
}
