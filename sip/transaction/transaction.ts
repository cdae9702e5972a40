import { isParseError } from "../errors.ts";
import { phoneSilentMs, t1Ms } from "../limits.ts";
import { parseMessage } from "../message/sip-message.ts";
import type { SipMessage } from "../message/sip-message.ts";
import type { Held } from "./held-requests.ts";
import type { Timed, TimerTable } from "./timer-table.ts";
import type { SteadyMs } from "../time.ts";

/**
 * The state of transactions (RFC 3261 17, RFC 6026) as plain data; the machines that move it are in invite-server.ts, invite-client.ts,
 * non-invite-server.ts and non-invite-client.ts. Times are ms since the epoch, `Infinity` where nothing is scheduled.
 *
 * A transaction is its own timer, at the earlier of its two times. They are `retransmitAt` (Timers A, E, G) and `endsAt` (Timers B, D, F, H, I, J, K,
 * L, M). Which timer that is follows from its state.
 */
export type ServerTransaction = InviteServerTransaction | NonInviteServerTransaction;
export type ClientTransaction = InviteClientTransaction | NonInviteClientTransaction;
export type Transaction = ServerTransaction | ClientTransaction;

type Schedule = Timed & { retransmitMs: number; retransmitAt: SteadyMs; endsAt: SteadyMs };

type ServerCommon = Schedule & {
  /** RFC 3261 17.2.3: branch, sent-by and method. */
  readonly key: string;
  readonly method: string;
  /** The flow the request came on. */
  readonly flow: string;
  /** Where responses go (RFC 3261 18.2.2, RFC 3581). */
  responseFlow: string;
  /** Its connection was lost, and the user has found another one. */
  isMoved: boolean;
  readonly reliable: boolean;
  /** Its sender has proved who it is, or that it takes part in the dialog: see {@link TransactionLayer.refuse}. */
  isProven: boolean;
  /** Octets that may still be sent to who has proved nothing, and what has been sent taken off: see unproven-callers.ts. */
  octetsLeft: number;
  /**
   * The request; given up when the final response has been sent, so that a finished transaction holds no message. (Not by an INVITE over a
   * connection that waits for the ACK: its response may have to find another one.)
   */
  request: SipMessage | undefined;
  /** What a retransmitted request is answered with; none for a 2xx to an INVITE, which only the UAS retransmits (RFC 6026 7.1). */
  lastResponse: Uint8Array | undefined;
  lastStatus: number;
  /** The version that `lastResponse` must wait for, on retransmission too. */
  commit: number | undefined;
  /** To tag of the final response: matches the ACK of an RFC 2543 client, whose Via has no unique branch. */
  responseTag: string | undefined;
  /** What it counts for among those that wait for a final response. */
  readonly held: Held;
  /** What the transaction user hangs on it: the proxy its response context. Given up with the final response of a non-INVITE. */
  owner: unknown;
};

export type InviteServerTransaction = ServerCommon & {
  readonly kind: "inviteServer";
  state: "Proceeding" | "Completed" | "Confirmed" | "Accepted" | "Terminated";
};

export type NonInviteServerTransaction = ServerCommon & {
  readonly kind: "nonInviteServer";
  state: "Trying" | "Proceeding" | "Completed" | "Terminated";
};

type ClientCommon = Schedule & {
  /** RFC 3261 17.1.3: branch and method. */
  readonly key: string;
  readonly method: string;
  readonly branch: string;
  readonly flow: string;
  readonly reliable: boolean;
  /** The connection that a 2xx came on, when it is another one: whoever was called has moved (RFC 5626 4.3). Else empty. */
  answeredOn: string;
  /** The request as it was sent, for retransmission, ACK and CANCEL; the ACK in state Completed; empty when neither is needed any more. */
  octets: Uint8Array;
  readonly owner: unknown;
};

export type InviteClientTransaction = ClientCommon & {
  readonly kind: "inviteClient";
  state: "Calling" | "Proceeding" | "Completed" | "Accepted" | "Terminated";
};

export type NonInviteClientTransaction = ClientCommon & {
  readonly kind: "nonInviteClient";
  state: "Trying" | "Proceeding" | "Completed" | "Terminated";
};

/**
 * How a request is sent. `watched`: its silence is told. `once`: without Timers A and E, to a receiver who may not have asked for it. `copy`: its
 * receiver may have had it already, from the other replica.
 */
