import { isParseError } from "../errors.ts";
import { contactOctetsMax, instanceIdOctetsMax } from "../limits.ts";
import { Header } from "../message/header-names.ts";
import { unquote } from "../message/params.ts";
import type { SipMessage } from "../message/sip-message.ts";
import { dialogKey } from "../record/dialog-record.ts";
import type { Dialog, DialogSide } from "../record/values.ts";
import type { Version } from "../record/version.ts";
import { routeSetsOf } from "./route-set.ts";
import { expiresAtOf } from "./session-timer.ts";
import type { WallMs } from "../time.ts";

/**
 * The proxy's record of a dialog (RFC 3261 12). It holds what the tokens in the routes cannot carry: the present targets, routes and flows of both
 * sides, and that the call exists. While there is none that anybody could have, tokens alone route in-dialog requests.
 *
 * Functions of a dialog return the dialog to store, the same object when nothing has changed. `version` is the version of the record that will hold
 * the result.
 */

/** The two sides: who sent the INVITE that made the dialog, and who answered it. */
export type Side = "caller" | "callee";

/**
 * The key of the dialog that a message belongs to, if it belongs to one. A phone of RFC 2543 has no tag, which counts as an empty one. Undefined: its
 * tags tell no sides.
 */
export function dialogKeyOf(message: SipMessage): string | undefined {
  const { callId, fromTag = "", toTag = "" } = message;
  return callId === "" || fromTag === toTag ? undefined : dialogKey(callId, fromTag, toTag);
}

/** What is known of a side from elsewhere than the messages. */
export type SideContext = {
  /**
   * The callee's name, when it is another than its address-of-record. It is the one of ours that To names, and the callee says it as its own (RFC
   * 3261 12.2.1.1).
   */
  readonly name?: string;
  /** Its address-of-record in our domains; empty: it is from outside. */
  readonly addressOfRecord: string;
  /** Its flow; empty: by URI. */
  readonly flow: string;
  /** `+sip.instance` of its binding; empty: see the Contact. */
  readonly instanceId: string;
  /** Of a caller from outside: where the INVITE came from, as limits count it. */
  readonly source?: string;
};

export type DialogStart = {
  /** The INVITE as it was received, and the 2xx to it. */
  readonly request: SipMessage;
  readonly response: SipMessage;
  readonly caller: SideContext;
  readonly callee: SideContext;
  readonly version: Version;
  readonly now: WallMs;
};

/**
 * The dialog that a 2xx to an initial INVITE makes (RFC 3261 12.1). Undefined when the messages cannot be read. A 2xx that repeats, or answers a re-INVITE, belongs to {@link onResponse}.
 */
export function dialogFrom2xx(start: DialogStart): { readonly key: string; readonly value: Dialog } | undefined {
  const { request, response, version, now } = start;
  const key = dialogKeyOf(response);
  const { fromTag = "", toTag = "" } = response;
  const cSeq = request.cSeq;
  if (key === undefined || isParseError(cSeq)) return undefined;
  const routes = routeSetsOf(response, request.has(Header.RecordRoute) ? request.values(Header.RecordRoute).length : 0);
  const value: Dialog = {
    callId: response.callId,
    caller: withRoutes(sideFrom(start.caller, fromTag, request, cSeq.number, version), routes.caller),
    callee: withRoutes(sideFrom(start.callee, toTag, response, -1, version), routes.callee),
    state: "answered",
    createdAt: now,
    expiresAt: expiresAtOf(response, now),
  };
  return { key, value: withSource(value, start.caller) };
}

/**
 * The dialog of a 2xx whose INVITE this replica has not seen: of its caller only what the response and its way say. Either side's next
 * request tells more.
 */
export function dialogFromPassing2xx(start: Omit<DialogStart, "request">): { readonly key: string; readonly value: Dialog } | undefined {
  const { response, version, now } = start;
  const { source: _, ...caller } = start.caller;
  const key = dialogKeyOf(response);
  const { fromTag = "", toTag = "" } = response;
  if (key === undefined) return undefined;
  const routes = routeSetsOf(response, undefined);
  const value: Dialog = {
    callId: response.callId,
    caller: withRoutes({ ...caller, tag: fromTag, contact: "", cSeq: -1, version }, routes.caller),
    callee: withRoutes(sideFrom(start.callee, toTag, response, -1, version), routes.callee),
    state: "answered",
    createdAt: now,
    expiresAt: expiresAtOf(response, now),
  };
  return { key, value: withSource(value, start.caller) };
}

