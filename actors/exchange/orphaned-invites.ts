import { isParseError } from "../../sip/errors.ts";
import { orphansRememberedMax } from "../limits.ts";
import {
  branchesMax,
  inviteLifetimeMs,
  maxForwardsDefault,
  phoneReturnMs,
  phoneSilentMs,
  t1Ms,
  unprovenTargetsMax,
} from "../../sip/limits.ts";
import { buildAckForNon2xx, buildResponse } from "../../sip/message/build.ts";
import { Header } from "../../sip/message/header-names.ts";
import { octetsOf } from "../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { ProxyEnvironment } from "../../sip/proxy/environment.ts";
import { onwardToTarget, type Onward } from "../../sip/proxy/orphaned-invite.ts";
import type { Proxy } from "../../sip/proxy/proxy.ts";
import { isResponseContext, type ResponseContext } from "../../sip/proxy/response-context.ts";
import type { Target } from "../../sip/proxy/target-set.ts";
import type { Preprocessed } from "../../sip/proxy/route-preprocessing.ts";
import { isUnproven } from "../../sip/proxy/unproven-places.ts";
import { serverKey } from "../../sip/transaction/matching.ts";
import type { TransactionLayer } from "../../sip/transaction/transaction-layer.ts";
import type { NonInviteServerTransaction, TransportSink } from "../../sip/transaction/transaction.ts";
import type { CallKeeper } from "./call-keeper.ts";
import { callingOf } from "./caller.ts";
import { sourceOfFlow } from "../../sip/flow/source.ts";
import type { NoWay } from "./dialog-ways.ts";
import { OrphanShares, type Orphan } from "./orphan-shares.ts";
import type { PhoneFinder } from "./phone-finder.ts";
import { later, type SteadyMs, type WallMs } from "../../sip/time.ts";

/** Long enough for four copies (Timer E). */
const strangersCancelMs: number = 8 * t1Ms;

/** RFC 3326: so that a phone does not show a missed call when another one of its user has answered. */
const answeredElsewhere = 'Reason: SIP;cause=200;text="Call completed elsewhere"\r\n';

type Cancelled = {
  /** Where its caller listens; undefined: it has had its last word. */
  readonly responseFlow: string | undefined;
  /** Where its phone was told, and what. */
  readonly flow: string;
  readonly cancel: Uint8Array;
  readonly orphan: Orphan;
};

/** A CANCEL that goes where its INVITE may ring. */
type Hangup = {
  readonly request: Preprocessed;
  readonly orphan: Orphan;
  /** Undefined: its caller has had its last word. */
  readonly responseFlow: string | undefined;
  /** Where it has been said, and how often at places that nobody has proven. */
  readonly said: Set<string>;
  unproven: number;
  /** The same INVITE come again, that the proxy has in hand; and when it was to be cancelled. */
  readonly copy: ResponseContext | undefined;
  readonly at: SteadyMs;
};

export type EarlyCancel = {
  readonly tx: NonInviteServerTransaction;
  readonly message: SipMessage;
  /** When no copy of its INVITE can come any more. */
  readonly until: SteadyMs;
};

export type OrphanedInvitesOptions = {
  readonly env: ProxyEnvironment;
  readonly map: () => ClusterMap;
  readonly proxy: Proxy;
  readonly transactions: TransactionLayer;
  readonly transport: TransportSink;
  readonly finder: PhoneFinder;
  readonly calls: CallKeeper;
  /** The targets of a user of this exchange that a way leads to. */
  readonly targets: (addressOfRecord: string, isSecure: boolean, now: SteadyMs) => readonly Target[];
  readonly isServedHere: (addressOfRecord: string) => boolean;
  /** Whether who sends on this flow is there: by a connection, or a registration. */
  readonly isKnown: (flow: string) => boolean;
  readonly dialogTarget: (request: Preprocessed, now: SteadyMs) => Target | NoWay | undefined;
};

/**
 * INVITEs that ring and that no replica remembers: both have died at once. Their callers may hang up all the same (RFC 3261 16.10), and what
 * the phones refuse is acknowledged. Answers need nothing from here, they go on by their Vias.
 *
 * Only as long after a start, or a takeover, as an INVITE of before may ring. Later whoever cancels what is not there gets 481 at once. An exchange that
 * wakes has slept with nothing in hand: it has lost none.
 */
