import { dialogLifetimeMs, sessionExpiresSecondsMin, t1Ms } from "../limits.ts";
import { Header } from "../message/header-names.ts";
import type { SipMessage } from "../message/sip-message.ts";
import type { WallMs } from "../time.ts";

/**
 * When a dialog is over if nothing more is heard of it. With a session timer (RFC 4028 8.2: the Session-Expires of the 2xx) it ends one transaction's
 * time after that has run out. So a call whose phones have died does not stay for hours. Without a timer it ends after the longest life.
 */
export function expiresAtOf(response: SipMessage, now: WallMs): number {
  const seconds = sessionExpires(response);
  return now + (seconds === undefined ? dialogLifetimeMs : Math.min(seconds * 1000 + 64 * t1Ms, dialogLifetimeMs));
}

/** The seconds of Session-Expires (RFC 4028 4), not below the smallest that the RFC allows; undefined when absent or malformed. */
function sessionExpires(message: SipMessage): number | undefined {
  const text = message.text(Header.SessionExpires);
  const digits = text === undefined ? null : /^\d{1,10}(?=[;\s]|$)/.exec(text);
  return digits === null ? undefined : Math.max(Number(digits[0]), sessionExpiresSecondsMin);
}
