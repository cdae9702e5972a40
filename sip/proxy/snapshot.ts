import { isParseError } from "../errors.ts";
import { octetsOf, stringOf } from "../message/octets.ts";
import { parseMessage } from "../message/sip-message.ts";
import type { InviteServerTransaction } from "../transaction/transaction.ts";
import type { TransactionLayer } from "../transaction/transaction-layer.ts";
import type { Proxy } from "./proxy.ts";
import type { Branch, BranchState, Challenge, ResponseContext, Target } from "./response-context.ts";

/**
 * An INVITE that has not been finally answered, as plain data: what another replica needs to go on with it. Octets are text, one char an
 * octet. Times are left out: timers start anew where it is taken up.
 */
export type InviteSnapshot = {
  readonly request: string;
  readonly flow: string;
  readonly responseFlow: string;
  /** Last provisional response sent; its To tag is in it. */
  readonly lastStatus: number;
  readonly lastResponse: string | undefined;
  readonly loop: string;
  readonly recordRoute: boolean;
  readonly waiting: readonly Target[];
  readonly branches: readonly BranchSnapshot[];
  readonly attempts: number;
  readonly best: { readonly status: number; readonly octets: string | undefined } | undefined;
  readonly challenges: readonly Challenge[];
  readonly cancelled: boolean;
  readonly cancelReasons: readonly string[];
  readonly declined: boolean;
};

export type BranchSnapshot = {
  readonly target: Target;
  readonly state: BranchState;
  readonly reference: string;
  /** Via branch; empty while the next hop is looked up. */
  readonly branch: string;
  readonly flow: string;
  readonly alternatives: readonly string[];
  readonly cancelRequested: boolean;
  /** The request as sent. */
  readonly octets: string;
};

/** Undefined when there is nothing to hand over: not an INVITE, or finally answered. */
export function snapshotInvite(context: ResponseContext): InviteSnapshot | undefined {
  const { tx, request } = context;
  if (!context.isInvite || context.finalStatus !== 0 || request === undefined) return undefined;
  const { message } = request;
  return {
    request: stringOf(message.octets, message.start, message.end),
    flow: request.flow,
    responseFlow: tx.responseFlow,
    lastStatus: tx.lastStatus,
    lastResponse: tx.lastResponse === undefined ? undefined : stringOf(tx.lastResponse),
    loop: request.loop ?? "0",
    recordRoute: context.recordRoute,
    waiting: context.waiting,
    branches: context.branches.map(snapshotBranch),
    attempts: context.attempts,
    best:
      context.best === undefined
        ? undefined
        : { status: context.best.status, octets: context.best.octets === undefined ? undefined : stringOf(context.best.octets) },
    challenges: context.challenges,
    cancelled: context.cancelled,
    cancelReasons: context.cancelReasons,
    declined: context.declined,
  };
}

function snapshotBranch(branch: Branch): BranchSnapshot {
  return {
    target: branch.target,
    state: branch.state,
    reference: branch.reference,
    branch: branch.client?.branch ?? "",
    flow: branch.flow,
    alternatives: branch.alternatives,
    cancelRequested: branch.cancelRequested,
    octets: branch.state === "Finished" || branch.client === undefined ? "" : stringOf(branch.client.octets),
  };
}

/**
 * Goes on with an INVITE of another replica: its server transaction answers retransmissions and CANCEL, its branches have their timers
 * again, and what was unanswered is sent again on unreliable flows, with the same branch (design: the failure of a cell). A branch whose
 * next hop was being looked up starts over. The context; undefined when it cannot be read, or this replica has the INVITE already.
 */
export function restoreInvite(
  snapshot: InviteSnapshot,
  proxy: Proxy,
  transactions: TransactionLayer,
  now: number,
): ResponseContext | undefined {
  const message = parseMessage(octetsOf(snapshot.request));
  if (isParseError(message)) return undefined;
  const request = proxy.preprocess(message, snapshot.flow);
  if (isParseError(request)) return undefined;
  request.loop = snapshot.loop;
  const lastResponse = snapshot.lastResponse === undefined ? undefined : octetsOf(snapshot.lastResponse);
  const tx = transactions.restoreServer(message, snapshot.flow, snapshot.lastStatus, lastResponse);
  if (tx.owner !== undefined || tx.state !== "Proceeding") return undefined;
  tx.responseFlow = snapshot.responseFlow;
  const context = contextOf(snapshot, tx, request);
  tx.owner = context;
  const sent = new Map<Branch, BranchSnapshot>();
  for (const each of snapshot.branches) {
    const branch = branchOf(context, each);
    context.branches.push(branch);
    sent.set(branch, each);
  }
  proxy.adopt(
    context,
    (branch) => {
      const known = sent.get(branch);
      if (known === undefined || known.branch === "") return undefined;
      const state = branch.state === "Calling" ? "Calling" : "Proceeding";
      return transactions.restoreClient(octetsOf(known.octets), known.branch, known.flow, state, now, branch);
    },
    now,
  );
  return context;
}

function contextOf(snapshot: InviteSnapshot, tx: InviteServerTransaction, request: ResponseContext["request"]): ResponseContext {
  const { best } = snapshot;
  return {
    kind: "responseContext",
    tx,
    isInvite: true,
    recordRoute: snapshot.recordRoute,
    request,
    waiting: [...snapshot.waiting],
    branches: [],
    attempts: snapshot.attempts,
    best: best === undefined ? undefined : { status: best.status, octets: best.octets === undefined ? undefined : octetsOf(best.octets) },
    challenges: [...snapshot.challenges],
    finalStatus: 0,
    cancelled: snapshot.cancelled,
    cancelReasons: snapshot.cancelReasons,
    declined: snapshot.declined,
    isStarting: false,
  };
}

function branchOf(context: ResponseContext, snapshot: BranchSnapshot): Branch {
  return {
    kind: "branch",
    context,
    target: snapshot.target,
    state: snapshot.state,
    reference: snapshot.reference,
    flow: snapshot.flow,
    alternatives: snapshot.alternatives,
    cancelRequested: snapshot.cancelRequested,
    client: undefined,
  };
}
