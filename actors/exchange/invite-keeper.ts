import { foreignInvitesReadMax, inviteAgedMsMax, lateRecordMs, lostCallsMs } from "../limits.ts";
import { callCellsMax, inviteLifetimeMs } from "../../sip/limits.ts";
import type { Proxy } from "../../sip/proxy/proxy.ts";
import { hasEnded, type ResponseContext } from "../../sip/proxy/response-context.ts";
import { restoreInvite, snapshotInvite } from "../../sip/proxy/snapshot.ts";
import type { RecordStore } from "../../sip/record/record-store.ts";
import type { LiveRecord, StateRecord } from "../../sip/record/state-record.ts";
import { makeTombstone } from "../../sip/record/tombstone.ts";
import type { Invite } from "../../sip/record/values.ts";
import { cellOfVersion, msOfVersion } from "../../sip/record/version.ts";
import type { TransactionLayer } from "../../sip/transaction/transaction-layer.ts";
import { accessOfFlow } from "../../sip/flow/flow.ts";
import { later, type SteadyMs, type WallMs } from "../../sip/time.ts";
import type { CallKeeper } from "./call-keeper.ts";
import type { RecordClock } from "./record-clock.ts";

/** The parts of an exchange that it works with. */
export type InviteKeeperParts = {
  readonly store: RecordStore;
  readonly clock: RecordClock;
  readonly proxy: Proxy;
  readonly transactions: TransactionLayer;
  readonly calls: CallKeeper;
};

/**
 * The INVITEs in progress and their records, so that a call that is ringing outlives the replica that has it in hand. A record is written once at the
 * end of an event, however much the event has changed. Its end goes in at once, before what answers the caller leaves.
 */
export class InviteKeeper {
  readonly #store: RecordStore;
  readonly #clock: RecordClock;
  readonly #proxy: Proxy;
  readonly #transactions: TransactionLayer;
  readonly #calls: CallKeeper;
  /** What this replica has in hand, by the key of the server transaction. */
  readonly #inProgress = new Map<string, ResponseContext>();
  readonly #dirty = new Set<ResponseContext>();
  /** Made when it is wanted; undefined: it may have changed. */
  #byCallId: ReadonlyMap<string, string> | undefined;
  /** Those that were taken up from another replica. */
  readonly #adopted = new WeakSet<ResponseContext>();
  /** When the other replica took which one away. */
  readonly #lost = new Map<string, SteadyMs>();
  /** When something that the peer has made was last not told at once, ms; `Infinity`: now. */
  #apartAt: SteadyMs = Number.NEGATIVE_INFINITY;
  /** By how much the wall clock was ahead of the steady one when all records of what is in hand were good. */
  #aheadMs = Number.POSITIVE_INFINITY;
  /** When the wall clock was last set forward it was this much, ms, */
  #steppedMs = 0;
  /** and records from before that are those made until then, by that clock. */
  #steppedUntil: WallMs = Number.NEGATIVE_INFINITY;

  constructor({ store, clock, proxy, transactions, calls }: InviteKeeperParts) {
    this.#store = store;
    this.#clock = clock;
    this.#proxy = proxy;
    this.#transactions = transactions;
    this.#calls = calls;
  }

  changed(context: ResponseContext, now: SteadyMs): void {
    if (!hasEnded(context)) this.#dirty.add(context);
    else this.ended(context, now);
  }

