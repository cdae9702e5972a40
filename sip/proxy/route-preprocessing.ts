import { isParseError, parseError } from "../errors.ts";
import type { ParseError } from "../errors.ts";
import { MessageEdit } from "../message/edit.ts";
import { Header } from "../message/header-names.ts";
import { reasonPhrases } from "../message/reason-phrases.ts";
import type { NameAddr } from "../message/name-addr.ts";
import { parseMessage } from "../message/sip-message.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { isSipUri, parseUri, serializeUri } from "../message/uri.ts";
import type { SipUri } from "../message/uri.ts";
import { dialogTokenPrefix, isDialogToken, oldTokenPrefix, parseDialogToken, verifyDialogToken } from "../flow/token.ts";
import type { DialogToken, VerifiedToken } from "../flow/token.ts";
import type { ProxyEnvironment } from "./environment.ts";
import type { WallMs } from "../time.ts";

/** A request after RFC 3261 16.4, ready to be served here or forwarded. */
export type Preprocessed = {
  /** As received, with the Request-URI restored when a strict router sent it. Our own Route values are still in it. */
  readonly message: SipMessage;
  /** The flow it came on. */
  readonly flow: string;
  /** How many Route values from the top are ours, and go when it is forwarded. */
  readonly ownRoutes: number;
  /** The Route values behind them. */
  readonly routes: readonly NameAddr[];
  /** What our Record-Route said of the dialog; undefined outside a dialog, or when we did not record a route. */
  readonly token: DialogToken | undefined;
  /** Its text; undefined without one. */
  readonly tokenText: string | undefined;
  /** Which way an in-dialog request goes, by its tags. Undefined without a token. */
  readonly direction: "toCallee" | "toCaller" | undefined;
  /** When it is forwarded first, ms since the epoch; 0: not yet. Says how old its dialog's token is. */
  at: WallMs;
  /** Set by `checkForwarding` when RFC 3261 16.3 has nothing against forwarding it: the loop hash of 16.6 8. */
  loop: string | undefined;
  /** The address-of-record that its caller has proved to have and that whoever is called may be told (RFC 3325 5); undefined: none. */
  asserted: string | undefined;
  /** It leaves our domains for outside. */
  isLeaving: boolean;
  /** Set with it: how often the request has been forwarded here before (see `spiralsMax`). */
  spirals: number;
  /** Set with it: the same as a number of 32 bits, with a sign. */
  routingHash: number;
  /** Set with it: a hash of what makes it this request, whichever way and however often it comes. Not of its Vias. As many bits. */
  identityHash: number;
};

/** These are in a dialog without a To tag too, if its phone is one of RFC 2543. Others begin one then, or are in none (RFC 3261 12.2). */
const inDialogMethods: readonly string[] = ["ACK", "BYE", "PRACK", "UPDATE", "INFO", "NOTIFY"];

/**
 * RFC 3261 16.4: undoes what a strict router did, and strips a `maddr` that is ours. It finds our own values on top of Route (one, or the two of RFC
 * 5658) and verifies the token in them. Errors: 400 for Route or Request-URI that cannot be read, 404 for a Record-Route URI of ours that leads
 * nowhere. 403 is for a token of ours that has been tampered with or is of another dialog (RFC 5626 5.3). One that names an exchange or a cell that does not
 * exist gets what the map says.
 */
