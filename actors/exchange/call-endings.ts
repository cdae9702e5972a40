import type { CallEnding } from "../../cluster/calls/live-call.ts";
import { otherSide, type Side } from "../../sip/dialog/dialog.ts";
import { isParseError } from "../../sip/errors.ts";
import { cSeqMax, maxForwardsDefault } from "../../sip/limits.ts";
import { buildRequest } from "../../sip/message/build.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import { isSipUri, isTelUri, parseUri } from "../../sip/message/uri.ts";
import { nextHopOf, requestUriOf } from "../../sip/proxy/next-hop.ts";
import type { Proxy } from "../../sip/proxy/proxy.ts";
import { hasEnded } from "../../sip/proxy/response-context.ts";
import type { Preprocessed } from "../../sip/proxy/route-preprocessing.ts";
import { callKey } from "../../sip/record/call-record.ts";
import { isSubscriptionKey } from "../../sip/record/dialog-record.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import type { Dialog, DialogSide } from "../../sip/record/values.ts";
import { cellOfVersion } from "../../sip/record/version.ts";
import { serverKey } from "../../sip/transaction/matching.ts";
import type { TransactionLayer } from "../../sip/transaction/transaction-layer.ts";
import type { SteadyMs } from "../../sip/time.ts";
import type { CallKeeper } from "./call-keeper.ts";
import type { NoWay } from "./dialog-ways.ts";
import { ownFlow } from "./outgoing.ts";
import type { DialogTarget } from "./whereabouts.ts";

export type CallEndingsOptions = {
  readonly store: RecordStore;
  readonly cell: string;
  readonly calls: CallKeeper;
  readonly proxy: Proxy;
  readonly transactions: TransactionLayer;
  readonly nextId: () => string;
  /** Where a request within a dialog goes. */
  readonly targetOf: (request: Preprocessed, now: SteadyMs) => DialogTarget | NoWay | undefined;
};

/** RFC 3326: what the phones are told. */
const reasonOfBye = 'Q.850 ;cause=16 ;text="Ended by an operator"';
const reasonOfCancel = 'SIP ;cause=487 ;text="Ended by an operator"';

/**
 * Calls that an operator ends. A proxy is no side of a dialog and has no tag in it. So each phone gets the BYE of the other one: with its tags and its name,
 * and with the next of its CSeq numbers. It goes by the route set and on the flow that the dialog's record has. It takes the same way through the exchange as
 * one that a phone has sent. So it is said again, it finds a phone that has moved, and what answers it ends the dialog. Only that answer goes nowhere.
 */
export class CallEndings {
  readonly #options: CallEndingsOptions;

  constructor(options: CallEndingsOptions) {
    this.#options = options;
  }

  /** `isIt`: whether this is the key of the call. */
  end(isIt: (key: string) => boolean, now: SteadyMs): CallEnding {
    const dialogs = this.#dialogsOf(isIt);
    if (dialogs.length === 0) return this.#takeBack(isIt, now);
    const endings = dialogs.map((dialog) => this.#hangUp(dialog, now));
    return endings.find((ending) => ending !== "hungUp") ?? "hungUp";
  }

  /** One, or more where several phones have answered. */
  #dialogsOf(isIt: (key: string) => boolean): Dialog[] {
    const dialogs: Dialog[] = [];
    for (const { key, value } of this.#options.store.records("dialog")) {
      if (!isSubscriptionKey(key) && isIt(callKey(value.callId, value.caller.tag))) dialogs.push(value);
    }
    return dialogs;
  }

  /**
   * The callee's BYE goes first: he may be what costs money. If it cannot go, nothing is said, and the call stands. If only the caller cannot be told,
   * the callee is, and the dialog stays until he has answered.
   */
  #hangUp(dialog: Dialog, now: SteadyMs): CallEnding {
    const [toCallee, toCaller] = [this.#prepared(dialog, "caller", now), this.#prepared(dialog, "callee", now)];
    if (toCallee === undefined) return toCaller === undefined ? "bothUntold" : "calleeUntold";
    const ofCallee = this.#say(toCallee, now);
    if (ofCallee !== "taken") return ofCallee === "busy" ? "busy" : "calleeUntold";
    const ofCaller = toCaller === undefined ? "failed" : this.#say(toCaller, now);
    if (ofCaller !== "taken") return ofCaller === "busy" ? "busy" : "callerUntold";
    this.#options.calls.endedByOperator(dialog, now);
    return "hungUp";
  }

