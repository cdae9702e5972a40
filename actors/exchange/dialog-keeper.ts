import {
  confirmed,
  dialogFrom2xx,
  dialogFromPassing2xx,
  dialogKeyOf,
  isEndingOfOurs,
  onBye,
  onInDialogRequest,
  onResponse,
  otherSide,
  senderOf,
  withFlow,
  type Side,
  type SideContext,
} from "../../sip/dialog/dialog.ts";
import { isOfFirstInvite } from "../../sip/dialog/route-set.ts";
import { isParseError } from "../../sip/errors.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { flowBackTo, hasUselessContact } from "../../sip/proxy/record-route.ts";
import type { Branch } from "../../sip/proxy/branch.ts";
import { isSubscriptionKey, subscriptionKey } from "../../sip/record/dialog-record.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import { makeTombstone } from "../../sip/record/tombstone.ts";
import type { CallNote, Dialog, DialogSide } from "../../sip/record/values.ts";
import { cellOfVersion } from "../../sip/record/version.ts";
import type { ServerTransaction } from "../../sip/transaction/transaction.ts";
import { isReliable, transportOfFlow } from "../../sip/flow/flow.ts";
import { sourceOfFlow } from "../../sip/flow/source.ts";
import type { CallKeeper } from "./call-keeper.ts";
import { callingOf, claimOfParty, isPlainly, type Calling } from "./caller.ts";
import { isOfSubscription, SubscriptionKeeper } from "./subscription-keeper.ts";
import type { SteadyMs } from "../../sip/time.ts";
import type { RecordClock } from "./record-clock.ts";

/** One end of an answered INVITE, as the exchange knows it. */
export type AnsweredSide = SideContext;

/** A 2xx to an initial INVITE. `call`: what is known of its beginning; absent: its call is noted elsewhere. */
export type Answer = {
  readonly request: SipMessage;
  readonly response: SipMessage;
  readonly caller: AnsweredSide;
  readonly callee: AnsweredSide;
  readonly call?: CallNote | undefined;
};

/** The record of a message's dialog, or of the subscription in it, and the side that its From names. */
export type KnownDialog = { readonly key: string; readonly dialog: Dialog; readonly sender: Side };

/**
 * Keeps the dialog records of the calls that pass. A 2xx makes one, the ACK confirms it, target refreshes move it, and the answer to a BYE ends it.
 * They say where in-dialog requests may go, and where a phone is that came back on another flow.
 */
export class DialogKeeper {
  readonly subscriptions: SubscriptionKeeper;
  readonly #store: RecordStore;
  readonly #clock: RecordClock;
  readonly #map: () => ClusterMap;
  readonly #calls: CallKeeper;

  constructor(store: RecordStore, clock: RecordClock, map: () => ClusterMap, calls: CallKeeper) {
    this.#map = map;
    this.#calls = calls;
    this.#store = store;
    this.#clock = clock;
    this.subscriptions = new SubscriptionKeeper(store, clock);
  }

