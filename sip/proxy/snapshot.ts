import { isParseError } from "../errors.ts";
import { inviteLifetimeMs, t1Ms, timerCLateMs } from "../limits.ts";
import { octetsOf, stringOf } from "../message/octets.ts";
import { parseMessage } from "../message/sip-message.ts";
import type { SipMessage } from "../message/sip-message.ts";
import type { Writable } from "../record/fields.ts";
import type { Invite, InviteBranch } from "../record/values.ts";
import type { InviteServerTransaction } from "../transaction/transaction.ts";
import type { TransactionLayer } from "../transaction/transaction-layer.ts";
import type { Proxy } from "./proxy.ts";
import { firstState, newBranch, none, type Branch, type BranchState } from "./branch.ts";
import { hasEnded, newContext, type ResponseContext } from "./response-context.ts";
import type { Preprocessed } from "./route-preprocessing.ts";
import { later, type SteadyMs, type WallMs } from "../time.ts";

/** The text of INVITEs, which does not change: made once. */
const texts = new WeakMap<SipMessage, string>();

/**
 * An INVITE in progress as its record's value, what another replica needs to go on with it. Undefined when there is nothing to hand over: not
 * an INVITE, or finally answered.
 */
export function snapshotInvite(context: ResponseContext, now: SteadyMs, wall: WallMs): Invite | undefined {
  const { tx, request } = context;
  if (!context.isInvite || hasEnded(context) || request === undefined) return undefined;
  const { message } = request;
  let text = texts.get(message);
  if (text === undefined) {
    text = stringOf(message.octets, message.start, message.end);
    texts.set(message, text);
  }
  const invite: Writable<Invite> = {
    expiresAt: wall + inviteLifetimeMs,
    request: text,
    flow: request.flow,
    responseFlow: tx.responseFlow,
    lastStatus: tx.lastStatus,
    lastResponse: tx.lastResponse === undefined ? undefined : stringOf(tx.lastResponse),
    recordRoute: context.recordRoute,
    waiting: context.waiting,
    branches: context.branches.map((branch) => snapshotBranch(branch, now)),
    attempts: context.attempts,
    best:
      context.best === undefined
        ? undefined
        : { status: context.best.status, octets: context.best.octets === undefined ? undefined : stringOf(context.best.octets) },
    challenges: context.challenges,
    cancelled: context.cancelled,
    cancelReasons: context.cancelReasons,
    declined: context.declined,
    // As record-text.ts writes them: what may be absent stands last, and the text is the same in both cells.
    at: request.at,
  };
  if (context.rangAt !== undefined) invite.rangAt = context.rangAt;
  if (context.earlierCells.length > 0) invite.earlierCells = context.earlierCells;
  return invite;
}

function snapshotBranch(branch: Branch, now: SteadyMs): InviteBranch {
  return {
    target: branch.target,
    state: recordedState(branch.state),
    reference: "",
    branch: branch.state === "Finished" || branch.client === undefined ? "" : branch.via.branch,
    mark: branch.via.mark,
    flow: branch.flow,
    alternatives: branch.alternatives,
    cancelRequested: branch.cancelRequested,
    isLost: branch.isLost,
    breadth: branch.breadth,
    hasFound: branch.hasFound ? true : undefined,
    timerCRanMs: branch.state === "Proceeding" ? Math.round(now - branch.timerCFrom) : undefined,
  };
}

/** A record calls all that have sent nothing Resolving: its target says what such a branch waits for, see {@link firstState}. */
function recordedState(state: BranchState): InviteBranch["state"] {
  return state === "Seeking" || state === "Awaiting" ? "Resolving" : state;
}

/**
 * Goes on with an INVITE of another replica, because that one's cell has failed. Its server transaction answers retransmissions and CANCEL, and its
 * branches have their timers again. What was unanswered is sent again with the same branch, unless it is so old (`ageMs`) that nobody waits for it.
 * It is sent over connections too. The backhaul that carried it to its access may be what failed, and a phone that has it sees it again (RFC 3261
 * 17.2.1). A branch whose next hop was being looked up, or whose phone is waited for, starts over. Timer C goes on. The context; undefined when it cannot
 * be read, or this replica has the INVITE already.
 */
