import type { Version } from "./version.ts";
import type { WallMs } from "../time.ts";

/**
 * What the records hold. Plain data: it is kept in memory, sent to the peer and written to disk as it is. Times are milliseconds since
 * the epoch. Text that came from a message has one char per octet, as everywhere in the core.
 */

/** A user that we authenticate. Key: the address-of-record. RFC 8760 HA1 values in hex, never the password. */
export type Subscriber = {
  /** H(user ":" realm ":" password). */
  readonly ha1Md5: string;
  readonly ha1Sha256: string;
  /** The same for phones that put `user@domain` into username; empty: such phones are refused. */
  readonly ha1bMd5: string;
  readonly ha1bSha256: string;
};

/** A subscriber as an operator adds it. */
export type SubscriberChange = Subscriber & { readonly aor: string };

/** RFC 3261 10.3, RFC 3327, RFC 5626: where one contact of an address-of-record can be reached. Key: see binding-record.ts. */
export type Binding = {
  readonly addressOfRecord: string;
  /** The contact's URI as registered, without brackets. */
  readonly contact: string;
  /** The contact's parameters as registered, `;name=value...`, without expires and q. */
  readonly parameters: string;
  /** Preference 0..1; undefined when the contact named none (RFC 3261 10.2.1.2). */
  readonly q: number | undefined;
  /** Call-ID and CSeq number of the REGISTER that made or refreshed it. */
  readonly callId: string;
  readonly cSeq: number;
  /** When that REGISTER came. */
  readonly registeredAt: WallMs;
  readonly expiresAt: WallMs;
  /** `+sip.instance` without quotes and angle brackets; empty when there was none. */
  readonly instanceId: string;
  /** RFC 5626 reg-id where outbound was applied; 0 where it was not. */
  readonly regId: number;
  /** The flow to reach it on; empty: go by path or contact. */
  readonly flow: string;
  /** Those that it had before, the latest first; absent: none. See former-flows.ts. */
  readonly formerFlows?: readonly string[];
  /** Transport of the REGISTER, upper-case. */
  readonly transport: string;
  /** Where the REGISTER came from as we saw it, `address:port`. */
  readonly received: string;
  readonly userAgent: string;
  /** RFC 3327: Route values towards it, topmost first. */
  readonly path: readonly string[];
  /** Without a flow: where a request for it has been answered from, `address:port`. Absent: nowhere yet. See unproven-places.ts. */
  readonly provenAt?: string;
  /** Without a flow: the one that its REGISTER came on. Nothing is sent there; people are told of the gateway. Absent: it is gone, or there is a flow. */
  readonly cameOn?: string;
};

/** A place to forward an INVITE to: see `Target` of the proxy. */
export type InviteTarget = {
  readonly requestUri: string;
  readonly routes: readonly string[];
  readonly flow?: string;
  readonly nextHop?: string;
  readonly group?: string;
  readonly q?: number;
  readonly seek?: "first" | "onFailure" | "onSilence" | "registration";
  /** Key of the binding that it was made from. */
  readonly bindingKey?: string;
};

/** A branch of an INVITE in progress. */
export type InviteBranch = {
  readonly target: InviteTarget;
  readonly state: "Resolving" | "Calling" | "Proceeding" | "Cancelling" | "Finished";
  readonly reference: string;
  /** Via branch parameter of the request as it was sent; empty while the next hop is looked up. */
  readonly branch: string;
  /** What stands beside it: see sip/flow/token.ts. */
  readonly mark: string;
  readonly flow: string;
  /** RFC 5393 Max-Breadth of the request as it was sent; absent: of a replica that did not say it. */
  readonly breadth?: number;
  readonly alternatives: readonly string[];
  readonly cancelRequested: boolean;
  readonly isLost: boolean;
  /** A phone that was waited for has come back, and has it; absent: it has not, or the record was made before 30 November 2026. */
  readonly hasFound?: boolean | undefined;
  /** How long Timer C had run when the record was made, ms; absent: it had not begun, or the record was made before 1 December 2026. */
  readonly timerCRanMs?: number | undefined;
};

/**
 * An INVITE not yet finally answered: what another replica needs to go on with it. Key: that of its server transaction. Its owner is the
 * cell of the version. Octets are text, one char per octet; the requests sent are made again from the one received. Times are left out, but for
 * Timer C: other timers start anew where it is taken up.
 */
export type Invite = {
  /** When it is over for certain if nothing more is heard of its owner. */
  readonly expiresAt: WallMs;
  /** The request as it was received and stamped (RFC 3261 18.2.1). */
  readonly request: string;
  /** When it was forwarded first, ms since the epoch; absent in records made before 29 November 2026. */
  readonly at?: WallMs;
  readonly flow: string;
  readonly responseFlow: string;
  /** Last provisional response sent; its To tag is in it. */
  readonly lastStatus: number;
  readonly lastResponse: string | undefined;
  readonly recordRoute: boolean;
  readonly waiting: readonly InviteTarget[];
  readonly branches: readonly InviteBranch[];
  readonly attempts: number;
  readonly best: { readonly status: number; readonly octets: string | undefined } | undefined;
  readonly challenges: readonly { readonly isProxy: boolean; readonly value: string }[];
  readonly cancelled: boolean;
  readonly cancelReasons: readonly string[];
  readonly declined: boolean;
  /** When its caller was told first that it rings; absent: not yet. */
  readonly rangAt?: WallMs;
  /** The cells that had it in hand before its owner, the first one first; absent: none. */
  readonly earlierCells?: readonly string[];
};