export class OrphanedInvites {
  readonly #options: OrphanedInvitesOptions;
  #until: SteadyMs;
  #wallUntil: WallMs;
  /** Those that were cancelled, by our branch. */
  readonly #cancelled = new Map<string, Cancelled>();
  /** Those whose refusals have gone on, and wait for their ACKs: our branches and their Call-IDs. */
  readonly #refused = new Set<string>();
  readonly #shares = new OrphanShares();

  /** CANCELs of INVITEs that were not in hand here, by whose they are. A copy may come here yet, or the other replica may go on with it. */
  readonly #early = new Map<string, EarlyCancel>();
  /** The latest end of theirs. */
  #earlyUntil = 0;

  /** `until`: when nothing of before can ring any more, by the wall clock; undefined: any may that there was until now. */
  constructor(options: OrphanedInvitesOptions, until: WallMs | undefined, now: SteadyMs) {
    this.#options = options;
    const wall = options.env.wallAt(now);
    this.#wallUntil = until ?? later(wall, inviteLifetimeMs);
    this.#until = now + (this.#wallUntil - wall);
  }

  /** The same for an exchange that wakes, whose steady clock is another one. */
  get until(): WallMs {
    return this.#wallUntil;
  }

  /** Another replica has ended, and perhaps not told of all that it had in hand. */
  tookOver(now: SteadyMs): void {
    this.#until = later(now, inviteLifetimeMs);
    this.#wallUntil = this.#options.env.wallAt(this.#until);
  }

