import { base36Of32 } from "../base-36.ts";
import { isParseError } from "../errors.ts";
import { spiralsMax } from "../limits.ts";
import { Header, type HeaderId } from "../message/header-names.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { isSipUri, isTelUri } from "../message/uri.ts";
import { parseVia } from "../message/via.ts";
import { branchPrefix, fnv1a, parseBranch, verifyViaMark, viaMarkName, type Sign } from "../flow/token.ts";
import { breadthOf } from "./breadth.ts";
import { foreignCredentials, type OwnNames } from "./own-realms.ts";
import type { Preprocessed } from "./route-preprocessing.ts";

/** Why a request is answered and not forwarded. */
export type Refusal = {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
};

/** Option-tags in Proxy-Require that this proxy understands: none asks anything of it. */
const understoodOptionTags: readonly string[] = [];
const none: readonly never[] = [];

/**
 * RFC 3261 16.3 2 to 5, for a request that is about to be forwarded:
 *
 * - 416 for a scheme we cannot route;
 * - 483 when Max-Forwards is used up (whoever answers OPTIONS or REGISTER itself does not ask);
 * - 440 when its Max-Breadth is (RFC 5393 5.3.3);
 * - 482 for a loop, 420 for a Proxy-Require. Undefined: forward it.
 */
export function checkForwarding(request: Preprocessed, env: OwnNames & { readonly sign: Sign }): Refusal | undefined {
  const { message } = request;
  const uri = message.parsedRequestUri;
  if (isParseError(uri)) return { status: uri.status, headers: none };
  if (!isSipUri(uri) && !isTelUri(uri)) return { status: 416, headers: none };
  const maxForwards = message.maxForwards;
  if (maxForwards !== undefined && isParseError(maxForwards)) return { status: 400, headers: none };
  if (maxForwards === 0) return { status: 483, headers: none };
  if (breadthOf(message) === 0) return { status: 440, headers: none };
  identify(request, env);
  request.spirals = spiralsOf(message, request.loop ?? "", env.sign);
  if (request.spirals > spiralsMax) return { status: 482, headers: none };
  if (message.has(Header.ProxyRequire)) {
    const unsupported = message.optionTags(Header.ProxyRequire).filter((tag) => !understoodOptionTags.includes(tag));
    if (unsupported.length > 0) return { status: 420, headers: [["Unsupported", unsupported.join(", ")]] };
  }
  return undefined;
}

/** Sets what a request is known by: its loop hash, and its identity. */
export function identify(request: Preprocessed, names: OwnNames): void {
  setIdentity(request, request.message.method, identifyingText(request.message, names));
}

/**
 * The same for a CANCEL, or the ACK of a refusal: what the INVITE that it is for was known by. The To tag of an ACK outside of dialogs is that of the
 * refusal (RFC 3261 17.1.1.3), and its INVITE had none.
 */
export function identifyAsInvite(request: Preprocessed, names: OwnNames): void {
  const { message, token } = request;
  const toTag = message.method === "ACK" && token === undefined ? "" : message.toTag;
  setIdentity(request, "INVITE", identifyingText(message, names, toTag));
}

function setIdentity(request: Preprocessed, method: string, text: string): void {
  request.routingHash = fnv1a(text) | 0;
  request.identityHash = fnv1a(text, fnv1a(method)) | 0;
  request.loop = base36Of32(request.routingHash >>> 0);
}

/** Whether two requests are the same one, come by different ways: what {@link identify} has hashed is the same, and who says it. */
export function isSameRequest(one: SipMessage, other: SipMessage, names: OwnNames): boolean {
  return (
    one.method === other.method &&
    one.text(Header.From) === other.text(Header.From) &&
    identifyingText(one, names) === identifyingText(other, names)
  );
}

/**
 * RFC 3261 16.6 8 and RFC 5393 4.2: all that decides where a request goes, and what tells transactions apart. Neither the method nor the Vias are in
 * it. Its hash is equal on the way back: a loop. Different: a spiral.
 */
function identifyingText(message: SipMessage, names: OwnNames, toTag: string | undefined = message.toTag): string {
  const cSeq = message.cSeq;
  let text = `${message.requestUri}\n${message.callId}\n${isParseError(cSeq) ? "" : cSeq.number}\n${message.fromTag ?? ""}\n${toTag ?? ""}`;
  for (const id of routingHeaders) if (message.has(id)) text += `\n${message.values(id).join(",")}`;
  for (const id of credentialHeaders) {
    const values = message.has(id) ? foreignCredentials(names, message, id) : none;
    if (values.length > 0) text += `\n${values.join(",")}`;
  }
  return text;
}

const routingHeaders: readonly number[] = [Header.Route, Header.ProxyRequire];
/**
 * Because phones exist that repeat a request that another proxy has challenged with the same CSeq. Not with those for us: a CANCEL has the branch of
 * its INVITE, and carries none (RFC 3261 9.1).
 */
const credentialHeaders: readonly HeaderId[] = [Header.ProxyAuthorization, Header.Authorization];

/**
 * How often the request has been forwarded by this cluster: the Vias that it has signed. Those of another one look alike. RFC 5393 4.2.2: infinite
 * when one of ours, of any replica, has the same hash. That one is not verified, because who forges it only fails his own request.
 */
export function spiralsOf(message: SipMessage, loop: string, sign: Sign): number {
  // Most come from their phone, whose Via is the only one, and not ours.
  const top = message.topVia;
  if (!isParseError(top) && top.branch?.startsWith(branchPrefix) === false && message.valueRanges(Header.Via).length === 2) return 0;
  let count = 0;
  for (const value of message.values(Header.Via)) {
    const at = value.indexOf(branchPrefix);
    if (at < 0) continue;
    const end = value.slice(at).search(/[;,\s]/);
    const branch = end < 0 ? value.slice(at) : value.slice(at, at + end);
    if (parseBranch(branch)?.loop === loop) return Number.POSITIVE_INFINITY;
    const via = parseVia(value);
    if (isParseError(via) || via.branch === undefined) continue;
    if (verifyViaMark(via.branch, via.params.get(viaMarkName) ?? "", sign) !== undefined) count += 1;
  }
  return count;
}