/** One side of a dialog as the proxy knows it. */
export type DialogSide = {
  readonly tag: string;
  /** Its address-of-record when that is in our domains, else empty. */
  readonly addressOfRecord: string;
  /** Of ours, when it says another one as its own: the callee what the caller has dialled. */
  readonly name?: string;
  /** Remote target (RFC 3261 12.1): the URI of its latest Contact. */
  readonly contact: string;
  /** Its present flow; empty: by URI. */
  readonly flow: string;
  /** `+sip.instance`; empty when unknown. */
  readonly instanceId: string;
  /** Values of Route for the proxies between us and it, the nearest to us first; absent: none. */
  readonly routes?: readonly string[];
  /** Highest CSeq number that it has sent in this dialog; -1: none yet. */
  readonly cSeq: number;
  /** Version of the change that wrote this side: the sides are merged apart. */
  readonly version: Version;
};

/** A dialog made by an INVITE, or a subscription's (RFC 6665). Key: see dialog-record.ts. When it ends it becomes a tombstone. */
export type Dialog = {
  readonly callId: string;
  readonly caller: DialogSide;
  readonly callee: DialogSide;
  /** answered: a 2xx has passed. confirmed: the ACK, or anything else within the dialog, has been seen. */
  readonly state: "answered" | "confirmed";
  readonly createdAt: WallMs;
  /** Of a caller from outside: where the INVITE came from, as limits count it (flow/source.ts); absent in records made before 29 November 2026. */
  readonly source?: string;
  /** When it is over for want of anything heard once confirmed: dialogLifetimeMs, or RFC 4028's session timer. See dialog-record.ts. */
  readonly expiresAt: WallMs;
  /** What its call record will say of its beginning; absent: nobody knew its INVITE, or the record was made before call records were. */
  readonly call?: CallNote;
};

/** The beginning of a call that was answered. */
export type CallNote = {
  /** When its INVITE was forwarded first. */
  readonly start: WallMs;
  /** When its caller was told first that it rings; absent: never. */
  readonly ring?: WallMs;
  /** The cells that had it in hand, the first one first. */
  readonly cells: readonly string[];
  /** The accesses that it came and went by. */
  readonly gateways: readonly string[];
  /** How often another replica went on with it. */
  readonly failovers: number;
  /** Who called and who was called, where a side is none of ours; absent: its address-of-record says it. */
  readonly caller?: string;
  readonly callee?: string;
};

/**
 * Why a call is over. After an answer:
 * - callerHungUp, calleeHungUp: a BYE
 * - ended: a BYE, and it is not known whose
 * - broken: a phone has said within the call that it does not know it, or nothing (481, 408)
 * - vanished: nothing was heard of it for its session timer, or its lifetime
 * - unacknowledged: nobody has acknowledged the answer
 * - unfollowed: there was no room to follow it further
 *
 * Before one:
 * - cancelled: its caller has hung up
 * - refused: a phone, or the next hop, has refused it
 * - nobody: nobody is registered there, or there is no such user
 * - unanswered: it rang, and nobody answered
 * - unreachable: no phone has said anything
 * - denied: this system has refused it
 * - lost: whoever had it in hand has failed, and nobody went on with it
 */
export type CallCause =
  | "callerHungUp"
  | "calleeHungUp"
  | "ended"
  | "broken"
  | "vanished"
  | "unacknowledged"
  | "unfollowed"
  | "cancelled"
  | "refused"
  | "nobody"
  | "unanswered"
  | "unreachable"
  | "denied"
  | "lost";

/** What became of a call. Key: see call-record.ts. */
export type Call = {
  /** Of two that were noted of one call the higher one counts. */
  readonly rank: number;
  /** Addresses-of-record; of somebody outside `user@host`. */
  readonly caller: string;
  readonly callee: string;
  /** The Contact of the phone that answered; empty: none has. */
  readonly answeredBy: string;
  readonly start: WallMs;
  /** Absent: it has not rung, or nobody has answered. */
  readonly ring?: WallMs;
  readonly answer?: WallMs;
  readonly end: WallMs;
  /** Of the final response that its caller got. */
  readonly status: number;
  readonly cause: CallCause;
  /** The cells that had it in hand, and the accesses that it came and went by. */
  readonly cells: readonly string[];
  readonly gateways: readonly string[];
  /** How often another replica went on with it. */
  readonly failovers: number;
  /** Its caller is none of ours, and has proved nothing; absent: he has, or the record was made before 30 November 2026. */
  readonly isStrangers?: true;
  /** An operator has ended it, be it answered or not; absent: somebody else has. A release before this one reads what else `cause` says. */
  readonly isByOperator?: true;
};

/** A record of a kind that this release does not know, carried as it came. Key: see unread-record.ts. */
export type Unread = {
  /** The whole record as JSON. */
  readonly text: string;
  /** When it may be forgotten; undefined: it does not say. */
  readonly forgottenAt: WallMs | undefined;
};

export type RecordValues = {
  readonly subscriber: Subscriber;
  readonly binding: Binding;
  readonly invite: Invite;
  readonly dialog: Dialog;
  readonly call: Call;
  readonly unread: Unread;
};

export type RecordKind = keyof RecordValues;

/** The kinds that are of a call: their definitions must say so, and others must not. */
export type CallKind = "invite" | "dialog" | "call";
