import { contactOf } from "../../sip/dialog/dialog.ts";
import { presentFlow, type Phone, type PhoneFlow } from "../../sip/dialog/present-flow.ts";
import { isAlong } from "../../sip/dialog/route-set.ts";
import { isParseError } from "../../sip/errors.ts";
import { phoneReturnMs } from "../../sip/limits.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import { isSipUri } from "../../sip/message/uri.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { Wanted } from "../../sip/proxy/environment.ts";
import type { Target } from "../../sip/proxy/target-set.ts";
import type { Preprocessed } from "../../sip/proxy/route-preprocessing.ts";
import type { DialogSide } from "../../sip/record/values.ts";
import type { ServerTransaction } from "../../sip/transaction/transaction.ts";
import { accessOfFlow, isReliable, transportOfFlow } from "../../sip/flow/flow.ts";
import { fallbackFlow } from "../../sip/flow/response-flow.ts";
import type { Accesses } from "./accesses.ts";
import { addressOfRecordOfParty, callingOf } from "./caller.ts";
import type { DialogKeeper } from "./dialog-keeper.ts";
import type { Claimant, DialogWays, NoWay, Receiver } from "./dialog-ways.ts";
import type { PhoneFinder } from "./phone-finder.ts";
import type { RegistrarDesk } from "./registrar-desk.ts";
import type { Clocks, SteadyMs, WallMs } from "../../sip/time.ts";

/** ACKs, and responses without a transaction, that were sent again and are remembered, so that none goes to and fro. */
const sentAgainMax = 1_000;

/** A phone that is not where it was. */
type Wayward = Phone & {
  /** In our domains; empty: it is from outside, and registered nowhere here. */
  readonly addressOfRecord: string;
  /** The flow that it had, where `flow` does not say it any more. */
  readonly had?: string;
  /** Nothing is known of it but that flow, and nobody else may be taken for it. */
  readonly isKnownByFlow?: true;
};

/** What is known of a phone that is in no dialog. */
const stranger = { contact: "", instanceId: "", addressOfRecord: "" };

const noRoutes: readonly string[] = [];
const offTheRoute: NoWay = { status: 403, reason: "Not the Route of This Dialog" };
const nowhere: NoWay = { status: 481, reason: "Call/Transaction Does Not Exist" };

/** Where an in-dialog request goes, once its sender has proved what he says that he is, and without what is not his to say. */
export type DialogTarget = Target & { readonly unproved?: Claimant; readonly isOfStranger?: boolean };

type Hunt = {
  readonly phone: Wayward;
  /** Flows that do not lead there. */
  readonly failed: readonly string[];
  /** How long it is waited for. */
  readonly until: SteadyMs;
  /** Told where the phone is; undefined: it has not come back. */
  readonly found: (flow: string | undefined, now: SteadyMs) => void;
  /** What is done before it is waited for, once; true: something was. */
  readonly instead?: (now: SteadyMs) => boolean;
};

export type WhereaboutsOptions = {
  readonly wallAt: Clocks["wallAt"];
  readonly map: () => ClusterMap;
  readonly accesses: Accesses;
  readonly dialogs: DialogKeeper;
  readonly ways: DialogWays;
  readonly finder: PhoneFinder;
  readonly registrar: RegistrarDesk;
  /** The flows of an address-of-record of this exchange; undefined: another one serves it. */
  readonly flowsHere: (addressOfRecord: string, now: SteadyMs) => readonly PhoneFlow[] | undefined;
  readonly send: (flow: string, octets: Uint8Array) => void;
  /** Where an in-dialog request goes, that waits under this reference. */
  readonly resolved: (reference: string, flows: readonly string[], now: SteadyMs) => void;
  /** Targets for an initial request that waits under this reference. */
  readonly returned: (reference: string, targets: readonly Target[], now: SteadyMs) => void;
  readonly moveResponse: (tx: ServerTransaction, response: SipMessage, flow: string | undefined, now: SteadyMs) => void;
};

/**
 * Where the phones of dialogs and transactions are now. They are on the flow they had, or on the one that they came back on (RFC 5626 4.3). Having
 * none, they are at their Contact.
 */
