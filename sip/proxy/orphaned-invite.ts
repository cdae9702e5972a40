import { isParseError } from "../errors.ts";
import { buildAckForNon2xx, buildCancel } from "../message/build.ts";
import { Header } from "../message/header-names.ts";
import { parseMessage } from "../message/sip-message.ts";
import { responseFlow } from "../flow/response-flow.ts";
import { breadthOf } from "./breadth.ts";
import type { ProxyEnvironment } from "./environment.ts";
import { forwardRequest, placeOf, referenceOf, viaTokenOf } from "./forward-request.ts";
import { nextHopOf } from "./next-hop.ts";
import { identifyAsInvite, spiralsOf } from "./request-validation.ts";
import type { Target } from "./target-set.ts";
import type { Preprocessed } from "./route-preprocessing.ts";
import type { SteadyMs } from "../time.ts";

/** A message that leaves without a response context. */
export type Onward = { readonly flow: string; readonly branch: string; readonly octets: Uint8Array };

/**
 * RFC 3261 16.10, 16.11: a CANCEL, or the ACK of a refusal, as it goes to a target of its INVITE. Nobody here knows that INVITE any more. A branch is
 * a function of the request and of its place, so the phone finds its transaction by it. A phone that has no such INVITE has nothing to lose.
 *
 * A name that would have to be looked up, or a phone that is looked for, is undefined: nothing is sent there.
 */
export function onwardToTarget(env: ProxyEnvironment, request: Preprocessed, target: Target, now: SteadyMs): Onward | undefined {
  const { message } = request;
  if (message.maxForwards === 0 || isParseError(message.maxForwards)) return undefined;
  const flow = target.flow ?? flowByUri(env, request, target);
  if (flow === undefined || env.leadsHere(flow)) return undefined;
  // It has been here: it is said by hop, with one Via, and its sender is we (decision 0013).
  if (spiralsOf(message, "", env.sign) > 0) return undefined;
  identifyAsInvite(request, env);
  const reference = referenceOf(request, placeOf(target, flow), 0);
  const cell = env.cellFor(request, flow, now);
  const via = viaTokenOf(env, reference, responseFlow(message, request.flow), request.loop ?? "0", cell);
  const sent = parseMessage(forwardRequest(env, request, target, flow, via, false, breadthOf(message)));
  if (isParseError(sent)) return undefined;
  // RFC 3261 9.1, 17.1.1.3: as the INVITE was sent, with its Via alone.
  const reasons = message.values(Header.Reason).map((reason): [string, string] => ["Reason", reason]);
  const octets = message.method === "ACK" ? buildAckForNon2xx(sent, sent) : buildCancel(sent, reasons);
  return { flow, branch: via.branch, octets };
}

function flowByUri(env: ProxyEnvironment, request: Preprocessed, target: Target): string | undefined {
  const nextHop = target.seek === undefined ? nextHopOf(request, target) : undefined;
  return nextHop === undefined ? undefined : env.numericFlow(nextHop.uri, request.flow);
}