  /** It has its final answer. */
  ended(context: ResponseContext, now: SteadyMs): void {
    this.#dirty.delete(context);
    const { key } = context.tx;
    if (this.#inProgress.delete(key)) this.#end(key, now);
  }

  /** Writes the records of what the event has changed. */
  flush(now: SteadyMs): void {
    this.#renewAged(now);
    if (this.#dirty.size === 0) return;
    this.#byCallId = undefined;
    for (const context of this.#dirty) {
      const value = snapshotInvite(context, now, this.#clock.wallAt(now));
      if (value === undefined) continue;
      const { key } = context.tx;
      this.#store.apply({ kind: "invite", key, version: this.#clock.tick(now), value });
      this.#inProgress.set(key, context);
    }
    this.#dirty.clear();
  }

  /** The wall clock was set forward. Records end by it, and INVITEs in hand do not: their records are written again, or the peer would forget them. */
  #renewAged(now: SteadyMs): void {
    const wall = this.#clock.wallAt(now);
    const steppedMs = wall - now - this.#aheadMs;
    if (steppedMs > inviteAgedMsMax) {
      for (const context of this.#inProgress.values()) this.#dirty.add(context);
      this.#steppedMs = steppedMs;
      // Those of the other replica are a little off, for so are its clock and the moment of the step: by far less than the step.
      this.#steppedUntil = later(wall, -steppedMs / 2);
    } else if (steppedMs >= 0) return;
    this.#aheadMs = wall - now;
  }

  /** How old a record is, ms: by how much the clock was set forward since does not count. The other replica may not have written it again yet. */
  #ageOf(version: string, now: SteadyMs): number {
    this.#renewAged(now);
    const madeAt = msOfVersion(version);
    return this.#clock.wallAt(now) - madeAt - (madeAt < this.#steppedUntil ? this.#steppedMs : 0);
  }

  /** A record of an INVITE has come from the peer. One in hand here is let go when another cell has it now, or has ended it. */
  cameFromPeer(key: string, now: SteadyMs): void {
    const known = this.#inProgress.get(key);
    if (known === undefined) return;
    const record = this.#store.get("invite", key);
    if (record?.value !== undefined && cellOfVersion(record.version) === this.#clock.cell) return;
    this.#inProgress.delete(key);
    this.#dirty.delete(known);
    this.#proxy.drop(known);
    for (const [other, at] of this.#lost) {
      if (now - at <= lostCallsMs) break;
      this.#lost.delete(other);
    }
    this.#lost.set(key, now);
  }

  /** Whether each of the two replicas is told at once what the other one changes. */
  heardAll(isSo: boolean, now: SteadyMs): void {
    if (!isSo) this.#apartAt = Number.POSITIVE_INFINITY;
    else if (this.#apartAt === Number.POSITIVE_INFINITY) this.#apartAt = now;
  }

  /**
   * A dialog of the peer's, from when the two were apart, or as late as if this replica had stood still. Its INVITE may be in hand here, and the peer has
   * had no record of it: it has let the answer pass all the same. Nothing else may be said to that caller, and what still rings is stopped. What comes in
   * time is not looked at.
   */
  answeredThere({ key, version }: StateRecord, now: SteadyMs): boolean {
    if (this.#inProgress.size === 0) return false;
    const isInTime = this.#clock.wallAt(now) - msOfVersion(version) < lateRecordMs;
    if (isInTime && now - this.#apartAt >= lateRecordMs) return false;
    return this.#endAnswered(key, now);
  }

  /** The same of INVITEs that came from a cell which was apart: their dialogs were here before them, and may be over by now. */
  adoptedAnswered(now: SteadyMs): void {
    if (this.#inProgress.size > 0) for (const key of this.#store.keysOf("dialog")) this.#endAnswered(key, now);
  }

  /** `key`: of a dialog. */
  #endAnswered(key: string, now: SteadyMs): boolean {
    const invite = this.#invitesByCallId().get(key.slice(0, key.indexOf(" ")));
    const context = invite === undefined ? undefined : this.#inProgress.get(invite);
    if (context === undefined || !key.split(" ").includes(context.request?.message.fromTag ?? "")) return false;
    this.#proxy.endedElsewhere(context, now);
    return true;
  }

  /** Initial INVITEs in hand. Many dialogs come at once, when two replicas compare what they have. */
  #invitesByCallId(): ReadonlyMap<string, string> {
    if (this.#byCallId !== undefined) return this.#byCallId;
    const found = new Map<string, string>();
    for (const [key, { request }] of this.#inProgress) {
      const message = request?.message;
      if (message !== undefined && message.toTag === undefined) found.set(message.callId, key);
    }
    this.#byCallId = found;
    return found;
  }

  /** The record of an INVITE in progress that another replica, or an earlier start of this one, had in hand. */
  foreign(key: string | undefined): LiveRecord<"invite"> | undefined {
    if (key === undefined || this.#inProgress.has(key)) return undefined;
    const record = this.#store.get("invite", key);
    return record?.value === undefined ? undefined : record;
  }

  hasEnded(key: string): boolean {
    const record = this.#store.get("invite", key);
    return record !== undefined && record.value === undefined;
  }

  /** Which of them a branch of ours belongs to. Goes through all: responses without a transaction are rare. */
  foreignOfBranch(branch: string): LiveRecord<"invite"> | undefined {
    for (const record of this.#store.records("invite")) {
      if (this.#inProgress.has(record.key)) continue;
      if (record.value.branches.some((each) => each.branch === branch)) return record;
    }
    return undefined;
  }

  /** Whether one of another replica may have this Call-ID: of the first {@link foreignInvitesReadMax} it is said for certain. */
  mayBeForeign(callId: string): boolean {
    let read = 0;
    for (const { key, value } of this.#store.records("invite")) {
      if (this.#inProgress.has(key)) continue;
      read += 1;
      if (read > foreignInvitesReadMax || value.request.includes(callId)) return true;
    }
    return false;
  }

  /** Those that came or went by this access; undefined: all. */
  foreignOf(access: string | undefined): LiveRecord<"invite">[] {
    const found: LiveRecord<"invite">[] = [];
    for (const record of this.#store.records("invite")) {
      if (!this.#inProgress.has(record.key) && (access === undefined || usesAccess(record.value, access))) found.push(record);
    }
    return found;
  }

  /** When the other replica has taken this one away; undefined: not lately. */
  lostAt(key: string, now: SteadyMs): SteadyMs | undefined {
    const at = this.#lost.get(key);
    return at !== undefined && now - at <= lostCallsMs ? at : undefined;
  }

  isAdopted(context: ResponseContext): boolean {
    return this.#adopted.has(context);
  }

  /** Goes on with an INVITE. Undefined: nobody waits for it any more, or it cannot be read. */
  adopt(record: LiveRecord<"invite">, now: SteadyMs): ResponseContext | undefined {
    const { key, value, version } = record;
    const ageMs = this.#ageOf(version, now);
    const earlierCells = [...(value.earlierCells ?? []), cellOfVersion(version)].slice(-callCellsMax);
    const restored = { ...value, earlierCells };
    const context = ageMs > inviteLifetimeMs ? undefined : restoreInvite(restored, this.#proxy, this.#transactions, now, ageMs);
    if (context === undefined) {
      if (ageMs > inviteLifetimeMs) this.#calls.lost(value, earlierCells, this.#clock.wallAt(now), now);
      this.#end(key, now);
      return undefined;
    }
    this.#adopted.add(context);
    this.#lost.delete(key);
    // It may have come to its end just now, for want of anywhere to go.
    if (!hasEnded(context)) {
      this.#inProgress.set(key, context);
      this.#dirty.add(context);
      if (this.#calls.wasRefusedInPassing(value)) this.#proxy.endedElsewhere(context, now);
    } else this.#end(key, now);
    return context;
  }

  #end(key: string, now: SteadyMs): void {
    this.#store.apply(makeTombstone("invite", key, this.#clock.tick(now), this.#clock.wallAt(now)));
  }
}

function usesAccess(invite: Invite, access: string): boolean {
  return accessOfFlow(invite.responseFlow) === access || invite.branches.some(({ flow }) => flow !== "" && accessOfFlow(flow) === access);
}