  /** A CANCEL for an INVITE that nobody knows. False: there cannot be one, or nobody it could be ringing at; or there are too many that were not true. */
  cancel(tx: NonInviteServerTransaction, message: SipMessage, now: SteadyMs): boolean {
    const { proxy, transactions, env } = this.#options;
    const request = now < this.#until ? proxy.preprocess(message, tx.flow) : undefined;
    if (request === undefined || isParseError(request) || this.#targets(request, now).length === 0) return false;
    const orphan = this.#orphanOf(request);
    if (!this.#shares.count(orphan, now)) return false;
    transactions.respond(tx, 200, buildResponse(message, 200, { toTag: env.nextTag() }), now);
    this.#cancelWhereItRings(
      { request, orphan, responseFlow: tx.responseFlow, said: new Set(), unproven: 0, copy: undefined, at: now },
      now,
    );
    this.#remember(tx, message, this.#until);
    return true;
  }

  /** A CANCEL was answered whose INVITE the other replica has in hand. */
  remember(tx: NonInviteServerTransaction, message: SipMessage, now: SteadyMs): void {
    this.#remember(tx, message, now + inviteLifetimeMs);
  }

  #remember(tx: NonInviteServerTransaction, message: SipMessage, until: SteadyMs): void {
    const [oldest] = this.#early.keys();
    if (this.#early.size >= orphansRememberedMax && oldest !== undefined) this.#early.delete(oldest);
    this.#early.set(earlyKey(serverKey(message, "INVITE"), message, tx.flow), { tx, message, until });
    this.#earlyUntil = Math.max(this.#earlyUntil, until);
  }

  get hasEarlyCancels(): boolean {
    return this.#early.size > 0;
  }

  /**
   * The CANCEL that was answered here for the INVITE with this key, before that was in hand; undefined: none. One that proves nothing ends nothing but
   * what has the same source, Call-ID and From tag: a branch can be guessed.
   */
  earlyCancelOf(key: string, invite: SipMessage, flow: string, now: SteadyMs): EarlyCancel | undefined {
    if (this.#early.size === 0) return undefined;
    if (now >= this.#earlyUntil) this.#early.clear();
    const early = this.#early.get(earlyKey(key, invite, flow));
    return early === undefined || now >= early.until ? undefined : early;
  }

  /**
   * The same for one that has come again, and may ring where it went before. That is at a phone that has no connection now, or whose answer to the
   * copy goes another way. Such a phone says what it has said, with the Vias of the first one. `owner`: of the copy's transaction.
   */
  alsoCancel(tx: NonInviteServerTransaction, message: SipMessage, owner: unknown, now: SteadyMs): void {
    const request = now < this.#until ? this.#options.proxy.preprocess(message, tx.flow) : undefined;
    if (request === undefined || isParseError(request)) return;
    const copy = isResponseContext(owner) ? owner : undefined;
    const orphan = this.#orphanOf(request);
    this.#cancelWhereItRings({ request, orphan, responseFlow: undefined, said: new Set(), unproven: 0, copy, at: now }, now);
  }

  /** A refusal without a transaction. True: that is all, its caller has had the last word. */
  refused(response: SipMessage, branch: string): boolean {
    const cancelled = this.#cancelled.get(branch);
    if (cancelled === undefined) return false;
    this.#shares.release(cancelled.orphan);
    this.#noteRefusal(response, branch);
    const cancel = parseMessage(cancelled.cancel);
    if (!isParseError(cancel)) this.#options.transport.send(cancelled.flow, buildAckForNon2xx(cancel, response));
    return cancelled.responseFlow === undefined;
  }

  /** An ACK outside of dialogs: for a refusal that has gone on by its Vias. It goes where that came from, and nowhere else. */
  ack(request: Preprocessed, now: SteadyMs): void {
    if (now >= this.#until || (this.#refused.size === 0 && this.#cancelled.size === 0)) return;
    const { env, transport } = this.#options;
    for (const target of this.#targets(request, now)) {
      const onward = onwardToTarget(env, request, target, now);
      // By its call where the ACK is not quite as the INVITE was: phones exist that write it anew.
      const isKnown = this.#refused.has(request.message.callId) || this.#refused.has(onward?.branch ?? "");
      if (onward === undefined || !(isKnown || this.#cancelled.has(onward.branch))) continue;
      transport.send(onward.flow, onward.octets);
    }
  }

  /**
   * A response of one that nobody knows goes on. After a 2xx its other phones stop ringing (RFC 3261 16.7 10), and a refusal is what becomes of its call.
   * What they were called by is guessed from To, and the guess is right when the phone that has answered is found by it.
   */
  answered(response: SipMessage, branch: string, upstream: string, now: SteadyMs): void {
    const { env, proxy, calls } = this.#options;
    if (now >= this.#until) return;
    this.#noteRefusal(response, branch);
    const cancel = cancelOf(response);
    const request = cancel === undefined ? undefined : proxy.preprocess(cancel, upstream);
    if (request === undefined || isParseError(request)) return;
    const targets = this.#targets(request, now);
    const onwards = targets.map((target) => onwardToTarget(env, request, target, now));
    const from = onwards.find((onward) => onward?.branch === branch);
    if (from === undefined) return;
    if (response.status >= 300) return calls.refusedInPassing(request.message, response.status, [upstream, from.flow], now);
    this.#cancelOthers(targets, onwards, branch, now);
  }

  #cancelOthers(targets: readonly Target[], onwards: readonly (Onward | undefined)[], branch: string, now: SteadyMs): void {
    const { env, transactions } = this.#options;
    for (const [index, onward] of onwards.entries()) {
      const target = targets[index];
      if (onward === undefined || onward.branch === branch || target === undefined || transactions.hasClient(onward.branch, "CANCEL"))
        continue;
      this.#say(onward, isUnproven(env, target, onward.flow), true, now);
    }
  }

  #noteRefusal({ callId, cSeq, status }: SipMessage, branch: string): void {
    if (status < 300 || isParseError(cSeq) || cSeq.method !== "INVITE") return;
    for (const each of [branch, callId]) {
      const [oldest] = this.#refused;
      if (this.#refused.size >= 2 * orphansRememberedMax && oldest !== undefined) this.#refused.delete(oldest);
      this.#refused.add(each);
    }
  }

  /** Where the caller listens whose INVITE had this branch: it may have come back on another connection to hang up. */
  callerOf(branch: string): string | undefined {
    return this.#cancelled.get(branch)?.responseFlow;
  }

  #orphanOf(request: Preprocessed): Orphan {
    const { map, isKnown } = this.#options;
    const { flow } = request;
    const callee = request.token === undefined ? (callingOf(map(), request.message).callee ?? "") : "";
    return { source: sourceOfFlow(flow), callee, isStranger: !isKnown(flow), until: 0 };
  }

  #cancelWhereItRings(hangup: Hangup, now: SteadyMs): void {
    const look = (_flows: unknown, at: SteadyMs): boolean => {
      this.#cancelAll(hangup, at);
      return false;
    };
    // Phones that have lost their connections with us come back, and ring still.
    const addressOfRecord = hangup.orphan.callee;
    const until = addressOfRecord === "" ? now : now + phoneReturnMs;
    this.#options.finder.start({ addressOfRecord, until, look, giveUp: () => undefined }, now);
    if (hangup.copy === undefined) return;
    const whenSilent = (at: SteadyMs): void => this.#cancelAll(hangup, at);
    this.#options.finder.start({ addressOfRecord, until: now + phoneSilentMs, look: () => false, giveUp: whenSilent }, now);
  }

  #cancelAll(hangup: Hangup, now: SteadyMs): void {
    const { env } = this.#options;
    const { request, responseFlow, said, orphan } = hangup;
    for (const target of this.#targets(request, now)) {
      const onward = onwardToTarget(env, request, target, now);
      const place = `${onward?.flow} ${target.requestUri}`;
      if (onward === undefined || said.has(place) || isSeenTo(hangup, onward.branch, now)) continue;
      said.add(place);
      const isDoubtful = isUnproven(env, target, onward.flow);
      if (isDoubtful && hangup.unproven >= unprovenTargetsMax) continue;
      if (isDoubtful) hangup.unproven += 1;
      if (!this.#shares.count(orphan, now)) return;
      const [oldest] = this.#cancelled.keys();
      if (this.#cancelled.size >= orphansRememberedMax && oldest !== undefined) this.#cancelled.delete(oldest);
      this.#cancelled.set(onward.branch, { responseFlow, flow: onward.flow, cancel: onward.octets, orphan });
      this.#say(onward, isDoubtful, orphan.isStranger, now);
    }
  }

  /** Over UDP it is repeated until it is heard; for a stranger, who may have made it up, a few times. */
  #say({ octets, branch, flow }: Onward, isOnce: boolean, isStranger: boolean, now: SteadyMs): void {
    const tx = this.#options.transactions.request(octets, "CANCEL", branch, flow, now, undefined, isOnce ? "once" : "usual");
    if (isStranger) tx.endsAt = now + strangersCancelMs;
  }

  #targets(request: Preprocessed, now: SteadyMs): readonly Target[] {
    const { map, targets, isServedHere, dialogTarget } = this.#options;
    const { message, token } = request;
    const inDialog = token === undefined ? undefined : dialogTarget(request, now);
    if (token !== undefined) return inDialog === undefined || "status" in inDialog ? [] : [inDialog];
    const { callee } = callingOf(map(), message);
    if (callee === undefined || (message.toTag !== undefined) !== (message.method === "ACK") || !isServedHere(callee)) return [];
    return targets(callee, message.requestUri.startsWith("sips:"), now).slice(0, branchesMax);
  }
}

function earlyKey(key: string | undefined, { callId, fromTag = "" }: SipMessage, flow: string): string {
  return `${key ?? ""} ${callId} ${fromTag} ${sourceOfFlow(flow)}`;
}

/**
 * Whether the proxy sees to the phone of this branch of the copy. The phone has answered, or has just been called and is not to be cancelled before
 * it has (RFC 3261 9.1). One that is silent, or was not reached, may ring by the first copy.
 */
function isSeenTo({ copy, at }: Hangup, branch: string, now: SteadyMs): boolean {
  const found = copy?.branches.findLast(({ via }) => via.branch === branch);
  if (found === undefined) return false;
  return found.state === "Finished" ? !found.isLost : found.state !== "Calling" || now - at < phoneSilentMs;
}

/** The CANCEL of the INVITE that a final response answers, as its caller would say it; undefined for other responses. */
function cancelOf(response: SipMessage): SipMessage | undefined {
  const { cSeq, to, callId, status } = response;
  if (isParseError(cSeq) || cSeq.method !== "INVITE" || isParseError(to) || status < 200) return undefined;
  const cancel = parseMessage(
    octetsOf(
      `CANCEL ${to.uri} SIP/2.0\r\nVia: SIP/2.0/UDP invalid.invalid;rport=0\r\nMax-Forwards: ${maxForwardsDefault}\r\n` +
        `From: ${response.text(Header.From) ?? ""}\r\nTo: <${to.uri}>\r\nCall-ID: ${callId}\r\nCSeq: ${cSeq.number} CANCEL\r\n` +
        `${answeredElsewhere}Content-Length: 0\r\n\r\n`,
    ),
  );
  return isParseError(cancel) ? undefined : cancel;
}
