import { isParseError } from "../errors.ts";
import { joinedMax } from "../limits.ts";
import { MessageEdit } from "../message/edit.ts";
import { Header } from "../message/header-names.ts";
import { parseMessage, type SipMessage } from "../message/sip-message.ts";
import type { ServerTransaction } from "../transaction/transaction.ts";
import type { OwnNames } from "./own-realms.ts";
import { isSameRequest } from "./request-validation.ts";
import { hasEnded, type ResponseContext } from "./response-context.ts";
import type { Preprocessed } from "./route-preprocessing.ts";

/**
 * The requests that are being forwarded, by what makes them the same one. A client that hears nothing asks again on another way, with another branch
 * (RFC 3263 4.3). To a phone that has the first copy the second one is a merged request, which it refuses (RFC 3261 8.2.2.2). A proxy "MUST NOT treat
 * merged requests as an error condition" (16.3): the second copy waits for the answer of the first.
 */
export class OpenRequests {
  /** Two may have the same hash: the later one is found. */
  readonly #byIdentity = new Map<number, ResponseContext>();
  /** INVITEs outside of dialogs, by Call-ID; where several callers use the same one, by their tags. */
  readonly #invites = new Map<string, ResponseContext | Map<string, ResponseContext>>();
  readonly #names: OwnNames;

  constructor(names: OwnNames) {
    this.#names = names;
  }

  get size(): number {
    return this.#byIdentity.size;
  }

  add(context: ResponseContext): void {
    if (context.request === undefined) return;
    this.#byIdentity.set(context.request.identityHash, context);
    const { message } = context.request;
    if (!context.isInvite || message.toTag !== undefined) return;
    const present = this.#invites.get(message.callId);
    if (present === undefined) this.#invites.set(message.callId, context);
    else if (present instanceof Map) present.set(callerTagOf(context), context);
    else this.#invites.set(message.callId, new Map([present, context].map((each) => [callerTagOf(each), each])));
  }

  /** To be called before the context's request is given up. */
  remove(context: ResponseContext): void {
    if (context.request === undefined) return;
    const { identityHash, message } = context.request;
    if (this.#byIdentity.get(identityHash) === context) this.#byIdentity.delete(identityHash);
    if (!context.isInvite || message.toTag !== undefined) return;
    const present = this.#invites.get(message.callId);
    const tag = callerTagOf(context);
    if (present instanceof Map && present.get(tag) === context) present.delete(tag);
    if (present === context || (present instanceof Map && present.size === 0)) this.#invites.delete(message.callId);
  }

  /** The INVITE that has made the early dialogs of this Call-ID and caller, and is not answered yet. */
  inviteOf(callId: string, callerTag: string): ResponseContext | undefined {
    const present = this.#invites.get(callId);
    if (present instanceof Map) return present.get(callerTag);
    return present !== undefined && callerTagOf(present) === callerTag ? present : undefined;
  }

  /** The context of the same request, when it has not been answered yet. */
  find(request: Preprocessed): ResponseContext | undefined {
    const context = this.#byIdentity.get(request.identityHash);
    const known = context === undefined || hasEnded(context) ? undefined : context.request;
    return known !== undefined && isSameRequest(known.message, request.message, this.#names) ? context : undefined;
  }
}

/** Of a context whose request has not been given up. */
function callerTagOf({ request }: ResponseContext): string {
  return request?.message.fromTag ?? "";
}

/** Lets a transaction wait for the answer to a request that is being forwarded already. False: too many do. */
export function join(context: ResponseContext, tx: ServerTransaction, message: SipMessage): boolean {
  if (context.joined.length >= joinedMax) return false;
  context.joined = [...context.joined, { tx, vias: message.values(Header.Via) }];
  tx.owner = context;
  return true;
}

/**
 * A response with the Vias of another copy of its request. `isStream`: over TCP or TLS a Content-Length must tell where it ends (RFC 3261 18.3).
 */
export function withVias(response: Uint8Array, vias: readonly string[], isStream: boolean): Uint8Array {
  const message = parseMessage(response);
  if (isParseError(message)) return response;
  const present = message.values(Header.Via);
  if (present.length === vias.length && present.every((via, index) => via === vias[index])) return response;
  const edit = new MessageEdit(message).removeAll(Header.Via);
  for (const via of vias.toReversed()) edit.prepend(Header.Via, via);
  if (isStream && !message.has(Header.ContentLength)) edit.append(Header.ContentLength, String(message.bodyEnd - message.bodyStart));
  return edit.serialize();
}
