import { isParseError } from "../errors.ts";
import { routeSetOctetsMax } from "../limits.ts";
import { Header } from "../message/header-names.ts";
import { parseNameAddr, type NameAddr } from "../message/name-addr.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { isSipUri, parseUri, type SipUri } from "../message/uri.ts";
import { isDialogToken } from "../flow/token.ts";

/** RFC 3261 12.1: the proxies between us and each side of a dialog, as values of Route, the nearest to us first. */
export type RouteSets = { readonly caller: readonly string[]; readonly callee: readonly string[] };

const noRoutes: readonly string[] = [];
const noRouteSets: RouteSets = { caller: noRoutes, callee: noRoutes };

/**
 * Both sides' route sets, by the Record-Route of a response that comes from the callee. What stands above our own values has been recorded behind us,
 * what stands below before us. `before`: how many values the request had when it came here; undefined: nobody knows, our own are the lowest that look
 * so. A set that is longer than {@link routeSetOctetsMax} counts as none.
 */
export function routeSetsOf(response: SipMessage, before: number | undefined): RouteSets {
  // With our own value alone, as most have, there is nothing to read.
  if (!response.has(Header.RecordRoute) || (before === 0 && response.valueRanges(Header.RecordRoute).length === 2)) return noRouteSets;
  const values = response.values(Header.RecordRoute);
  const users = values.map(tokenOf);
  const last = before === undefined ? users.findLastIndex((user) => user !== undefined) : values.length - before - 1;
  const own = users[last];
  if (own === undefined) return noRouteSets;
  const first = users[last - 1] === own ? last - 1 : last;
  if (first === 0 && last === values.length - 1) return noRouteSets;
  return { caller: bounded(values.slice(last + 1)), callee: bounded(values.slice(0, first).toReversed()) };
}

/**
 * Whether a 2xx answers the INVITE that made its dialog: a phone copies our Record-Route into it (RFC 3261 12.1.1), which we add to no request within a
 * dialog.
 */
export function isOfFirstInvite(response: SipMessage): boolean {
  return response.has(Header.RecordRoute) && response.values(Header.RecordRoute).some((value) => tokenOf(value) !== undefined);
}

/** The values that stood in a request before ours: the caller's route set. */
export function callerRoutesOf(request: SipMessage): readonly string[] {
  return request.has(Header.RecordRoute) ? bounded(request.values(Header.RecordRoute)) : noRoutes;
}

function bounded(values: readonly string[]): readonly string[] {
  return values.reduce((octets, value) => octets + value.length, 0) > routeSetOctetsMax ? noRoutes : values;
}

/** The token in a value of Record-Route; undefined: it is not ours. */
function tokenOf(value: string): string | undefined {
  const user = /^<?sips?:([^@>]*)@/i.exec(value)?.[1];
  return user !== undefined && isDialogToken(user) ? user : undefined;
}

/** Whether Route values lead along a recorded route set: the same URIs, or the same hosts, ports and transports, in the same order. */
export function isAlong(routes: readonly NameAddr[], recorded: readonly string[]): boolean {
  return routes.length === recorded.length && routes.every(({ uri }, index) => isSamePlace(uri, uriOf(recorded[index] ?? "")));
}

function uriOf(value: string): string {
  const parsed = parseNameAddr(value);
  return isParseError(parsed) ? value : parsed.uri;
}

/** Whether two URIs name the same place to send to (RFC 3263 4.1, 4.2), for whomever there. */
export function isSamePlace(one: string, other: string): boolean {
  if (one === other) return true;
  const first = parseUri(one);
  const second = parseUri(other);
  if (isParseError(first) || isParseError(second) || !isSipUri(first) || !isSipUri(second)) return false;
  return placeOf(first) === placeOf(second);
}

function placeOf({ scheme, user, host, port, params }: SipUri): string {
  const where = [params.get("transport") ?? "", params.get("maddr") ?? ""].join(";").toLowerCase();
  return `${scheme}:${user ?? ""}@${host.toLowerCase()}:${port ?? ""};${where};${params.has("lr")}`;
}
