import { dialogFrom2xx } from "../../sip/dialog/dialog.ts";
import { callerRoutesOf } from "../../sip/dialog/route-set.ts";
import { subscriptionsAwaitedMax, subscriptionSecondsDefault, subscriptionSecondsMax } from "../limits.ts";
import { t1Ms } from "../../sip/limits.ts";
import { Header } from "../../sip/message/header-names.ts";
import type { SipMessage } from "../../sip/message/sip-message.ts";
import { subscriptionKey } from "../../sip/record/dialog-record.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import type { Dialog, DialogSide } from "../../sip/record/values.ts";
import { fnv1a } from "../../sip/flow/token.ts";
import type { SteadyMs, WallMs } from "../../sip/time.ts";
import type { RecordClock } from "./record-clock.ts";

/** Of a request that a subscription lives by, and what is known of its two ends. */
export type SubscriptionEvent = {
  readonly request: SipMessage;
  readonly status: number;
  /** Undefined for a response of our own. */
  readonly response: SipMessage | undefined;
  /** Who sent the request, and whom it went to. */
  readonly sender: SubscriptionSide;
  readonly receiver: SubscriptionSide;
  /** The call that it is in. */
  readonly dialog: Dialog | undefined;
  readonly now: SteadyMs;
};

export type SubscriptionSide = { readonly addressOfRecord: string; readonly flow: string; readonly instanceId: string };

/** RFC 6665 4.1.2.4: how long after its answer, and after its last NOTIFY, something of a subscription may still be under way. */
const lateMs: number = 64 * t1Ms;

/** Whether a request makes, refreshes or tells a subscription (RFC 6665, RFC 3515). */
export function isOfSubscription(method: string): boolean {
  return method === "SUBSCRIBE" || method === "NOTIFY" || method === "REFER";
}

/**
 * Keeps the records of subscriptions, which make and hold dialogs as INVITEs do. A 2xx to SUBSCRIBE or REFER makes one, or a NOTIFY that overtakes
 * it. Refreshes refresh it. A NOTIFY that says `terminated`, a 481, or its end end it.
 */
export class SubscriptionKeeper {
  readonly #store: RecordStore;
  readonly #clock: RecordClock;
  /**
   * Subscribers whose first NOTIFY may come before anything else, with when that was, and a hash of whom they asked; the earliest first. By a hash of
   * Call-ID and tag: who makes two collide lets a NOTIFY to himself pass.
   */
  readonly #awaited = new Map<number, { readonly at: SteadyMs; readonly notifier: number }>();

