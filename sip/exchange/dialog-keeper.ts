import { dialogFrom2xx, dialogKeyOf, onInDialogRequest, onResponse } from "../dialog/dialog.ts";
import type { SipMessage } from "../message/sip-message.ts";
import type { HybridClock } from "../record/hybrid-clock.ts";
import type { RecordStore } from "../record/record-store.ts";
import { makeTombstone } from "../record/state-record.ts";
import type { Dialog } from "../record/values.ts";

/** One end of an answered INVITE, as the exchange knows it. */
export type AnsweredSide = { readonly addressOfRecord: string; readonly flow: string; readonly instanceId: string };

/**
 * Keeps the dialog records of the calls that pass: made by the 2xx, confirmed by the ACK, moved by target refreshes, ended by the answer
 * to a BYE. Routing does not need them (tokens carry it); counting, and finding a phone that came back on another flow, do.
 */
export class DialogKeeper {
  readonly #store: RecordStore;
  readonly #clock: HybridClock;

  constructor(store: RecordStore, clock: HybridClock) {
    this.#store = store;
    this.#clock = clock;
  }

  get count(): number {
    return this.#store.count("dialog");
  }

  /** A 2xx to an initial INVITE is about to be forwarded. */
  answered(request: SipMessage, response: SipMessage, caller: AnsweredSide, callee: AnsweredSide, now: number): void {
    const version = this.#clock.tick(now);
    const dialog = dialogFrom2xx({ request, response, caller, callee, version, now });
    if (dialog === undefined || this.#store.dialog(dialog.key) !== undefined) return;
    this.#store.apply({ kind: "dialog", key: dialog.key, version, value: dialog.value });
  }

  /** An in-dialog request passes. A BYE changes nothing until it is answered. */
  requested(request: SipMessage, flow: string, now: number): void {
    if (request.method === "BYE") return;
    const key = dialogKeyOf(request);
    const dialog = key === undefined ? undefined : this.#store.dialog(key);
    if (key === undefined || dialog === undefined) return;
    const version = this.#clock.tick(now);
    this.#put(key, dialog, onInDialogRequest(dialog, request, flow, version).dialog, version, now);
  }

  /** An in-dialog request has got its final response; `response` is undefined for one of our own with this status. */
  finished(request: SipMessage, status: number, response: SipMessage | undefined, now: number): void {
    const key = dialogKeyOf(request);
    const dialog = key === undefined ? undefined : this.#store.dialog(key);
    if (key === undefined || dialog === undefined) return;
    const version = this.#clock.tick(now);
    if (response !== undefined) return this.#put(key, dialog, onResponse(dialog, request, response, version, now).dialog, version, now);
    if (status === 408 || status === 481) this.#put(key, dialog, undefined, version, now);
  }

  #put(key: string, before: Dialog, after: Dialog | undefined, version: string, now: number): void {
    if (after === before) return;
    this.#store.apply(after === undefined ? makeTombstone("dialog", key, version, now) : { kind: "dialog", key, version, value: after });
  }
}
