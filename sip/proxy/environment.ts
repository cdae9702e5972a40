import type { SipMessage } from "../message/sip-message.ts";
import type { SipUri } from "../message/uri.ts";
import type { ServerTransaction } from "../transaction/transaction.ts";
import type { Listener } from "../flow/flow.ts";
import type { DialogToken, Sign } from "../flow/token.ts";
import type { Branch } from "./branch.ts";
import type { ResponseContext } from "./response-context.ts";
import type { Preprocessed } from "./route-preprocessing.ts";
import type { Target } from "./target-set.ts";
import type { Clocks, SteadyMs } from "../time.ts";

/** A phone that is looked for, or waited for. */
export type Wanted = {
  readonly request: Preprocessed;
  readonly target: Target;
  /** Flows that have been tried and do not lead there. */
  readonly failed: readonly string[];
  /** How long it is worth to wait. */
  readonly until: SteadyMs;
  /** The same where its dialog is unknown, and it is the way to its flow that is missing; absent: `until`. */
  readonly wayUntil?: SteadyMs;
  readonly reference: string;
};

/** What the proxy needs from around it; everything that is not a function of its arguments. */
export type ProxyEnvironment = {
  readonly exchange: number;
  /** This one: Vias and Record-Routes made here name it, so that responses and in-dialog requests come to who has the transaction. */
  readonly cell: string;
  /** The cell to name instead in a request that may have been forwarded before, and leaves on `flow`; else this one. */
  cellFor(request: Preprocessed, flow: string, now: SteadyMs): string;
  readonly sign: Sign;
  /**
   * How a request with this token is answered if that names an exchange that does not exist. The same of a cell, unless it `isVerified`: calls outlive the cell
   * that set them up. Undefined: it names what there is, or nothing.
   */
  unknownTokenStatus(token: DialogToken | undefined, isVerified: boolean): number | undefined;
  /** What is written into tokens and records is in wall-clock time. */
  readonly wallAt: Clocks["wallAt"];
  /** An id never given before by this replica, over restarts too: letters, digits and `-`. */
  nextReference(): string;
  /**
   * Whether a response that no transaction waits for is late. Then its request was forwarded by this very replica, and is done with (RFC 6026 7.3,
   * RFC 4320 4.2). `branch` and `cell`, which its Via names, are signed by us.
   */
  isLate(branch: string, cell: string, method: string, now: SteadyMs): boolean;
  /** Whether another replica may have forwarded just now what comes here: this one has taken over, or has just started. */
  mayBeRepeated(now: SteadyMs): boolean;
  /** Whether a request that came on this flow may have come to the other replica before, which may have forwarded it. */
  mayBeCopy(flow: string, now: SteadyMs): boolean;
  /** Whether a 2xx has passed to an INVITE of this branch that another replica had forwarded. */
  hasPassed(branch: string): boolean;
  /** A tag for a response of our own (RFC 3261 19.3). */
  nextTag(): string;
  /** What goes into our Via and Record-Route for messages that leave on this flow. */
  sentBy(flow: string): Listener;
  /** Asks for the flows to a next hop (RFC 3263); the answer comes as {@link Proxy.resolved}. */
  resolve(uri: string, reference: string, now: SteadyMs): void;
  /**
   * Looks for a phone that is not where it was; answered later than this call returns. In-dialog requests: {@link Proxy.resolved} says its present
   * flow, or none. For a target of `registration`: {@link Proxy.returned}, each time that there are targets; `resolved` with none is the end.
   */
  seek(wanted: Wanted, now: SteadyMs): void;
  /** Nobody waits for this any more. */
  stopSeeking(reference: string): void;
  /** Whether phones that an initial request is for have lost their connections a moment ago, and may register again. */
  mayReturn(request: Preprocessed, now: SteadyMs): boolean;
  /** The flow to a next hop that needs no DNS; undefined: resolve it. `near`: the flow the request came on, whose access is preferred. */
  numericFlow(uri: SipUri, near: string): string | undefined;
  /** Whether nobody has ever answered for this binding at the far end of this flow. */
  isUnproven(bindingKey: string, flow: string): boolean;
  /** Somebody has. */
  proved(bindingKey: string, flow: string, now: SteadyMs): void;
  /** True for a flow to a listener of this cluster: what is sent there comes back. */
  leadsHere(flow: string): boolean;
  /** False: the request goes by its Request-URI, whatever Route it has behind values of ours. */
  followsRoutes(request: Preprocessed): boolean;
  /** True for a host (and port, when one is given) that names this cluster: a domain, an alias, a cluster address. */
  isOurs(host: string, port: number | undefined): boolean;
  /**
   * A target's flow delivers nothing any more (RFC 5626 7): for the registrar to drop its binding. `unreachable`: it is the way to the flow that
   * is missing, and nothing has been sent on it.
   */
  flowFailed(flow: string, target: Target, now: SteadyMs): "dead" | "unreachable";
  /** Notes in an authorized initial request what is known of its caller: `asserted` and `isLeaving`. */
  vouch(request: Preprocessed): void;
  /**
   * A final response is about to be forwarded; `branch` and `message` are undefined for one of our own. Returns the version of the
   * replicated state that it must wait for, undefined when it may leave at once. Of a BYE that nobody has answered it is told with 408, which is not
   * sent (RFC 4320 4.2).
   */
  final(
    context: ResponseContext,
    status: number,
    branch: Branch | undefined,
    message: SipMessage | undefined,
    now: SteadyMs,
  ): number | undefined;
  /** A 2xx has been forwarded once more, on a connection: nobody has acknowledged it. */
  unacknowledged(tx: ServerTransaction, response: Uint8Array, now: SteadyMs): void;
  /** What `snapshotInvite` would give for this INVITE is another thing now, or nothing any more (its state is Ended). */
  changed(context: ResponseContext, now: SteadyMs): void;
};
