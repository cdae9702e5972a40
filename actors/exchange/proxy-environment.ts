import { domainOf, pairOf, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import { accessOfFlow } from "../../sip/flow/flow.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import type { Branch } from "../../sip/proxy/branch.ts";
import type { ProxyEnvironment } from "../../sip/proxy/environment.ts";
import type { ResponseContext } from "../../sip/proxy/response-context.ts";
import type { Preprocessed } from "../../sip/proxy/route-preprocessing.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import type { Accesses } from "./accesses.ts";
import type { CallKeeper } from "./call-keeper.ts";
import { callingOf, vouch } from "./caller.ts";
import type { DialogKeeper } from "./dialog-keeper.ts";
import type { ExchangeConfig, ExchangeTools } from "./exchange.ts";
import type { InviteKeeper } from "./invite-keeper.ts";
import type { LateResponses } from "./late-responses.ts";
import type { PhoneFinder } from "./phone-finder.ts";
import type { RegistrarDesk } from "./registrar-desk.ts";
import type { Resolutions } from "./resolutions.ts";
import type { Takeovers } from "./takeovers.ts";
import type { Undeliverables } from "./undeliverables.ts";
import type { Whereabouts } from "./whereabouts.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** The parts of an exchange that its proxy looks at; those that are made after it too. */
export type EnvironmentParts = {
  readonly config: ExchangeConfig;
  readonly map: ClusterMap;
  /** Until then the other replica, or an earlier start of this one, may have forwarded what comes here. */
  readonly repeatedUntil: SteadyMs;
  readonly store: RecordStore;
  readonly accesses: Accesses;
  readonly resolutions: Resolutions;
  readonly late: LateResponses;
  readonly finder: PhoneFinder;
  readonly registrar: RegistrarDesk;
  readonly dialogs: DialogKeeper;
  readonly calls: CallKeeper;
  readonly invites: InviteKeeper;
  readonly takeovers: Takeovers;
  readonly whereabouts: Whereabouts;
  readonly undeliverables: Undeliverables;
};

/** What the proxy of an exchange needs from around it. `boot` names this start of this replica. */
export function proxyEnvironment(parts: EnvironmentParts, tools: ExchangeTools, boot: string): ProxyEnvironment {
  const { config, accesses, resolutions, late, finder, registrar } = parts;
  let references = 0;
  return {
    exchange: config.exchange,
    cell: config.cell,
    sign: tools.sign,
    wallAt: tools.wallAt,
    nextReference: () => {
      references += 1;
      return `${boot}-${references.toString(36)}`;
    },
    cellFor: (request, flow, now) => (now < parts.repeatedUntil ? cellFor(parts, request, flow, now) : config.cell),
    isLate: (branch, cell, method, now) => late.isLate(branch, cell, method, now),
    mayBeRepeated: (now) => now < parts.repeatedUntil,
    hasPassed: (branch) => parts.takeovers.hasPassed(branch),
    mayBeCopy: (flow, now) => now < parts.repeatedUntil && parts.takeovers.mayBeCopy(flow, now),
    nextTag: () => tools.nextId(),
    sentBy: (flow) => accesses.sentBy(flow),
    resolve: (uri, reference, now) => resolutions.resolve(uri, reference, now),
    numericFlow: (uri, near) => accesses.numericFlow(uri, accessOfFlow(near)),
    unknownTokenStatus: (token, isVerified) => {
      const { cells, exchangeCount, unknownTokenStatus = 404 } = parts.map;
      if (token === undefined) return undefined;
      const isKnown = token.exchange < exchangeCount && (isVerified || cells.some(({ id }) => id === token.cell));
      return isKnown ? undefined : unknownTokenStatus;
    },
    isOurs: (host, port) => domainOf(parts.map, host, port) !== undefined,
    leadsHere: (flow) => accesses.own.has(flow),
    // As Kamailio does: nobody may say which way we call. The route set of a dialog that is not ours (RFC 3261 12.2) leads somewhere else.
    followsRoutes: ({ message, token }) =>
      token !== undefined || (message.toTag !== undefined && callingOf(parts.map, message).callee === undefined),
    seek: (wanted, now) => parts.whereabouts.seek(wanted, now),
    stopSeeking: (reference) => finder.stop(reference),
    mayReturn: (request, now) => parts.whereabouts.mayReturn(request, now),
    isUnproven: (bindingKey, flow) => !registrar.isProvenAt(bindingKey, flow),
    proved: (bindingKey, flow, now) => registrar.proved(bindingKey, flow, now),
    flowFailed: (flow, target, now) => {
      // That it cannot be reached from here says nothing about the phone.
      if (accesses.usable(flow) === undefined) return "unreachable";
      const binding = "bindingKey" in target && typeof target.bindingKey === "string" ? target.bindingKey : undefined;
      if (binding !== undefined && !parts.undeliverables.isReturning) registrar.flowFailed(binding, flow, now);
      return "dead";
    },
    unacknowledged: (tx, response, now) => parts.whereabouts.unacknowledged(tx, response, now),
    final: (context, status, branch, message, now) => commitOf(parts, context, status, branch, message, now),
    changed: (context, now) => parts.invites.changed(context, now),
    vouch: (request) => vouch(request, callingOf(parts.map, request.message)),
  };
}

/** One of the two cells of this exchange is to be named. It is the one that a request comes to by itself, as long as that makes no difference. */
function cellFor({ config, map, takeovers }: EnvironmentParts, { token, flow }: Preprocessed, next: string, now: SteadyMs): string {
  const { cell, exchange } = config;
  const { primary, secondary } = pairOf(map, exchange);
  const preferred = token?.cell ?? primary;
  if (preferred === cell || (preferred !== primary && preferred !== secondary)) return cell;
  return takeovers.cellFor(preferred, accessOfFlow(flow), accessOfFlow(next), now);
}

/**
 * A final response is about to be forwarded: the sequence number that it waits for. A 2xx to an INVITE waits until the peer knows the dialog, and the
 * end of the INVITE.
 */
function commitOf(
  { store, dialogs, calls, invites }: EnvironmentParts,
  context: ResponseContext,
  status: number,
  branch: Branch | undefined,
  response: SipMessage | undefined,
  now: SteadyMs,
): number | undefined {
  const { tx } = context;
  const before = store.sequence;
  const isAnswer = context.isInvite && status >= 200 && status < 300;
  const note = isAnswer ? calls.noteOf(context, branch, now) : undefined;
  const isFollowed = dialogs.follow(tx, status, branch, response, now, note);
  if (!isFollowed) calls.unfollowed(context, branch, status, now);
  if (context.isInvite && status >= 300) calls.refused(context, status, now);
  if (!isAnswer) return undefined;
  invites.ended(context, now);
  return store.sequence > before || tx.commit === undefined ? store.sequence : tx.commit;
}
