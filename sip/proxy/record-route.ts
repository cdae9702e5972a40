import { hostInUri } from "../host-in-uri.ts";
import { isParseError } from "../errors.ts";
import { contactOctetsMax } from "../limits.ts";
import { Header } from "../message/header-names.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { isSipUri } from "../message/uri.ts";
import { transportOfFlow } from "../flow/flow.ts";
import type { Listener } from "../flow/flow.ts";
import { isBehindNat, responseFlow } from "../flow/response-flow.ts";
import { makeDialogToken } from "../flow/token.ts";
import type { ProxyEnvironment } from "./environment.ts";
import type { Preprocessed } from "./route-preprocessing.ts";

/**
 * The Record-Route values for a request that leaves on `flow`, in the order to prepend them. It is one, or two where the two sides meet different
 * listeners (RFC 5658). Of two the side it came from is first. The side it goes to is last, and so on top (RFC 3261 16.6 4). Their user part is the
 * dialog token: all that an in-dialog request needs to find its way.
 */
export function recordRoutesOf(env: ProxyEnvironment, request: Preprocessed, flow: string, isSecure: boolean, cell: string): string[] {
  const user = request.tokenText ?? tokenFor(env, request, flow, cell);
  const from = env.sentBy(request.flow);
  const to = env.sentBy(flow);
  const facingTarget = recordRoute(user, to, isSecure);
  if (from.transport === to.transport && from.port === to.port && from.host === to.host) return [facingTarget];
  return [recordRoute(user, from, isSecure), facingTarget];
}

/** Both flows are named, also where a Contact is the better way: where no record says that, they are all there is. */
function tokenFor(env: ProxyEnvironment, request: Preprocessed, callee: string, cell: string): string {
  const { message, at } = request;
  const token = { exchange: env.exchange, cell, madeAt: at, caller: responseFlow(message, request.flow), callee };
  return makeDialogToken(token, { callId: message.callId, callerTag: message.fromTag ?? "" }, env.sign);
}

/**
 * RFC 5626 5.3: the flow that a request came on when only that leads back to its sender. It is its own connection, or a hole in a NAT, or its Contact
 * asks for it by `ob` (4.3), or nothing can be sent to its Contact. Empty: it is reached by its Contact.
 */
export function flowBackTo(request: SipMessage, flow: string): string {
  if (transportOfFlow(flow) !== "UDP") return flow;
  const via = request.topVia;
  return (!isParseError(via) && isBehindNat(via)) || saysOb(request) || hasUselessContact(request) ? flow : "";
}

/**
 * Whether a message that names its sender's remote target (RFC 3261 12.1.1) names none that a request can be sent to. An INVITE and its 2xx must have a
 * Contact; what else has none says nothing of it.
 */
export function hasUselessContact(message: SipMessage): boolean {
  const { contacts, cSeq } = message;
  if (!message.has(Header.Contact)) return !isParseError(cSeq) && cSeq.method === "INVITE";
  const contact = isParseError(contacts) || contacts === "*" ? undefined : contacts[0];
  if (contact === undefined || contact.uri.length > contactOctetsMax) return true;
  const uri = contact.parsedUri;
  return isParseError(uri) || !isSipUri(uri);
}

function saysOb({ contacts }: SipMessage): boolean {
  const contact = isParseError(contacts) || contacts === "*" ? undefined : contacts[0];
  // Seldom, and to be read into its parts only then.
  if (contact?.uri.includes(";ob") !== true) return false;
  const uri = contact.parsedUri;
  return !isParseError(uri) && isSipUri(uri) && uri.params.has("ob");
}

/** SIPS where the Request-URI or the top Route is (16.6 4); the transport is named where it is not the scheme's first choice. */
function recordRoute(user: string, listener: Listener, isSecure: boolean): string {
  const scheme = isSecure ? "sips" : "sip";
  return `<${scheme}:${user}@${hostPortOf(listener)}${transportParameter(listener, isSecure)};lr>`;
}

function transportParameter(listener: Listener, isSecure: boolean): string {
  switch (listener.transport) {
    case "UDP":
      return "";
    case "TCP":
      return ";transport=tcp";
    case "TLS":
      return isSecure ? "" : ";transport=tls";
    case "WS":
    case "WSS":
      return ";transport=ws";
    default:
      return listener.transport satisfies never;
  }
}

/** Host and port for a URI or a Via, an IPv6 address in brackets. */
export function hostPortOf(listener: Listener): string {
  const { host, port } = listener;
  return `${hostInUri(host)}:${port}`;
}
