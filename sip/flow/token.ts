import { base36Of32 } from "../base-36.ts";
import type { WallMs } from "../time.ts";

/**
 * Tokens: routes that describe themselves, so that no dialog depends on one process.
 *
 * A Via branch says which exchange made it, and carries the loop check of RFC 3261 16.6 8. A parameter beside it, the mark, says what its response
 * needs to go on from here without any state: the cell, and the flow that the request came on. RFC 3581 4 suggests that.
 *
 *     ;branch=z9hG4bKtd<exchange>.<reference>.<loop>;td=<cell>*<upstream flow>*<signature>
 *
 * They are two, because a request may be forwarded once more: by the other replica, or for a caller who came back on another flow. It must have the
 * same branch then, so that its receiver takes it for a retransmission. What comes back must go where the caller is now.
 *
 * A Record-Route user part (RFC 5626 5.2) says which exchange serves the dialog, which cell set it up and when, and both sides' flows. So any replica
 * can route an in-dialog request of that dialog without a dialog record:
 *
 *     td2*<exchange>*<cell>*<seconds>*<caller's flow>*<callee's flow>*<signature>
 *
 * Its signature covers the dialog's Call-ID and its caller's tag as well, which the request that brings it back must have. So it is good for its
 * dialog only (docs/decisions/0012-a-token-is-for-its-dialog.md). `td1`, which was not, is read for the calls that stand over an upgrade.
 *
 * All are signed: what we did not make is neither followed nor relayed. `sign` is a keyed hash given by the shell. It returns unreserved characters
 * only, and the same text for the same input everywhere in the cluster.
 */

/** A keyed hash (see sip-hash.ts) as unreserved characters; 64 bits or more. */
export type KeyedHash = (text: string) => string;

/** What signs. `accepted`: hashes under other keys, whose signatures count as well while the secret is changed. Absent: there are none. */
export type Sign = KeyedHash & { readonly accepted?: () => readonly KeyedHash[] };

/** Whether a text was signed so, in time that does not depend on where two signatures differ. */
export function isSignature(signature: string, text: string, sign: Sign): boolean {
  if (equalInConstantTime(signature, sign(text))) return true;
  return (sign.accepted?.() ?? []).some((hash) => equalInConstantTime(signature, hash(text)));
}

export type BranchToken = {
  readonly exchange: number;
  /** A function of the request and of where it goes: names the client transaction. */
  readonly reference: string;
  /** RFC 3261 16.6 8: hash over what decides the next hop, equal when a request loops, different when it spirals. */
  readonly loop: string;
};

/** What stands beside our branch. */
export type ViaMark = {
  readonly cell: string;
  /** Flow text: where the response goes on. */
  readonly upstream: string;
};

export type DialogToken = {
  readonly exchange: number;
  readonly cell: string;
  /** When it was made, ms since the epoch in whole seconds; undefined: a `td1`, for which the dialog's record has to speak. */
  readonly madeAt: WallMs | undefined;
  /** Flow text of the caller's side: where responses to the INVITE went. */
  readonly caller: string;
  /** Flow text of the callee's side: where the INVITE went. */
  readonly callee: string;
};

/** What a token is bound to. The tag is "" for who has none (RFC 2543). */
export type TokenDialog = { readonly callId: string; readonly callerTag: string };

/** A token that belongs to the message that brought it, and which way that goes: its sender has the caller's tag, or its receiver has. */
export type VerifiedToken = { readonly token: DialogToken; readonly direction: "toCallee" | "toCaller" };

/** Call-ID and tags of a message. */
type Tagged = { readonly callId: string; readonly fromTag: string | undefined; readonly toTag: string | undefined };

export const branchPrefix = "z9hG4bKtd";
/** The Via parameter of {@link ViaMark}; a Via's parameters come back in responses as they were sent (RFC 3261 8.2.6.2). */
export const viaMarkName = "td";
export const dialogTokenPrefix = "td2*";
/** Of tokens made before 29 November 2026. */
export const oldTokenPrefix = "td1*";

export function makeBranch(token: BranchToken): string {
  return `${branchPrefix}${token.exchange.toString(36)}.${token.reference}.${token.loop}`;
}

/** Reads a branch: enough to route, not to trust. Undefined when it is not ours. */
export function parseBranch(branch: string): BranchToken | undefined {
  if (!branch.startsWith(branchPrefix)) return undefined;
  const parts = branch.slice(branchPrefix.length).split(".");
  if (parts.length !== 3) return undefined;
  const [exchangeText = "", reference = "", loop = ""] = parts;
  const exchange = parseExchange(exchangeText);
  if (exchange === undefined || reference === "") return undefined;
  return { exchange, reference, loop };
}

/** The mark of a Via with this branch; the signature covers both. */
export function makeViaMark(branch: string, mark: ViaMark, sign: Sign): string {
  const text = `${mark.cell}*${mark.upstream}`;
  return `${text}*${sign(`${branch}*${text}`)}`;
}

