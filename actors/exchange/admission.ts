import { capabilityHeaders } from "../../sip/message/capabilities.ts";
import { privacyOf } from "../../sip/proxy/identity-headers.ts";
import { callingOf, showsAnother, vouch } from "./caller.ts";
import { refuse, unavailable, type Refusal } from "./refusal.ts";
import type { Asked, StepTools, Verdict } from "./request-step.ts";
import { ofStranger, refusalOfStranger } from "./strangers.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** The steps that say whether an initial request, or one within a dialog that we are not on the path of, may go further. */

/** Requests that are always within something that another one has begun (RFC 3261 15.1, RFC 3262, 3311, 6086, RFC 6665 4.1.2). */
const beginNothing: ReadonlySet<string> = new Set(["BYE", "PRACK", "UPDATE", "INFO", "NOTIFY"]);

const capabilities: Refusal = { status: 200, headers: capabilityHeaders };
const noSuchDialog: Refusal = { status: 481 };
const relayingDenied: Refusal = { status: 403, reason: "Relaying Denied" };
const notYourName: Refusal = { status: 403, reason: "Not Your Name" };
const noPrivacy: Refusal = { status: 500, reason: "Privacy Not Available" };

/** RFC 3261 10.3: a REGISTER with credentials. Others have no transaction: see reception.ts. */
export function register({ registers, transactions }: StepTools, { tx, request }: Asked, now: SteadyMs): Verdict {
  if (request.message.method !== "REGISTER") return "goOn";
  const { status, octets, commit } = registers.answer(request.message, tx.flow, now);
  // Whoever is refused leaves nothing behind.
  if (status >= 300) transactions.refuse(tx, status, octets, now);
  else transactions.respond(tx, status, octets, now, commit);
  return "done";
}

/** Reads who calls whom. */
export function readCalling({ map }: StepTools, asked: Asked): Verdict {
  asked.calling = callingOf(map, asked.request.message);
  return "goOn";
}

/** RFC 3261 11: OPTIONS for the domain itself. */
export function answerOptions({ transactions }: StepTools, { tx, request, calling }: Asked, now: SteadyMs): Verdict {
  if (request.message.method !== "OPTIONS" || calling.callee?.startsWith("@") !== true) return "goOn";
  refuse(transactions, tx, request.message, capabilities, now);
  return "done";
}

/** RFC 3261 16.3: what may not be forwarded is not authenticated either. */
export function checkForwarding({ proxy }: StepTools, { request }: Asked): Verdict {
  return proxy.checkForwarding(request) ?? "goOn";
}

/** A stranger speaks to phones within dialogs that we know, or begins one. */
export function knowsStrangersDialog(_tools: StepTools, asked: Asked): Verdict {
  return asked.calling.callerDomain === undefined && isWithin(asked) ? noSuchDialog : "goOn";
}

/** One of both is ours. */
export function isNoRelay(_tools: StepTools, { calling }: Asked): Verdict {
  return calling.callee === undefined && calling.callerDomain === undefined ? relayingDenied : "goOn";
}

/** What somebody from outside may begin (decision 0014). */
export function strangerMay({ map }: StepTools, { request, calling }: Asked): Verdict {
  return calling.callerDomain === undefined ? (refusalOfStranger(map, request.message) ?? "goOn") : "goOn";
}

/** Nobody shows himself as another one. */
export function showsOwnName({ map }: StepTools, { request, calling }: Asked): Verdict {
  return showsAnother(map, request.message, calling.caller) ? notYourName : "goOn";
}

/** A call has room among the dialogs that its caller may have. */
export function hasRoomForDialog({ dialogs }: StepTools, asked: Asked): Verdict {
  const { tx, calling } = asked;
  return tx.kind === "inviteServer" && !isWithin(asked) && !dialogs.mayBegin(calling, tx.flow) ? unavailable : "goOn";
}

/** Its caller is known from here on: what is told of him, and what is not his to say. */
export function vouchForCaller({ map }: StepTools, asked: Asked): Verdict {
  vouch(asked.request, asked.calling);
  if (asked.calling.callerDomain === undefined) asked.request = ofStranger(map, asked.request);
  return "goOn";
}

/** RFC 3323 5.1: a privacy that nobody here can give is not promised. */
export function hasPrivacy(_tools: StepTools, { request }: Asked): Verdict {
  return !request.isLeaving && privacyOf(request.message).isImpossible ? noPrivacy : "goOn";
}

function isWithin({ request: { message } }: Asked): boolean {
  return message.toTag !== undefined || beginNothing.has(message.method);
}
