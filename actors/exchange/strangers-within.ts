import { Header } from "../../sip/message/header-names.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";

/**
 * What a stranger may send within a dialog: a side that is none of our users, and so has proved nothing (decision 0014). Whoever rings a phone has a
 * dialog with it at once, by its 180, and nobody there has agreed to anything.
 */

/** Before the call is answered: what the call itself needs (RFC 3262, RFC 3311, RFC 3261 15). */
const early: ReadonlySet<string> = new Set(["ACK", "BYE", "CANCEL", "PRACK", "UPDATE"]);
/** The same in a dialog that only its token speaks for: it may have been answered, or not. */
const byToken: ReadonlySet<string> = new Set([...early, "INFO", "INVITE"]);
/** In a call that was answered. He may write and ask outside of it as well; who is spoken to may transfer, as PBXs have it. */
const answered: ReadonlySet<string> = new Set([...byToken, "MESSAGE", "OPTIONS", "REFER"]);

/** What is known of a dialog. */
export type Stage = "early" | "byToken" | "answered";

/** `isAsked`: whether the other side has asked for this NOTIFY. */
export function mayStrangerSend(message: SipMessage, stage: Stage, isAsked: () => boolean): boolean {
  const { method } = message;
  if (stage === "early") return early.has(method);
  if (method === "NOTIFY") return isAsked();
  if (stage === "byToken") return byToken.has(method);
  // What a REFER of his has begun he may end (RFC 3515 2.4.4). Any other package tells what is another's to tell.
  return answered.has(method) || (method === "SUBSCRIBE" && isOfRefer(message));
}

/** Requests that are in no dialog, whoever sends them (RFC 3261 10.2, RFC 3903 4). */
const outside: ReadonlySet<string> = new Set(["REGISTER", "PUBLISH"]);
/** The shortest of them. */
const outsideLengthMin = "PUBLISH".length;

export function isNeverWithin(method: string): boolean {
  return method.length >= outsideLengthMin && outside.has(method);
}

/** Whether it is about a REFER. Who says two Events means another one. */
function isOfRefer(message: SipMessage): boolean {
  const [event, ...others] = message.values(Header.Event);
  return others.length === 0 && event !== undefined && /^refer\s*(?:;|$)/i.test(event);
}