  constructor(store: RecordStore, clock: RecordClock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** How many are awaited. */
  get size(): number {
    return this.#awaited.size;
  }

  /** A SUBSCRIBE or REFER outside of dialogs is about to be forwarded. `notifier`: the address-of-record in its To, empty when it is not ours. */
  begins(request: SipMessage, now: SteadyMs, notifier = ""): void {
    for (const [id, { at }] of this.#awaited) {
      if (now - at <= 2 * lateMs && this.#awaited.size < subscriptionsAwaitedMax) break;
      this.#awaited.delete(id);
    }
    this.#awaited.set(idOf(request.callId, request.fromTag ?? ""), { at: now, notifier: fnv1a(notifier) });
  }

  /** Whether a NOTIFY to this subscriber may be the first of a subscription (RFC 6665 4.4.1). */
  isAwaited(callId: string, subscriberTag: string, now: SteadyMs): boolean {
    const awaited = this.#awaited.get(idOf(callId, subscriberTag));
    return awaited !== undefined && now - awaited.at <= 2 * lateMs;
  }

  /** Whether it is this one that the subscriber asked: it says its name in the first NOTIFY, though no record says so yet. */
  isAwaitedOf(notifier: string, callId: string, subscriberTag: string, now: SteadyMs): boolean {
    if (!this.isAwaited(callId, subscriberTag, now)) return false;
    return this.#awaited.get(idOf(callId, subscriberTag))?.notifier === fnv1a(notifier);
  }

  /** A REFER or SUBSCRIBE of a user of ours goes to somebody from outside within a call: his NOTIFY may come before the 2xx does. */
  asksOutside(request: SipMessage, now: SteadyMs): void {
    if (request.method === "REFER" || request.method === "SUBSCRIBE") this.begins(request, now);
  }

  /** Whether the receiver of a NOTIFY has asked its sender for it. */
  isAsked(notify: SipMessage, now: SteadyMs): boolean {
    const { callId, fromTag = "", toTag = "" } = notify;
    if (this.isAwaited(callId, toTag, now)) return true;
    const known = this.#store.dialog(subscriptionKey(callId, fromTag, toTag));
    return known !== undefined && known.expiresAt > this.#clock.wallAt(now) && known.caller.tag === toTag;
  }

  /** A final response to SUBSCRIBE, REFER or NOTIFY passes. */
  finished(event: SubscriptionEvent): void {
    const { request, status, response, now } = event;
    if (status >= 200 && status < 300) {
      if (response === undefined) return;
      const expiresAt = endOf(request, response, this.#clock.wallAt(now));
      if (expiresAt !== undefined) this.#put(event, response, expiresAt);
    } else if (request.toTag === undefined && status >= 300) this.#awaited.delete(idOf(request.callId, request.fromTag ?? ""));
    else if (status === 481) this.#end(request, now);
  }

  #put(event: SubscriptionEvent, response: SipMessage, expiresAt: WallMs): void {
    const { request, now } = event;
    const { callId, fromTag = "", toTag = "" } = request.method === "NOTIFY" ? request : response;
    if (fromTag === toTag) return;
    const key = subscriptionKey(callId, fromTag, toTag);
    const known = this.#store.dialog(key);
    const version = this.#clock.tick(now);
    const subscriberTag = request.method === "NOTIFY" ? toTag : fromTag;
    const value =
      known ?? (event.dialog === undefined ? this.#newDialog(event, response, version) : withCaller(event.dialog, subscriberTag));
    if (value === undefined || (known === undefined && !this.#store.dialogShares.mayKeep(value))) return;
    this.#store.apply({ kind: "dialog", key, version, value: { ...value, state: "confirmed", expiresAt } });
  }

  /** The subscriber is the caller. */
  #newDialog({ request, sender, receiver, now }: SubscriptionEvent, response: SipMessage, version: string): Dialog | undefined {
    const made = dialogFrom2xx({ request, response, caller: sender, callee: receiver, version, now: this.#clock.wallAt(now) })?.value;
    if (made === undefined || request.method !== "NOTIFY") return made;
    const routes = callerRoutesOf(request);
    const notifier: DialogSide = { ...made.caller, ...(routes.length === 0 ? {} : { routes }) };
    return { ...made, caller: made.callee, callee: notifier };
  }

  #end(request: SipMessage, now: SteadyMs): void {
    const { callId, fromTag = "", toTag = "" } = request;
    const key = subscriptionKey(callId, fromTag, toTag);
    const known = this.#store.dialog(key);
    const expiresAt = this.#clock.wallAt(now);
    if (known === undefined || known.expiresAt <= expiresAt) return;
    this.#store.apply({ kind: "dialog", key, version: this.#clock.tick(now), value: { ...known, expiresAt } });
  }
}

/** The dialog of a call as that of a subscription in it: who has subscribed is its caller. */
function withCaller(dialog: Dialog, tag: string): Dialog {
  return dialog.caller.tag === tag ? dialog : { ...dialog, caller: dialog.callee, callee: dialog.caller };
}

/** When a subscription is over, by what a request and its 2xx say of it. Undefined: they say nothing. */
function endOf(request: SipMessage, response: SipMessage, now: WallMs): WallMs | undefined {
  if (request.method === "REFER") return now + subscriptionSecondsDefault * 1000 + lateMs;
  if (request.method === "SUBSCRIBE") {
    const seconds = secondsOf(response.text(Header.Expires)) ?? secondsOf(request.text(Header.Expires)) ?? subscriptionSecondsDefault;
    return now + seconds * 1000 + lateMs;
  }
  const state = request.text(Header.SubscriptionState)?.toLowerCase() ?? "";
  if (/^terminated\b/.test(state)) return now + lateMs;
  const seconds = secondsOf(/;\s*expires\s*=\s*(\d+)/.exec(state)?.[1]);
  return seconds === undefined ? undefined : now + seconds * 1000 + lateMs;
}

function secondsOf(text: string | undefined): number | undefined {
  return text === undefined || !/^\d{1,10}$/.test(text) ? undefined : Math.min(Number(text), subscriptionSecondsMax);
}

function idOf(callId: string, subscriberTag: string): number {
  return fnv1a(`${callId} ${subscriberTag}`);
}