export type SendingManner = "usual" | "watched" | "once" | "copy";

/** Where messages leave. `commit`: the version of the replicated state that the message must wait for. */
export type TransportSink = {
  send(flow: string, octets: Uint8Array, commit?: number): void;
  /** A 2xx to an INVITE. It need not wait where whoever has brought it would say it again. */
  answer(flow: string, octets: Uint8Array, commit?: number): void;
};

/** RFC 3261 17: the transaction user (TU), above the machines. */
export type TransactionUser = {
  /** A new request, not ACK and not CANCEL. */
  request(tx: ServerTransaction, message: SipMessage, now: SteadyMs): void;
  /** An ACK that belongs to no transaction, or to one that was answered with a 2xx. */
  ack(message: SipMessage, flow: string, now: SteadyMs): void;
  /** RFC 3261 9.2: `tx` is the INVITE's transaction, undefined when there is none (answer 481). */
  cancel(tx: InviteServerTransaction | undefined, cancelTx: NonInviteServerTransaction, message: SipMessage, now: SteadyMs): void;
  response(tx: ClientTransaction, message: SipMessage, now: SteadyMs): void;
  /** A response without a client transaction. */
  strayResponse(message: SipMessage, flow: string, now: SteadyMs): void;
  /** Timer B or F. */
  timeout(tx: ClientTransaction, now: SteadyMs): void;
  /** Nothing has come back for a request that was to be watched, for as long as a phone needs. */
  silent?(tx: ClientTransaction, now: SteadyMs): void;
  /** RFC 3261 17.1.4. */
  transportError(tx: ClientTransaction, now: SteadyMs): void;
  terminated?(tx: Transaction, now: SteadyMs): void;
  /** A response leaves for the first time. */
  responded?(method: string, status: number): void;
  /**
   * A response could not be delivered on the connection that its request came on. True: the user finds another flow, and sends it there.
   * False: RFC 3261 18.2.2.
   */
  responseLost?(tx: ServerTransaction, response: SipMessage, now: SteadyMs): boolean;
  /** Whether a phone is registered on this flow that nobody asks for a password. Absent: everywhere. */
  isTrustedOn?(flow: string): boolean;
  /** An ACK has come for an INVITE in state Proceeding: another replica has answered it. */
  answeredElsewhere?(tx: InviteServerTransaction, now: SteadyMs): void;
};

/** What the machines act on. */
export type Machinery = {
  readonly timers: TimerTable;
  readonly transport: TransportSink;
  readonly user: TransactionUser;
  /** Takes a transaction in state Terminated out of the table, with its timer, and tells the user. */
  destroy(tx: Transaction, now: SteadyMs): void;
};

export const never = Number.POSITIVE_INFINITY;
/** `retransmitMs` of a request whose silence has not been told yet: it fires for that first, before Timer A or E. */
export const beforeCopies = 0;
export const noOctets: Uint8Array = new Uint8Array(0);

/** Sets the transaction's timer to what its two times say. */
export function schedule(tx: Transaction, timers: TimerTable): void {
  const deadline = Math.min(tx.retransmitAt, tx.endsAt);
  if (deadline === never) timers.clear(tx);
  else timers.set(tx, deadline);
}

/** Sets Timers A and E, or, for who is to be told of it (`isWatched`), when silence is long. */
export function startCopies(tx: ClientTransaction, isWatched: boolean, now: SteadyMs): void {
  tx.retransmitMs = isWatched ? beforeCopies : t1Ms;
  tx.retransmitAt = isWatched ? now + phoneSilentMs : tx.reliable ? never : now + t1Ms;
}

/** Nothing has come back for {@link phoneSilentMs}: the first copy leaves T1 after the request, which is 63 T1 before its end (Timers B and F). */
export function tellSilence(tx: ClientTransaction, { timers, user }: Machinery, now: SteadyMs): void {
  tx.retransmitMs = t1Ms;
  tx.retransmitAt = tx.reliable ? never : tx.endsAt - 63 * t1Ms;
  schedule(tx, timers);
  user.silent?.(tx, now);
}

/** A request that this side sent, read again; not to be readable is a broken invariant. */
export function readSent(octets: Uint8Array): SipMessage {
  const message = parseMessage(octets);
  if (!isParseError(message)) return message;
  if (message.message === undefined) throw new RangeError("a request of ours that cannot be read");
  return message.message;
}
