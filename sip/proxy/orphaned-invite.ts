import { isParseError } from "../errors.ts";
import { MessageEdit } from "../message/edit.ts";
import { Header } from "../message/header-names.ts";
import { parseMessage } from "../message/sip-message.ts";
import { makeBranch } from "../transport/token.ts";
import type { ProxyEnvironment } from "./environment.ts";
import { forwardRequest, placeOf, referenceOf } from "./forward-request.ts";
import { nextHopOf } from "./next-hop.ts";
import { identifyAsInvite } from "./request-validation.ts";
import type { Target } from "./response-context.ts";
import type { Preprocessed } from "./route-preprocessing.ts";

/** A message that leaves without a response context. */
export type Onward = { readonly flow: string; readonly branch: string; readonly octets: Uint8Array };

/**
 * RFC 3261 16.10, 16.11: a CANCEL, or the ACK of a refusal, as it goes to a target of its INVITE when nobody here knows that any more. A branch is a
 * function of the request and of its place, so the phone finds its transaction by it; one that has no such INVITE has nothing to lose.
 *
 * A name that would have to be looked up, or a phone that is looked for, is undefined: nothing is sent there.
 */
export function onwardToTarget(env: ProxyEnvironment, request: Preprocessed, target: Target): Onward | undefined {
  const { message } = request;
  if (message.maxForwards === 0 || isParseError(message.maxForwards)) return undefined;
  const flow = target.flow ?? flowByUri(env, request, target);
  if (flow === undefined) return undefined;
  identifyAsInvite(request, env);
  const reference = referenceOf(request.identity, placeOf(target, flow), 0);
  const branch = makeBranch({ exchange: env.exchange, reference, loop: request.loop ?? "0" });
  const forwarded = parseMessage(forwardRequest(env, request, target, flow, { branch, mark: "" }, false));
  if (isParseError(forwarded)) return undefined;
  // RFC 3261 9.1, 17.1.1.3: one Via, that of the INVITE. Answers end here.
  const [via = ""] = forwarded.values(Header.Via);
  return { flow, branch, octets: new MessageEdit(forwarded).removeAll(Header.Via).prepend(Header.Via, via).serialize() };
}

function flowByUri(env: ProxyEnvironment, request: Preprocessed, target: Target): string | undefined {
  const nextHop = target.seek === undefined ? nextHopOf(request, target) : undefined;
  return nextHop === undefined ? undefined : env.numericFlow(nextHop.uri, request.flow);
}
