import { base36 } from "../base-36.ts";
import { isParseError } from "../errors.ts";
import { maxForwardsDefault } from "../limits.ts";
import { MessageEdit } from "../message/edit.ts";
import { Header } from "../message/header-names.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { parseUri } from "../message/uri.ts";
import { fnv1a, makeBranch } from "../transport/token.ts";
import type { ProxyEnvironment } from "./environment.ts";
import { firstRouteOf, isStrictRouter, requestUriOf } from "./next-hop.ts";
import { hostPortOf, recordRoutesOf } from "./record-route.ts";
import type { Target } from "./response-context.ts";
import type { Preprocessed } from "./route-preprocessing.ts";

/**
 * RFC 3261 16.6 1 to 9: the copy of a request for one target, leaving on `flow` with `branch` in our Via, in one splice of the received
 * octets. `cell`: the one that its Record-Route names.
 */
export function forwardRequest(
  env: ProxyEnvironment,
  request: Preprocessed,
  target: Target,
  flow: string,
  branch: string,
  recordRoute: boolean,
  cell: string = env.cell,
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
  consumeCredentials(env, edit, message);
  const maxForwards = message.maxForwards;
  if (maxForwards === undefined) edit.set(Header.MaxForwards, String(maxForwardsDefault));
  else if (!isParseError(maxForwards)) edit.replaceFirst(Header.MaxForwards, String(maxForwards - 1));
  if (recordRoute) {
    const isSecure = isSips(requestUri) || (firstRoute !== undefined && isSips(firstRoute));
    for (const value of recordRoutesOf(env, request, target, flow, isSecure, cell)) edit.prepend(Header.RecordRoute, value);
  }
  const listener = env.sentBy(flow);
  edit.prepend(Header.Via, `SIP/2.0/${listener.transport} ${hostPortOf(listener)};branch=${branch}`);
  // 16.6 9: over a stream the length must be said.
  if (listener.transport !== "UDP" && !message.has(Header.ContentLength)) {
    edit.append(Header.ContentLength, String(message.bodyEnd - message.bodyStart));
  }
  return edit.serialize();
}

/**
 * RFC 3261 22.3: credentials for our realms (our domains' names) end here: whoever is called need not have what a password can be guessed
 * from. Those for other realms go on, whichever of them stand together.
 */
function consumeCredentials(env: ProxyEnvironment, edit: MessageEdit, message: SipMessage): void {
  if (!message.has(Header.ProxyAuthorization)) return;
  const values = message.values(Header.ProxyAuthorization);
  const foreign = values.filter((value) => !env.isOurs(realmOf(value), undefined));
  if (foreign.length === values.length) return;
  edit.removeAll(Header.ProxyAuthorization);
  for (const value of foreign.toReversed()) edit.prepend(Header.ProxyAuthorization, value);
}

/** The realm of Digest credentials; "" when it cannot be read. */
function realmOf(credentials: string): string {
  return /[\s,]realm\s*=\s*"([^"\\]*)"/i.exec(credentials)?.[1] ?? "";
}

/** RFC 3261 16.6 6: as a strict router expects it: its URI in the Request-URI, the real one as the last Route value. */
function routeStrictly(edit: MessageEdit, request: Preprocessed, target: Target, requestUri: string, firstRoute: string): void {
  edit.setRequestUri(firstRoute).removeAll(Header.Route);
  const routes = [...target.routes, ...request.routes.map((route) => route.text)];
  for (const route of routes.slice(1)) edit.append(Header.Route, route);
  edit.append(Header.Route, `<${requestUri}>`);
}

/**
 * The branch of our Via (16.6 8). Its reference is `<reference>*<upstream flow>`: RFC 3581 4 suggests that what a response needs to go on from
 * here be put into the Via, so that no state is needed. The flow's dots are written `!`, as dots part the fields of a branch.
 */
export function branchOf(env: ProxyEnvironment, reference: string, upstream: string, loop: string): string {
  const text = `${reference}*${upstream.replaceAll(".", "!")}`;
  return makeBranch({ exchange: env.exchange, cell: env.cell, reference: text, loop }, env.sign);
}

/**
 * What a branch is called: a function of the request and where it goes, so that a request which both replicas forward, because the first one
 * died before it could say so, is the same transaction for the phone. Two hashes: 64 bits; who makes two requests of his own collide harms
 * himself only, for the flow they came on is part of the branch. `nth`: tried there before.
 */
export function referenceOf(serverKey: string, requestUri: string, flow: string, nth: number): string {
  const again = nth === 0 ? "" : `-${nth}`;
  const there = fnv1a(`${serverKey}|${flow}|${requestUri}`);
  const back = fnv1a(`${requestUri}|${flow}|${serverKey}`);
  return `${base36(there, 7)}-${base36(back, 7)}${again}`;
}

/** The two parts of a branch's reference. */
export function splitReference(text: string): { readonly reference: string; readonly upstream: string } {
  const at = text.indexOf("*");
  if (at < 0) return { reference: text, upstream: "" };
  return { reference: text.slice(0, at), upstream: text.slice(at + 1).replaceAll("!", ".") };
}

function isSips(uri: string): boolean {
  return uri.slice(0, 5).toLowerCase() === "sips:";
}