/** Reads a mark without verifying it. Undefined when it is none. */
export function parseViaMark(text: string): ViaMark | undefined {
  const first = text.indexOf("*");
  const last = text.lastIndexOf("*");
  if (first <= 0 || last === first) return undefined;
  return { cell: text.slice(0, first), upstream: text.slice(first + 1, last) };
}

/** Reads a mark and checks its signature, and that of the branch with it, in constant time. */
export function verifyViaMark(branch: string, text: string, sign: Sign): ViaMark | undefined {
  const mark = parseBranch(branch) === undefined ? undefined : parseViaMark(text);
  if (mark === undefined) return undefined;
  const end = text.lastIndexOf("*");
  return isSignature(text.slice(end + 1), `${branch}*${text.slice(0, end)}`, sign) ? mark : undefined;
}

export function makeDialogToken(token: DialogToken & { readonly madeAt: WallMs }, dialog: TokenDialog, sign: Sign): string {
  const seconds = Math.floor(token.madeAt / 1000).toString(36);
  const text = `${dialogTokenPrefix}${token.exchange.toString(36)}*${token.cell}*${seconds}*${token.caller}*${token.callee}`;
  return `${text}*${sign(boundText(text, dialog.callId, dialog.callerTag))}`;
}

/** The length stands before the tag, so that no other tag and Call-ID make the same text. */
function boundText(text: string, callId: string, callerTag: string): string {
  return `${text}*${callerTag.length}*${callerTag}*${callId}`;
}

export function isDialogToken(user: string): boolean {
  return user.startsWith(dialogTokenPrefix) || user.startsWith(oldTokenPrefix);
}

/**
 * Reads a Record-Route user part. It checks in constant time that the part was made for the dialog of the message that brought it (RFC 5626 5.3: a
 * bad one is answered 403). Undefined when it is not ours.
 */
export function parseDialogToken(user: string): DialogToken | undefined {
  if (!isDialogToken(user)) return undefined;
  const parts = user.split("*");
  if (parts.length !== 7) return undefined;
  const [, exchangeText = "", cell = "", fourth = "", caller = "", callee = ""] = parts;
  const exchange = parseExchange(exchangeText);
  if (exchange === undefined || cell === "") return undefined;
  if (user.startsWith(oldTokenPrefix)) return { exchange, cell, madeAt: undefined, caller, callee };
  if (!/^[0-9a-z]{1,8}$/.test(fourth)) return undefined;
  return { exchange, cell, madeAt: Number.parseInt(fourth, 36) * 1000, caller, callee };
}

/**
 * Reads a Record-Route user part. It checks in constant time that the part was made for the dialog of the message that brought it (RFC 5626 5.3: a
 * bad one is answered 403). Two equal tags say nothing of the direction, and are refused.
 */
export function verifyDialogToken(user: string, { callId, fromTag = "", toTag = "" }: Tagged, sign: Sign): VerifiedToken | undefined {
  const token = fromTag === toTag ? undefined : parseDialogToken(user);
  if (token === undefined) return undefined;
  const end = user.lastIndexOf("*");
  const signature = user.slice(end + 1);
  const text = user.slice(0, end);
  if (token.madeAt !== undefined) {
    if (isSignature(signature, boundText(text, callId, fromTag), sign)) return { token, direction: "toCallee" };
    return isSignature(signature, boundText(text, callId, toTag), sign) ? { token, direction: "toCaller" } : undefined;
  }
  const callerTag = user.split("*")[3];
  const direction = callerTag === hashTag(fromTag) ? "toCallee" : callerTag === hashTag(toTag) ? "toCaller" : undefined;
  return direction !== undefined && isSignature(signature, text, sign) ? { token, direction } : undefined;
}

/** A tag as 32 bits in base 36. */
export function hashTag(tag: string): string {
  return base36Of32(fnv1a(tag));
}

/** FNV-1a over UTF-16 units, 32 bits, finished so that low bits are good for `mod`. Another `basis` makes another hash of the same text. */
export function fnv1a(text: string, basis = 0x811c9dc5): number {
  let hash = basis;
  for (let index = 0; index < text.length; index += 1) {
    hash ^= text.charCodeAt(index);
    hash = Math.imul(hash, 0x01000193);
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  return hash >>> 0;
}

/** Compares two signatures in time that does not depend on where they differ. */
export function equalInConstantTime(left: string, right: string): boolean {
  let difference = left.length ^ right.length;
  for (let index = 0; index < right.length; index += 1) difference |= (left.charCodeAt(index) | 0) ^ right.charCodeAt(index);
  return difference === 0;
}

function parseExchange(text: string): number | undefined {
  if (!/^[0-9a-z]{1,4}$/.test(text)) return undefined;
  return Number.parseInt(text, 36);
}