function withSource(dialog: Dialog, { source }: SideContext): Dialog {
  return source === undefined ? dialog : { ...dialog, source };
}

function sideFrom(context: SideContext, tag: string, message: SipMessage, cSeq: number, version: Version): DialogSide {
  const contact = contactOf(message);
  const instanceId = context.instanceId === "" ? (contact?.instanceId ?? "") : context.instanceId;
  const { addressOfRecord, name } = context;
  const side = { tag, addressOfRecord, contact: contact?.uri ?? "", flow: context.flow, instanceId, cSeq, version };
  return name === undefined ? side : { ...side, name };
}

function withRoutes(side: DialogSide, routes: readonly string[]): DialogSide {
  return routes.length === 0 ? side : { ...side, routes };
}

/** Which side sent a request of this dialog (a response: whose request it answers), by its From tag. */
export function senderOf(dialog: Dialog, message: SipMessage): Side | undefined {
  const { fromTag = "" } = message;
  if (fromTag === dialog.caller.tag) return "caller";
  return fromTag === dialog.callee.tag ? "callee" : undefined;
}

export function otherSide(side: Side): Side {
  return side === "caller" ? "callee" : "caller";
}

export type InDialogRequest = {
  readonly dialog: Dialog;
  /** Who sent it; undefined: neither side's tag is in From, the request is not of this dialog. */
  readonly sender: Side | undefined;
  /** The CSeq is lower than one seen before: the other side will answer 500 (RFC 3261 12.2.2). A proxy passes it on. */
  readonly isOutOfOrder: boolean;
};

/**
 * An in-dialog request passes (RFC 3261 12.2). Its sender's CSeq and the flow it came on are taken over. An ACK, or anything else, confirms the
 * dialog. Its Contact counts only when the request is accepted: see {@link onResponse}.
 *
 * `flow`: where it came from if that is the way back to the sender, else empty. A request with an old CSeq moves nothing.
 */
export function onInDialogRequest(dialog: Dialog, request: SipMessage, flow: string, version: Version): InDialogRequest {
  const sender = senderOf(dialog, request);
  const cSeq = request.cSeq;
  if (sender === undefined || isParseError(cSeq)) return { dialog, sender, isOutOfOrder: false };
  // ACK and CANCEL have the CSeq of their INVITE (RFC 3261 13.2.2.4, 9.1).
  const countsAnew = request.method !== "ACK" && request.method !== "CANCEL";
  const side = dialog[sender];
  const isOutOfOrder = countsAnew && cSeq.number < side.cSeq;
  if (isOutOfOrder) return { dialog, sender, isOutOfOrder };
  const moved = changedSide(side, { cSeq: countsAnew ? cSeq.number : side.cSeq, flow: flow === "" ? side.flow : flow }, version);
  return { dialog: confirmed(withSide(dialog, sender, moved)), sender, isOutOfOrder };
}

/** Requests whose acceptance moves both remote targets (RFC 3261 12.2, RFC 3311 5; RFC 6665 and RFC 3515 within the dialog). */
const targetRefreshMethods: readonly string[] = ["INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"];

export type InDialogResponse = {
  /** Undefined: the dialog is over. */
  readonly dialog: Dialog | undefined;
};

/**
 * A final response to an in-dialog request passes.
 * - The dialog ends with any answer to a BYE but a challenge. RFC 3261 15.1.1: it is over when the BYE is sent; 401 and 407 say that the BYE has not
 *   been taken.
 * - It ends with 481 or 408 to whatever is of the call (12.2.1.2). Call it with a 408 when the request timed out.
 * - A 2xx to a target refresh request moves both sides' targets to the Contacts of the request and the response (12.2.1.2, 12.2.2). It sets a session
 *   timer anew (RFC 4028).
 */