export function preprocess(env: ProxyEnvironment, received: SipMessage, flow: string): Preprocessed | ParseError {
  const message = withoutOwnMaddr(env, withoutStrictRouting(env, received));
  if (isParseError(message)) return message;
  const routes = message.routes;
  if (isParseError(routes)) return routes;
  let ownRoutes = 0;
  let verified: VerifiedToken | undefined;
  let tokenText: string | undefined;
  for (const route of routes) {
    const own = ownRouteOf(env, route.uri, message, tokenText);
    if (own === undefined) break;
    if (isParseError(own)) return own;
    verified ??= own.verified;
    tokenText ??= own.user;
    ownRoutes += 1;
  }
  // A token is for requests inside the dialog (RFC 3261 16.6 4: "only valid for the lifetime of any dialog").
  const isInDialog = message.toTag !== undefined || inDialogMethods.includes(message.method);
  const { token, direction } = (isInDialog ? verified : undefined) ?? none;
  return {
    message,
    flow,
    ownRoutes,
    routes: ownRoutes === 0 ? routes : routes.slice(ownRoutes),
    token,
    tokenText: token === undefined ? undefined : tokenText,
    direction,
    at: 0,
    loop: undefined,
    asserted: undefined,
    isLeaving: false,
    spirals: 0,
    routingHash: 0,
    identityHash: 0,
  };
}

const none = { token: undefined, direction: undefined } as const;

/**
 * Undefined: not a value of ours, or the token of another pass (a spiral), which is for the next time that the request comes by. `user` is the
 * token's text; `known`: one that has been verified.
 */
function ownRouteOf(
  env: ProxyEnvironment,
  text: string,
  message: SipMessage,
  known: string | undefined,
): { user?: string; verified?: VerifiedToken } | ParseError | undefined {
  const uri = parseUri(text);
  if (isParseError(uri) || !isSipUri(uri)) return undefined;
  const user = uri.user;
  if (user === undefined || !isDialogToken(user)) return env.isOurs(uri.host, uri.port) ? {} : undefined;
  if (known !== undefined) return user === known ? { user } : undefined;
  const verified = verifyDialogToken(user, message, env.sign);
  const unknown = env.unknownTokenStatus(verified?.token ?? parseDialogToken(user), verified !== undefined);
  const isOurs = verified !== undefined || env.isOurs(uri.host, uri.port);
  if (unknown !== undefined) return isOurs ? parseError("dialog-token", unknown, reasonPhrases[unknown] ?? "") : undefined;
  if (verified !== undefined) return { user, verified };
  return isOurs ? parseError("dialog-token", 403, "Forbidden") : undefined;
}

/**
 * RFC 3261 16.4: a strict router has put our Record-Route value into the Request-URI and the real one at the end of Route. They are put back as a
 * loose router would have sent them. The value of ours goes on top of Route, to be read with the others.
 */
function withoutStrictRouting(env: ProxyEnvironment, message: SipMessage): SipMessage | ParseError {
  const { requestUri } = message;
  if (!requestUri.includes(dialogTokenPrefix) && !requestUri.includes(oldTokenPrefix)) return message;
  const own = ownRouteOf(env, requestUri, message, undefined);
  if (own === undefined) return message;
  if (isParseError(own)) return own;
  if (own.verified === undefined) return message;
  const routes = message.routes;
  if (isParseError(routes)) return routes;
  const last = routes.at(-1);
  if (last === undefined) return parseError("dialog-token", 404, "Not Found");
  const edit = new MessageEdit(message).setRequestUri(last.uri).removeAll(Header.Route);
  edit.append(Header.Route, `<${message.requestUri}>`);
  for (const route of routes.slice(0, -1)) edit.append(Header.Route, route.text);
  return parseMessage(edit.serialize());
}

/** RFC 3261 16.4: a maddr that names us goes, with the port and transport that it came with. */
function withoutOwnMaddr(env: ProxyEnvironment, message: SipMessage | ParseError): SipMessage | ParseError {
  if (isParseError(message) || !message.requestUri.includes("maddr")) return message;
  const uri = message.parsedRequestUri;
  if (isParseError(uri)) return uri;
  const maddr = isSipUri(uri) ? uri.params.get("maddr") : undefined;
  if (!isSipUri(uri) || maddr === undefined || !env.isOurs(maddr.toLowerCase(), uri.port)) return message;
  const plain: SipUri = { ...uri, port: undefined, params: uri.params.without("maddr").without("transport") };
  return parseMessage(new MessageEdit(message).setRequestUri(serializeUri(plain)).serialize());
}
