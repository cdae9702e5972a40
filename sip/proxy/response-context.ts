import { attemptsMax, spiralAttemptsMax } from "../limits.ts";
import type { ServerTransaction } from "../transaction/transaction.ts";
import { isPending, none, type Branch } from "./branch.ts";
import { breadthOf } from "./breadth.ts";
import type { Preprocessed } from "./route-preprocessing.ts";
import type { Target } from "./target-set.ts";
import type { SteadyMs, WallMs } from "../time.ts";

/** The state of a forwarded request (RFC 3261 16.6, 16.7), as data. context-machine.ts says how it changes. */

/** A final response that may be forwarded when all branches are done: without our Via. `octets` undefined: we make it ourselves. */
export type Candidate = { readonly status: number; readonly octets: Uint8Array | undefined };

/** RFC 3261 16.7 7: a challenge to pass on with the best response. */
export type Challenge = { readonly isProxy: boolean; readonly value: string };

/**
 * - Open: branches may start (RFC 3261 16.6)
 * - Closing: the client has cancelled, or a 6xx has come: what is under way ends, nothing starts (16.10, 16.7 5)
 * - Ended: a final response has been forwarded, or another replica has the request
 */
export type ContextState = "Open" | "Closing" | "Ended";

/** RFC 3261 16.2: what a stateful proxy remembers of a request while it is forwarded. */
export type ResponseContext = {
  readonly kind: "responseContext";
  readonly tx: ServerTransaction;
  state: ContextState;
  /** The same request, come again on other ways (RFC 3263 4.3), the latest last: answered as `tx` is, each with its own Vias. */
  joined: readonly { readonly tx: ServerTransaction; readonly vias: readonly string[] }[];
  /**
   * Set when another replica may have forwarded the same request for another copy of it: the Vias of `tx`. What the phone answers may have those of
   * the other copy.
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
  /** The client has sent CANCEL: {@link state} is not Open. */
  cancelled: boolean;
  /** RFC 3326: values of Reason for the CANCELs. */
  cancelReasons: readonly string[];
  /** RFC 3261 16.7 5: a 6xx has come: {@link state} is not Open. */
  declined: boolean;
  /** When its caller was told first that it rings; undefined: not yet. */
  rangAt: WallMs | undefined;
  /** Cells that had it in hand before this replica. */
  readonly earlierCells: readonly string[];
  /** While targets are being started: nothing is concluded from one that fails at once. */
  isStarting: boolean;
  /** Until when phones that are nowhere now are waited for; undefined: none has been missed yet. */
  soughtUntil: SteadyMs | undefined;
};

/** Of a request that has not been forwarded anywhere. */
export function newContext(tx: ServerTransaction, request: Preprocessed, recordRoute: boolean): ResponseContext {
  return {
    kind: "responseContext",
    tx,
    state: "Open",
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
    cancelled: false,
    cancelReasons: none,
    declined: false,
    rangAt: undefined,
    earlierCells: none,
    isStarting: false,
    soughtUntil: undefined,
  };
}

export function isResponseContext(owner: unknown): owner is ResponseContext {
  return typeof owner === "object" && owner !== null && "kind" in owner && owner.kind === "responseContext";
}

/** The copy of a request that came last: its caller listens there. */
export function latestOf({ joined, tx }: ResponseContext): ServerTransaction {
  return joined.at(-1)?.tx ?? tx;
}

/** Whether an answer is under way. */
export function hasPendingBranch(context: ResponseContext): boolean {
  return context.branches.some(isPending);
}

/** Whether a new branch may still start (RFC 3261 16.7 5, 10; RFC 4320 4.2). */
export function isOpen(context: ResponseContext): boolean {
  return context.state === "Open" && context.tx.state !== "Terminated";
}

export function hasEnded({ state }: ResponseContext): boolean {
  return state === "Ended";
}

/** No new branch starts from now on. */
export function close(context: ResponseContext): void {
  if (context.state === "Open") context.state = "Closing";
}