export class Whereabouts {
  readonly #options: WhereaboutsOptions;
  /** By branch. */
  readonly #ackedAgain = new Set<string>();
  /** By branch and the flow that was found. */
  readonly #answeredAgain = new Set<string>();

  constructor(options: WhereaboutsOptions) {
    this.#options = options;
  }

  /**
   * Where a request within a dialog goes. It goes on the flow that its phone has now, or to its Contact, by the proxies that were recorded there. Not
   * where its Request-URI and its Route say, if that is elsewhere. Undefined: it is in no dialog that is known, and brings no token.
   */
  dialogTarget(request: Preprocessed, now: SteadyMs): DialogTarget | NoWay | undefined {
    const phone = this.#options.ways.receiverOf(request, now);
    if (phone === undefined || "status" in phone) return phone;
    const target = this.#targetOf(phone, request, now);
    if ("status" in target) return target;
    if (phone.isOfStranger === true) return { ...target, isOfStranger: true };
    return phone.unproved === undefined ? target : { ...target, unproved: phone.unproved };
  }

  #targetOf(phone: Receiver, request: Preprocessed, now: SteadyMs): Target | NoWay {
    const { message } = request;
    const { requestUri } = message;
    const { addressOfRecord, contact, routes: recorded } = phone;
    const hasRoutes = request.routes.length > 0;
    if (recorded !== undefined && hasRoutes && !isAlong(request.routes, recorded)) return offTheRoute;
    // RFC 3261 12.2.1.1: who has lost the route set goes by it all the same.
    const routes = hasRoutes || recorded === undefined ? noRoutes : recorded;
    if (phone.flow === "") {
      if (contact === "") return nowhere;
      const target = contact === requestUri ? { requestUri, routes } : { requestUri, routes, nextHop: contact };
      // A phone of ours that has moved is found by its bindings, when nothing comes back.
      return addressOfRecord === "" ? target : { ...target, seek: "onFailure" };
    }
    const flows = (addressOfRecord === "" ? undefined : this.#options.flowsHere(addressOfRecord, now)) ?? [];
    const flow = presentFlow(phone, flows, (each) => this.#options.accesses.usable(each) !== undefined);
    if (flow === undefined) return { requestUri, routes, seek: "first" };
    if (flow !== phone.flow) this.#options.dialogs.receiverMoved(message, flow, now);
    return { requestUri, routes, flow, seek: "onFailure" };
  }

  /** See `ProxyEnvironment.seek`. */
  seek(wanted: Wanted, now: SteadyMs): void {
    if (wanted.target.seek === "registration") return this.#awaitRegistration(wanted, now);
    const { request, failed, reference } = wanted;
    const { dialogs, resolved } = this.#options;
    const known = this.#options.ways.receiverOf(request, now) ?? this.#calledPhone(wanted);
    if ("status" in known) return resolved(reference, [], now);
    const isKnownByFlow = "isKnownByFlow" in known;
    const phone = isKnownByFlow ? this.#byFlow(request.message.to, known.flow) : known;
    // A dialog that is unknown here, on a flow that is out of reach, is known behind a cut. There it is known, too, where its phone is now.
    const until = isKnownByFlow && this.#isWayMissing(phone.flow, failed) ? (wanted.wayUntil ?? wanted.until) : wanted.until;
    const found = (flow: string | undefined, at: SteadyMs): void => {
      if (flow !== undefined) dialogs.receiverMoved(request.message, flow, at);
      resolved(reference, flow === undefined ? [] : [flow], at);
    };
    const instead = (at: SteadyMs): boolean => {
      // One look: it answers where it was, though as if it were another.
      const flow = until <= now ? undefined : this.#contactFlow(request, phone.contact, failed);
      if (flow !== undefined) resolved(reference, [flow], at);
      return flow !== undefined;
    };
    if (wanted.target.seek !== "onSilence") return this.#find({ phone, failed, until, found, instead }, now, reference);
    // It goes on where it is as long as nothing better is known.
    const foundLater = (flow: string | undefined, at: SteadyMs): void => (flow === undefined ? undefined : found(flow, at));
    this.#find({ phone, failed, until, found: foundLater }, now, reference);
  }

  /** See `ProxyEnvironment.mayReturn`. */
  mayReturn({ message, token }: Preprocessed, now: SteadyMs): boolean {
    const { map, flowsHere, registrar, accesses } = this.#options;
    const { callee } = callingOf(map(), message);
    if (token !== undefined || callee === undefined || flowsHere(callee, now) === undefined) return false;
    return registrar.mayReturn(callee, now, (flow) => accesses.isLostLately(flow, now));
  }

  /** The ACK of a 2xx is repeated by nobody when its connection has been lost: once more, where the phone is now, or will be. */
  ackLost(ack: SipMessage, failed: string, now: SteadyMs): void {
    const side = this.#options.dialogs.receiverOf(ack) ?? this.#byFlow(ack.to, failed);
    const via = ack.topVia;
    if (isParseError(via) || via.branch === undefined || this.#ackedAgain.has(via.branch)) return;
    if (this.#ackedAgain.size >= sentAgainMax) this.#ackedAgain.clear();
    this.#ackedAgain.add(via.branch);
    const octets = ack.octets.slice(ack.start, ack.end);
    const found = (flow: string | undefined): void => (flow === undefined ? undefined : this.#options.send(flow, octets));
    this.#find({ phone: { ...side, heardAt: 0 }, failed: this.#deadOf(failed), until: now + phoneReturnMs, found }, now);
  }

  /**
   * The connection of a client is gone before it has got its answer: it may have come back on another one, or be about to. Where nothing but its user
   * is known any phone that has registered lately will do: a wrong one drops it. A BYE has no Contact, and its dialog is over. That the way to the
   * old connection opens does not end the search: its gateway may have started anew, without it.
   */
  responseLost(tx: ServerTransaction, response: SipMessage, now: SteadyMs): boolean {
    const { accesses, dialogs, map, moveResponse } = this.#options;
    const lost = tx.responseFlow;
    const dead = this.#deadOf(lost);
    // The flow of the request was given up before; who serves its user may not know yet that it is gone.
    const failed = lost === tx.flow ? dead : [tx.flow, ...dead];
    const addressOfRecord = addressOfRecordOfParty(map(), response.from);
    if (!isReliableFlow(lost) || (addressOfRecord === "" && dead.length > 0)) return false;
    const contact = tx.request === undefined ? undefined : contactOf(tx.request);
    const { contact: uri = "", instanceId = "" } =
      contact === undefined ? (dialogs.senderOf(response) ?? {}) : { ...contact, contact: contact.uri };
    const phone = { contact: uri, instanceId, flow: dead.length > 0 ? "" : lost, had: lost, heardAt: 0, addressOfRecord };
    const found = (flow: string | undefined, at: SteadyMs): void => {
      if (flow !== undefined && flow !== lost) tx.isMoved = true;
      moveResponse(tx, response, flow, at);
    };
    const instead = (at: SteadyMs): boolean => {
      const via = response.topVia;
      const fallback = isParseError(via) ? undefined : fallbackFlow(via, lost);
      if (fallback === undefined || accesses.usable(fallback) === undefined) return false;
      moveResponse(tx, response, fallback, at);
      return true;
    };
    this.#find({ phone, failed, until: now + phoneReturnMs, found, instead }, now);
    return true;
  }

  /**
   * A 2xx that its phone says again has reached nobody. The connection of its client may be half open, and the client on another one (RFC 5626 4.3).
   * It is said there, too, and next time first there.
   */
  unacknowledged(tx: ServerTransaction, octets: Uint8Array, now: SteadyMs): void {
    const { dialogs, moveResponse } = this.#options;
    const response = parseMessage(octets);
    if (isParseError(response)) return;
    const lost = tx.responseFlow;
    const side = dialogs.senderOf(response) ?? this.#byFlow(response.from, lost);
    const found = (flow: string | undefined, at: SteadyMs): void => (flow === undefined ? undefined : moveResponse(tx, response, flow, at));
    this.#find({ phone: { ...side, flow: "", had: lost, heardAt: 0 }, failed: [lost], until: now, found }, now);
  }

  /**
   * A response that has no transaction here, and whose client is not where its Via says. It is said once more, where the dialog's record finds the
   * client. `client`: as that was before this response ended it. Without any, where the client was, when a way there opens. That another cell can be
   * reached again is known a little later than messages come from it. The callee says a 2xx again until it is acknowledged, so each time counts anew.
   */
  strayLost(response: SipMessage, lost: string, client: DialogSide | undefined, now: SteadyMs): void {
    const failed = this.#deadOf(lost);
    const isAwaited = response.status >= 200 && failed.length === 0 && isReliableFlow(lost);
    const known = client ?? this.#options.dialogs.senderOf(response);
    // What a phone says again has the Vias of the first copy. The flow that is signed in them may have died with both replicas.
    const side = known ?? (isAwaited ? stranger : this.#byFlow(response.from, lost));
    const via = response.topVia;
    if (isParseError(via) || via.branch === undefined) return;
    const { branch } = via;
    if (this.#answeredAgain.delete(`${branch} ${lost}`)) return;
    const octets = response.octets.slice(response.start, response.end);
    const found = (flow: string | undefined): void => {
      if (flow === undefined) return;
      if (this.#answeredAgain.size >= sentAgainMax) this.#answeredAgain.clear();
      this.#answeredAgain.add(`${branch} ${flow}`);
      this.#options.send(flow, octets);
    };
    const phone = { ...side, flow: failed.length > 0 ? "" : lost, had: lost, heardAt: 0 };
    this.#find({ phone, failed, until: now + phoneReturnMs, found }, now);
  }

  #find({ phone, failed, until, found, instead }: Hunt, now: SteadyMs, name?: string): void {
    const { accesses, finder } = this.#options;
    const isGood = (flow: string): boolean => !failed.includes(flow) && accesses.usable(flow) !== undefined;
    let isFirst = true;
    const look = (flows: readonly PhoneFlow[] | undefined, at: SteadyMs): boolean => {
      const flow = presentFlow(phone, isAnyone(phone) ? likelyOnes(phone, flows ?? [], this.#options.wallAt(at)) : (flows ?? []), isGood);
      if (flow !== undefined) found(flow, at);
      if (flow !== undefined || flows === undefined) return flow !== undefined;
      const isInstead = isFirst && instead?.(at) === true;
      isFirst = false;
      return isInstead;
    };
    const { addressOfRecord } = phone;
    const giveUp = (at: SteadyMs): void => found(undefined, at);
    const search = { addressOfRecord, until: this.#mayComeBack(phone, failed, now) ? until : now, isOnce: until <= now, look, giveUp };
    finder.start(search, now, name);
  }

  /** Whether it is worth to wait: for the way to its flow, or for its REGISTER. */
  #mayComeBack({ flow, addressOfRecord }: Wayward, failed: readonly string[], now: SteadyMs): boolean {
    const { flowsHere, registrar } = this.#options;
    if (this.#isWayMissing(flow, failed)) return true;
    if (addressOfRecord === "") return false;
    return flowsHere(addressOfRecord, now) === undefined || registrar.mayReturn(addressOfRecord, now, () => true);
  }

  /** Whether its flow is not known to be dead, but cannot be reached: its gateway is away, or its cell, perhaps for this one only. */
  #isWayMissing(flow: string, failed: readonly string[]): boolean {
    return flow !== "" && !failed.includes(flow) && this.#options.accesses.usable(flow) === undefined;
  }

  /** An initial request goes to every phone that registers in time (RFC 3261 16.5), and to flows to which a way opens. */
  #awaitRegistration({ request, until, reference }: Wanted, now: SteadyMs): void {
    const { accesses, finder, map, registrar, resolved, returned } = this.#options;
    const addressOfRecord = callingOf(map(), request.message).callee ?? "";
    const isSecure = request.message.requestUri.startsWith("sips:");
    const isUsable = (flow: string): boolean => accesses.usable(flow) !== undefined;
    const giveUp = (at: SteadyMs): void => resolved(reference, [], at);
    const look = (_flows: unknown, at: SteadyMs): boolean => {
      const targets = registrar.targetsSince(addressOfRecord, now, at, isSecure, isUsable);
      if (targets.length > 0) returned(reference, targets, at);
      // The last one has taken itself off.
      const isOver = targets.length === 0 && !registrar.mayReturn(addressOfRecord, at, () => true);
      if (isOver) giveUp(at);
      return isOver;
    };
    finder.start({ addressOfRecord, until, look, giveUp }, now, reference);
  }

  /** The flow, unless it is the way there that is missing. */
  #deadOf(flow: string): readonly string[] {
    return this.#options.accesses.usable(flow) === undefined ? [] : [flow];
  }

  /**
   * A phone of which no record speaks. It is the receiver of a request within a dialog, by its To, or the client of a response, by its From. That
   * says whose bindings are looked at; the flow, which a token or a Via of ours has named, says which of them it is. So whoever writes another name
   * finds nobody.
   */
  #byFlow(party: SipMessage["to"], flow: string): Wayward {
    const addressOfRecord = addressOfRecordOfParty(this.#options.map(), party);
    return { contact: "", instanceId: "", flow, heardAt: 0, addressOfRecord, isKnownByFlow: true };
  }

  /** The phone that an initial request has gone to. */
  #calledPhone({ request, target }: Wanted): Wayward {
    const addressOfRecord = callingOf(this.#options.map(), request.message).callee ?? "";
    return { contact: target.requestUri, instanceId: target.group ?? "", flow: target.flow ?? "", heardAt: 0, addressOfRecord };
  }

  /**
   * A phone that has no connection any more may take one at its Contact. Only there: a token is no leave to call anybody. Not one that says that it
   * is reached on its flow only (`ob`, RFC 5626 5.3). What answers at the address of a connection that is gone may be somebody else.
   */
  #contactFlow(request: Preprocessed, contact: string, failed: readonly string[]): string | undefined {
    const { requestUri, parsedRequestUri: uri } = request.message;
    if (contact !== requestUri || this.#options.dialogs.receiverOf(request.message) === undefined) return undefined;
    if (isParseError(uri) || !isSipUri(uri) || uri.params.has("ob")) return undefined;
    const flow = this.#options.accesses.numericFlow(uri, accessOfFlow(request.flow));
    return flow === undefined || failed.includes(flow) ? undefined : flow;
  }
}

/** Nothing is known of it but its user. */
function isAnyone({ contact, instanceId }: Phone): boolean {
  return contact === "" && instanceId === "";
}

/**
 * Where a phone of which nothing else is known may be now: on the flows of whatever was registered in the place of its flow. Else, if others may be
 * taken for it, it may be on what was registered so lately that it may have been.
 */
function likelyOnes({ flow, had = flow, isKnownByFlow }: Wayward, flows: readonly PhoneFlow[], now: WallMs): PhoneFlow[] {
  const own = flowsBeside(had, flows);
  const isCertain = own.length > 0 || isKnownByFlow === true;
  const likely = isCertain ? own : flows.filter(({ registeredAt }) => now - registeredAt <= phoneReturnMs);
  return likely.map((each) => ({ ...each, contact: "", instanceId: "" }));
}

/** The flows of the phone that has, or had, this one. A phone with two of them has two bindings of one instance (RFC 5626 4.2). */
function flowsBeside(had: string, flows: readonly PhoneFlow[]): readonly PhoneFlow[] {
  const there = flows.filter(({ flow, formerFlows }) => flow === had || formerFlows?.includes(had) === true);
  const instances = there.map(({ instanceId }) => instanceId);
  return flows.filter((each) => there.includes(each) || (each.instanceId !== "" && instances.includes(each.instanceId)));
}

/** True for flows that are connections. */
export function isReliableFlow(flow: string): boolean {
  return isReliable(transportOfFlow(flow) ?? "UDP");
}