  /** Calls, not subscriptions: goes through them all. */
  get count(): number {
    let count = 0;
    for (const { key } of this.#store.records("dialog")) if (!isSubscriptionKey(key)) count += 1;
    return count;
  }

  /**
   * A final response is about to be forwarded: what it means for the dialog. `branch` and `response` undefined: it is one of our own. `call`: what is
   * known of its beginning, where the response answers an initial INVITE. False: it does, and there is no room to follow its dialog.
   */
  follow(
    tx: ServerTransaction,
    status: number,
    branch: Branch | undefined,
    response: SipMessage | undefined,
    now: SteadyMs,
    call?: CallNote,
  ): boolean {
    const { request } = tx;
    if (request !== undefined && isOfSubscription(tx.method)) this.#followSubscription(tx, request, status, branch, response, now);
    // RFC 2543: the callee may have no tag.
    const isInDialog = (each: SipMessage): boolean => {
      return each.toTag !== undefined || (tx.kind !== "inviteServer" && this.#known(each) !== undefined);
    };
    if (request !== undefined && isInDialog(request)) {
      this.finished(request, status, response, now);
      return true;
    }
    if (tx.kind !== "inviteServer" || status >= 300 || response === undefined || branch === undefined) return true;
    const { group = "" } = branch.target;
    // A phone that moves while it rings answers on its new connection.
    const flow = branch.target.flow === undefined && !hasUselessContact(response) ? "" : branch.client?.answeredOn || branch.flow;
    const map = this.#map();
    if (request === undefined) {
      // Another phone has answered as well (RFC 3261 16.7 10), or the same one again.
      const caller = callerOf(claimedBy(map, response.from), flowIfReliable(tx.flow), tx.flow);
      this.passed(response, caller, { ...sideOf(claimedBy(map, response.to), flow), instanceId: group }, now);
      return true;
    }
    const calling = callingOf(map, request);
    const caller = callerOf(calling.caller ?? "", flowBackTo(request, tx.flow), tx.flow);
    const callee = { ...sideOf(calling.callee ?? "", flow), instanceId: group };
    const name = isPlainly(request.to, callee.addressOfRecord) ? undefined : claimOfParty(map, request.to)?.addressOfRecord;
    const isNamed = name !== undefined && name !== callee.addressOfRecord;
    return this.answered({ request, response, caller, callee: isNamed ? { ...callee, name } : callee, call }, now);
  }

  #followSubscription(
    tx: ServerTransaction,
    request: SipMessage,
    status: number,
    branch: Branch | undefined,
    response: SipMessage | undefined,
    now: SteadyMs,
  ): void {
    const map = this.#map();
    const { flow = "", group = "" } = branch?.target ?? {};
    const sender = sideOf(claimedBy(map, request.from), flowBackTo(request, tx.flow));
    const receiver = { ...sideOf(claimedBy(map, request.to), flow), instanceId: group };
    const dialog = this.#known(request)?.dialog;
    this.subscriptions.finished({ request, status, response, sender, receiver, dialog, now });
  }

  /** The same for a response whose request another replica forwarded: it came on `flow` and goes on to `upstream`. True: something changed. */
  followStray(response: SipMessage, upstream: string, flow: string, now: SteadyMs): boolean {
    const map = this.#map();
    const caller = callerOf(claimedBy(map, response.from), flowIfReliable(upstream), upstream);
    return this.passed(response, caller, sideOf(claimedBy(map, response.to), flowIfReliable(flow)), now);
  }

  /** A 2xx to an initial INVITE is about to be forwarded. False: its dialog is not kept. */
  answered({ call, ...answer }: Answer, now: SteadyMs): boolean {
    const version = this.#clock.tick(now);
    const dialog = dialogFrom2xx({ ...answer, version, now: this.#clock.wallAt(now) });
    if (dialog === undefined) return false;
    const { key } = dialog;
    const known = this.#store.dialog(key);
    // A copy of it has passed before its INVITE was known here.
    if (known !== undefined && (known.call !== undefined || call === undefined)) return true;
    if (known === undefined && !this.#store.dialogShares.mayKeep(dialog.value)) return false;
    const value = known ?? dialog.value;
    this.#store.apply({ kind: "dialog", key, version, value: call === undefined ? value : { ...value, call } });
    return true;
  }

  /** An in-dialog request that came on this flow passes. A BYE changes nothing until it is answered. */
  requested(request: SipMessage, flow: string, now: SteadyMs): void {
    if (request.method === "BYE") return;
    const known = this.#known(request);
    if (known === undefined) return;
    const { key, dialog } = known;
    const version = this.#clock.tick(now);
    this.#put(key, dialog, onInDialogRequest(dialog, request, flowBackTo(request, flow), version).dialog, version, now);
  }

  /** Whether there is room for another dialog of this caller; `flow`: where his INVITE came from. */
  mayBegin({ caller, callee = "" }: Calling, flow: string): boolean {
    return this.#store.dialogShares.mayBegin(callee, caller === undefined ? (): string => sourceOfFlow(flow) : undefined);
  }

  /** What is known of a message's dialog; undefined: there is no record of it that counts. That of a subscription counts for its own requests only (RFC 5057). */
  known(message: SipMessage, now: SteadyMs): KnownDialog | undefined {
    const known = this.#known(message);
    if (known === undefined || !isSubscriptionKey(known.key)) return known;
    return known.dialog.expiresAt > this.#clock.wallAt(now) && (message.method === "NOTIFY" || message.method === "SUBSCRIBE")
      ? known
      : undefined;
  }

  /** Whether it is remembered that a dialog is over. */
  hasEnded(key: string): boolean {
    const record = this.#store.get("dialog", key);
    return record !== undefined && record.value === undefined;
  }

  /** The side that an in-dialog request is for; undefined: there is no record of the dialog. */
  receiverOf(request: SipMessage): DialogSide | undefined {
    const known = this.#known(request);
    return known?.dialog[otherSide(known.sender)];
  }

  /** The side that sent a request, or whose request a response answers. */
  senderOf(message: SipMessage): DialogSide | undefined {
    const known = this.#known(message);
    return known?.dialog[known.sender];
  }

  /** The side that an in-dialog request is for has been found on another flow. */
  receiverMoved(request: SipMessage, flow: string, now: SteadyMs): void {
    const known = this.#known(request);
    if (known === undefined) return;
    const { key, dialog, sender } = known;
    const version = this.#clock.tick(now);
    this.#put(key, dialog, withFlow(dialog, otherSide(sender), flow, version), version, now);
  }

  /**
   * A final response passes whose request another replica forwarded: the 2xx to a first INVITE makes its dialog, the answer to a BYE ends it. True
   * when that changed something.
   */
  passed(response: SipMessage, caller: AnsweredSide, callee: AnsweredSide, now: SteadyMs): boolean {
    const cSeq = response.cSeq;
    const key = dialogKeyOf(response);
    if (isParseError(cSeq) || key === undefined || response.status < 200) return false;
    const known = this.#store.get("dialog", key);
    if (cSeq.method === "BYE") {
      if (known === undefined) return onBye(response.status) && this.#endUnknown(key, now);
      if (known.value === undefined || !onBye(response.status)) return false;
      this.#noteEnd(key, known.value, response, true, now);
      return this.#store.apply(makeTombstone("dialog", key, this.#clock.tick(now), this.#clock.wallAt(now)));
    }
    if (cSeq.method !== "INVITE" || response.status >= 300 || known !== undefined) return false;
    // Within a call it does not say who has called whom. Whoever let the INVITE pass knows that.
    if (!isOfFirstInvite(response)) return false;
    const version = this.#clock.tick(now);
    const dialog = dialogFromPassing2xx({ response, caller, callee, version, now: this.#clock.wallAt(now) });
    return (
      dialog !== undefined &&
      this.#store.dialogShares.mayKeep(dialog.value) &&
      this.#store.apply({ kind: "dialog", key, version, value: dialog.value })
    );
  }

  /** Nobody here can know whether the ACKs that the other replica saw have passed: its dialogs count as confirmed. */
  confirmAll(now: SteadyMs): void {
    const answered: { readonly key: string; readonly value: Dialog }[] = [];
    for (const record of this.#store.records("dialog")) {
      if (record.value.state === "answered" && cellOfVersion(record.version) !== this.#clock.cell) answered.push(record);
    }
    for (const { key, value } of answered) {
      this.#store.apply({ kind: "dialog", key, version: this.#clock.tick(now), value: confirmed(value) });
    }
  }

  /** An in-dialog request has got its final response; `response` is undefined for one of our own with this status. */
  finished(request: SipMessage, status: number, response: SipMessage | undefined, now: SteadyMs): void {
    const key = dialogKeyOf(request);
    const dialog = key === undefined ? undefined : this.#store.dialog(key);
    if (key === undefined) return;
    if (dialog === undefined) {
      // The peer may have made it while the two were cut off from each other: a call that is over stays over.
      if (request.method === "BYE" && onBye(status)) this.#endUnknown(key, now);
      return;
    }
    const version = this.#clock.tick(now);
    const isOver = response === undefined && isEndingOfOurs(request.method, status);
    if (response === undefined && !isOver) return;
    const after = response === undefined ? undefined : onResponse(dialog, request, response, version, this.#clock.wallAt(now)).dialog;
    if (after === undefined) this.#noteEnd(key, dialog, request, request.method === "BYE", now);
    this.#put(key, dialog, after, version, now);
  }

  /** `message`: what ended it, or the answer to that. */
  #noteEnd(key: string, dialog: Dialog, message: SipMessage, isBye: boolean, now: SteadyMs): void {
    if (!isSubscriptionKey(key)) this.#calls.hungUp(dialog, senderOf(dialog, message), isBye, now);
  }

  #known(message: SipMessage): KnownDialog | undefined {
    const call = dialogKeyOf(message);
    if (call === undefined) return undefined;
    let key = call;
    let dialog = this.#store.dialog(call);
    if (dialog === undefined) {
      const { callId, fromTag = "", toTag = "" } = message;
      key = subscriptionKey(callId, fromTag, toTag);
      dialog = this.#store.dialog(key);
    }
    const sender = dialog === undefined ? undefined : senderOf(dialog, message);
    return dialog === undefined || sender === undefined ? undefined : { key, dialog, sender };
  }

  #endUnknown(key: string, now: SteadyMs): boolean {
    if (this.#store.get("dialog", key) !== undefined) return false;
    return this.#store.apply(makeTombstone("dialog", key, this.#clock.tick(now), this.#clock.wallAt(now)));
  }

  #put(key: string, before: Dialog, after: Dialog | undefined, version: string, now: SteadyMs): void {
    if (after === before) return;
    this.#store.apply(
      after === undefined ? makeTombstone("dialog", key, version, this.#clock.wallAt(now)) : { kind: "dialog", key, version, value: after },
    );
  }
}

/** The address-of-record that a party says as its own, as in the request that made the dialog; empty when it is none of ours. */
function claimedBy(map: ClusterMap, party: SipMessage["from"]): string {
  return claimOfParty(map, party)?.addressOfRecord ?? "";
}

function sideOf(addressOfRecord: string, flow: string): AnsweredSide {
  return { addressOfRecord, flow, instanceId: "" };
}

/** Nothing is known of a caller from outside but where he is. */
function callerOf(addressOfRecord: string, flow: string, cameOn: string): AnsweredSide {
  const side = sideOf(addressOfRecord, flow);
  return addressOfRecord === "" ? { ...side, source: sourceOfFlow(cameOn) } : side;
}

function flowIfReliable(flow: string): string {
  return isReliable(transportOfFlow(flow) ?? "UDP") ? flow : "";
}