export function restoreInvite(
  snapshot: Invite,
  proxy: Proxy,
  transactions: TransactionLayer,
  now: SteadyMs,
  ageMs: number = 0,
): ResponseContext | undefined {
  const message = parseMessage(octetsOf(snapshot.request));
  if (isParseError(message)) return undefined;
  const request = proxy.preprocessAdopted(message, snapshot.flow);
  if (isParseError(request)) return undefined;
  request.at = snapshot.at ?? snapshot.expiresAt - inviteLifetimeMs;
  proxy.identify(request);
  const lastResponse = snapshot.lastResponse === undefined ? undefined : octetsOf(snapshot.lastResponse);
  const tx = transactions.restoreServer(message, snapshot.flow, snapshot.lastStatus, lastResponse);
  if (tx.owner !== undefined || tx.state !== "Proceeding") return undefined;
  // Its caller has asked again here before it was known.
  if (proxy.join(tx, request, now)) return undefined;
  tx.responseFlow = snapshot.responseFlow;
  // It has been let in: who has a name of ours has shown a password.
  tx.isProven = request.token !== undefined || request.asserted !== undefined;
  const context = contextOf(snapshot, tx, request);
  tx.owner = context;
  const sent = new Map<Branch, InviteBranch>();
  for (const each of snapshot.branches) {
    const branch = branchOf(context, each, timerCFrom(each, now, ageMs));
    context.branches.push(branch);
    sent.set(branch, each);
  }
  proxy.adopt(
    context,
    (branch) => {
      const known = sent.get(branch);
      if (known === undefined || known.branch === "") return undefined;
      const isUnheard = branch.state === "Calling" && ageMs < 64 * t1Ms;
      const state = isUnheard ? "Calling" : "Proceeding";
      branch.isUnproven = proxy.isUnproven(branch);
      return transactions.restoreClient(proxy.requestOf(branch), known.branch, known.flow, state, now, branch, branch.isUnproven);
    },
    now,
  );
  return context;
}

function contextOf(snapshot: Invite, tx: InviteServerTransaction, request: Preprocessed): ResponseContext {
  const { best, attempts, cancelled, cancelReasons, declined } = snapshot;
  const fresh = newContext(tx, request, snapshot.recordRoute);
  return {
    ...fresh,
    state: cancelled || declined ? "Closing" : "Open",
    waiting: snapshot.waiting,
    attempts,
    best: best === undefined ? undefined : { status: best.status, octets: best.octets === undefined ? undefined : octetsOf(best.octets) },
    challenges: snapshot.challenges,
    cancelled,
    cancelReasons,
    declined,
    rangAt: snapshot.rangAt,
    earlierCells: snapshot.earlierCells ?? none,
  };
}

/** When Timer C of a branch began, at the latest: it has run on while nobody had it in hand. What has not been heard of is so old as its record. */
function timerCFrom({ state, timerCRanMs }: InviteBranch, now: SteadyMs, ageMs: number): SteadyMs {
  if (state === "Proceeding" && timerCRanMs === undefined) return later(now, -timerCLateMs);
  return later(now, -Math.max(ageMs, 0) - (timerCRanMs ?? 0));
}

function branchOf(
  context: ResponseContext,
  { target, state, branch, mark, flow, breadth = 1, alternatives, cancelRequested, isLost, hasFound = false }: InviteBranch,
  from: SteadyMs,
): Branch {
  return {
    ...newBranch(context, target, breadth),
    state: state === "Resolving" ? firstState(target) : state,
    via: { branch, mark },
    flow,
    alternatives,
    cancelRequested,
    isLost,
    hasFound,
    timerCFrom: from,
  };
}