export function onResponse(dialog: Dialog, request: SipMessage, response: SipMessage, version: Version, now: WallMs): InDialogResponse {
  const { status } = response;
  if (status < 200) return { dialog };
  const sender = senderOf(dialog, request);
  if (sender === undefined) return { dialog };
  if (isEnding(request.method, status)) return { dialog: undefined };
  if (status >= 300 || !targetRefreshMethods.includes(request.method)) return { dialog };
  const receiver = otherSide(sender);
  let next = withSide(dialog, sender, movedTo(dialog[sender], request, version));
  next = withSide(next, receiver, movedTo(next[receiver], response, version));
  if (request.method !== "INVITE" && request.method !== "UPDATE") return { dialog: next };
  // The timer may be another one now, or gone.
  const expiresAt = expiresAtOf(response, now);
  return { dialog: expiresAt === next.expiresAt ? next : { ...next, expiresAt } };
}

/** A BYE was finally answered with this status, or not at all (408): whether the dialog is over. */
export function onBye(status: number): boolean {
  return isEnding("BYE", status);
}

/** Whose failure is that of the call. What else is in its dialog fails alone (RFC 5057 5.1): a subscription, a MESSAGE. */
const callMethods: readonly string[] = ["INVITE", "UPDATE", "BYE", "PRACK", "INFO"];

/** Whether a final response of a phone with this status to an in-dialog request ends the call. */
function isEnding(method: string, status: number): boolean {
  if (status === 481 || status === 408) return callMethods.includes(method);
  return method === "BYE" && status >= 200 && status !== 401 && status !== 407;
}

/** The same for a response of our own. A phone that cannot be reached for an INFO now may be back before its call is missed. */
export function isEndingOfOurs(method: string, status: number): boolean {
  return method !== "INFO" && method !== "PRACK" && isEnding(method, status);
}

/**
 * A side has come back on another flow: its binding (same instance, or same contact) was registered again. Returns the dialog that
 * sends in-dialog requests there.
 */
export function withFlow(dialog: Dialog, side: Side, flow: string, version: Version): Dialog {
  return withSide(dialog, side, changedSide(dialog[side], { flow }, version));
}

/** The 2xx has arrived: the ACK, or whatever else comes of a side, says so. Also for a replica that takes over and cannot know. */
export function confirmed(dialog: Dialog): Dialog {
  return dialog.state === "confirmed" ? dialog : { ...dialog, state: "confirmed" };
}

function withSide(dialog: Dialog, side: Side, value: DialogSide): Dialog {
  if (value === dialog[side]) return dialog;
  return side === "caller" ? { ...dialog, caller: value } : { ...dialog, callee: value };
}

function movedTo(side: DialogSide, message: SipMessage, version: Version): DialogSide {
  const contact = contactOf(message);
  if (contact === undefined) return side;
  const instanceId = contact.instanceId === "" ? side.instanceId : contact.instanceId;
  return changedSide(side, { contact: contact.uri, instanceId }, version);
}

function changedSide(side: DialogSide, changes: Partial<DialogSide>, version: Version): DialogSide {
  const next: DialogSide = { ...side, ...changes };
  const isSame = next.cSeq === side.cSeq && next.flow === side.flow && next.contact === side.contact && next.instanceId === side.instanceId;
  return isSame ? side : { ...next, version };
}

/** The URI of the first Contact, and its `+sip.instance`. One that is too long to be kept counts as none. */
export function contactOf(message: SipMessage): { readonly uri: string; readonly instanceId: string } | undefined {
  if (!message.has(Header.Contact)) return undefined;
  const contacts = message.contacts;
  if (isParseError(contacts) || contacts === "*") return undefined;
  const [contact] = contacts;
  if (contact === undefined || contact.uri.length > contactOctetsMax) return undefined;
  const instance = unquote(contact.params.get("+sip.instance") ?? "");
  const bare = instance.startsWith("<") && instance.endsWith(">") ? instance.slice(1, -1) : instance;
  if (bare.length > instanceIdOctetsMax) return { uri: contact.uri, instanceId: "" };
  return { uri: contact.uri, instanceId: /^urn:uuid:/i.test(bare) ? bare.toLowerCase() : bare };
}
