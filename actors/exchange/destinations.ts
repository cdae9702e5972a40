import { exchangeOf } from "../../cluster/map/cluster-map.ts";
import { isParseError } from "../../sip/errors.ts";
import { Header } from "../../sip/message/header-names.ts";
import { isSipUri } from "../../sip/message/uri.ts";
import { isUndialable } from "../../sip/registrar/contact.ts";
import { addressOfRecordIn, claimOfParty } from "./caller.ts";
import type { ContactWaiter } from "./contact-finder.ts";
import { pathOf } from "./forwarding.ts";
import { crowded, type Refusal } from "./refusal.ts";
import type { Asked, StepTools, Verdict } from "./request-step.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** The steps that say where a request goes that may go further (RFC 3261 16.5). */

const away: Refusal = { status: 480 };
const nobody: Refusal = { status: 404 };

/** RFC 6665, RFC 3515 2.4.4: what a SUBSCRIBE or a REFER makes is remembered with its request, for a NOTIFY may overtake the answer. */
export function noteSubscription({ map, dialogs }: StepTools, { request: { message } }: Asked, now: SteadyMs): Verdict {
  if (message.method === "SUBSCRIBE" || message.method === "REFER")
    dialogs.subscriptions.begins(message, now, claimOfParty(map, message.to)?.addressOfRecord);
  return "goOn";
}

/** A softphone's Contact, which nobody can dial: its phone is looked for, here and in all other exchanges. */
export function toContact(tools: StepTools, { tx, request, calling }: Asked, now: SteadyMs): Verdict {
  const { message } = request;
  const uri = message.parsedRequestUri;
  if (calling.callee !== undefined || isParseError(uri) || !isSipUri(uri) || !isUndialable(uri)) return "goOn";
  const map = tools.map;
  tools.transactions.trying(tx, now);
  const referrer = message.has(Header.ReferredBy) ? addressOfRecordIn(map, message.text(Header.ReferredBy) ?? "") : "";
  const first = referrer === "" ? undefined : exchangeOf(map, referrer);
  tools.contacts.find({ tx, request, caller: calling.caller ?? "", referrer, first }, now);
  return "waits";
}

/** A softphone is called by its Contact, as a phone does that has been referred to it (RFC 3515, RFC 3891). Undefined: it is not here. */
export function toFoundContact(tools: StepTools, { tx, request }: ContactWaiter, flow: string | undefined, now: SteadyMs): Verdict {
  const { method, requestUri } = request.message;
  if (flow === undefined) return away;
  if (!tools.transactions.mayWait(tx, "", false, 1, now)) return crowded;
  tools.proxy.forward(tx, request, [{ requestUri, routes: [], flow }], pathOf(method), now);
  return "done";
}

/** Somewhere outside, by its Request-URI. */
export function toOutside({ transactions, proxy }: StepTools, { tx, request, calling }: Asked, now: SteadyMs): Verdict {
  if (calling.callee !== undefined) return "goOn";
  if (!transactions.mayWait(tx, "", calling.callerDomain === undefined, 1, now)) return crowded;
  const { requestUri, method } = request.message;
  proxy.forward(tx, request, [{ requestUri, routes: [] }], pathOf(method), now);
  return "done";
}

/** To the phones of a user of ours. One that has just lost its connection is waited for. */
export function toPhones(tools: StepTools, { tx, request, calling }: Asked, now: SteadyMs): Verdict {
  const { message } = request;
  const { callee } = calling;
  if (callee === undefined) return "goOn";
  const targets = tools.registrar.targets(callee, now, message.requestUri.startsWith("sips:"), message.end - message.start);
  if (targets.length === 0 && !tools.whereabouts.mayReturn(request, now)) return "goOn";
  if (!tools.transactions.mayWait(tx, callee, calling.callerDomain === undefined, targets.length, now)) return crowded;
  tools.proxy.forward(tx, request, targets, pathOf(message.method), now);
  return "done";
}

/** Nobody is there: 480 for a user that we know, 404 else. Where nobody is provisioned, who has been here is known. */
export function toNobody({ store }: StepTools, { calling: { callee = "" } }: Asked): Verdict {
  return store.subscriber(callee) !== undefined || store.bindingsOf(callee).length > 0 ? away : nobody;
}
