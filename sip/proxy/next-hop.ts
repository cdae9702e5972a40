import { isParseError } from "../errors.ts";
import type { ParseError } from "../errors.ts";
import { parseNameAddr } from "../message/name-addr.ts";
import { isSipUri, parseUri, serializeUri } from "../message/uri.ts";
import type { SipUri, Uri } from "../message/uri.ts";
import type { Target } from "./target-set.ts";
import type { Preprocessed } from "./route-preprocessing.ts";

/** Where a request goes next by its own contents (RFC 3261 16.6 6 and 7). */
export type NextHop = {
  /** What RFC 3263 is applied to. */
  readonly uri: SipUri;
  /** The first Route value is a strict router's: the Request-URI goes to the end of Route and that value into its place. */
  readonly isStrict: boolean;
};

/**
 * The first Route value, the target's before the request's own, else the target's own, else the Request-URI. With a SIPS Request-URI it is taken as a SIPS URI.
 * Undefined when that is no SIP URI: there is nowhere to send it.
 */
export function nextHopOf(request: Preprocessed, target: Target): NextHop | undefined {
  const route = firstRouteOf(request, target);
  const uri = parseUri(route ?? target.nextHop ?? target.requestUri);
  if (isParseError(uri) || !isSipUri(uri)) return undefined;
  const isStrict = route !== undefined && isStrictRouter(uri);
  const isSecure = target.requestUri.slice(0, 5).toLowerCase() === "sips:";
  return { uri: isSecure && uri.scheme === "sip" ? { ...uri, scheme: "sips" } : uri, isStrict };
}

/** RFC 3261 16.6 6: a Route value without `lr`. */
export function isStrictRouter(uri: Uri | ParseError): boolean {
  return !isParseError(uri) && isSipUri(uri) && !uri.params.has("lr");
}

/** The URI of the topmost Route value that the forwarded request will have. */
export function firstRouteOf(request: Preprocessed, target: Target): string | undefined {
  const [pushed] = target.routes;
  if (pushed === undefined) return request.routes[0]?.uri;
  const route = parseNameAddr(pushed);
  return isParseError(route) ? pushed : route.uri;
}

/**
 * RFC 3261 16.6 2, 19.1.1: a target's URI as a Request-URI: without a `method` parameter and headers. Text that cannot be read stays.
 */
export function requestUriOf(target: Target): string {
  const text = target.requestUri;
  if (!text.includes("?") && !text.toLowerCase().includes(";method=")) return text;
  const uri = parseUri(text);
  if (isParseError(uri) || !isSipUri(uri)) return text;
  return serializeUri({ ...uri, params: uri.params.without("method"), headers: "" });
}
