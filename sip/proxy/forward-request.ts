import { base36Of32 } from "../base-36.ts";
import { isParseError } from "../errors.ts";
import { maxForwardsDefault } from "../limits.ts";
import { MessageEdit } from "../message/edit.ts";
import { Header } from "../message/header-names.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { parseUri } from "../message/uri.ts";
import { fnv1a, makeBranch, makeViaMark, parseViaMark, viaMarkName } from "../flow/token.ts";
import { setBreadth } from "./breadth.ts";
import type { ProxyEnvironment } from "./environment.ts";
import { writeIdentity } from "./identity-headers.ts";
import { firstRouteOf, isStrictRouter, requestUriOf } from "./next-hop.ts";
import { consumeCredentials } from "./own-realms.ts";
import { hostPortOf, recordRoutesOf } from "./record-route.ts";
import type { Branch } from "./branch.ts";
import type { Target } from "./target-set.ts";
import type { Preprocessed } from "./route-preprocessing.ts";

/** What our Via says: see token.ts. No mark: nothing comes back that it would have to let through. */
export type ViaToken = { readonly branch: string; readonly mark: string };

/**
 * RFC 3261 16.6 1 to 9: the copy of a request for one target, in one splice of the received octets. It leaves on `flow` with `via` in our Via. Its
 * Record-Route names the cell that its Via does.
 */
export function forwardRequest(
  env: ProxyEnvironment,
  request: Preprocessed,
  target: Target,
  flow: string,
  via: ViaToken,
  recordRoute: boolean,
  breadth: number,
): Uint8Array {
  const { message } = request;
  const edit = new MessageEdit(message);
  const requestUri = requestUriOf(target);
  const firstRoute = firstRouteOf(request, target);
  const isStrict = target.flow === undefined && firstRoute !== undefined && isStrictRouter(parseUri(firstRoute));
  if (isStrict) routeStrictly(edit, request, target, requestUri, firstRoute);
  else {
    if (requestUri !== message.requestUri) edit.setRequestUri(requestUri);
    if (request.ownRoutes > 0) edit.removeFirst(Header.Route, request.ownRoutes);
    for (const route of target.routes.toReversed()) edit.prepend(Header.Route, route);
  }
  mendNames(edit, message);
  consumeCredentials(env, edit, message);
  writeIdentity(edit, request);
  const maxForwards = message.maxForwards;
  if (maxForwards === undefined) edit.set(Header.MaxForwards, String(maxForwardsDefault));
  else if (!isParseError(maxForwards)) edit.replaceFirst(Header.MaxForwards, String(maxForwards - 1));
  setBreadth(edit, message, breadth);
  if (recordRoute) {
    const isSecure = isSips(requestUri) || (firstRoute !== undefined && isSips(firstRoute));
    const cell = parseViaMark(via.mark)?.cell ?? env.cell;
    for (const value of recordRoutesOf(env, request, flow, isSecure, cell)) edit.prepend(Header.RecordRoute, value);
  }
  const listener = env.sentBy(flow);
  const mark = via.mark === "" ? "" : `;${viaMarkName}=${via.mark}`;
  edit.prepend(Header.Via, `SIP/2.0/${listener.transport} ${hostPortOf(listener)};branch=${via.branch}${mark}`);
  // 16.6 9: over a stream the length must be said.
  if (listener.transport !== "UDP" && !message.has(Header.ContentLength)) {
    edit.append(Header.ContentLength, String(message.bodyEnd - message.bodyStart));
  }
  return edit.serialize();
}

/** Names that were read leniently leave as they should have been written: a strict phone would drop the request. */
function mendNames(edit: MessageEdit, message: SipMessage): void {
  const { contacts, from, to } = message;
  if (!isParseError(from) && from.mended !== undefined) edit.replaceFirst(Header.From, from.mended);
  if (!isParseError(to) && to.mended !== undefined) edit.replaceFirst(Header.To, to.mended);
  if (isParseError(contacts) || contacts === "*") return;
  const [contact] = contacts;
  if (contact?.mended !== undefined && contacts.length === 1) edit.replaceFirst(Header.Contact, contact.mended);
}

/** RFC 3261 16.6 6: as a strict router expects it: its URI in the Request-URI, the real one as the last Route value. */
function routeStrictly(edit: MessageEdit, request: Preprocessed, target: Target, requestUri: string, firstRoute: string): void {
  edit.setRequestUri(firstRoute).removeAll(Header.Route);
  const routes = [...target.routes, ...request.routes.map((route) => route.text)];
  for (const route of routes.slice(1)) edit.append(Header.Route, route);
  edit.append(Header.Route, `<${requestUri}>`);
}

/** Our Via for a request that goes on under this reference (16.6 8); `upstream`: the flow that its responses go to, at this cell. */
export function viaTokenOf(env: ProxyEnvironment, reference: string, upstream: string, loop: string, cell: string): ViaToken {
  const branch = makeBranch({ exchange: env.exchange, reference, loop });
  return { branch, mark: makeViaMark(branch, { cell, upstream }, env.sign) };
}

/**
 * What a branch is called: a function of the request's identity and of where it goes. So it is the same transaction for its receiver whoever forwards
 * it, and however often. Both replicas may, when the first one died before it could say so. It may go again on another flow of the same phone, when
 * nobody knows whether the first one brought it there. It may go once more for a caller who asks again elsewhere (RFC 3263 4.3). Two hashes: 64 bits;
 * who makes two requests of his own collide harms himself. `nth`: tried there before.
 */
export function referenceOf({ routingHash, identityHash }: Preprocessed, place: string, nth: number): string {
  const again = nth === 0 ? "" : `-${nth}`;
  return `${base36Of32(fnv1a(place, routingHash))}-${base36Of32(fnv1a(place, identityHash))}${again}`;
}

/** Where a target is, for {@link referenceOf}: a phone is the same one on whichever flow. */
export function placeOf(target: Target, flow: string): string {
  if (target.group !== undefined) return target.group;
  return isPhone(target) ? target.requestUri : `${flow}|${target.requestUri}`;
}

/** Whether a target is one phone, reached on a flow of its own. Else it is a URI, of which each address may be another server. */
export function isPhone(target: Target): boolean {
  return target.flow !== undefined || target.seek !== undefined;
}

/** Whether a branch needs another name than one to the same place. To a phone that one has failed on another flow, it is said again. */
export function isSentTo(branch: Branch, place: string): boolean {
  return (branch.state !== "Finished" || !isPhone(branch.target)) && placeOf(branch.target, branch.flow) === place;
}

function isSips(uri: string): boolean {
  return uri.slice(0, 5).toLowerCase() === "sips:";
}
