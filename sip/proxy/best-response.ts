import { isParseError } from "../errors.ts";
import { MessageEdit } from "../message/edit.ts";
import { Header } from "../message/header-names.ts";
import { parseMessage } from "../message/sip-message.ts";
import type { SipMessage } from "../message/sip-message.ts";
import type { Candidate, Challenge, ResponseContext } from "./response-context.ts";

/** RFC 3261 16.7 6 and 7: which of several final responses goes upstream. */

/**
 * Order of preference, lower is better: 6xx before all, then the lowest class. Within 4xx the order is this. First comes what lets the client try
 * again (401, 407, 415, 420, 484), then what a phone said, then 480 and 404. Last comes what only says that nobody answered (408). A 503 counts as
 * the 500 that it becomes, and behind any other 5xx: it says nothing of the callee.
 */
export function rankOf(status: number, cancelled: boolean): number {
  // The client has cancelled: that is what it should read, not what a last phone happened to say.
  if (cancelled && status === 487) return 0;
  if (status >= 600) return 10 + (status - 600) / 100;
  const statusClass = Math.floor(status / 100);
  return statusClass * 10 + 10 + rankWithinClass(status);
}

function rankWithinClass(status: number): number {
  switch (status) {
    case 401:
    case 407:
      return 0;
    case 415:
    case 420:
    case 484:
      return 1;
    case 404:
      return 5;
    case 480:
      return 6;
    case 430:
      return 7;
    case 487:
      return 8;
    case 408:
    case 503:
      return 9;
    default:
      return 4;
  }
}

/** True while nothing better is known than that phones could not be reached: their connections, or the ways to them, failed. */
export function isUnreached(best: Candidate | undefined): boolean {
  return best === undefined || rankOf(best.status, false) >= rankOf(430, false);
}

/** RFC 3261 16.7 6: a 503 says that we cannot serve anybody, so a 500 is sent. RFC 5626 11.5: endpoints should never receive a 430. */
export function upstreamStatus(status: number): number {
  if (status === 503) return 500;
  return status === 430 ? 480 : status;
}

/** Keeps the response (`octets`: without our Via) when it is better than what is there; the earlier one wins a tie. */
export function offer(context: ResponseContext, status: number, message?: SipMessage, octets?: Uint8Array): void {
  if (status === 401 || status === 407) context.challenges = [...context.challenges, ...challengesOf(message)];
  const { best } = context;
  if (best !== undefined && rankOf(best.status, context.cancelled) <= rankOf(status, context.cancelled)) return;
  context.best = { status, octets };
}

function challengesOf(message: SipMessage | undefined): Challenge[] {
  if (message === undefined) return [];
  return [
    ...message.values(Header.WwwAuthenticate).map((value) => ({ isProxy: false, value })),
    ...message.values(Header.ProxyAuthenticate).map((value) => ({ isProxy: true, value })),
  ];
}

/** RFC 3261 16.7 7: a 401 or 407 with the challenges of all the others. */
export function aggregateChallenges(best: Candidate, challenges: readonly Challenge[]): Uint8Array | undefined {
  if (best.octets === undefined || (best.status !== 401 && best.status !== 407) || challenges.length === 0) return best.octets;
  const message = parseMessage(best.octets);
  if (isParseError(message)) return best.octets;
  const present = message.values(Header.WwwAuthenticate).length + message.values(Header.ProxyAuthenticate).length;
  if (present === challenges.length) return best.octets;
  const own = { www: message.values(Header.WwwAuthenticate), proxy: message.values(Header.ProxyAuthenticate) };
  const edit = new MessageEdit(message);
  for (const { isProxy, value } of challenges) {
    if ((isProxy ? own.proxy : own.www).includes(value)) continue;
    edit.append(isProxy ? Header.ProxyAuthenticate : Header.WwwAuthenticate, value);
  }
  return edit.serialize();
}