  /** RFC 3261 15.1.1: what this side would say to hang up. Undefined: there is no way to the other one. */
  #prepared(dialog: Dialog, from: Side, now: SteadyMs): SipMessage | undefined {
    const { proxy, nextId, targetOf } = this.#options;
    const message = parseMessage(byeOf(dialog, from, nextId()));
    if (isParseError(message) || message.checkMandatory() !== undefined) return undefined;
    const request = proxy.preprocess(message, ownFlow);
    if (isParseError(request) || proxy.checkForwarding(request) !== undefined) return undefined;
    const target = targetOf(request, now);
    if (target === undefined || "status" in target) return undefined;
    const isFound = target.flow !== undefined || target.seek === "first" || nextHopOf(request, target) !== undefined;
    return isFound ? message : undefined;
  }

  #say(message: SipMessage, now: SteadyMs): "taken" | "busy" | "failed" {
    const { transactions } = this.#options;
    const key = serverKey(message, "BYE");
    transactions.receive(message, ownFlow, now);
    const status = transactions.serverStatus(key);
    if (status === undefined || status === 503) return "busy";
    return status >= 300 ? "failed" : "taken";
  }

  #takeBack(isIt: (key: string) => boolean, now: SteadyMs): CallEnding {
    const { calls, cell, proxy } = this.#options;
    const ringing = calls.findRinging(isIt);
    if (ringing === undefined) return "unknown";
    const context = proxy.inviteOf(ringing.callId, ringing.tag);
    if (context === undefined) return cellOfVersion(ringing.version) === cell ? "unknown" : "elsewhere";
    if (hasEnded(context)) return "unknown";
    calls.takenBack(context, now);
    proxy.takeBack(context, [reasonOfCancel], now);
    return "cancelled";
  }
}

function byeOf(dialog: Dialog, from: Side, id: string): Uint8Array {
  const { callId, call } = dialog;
  const to = otherSide(from);
  const receiver = dialog[to];
  return buildRequest({
    method: "BYE",
    requestUri: targetUriOf(receiver, call?.[to]),
    headers: [
      // Nobody answers there: what comes back is taken by its branch.
      ["Via", `SIP/2.0/TCP operator.invalid;branch=z9hG4bK${id}`],
      ["Max-Forwards", String(maxForwardsDefault)],
      ["From", partyOf(dialog[from], call?.[from])],
      ["To", partyOf(receiver, call?.[to])],
      ["Call-ID", callId],
      ["CSeq", `${nextCSeq(dialog[from])} BYE`],
      ["Reason", reasonOfBye],
    ],
  });
}

/** Phones of RFC 2543 have no tag. */
function partyOf(side: DialogSide, outside: string | undefined): string {
  return `<${uriOf(side, outside)}>${side.tag === "" ? "" : `;tag=${side.tag}`}`;
}

/**
 * RFC 3261 8.1.1.5: a number is below 2^31, and a phone may have used the last one. Then that is said again: only a lower one is out of order
 * (12.2.2), and without a BYE the call would go on.
 */
function nextCSeq({ cSeq }: DialogSide): number {
  return Math.min(Math.max(0, cSeq) + 1, cSeqMax);
}

/** RFC 3261 12.2.1.1, 19.1.1: its Contact, without headers. Who has said none that we can send to gets his own name, on his flow. */
function targetUriOf(side: DialogSide, outside: string | undefined): string {
  const uri = parseUri(side.contact);
  if (isParseError(uri) || !(isSipUri(uri) || isTelUri(uri))) return uriOf(side, outside);
  return requestUriOf({ requestUri: side.contact, routes: [] });
}

/** RFC 3261 12.2.1.1: tags say which dialog it is; the URI is the name that the side had in the INVITE. `outside`: of one that is none of ours. */
function uriOf({ addressOfRecord, name }: DialogSide, outside: string | undefined): string {
  if (addressOfRecord !== "") return `sip:${name ?? addressOfRecord}`;
  // Records keep it without its scheme, and cut it short. What a phone has chosen freely need not be a name that can be said again.
  const uri = parseUri(`sip:${outside ?? ""}`);
  return outside?.includes("@") === true && !isParseError(uri) ? `sip:${outside}` : "sip:anonymous@anonymous.invalid";
}
