import { bindingRecordsPerAddressOfRecordMax } from "../limits.ts";
import { addressOfRecordOfBindingKey, endsEarlier } from "./binding-record.ts";
import { CallShares } from "./call-shares.ts";
import { ChangeFeed, type Changes } from "./change-feed.ts";
import { DialogShares } from "./dialog-shares.ts";
import { DirtyRows } from "./dirty-rows.ts";
import type { Entry } from "./entry.ts";
import { KeyIndex } from "./key-index.ts";
import type { Held } from "./kind-definition.ts";
import { merge } from "./merge.ts";
import { ownRecord } from "./own-record.ts";
import { SharedTexts } from "./own-texts.ts";
import { oneForEachKind, isOfCall, kinds, recordKinds } from "./record-kinds.ts";
import { serializeRecord } from "./record-text.ts";
import { needsRow, type RowPolicy } from "./row-policy.ts";
import { isTombstone, type BindingRecord, type LiveRecord, type StateRecord } from "./state-record.ts";
import type { Binding, CallKind, Dialog, Invite, RecordKind, Subscriber } from "./values.ts";
import { msOfVersion } from "./version.ts";
import type { WallMs } from "../time.ts";

/** Where a record comes from: made here, received from the peer, or read back from the disk. */
export type Origin = "local" | "peer" | "disk";

/** What to write in one transaction: rows to replace and rows to delete, each key at most once. */
export type Rows = {
  readonly put: readonly StateRecord[];
  readonly remove: readonly { readonly kind: RecordKind; readonly key: string }[];
};

/** What is held for a key, and when that changed. `others`: see `Held`. */
export type Change = Held & { readonly sequence: number };

/**
 * The records of one exchange in memory, with one way in: {@link apply}. Here they are looked up by key, address-of-record and flow, and forgotten.
 * What the peer has not seen yet is in change-feed.ts, what the disk has not seen yet in dirty-rows.ts.
 */
export class RecordStore {
  readonly #tables: Readonly<Record<RecordKind, Map<string, Entry>>> = oneForEachKind(() => new Map());
  readonly #live: Record<RecordKind, number> = oneForEachKind(() => 0);
  /** What the dialogs among them take. */
  readonly dialogShares = new DialogShares();
  /** What the calls among them take, which wait for the collector. */
  readonly callShares = new CallShares();
  readonly #byAddressOfRecord = new KeyIndex();
  readonly #byFlow = new KeyIndex();
  readonly #sharedTexts = new SharedTexts();
  readonly #feed: ChangeFeed;
  readonly #rows: DirtyRows;
  /** See {@link takeShortened}. */
  #isShortened = false;
  /** See {@link takeEndedInvite}. */
  #hasEndedInvite = false;

  /** `isPaired`: another replica is told of the changes, and ends are remembered until it acknowledges them. Default: there is none. */
  constructor(options: { readonly isPaired?: boolean; readonly needsRow?: RowPolicy } = {}) {
    this.#feed = new ChangeFeed(options.isPaired === true);
    this.#rows = new DirtyRows(this.#feed, options.needsRow ?? needsRow);
  }

  /** Merges a record into the table (see merge.ts). True when what counts for its key has changed. */
  apply(record: StateRecord, origin: Origin = "local"): boolean {
    const table = this.#tables[record.kind];
    const entry = table.get(record.key);
    const held: Held | undefined = entry;
    const merged = merge(held, record);
    if (entry !== undefined && merged === held) {
      if (origin === "disk") this.#rows.noteRow(entry, record);
      return false;
    }
    if (entry !== undefined) return this.#replace(entry, record, merged, origin);
    this.#insert(record, merged, origin);
    return true;
  }

  /** What is held for a key, a tombstone too. */
  get<Kind extends RecordKind>(kind: Kind, key: string): StateRecord<Kind> | undefined {
    // A table holds records of its kind only.
    return this.#tables[kind].get(key)?.record as StateRecord<Kind> | undefined;
  }

  subscriber(key: string): Subscriber | undefined {
    return this.get("subscriber", key)?.value;
  }

  binding(key: string): Binding | undefined {
    return this.get("binding", key)?.value;
  }

  invite(key: string): Invite | undefined {
    return this.get("invite", key)?.value;
  }

  dialog(key: string): Dialog | undefined {
    return this.get("dialog", key)?.value;
  }

  /** All that is held of an address-of-record's bindings: current, expired and removed ones. The order is that of their first coming. */
  bindingsOf(addressOfRecord: string): BindingRecord[] {
    return this.#bindings(this.#byAddressOfRecord.keysOf(addressOfRecord));
  }

  /** The bindings to be reached on a flow, expired ones too. */
  bindingsOnFlow(flow: string): LiveRecord<"binding">[] {
    return this.#bindings(this.#byFlow.keysOf(flow)).filter((record) => !isTombstone(record));
  }

  /** All that is alive, expired bindings included. Do not apply anything while going through it. */
  *records<Kind extends RecordKind>(kind: Kind): IterableIterator<LiveRecord<Kind>> {
    for (const { record } of this.#tables[kind].values()) if (record.value !== undefined) yield record as LiveRecord<Kind>;
  }

  /** Keys of all that is held of a kind, ends included. */
  keysOf(kind: RecordKind): IterableIterator<string> {
    return this.#tables[kind].keys();
  }

  /** How many are alive, expired bindings included until they are swept. */
  count(kind: RecordKind): number {
    return this.#live[kind];
  }

  /** How many bindings have not expired: goes through them all. `isCounted`: only those of addresses-of-record for which this is true. */
  registrationCount(now: WallMs, isCounted?: (addressOfRecord: string) => boolean): number {
    let count = 0;
    for (const { value } of this.records("binding"))
      if (value.expiresAt > now && (isCounted === undefined || isCounted(value.addressOfRecord))) count += 1;
    return count;
  }

  /** Everything held, tombstones included: for memory metrics. */
  get size(): number {
    return recordKinds.reduce((sum, kind) => sum + this.#tables[kind].size, 0);
  }

  /** The sequence number of the latest change. They begin at 1 when the store is made: a peer must know which start they belong to. */
  get sequence(): number {
    return this.#feed.sequence;
  }

  /**
   * Records changed after `after`, in that order, at most about `max` of them. What came from the peer itself is left out unless `all`. A peer that
   * has started again needs everything (`after` 0, and then the sequence of each answer).
   */
  changedSince(after: number, max: number, all = false): Changes {
    return this.#feed.changedSince(after, max, all);
  }

  /** All that has changed after `after`, in that order, with what else is held of its key. Do not apply or drop anything while going through it. */
  *changesAfter(after: number): IterableIterator<Change> {
    for (const { record, others, sequence } of this.#feed.changesAfter(after)) yield { record, others, sequence };
  }

  /** Forgets a record that belongs to another exchange, and its row, unless it has changed. Nothing says that it has ended. */
  drop(record: StateRecord): void {
    const entry = this.#tables[record.kind].get(record.key);
    if (entry?.record === record) this.#forget(entry);
  }

  /** The peer holds everything up to this sequence number. `Infinity`: there is no peer to wait for. */
  acknowledge(sequence: number): void {
    this.#feed.acknowledge(sequence);
  }

  /** The peer is new, or has started anew, and holds nothing: ends wait for it from now on. */
  forgetPeer(): void {
    this.#feed.forgetPeer();
  }

  /** A third replica, which all of this is copied to, holds everything up to this sequence number. `Infinity`: there is none any more. */
  copied(sequence: number): void {
    this.#feed.copied(sequence);
  }

  /** The highest sequence number that the peer holds; `Infinity`: there is none. */
  get acknowledged(): number {
    return this.#feed.acknowledged;
  }

  /**
   * While the peer is away the disk is the second place. INVITEs in progress get rows too, which last seconds and need none while the peer holds
   * them. Ends of calls that have no row here get one as well, when the peer has not heard of them. Else what it has on its disk would come back alive.
   */
  setPeerAway(isAway: boolean): void {
    if (isAway === this.#rows.isPeerAway) return;
    if (!isAway) return this.#rows.setPeerAway(false, []);
    for (const kind of recordKinds) {
      if (kinds[kind].hasRowsWithPeer) continue;
      for (const entry of this.#tables[kind].values()) if (entry.record.value !== undefined) this.#rows.soil(entry);
    }
    this.#rows.setPeerAway(true, this.#endsToKeep());
  }

  /** Whether what is alive of a kind gets rows while the peer is there, although its definition says that it needs none. */
  keepRows(kind: RecordKind, isKept: boolean): void {
    if (this.#rows.isKept(kind) === isKept) return;
    this.#rows.keepRows(kind, isKept);
    if (!isKept) return;
    for (const entry of this.#tables[kind].values()) if (entry.record.value !== undefined) this.#rows.soil(entry);
  }

  /** Ends of calls of which the peer has not heard. */
  #endsToKeep(): Set<Entry> {
    const ends = new Set<Entry>();
    for (let entry = this.#feed.newest; entry !== undefined && entry.sequence > this.#feed.acknowledged; entry = entry.previous) {
      if (isTombstone(entry.record) && kinds[entry.record.kind].isOfCall && this.#feed.isMissedEnd(entry)) ends.add(entry);
    }
    return ends;
  }

  /**
   * Whether a binding has been taken off, or is to end earlier, since the last call, while the disk says otherwise. Who is told of that must not be
   * found registered after the loss of both memories.
   */
  takeShortened(): boolean {
    const isShortened = this.#isShortened;
    this.#isShortened = false;
    return isShortened;
  }

  /**
   * Whether an INVITE has ended since the last call that is in progress by the disk. INVITEs have rows only when the peer is away, or was. Who starts with
   * such a row would go on with what is over, or note it as lost.
   */
  takeEndedInvite(): boolean {
    const hasEnded = this.#hasEndedInvite;
    this.#hasEndedInvite = false;
    return hasEnded;
  }

  get hasDirty(): boolean {
    return this.#rows.hasAny;
  }

  /** How many rows {@link takeDirty} may put or delete, at most. */
  get dirtyMost(): number {
    return this.#rows.most;
  }

  /**
   * What the disk must be told, the longest waiting first. They count as written from now on. When writing fails the caller must give the whole store
   * up and recover. At most `max` rows; see {@link hasDirty} for the rest.
   *
   * A call that came and went between two calls is not among them. The end of one that is on the disk is. It is a deleted row when the peer knows that
   * it has ended, and a tombstone's row while it does not. So a restart cannot get it back from the peer. The end of a binding or a subscriber is a row for
   * as long as it is remembered.
   */
  takeDirty(max: number = Number.MAX_SAFE_INTEGER): Rows {
    return this.#rows.take(max);
  }

  /**
   * A record as text. The peer is told of a change and the disk keeps it, within `flushMs` of each other. So the text is made once for both. It is
   * given up when the disk has asked for what {@link takeDirty} gave.
   */
  textOf(record: StateRecord): string {
    const entry = this.#tables[record.kind].get(record.key);
    if (entry?.record !== record) return serializeRecord(record);
    const text = entry.text === "" ? serializeRecord(record) : entry.text;
    entry.text = this.#rows.keepsTextOf(entry) ? text : "";
    return text;
  }

  /**
   * Forgets what may be forgotten at `now`:
   *
   * - tombstones whose time is over and that the peer has, or never needed;
   * - bindings that expired as long ago as a tombstone would be kept;
   * - calls that ended for want of anything heard, and strangers' where there is little room. Returns those calls: invites and dialogs whose end
   *   nobody has recorded. It goes through everything, so call it every ten seconds or so.
   */
  sweep(now: WallMs): LiveRecord<CallKind>[] {
    const ended: LiveRecord<CallKind>[] = [];
    // Only when all have been looked at: so it is the same ones at both replicas.
    const silent: Entry[] = [];
    for (const kind of recordKinds) {
      const definition = kinds[kind];
      for (const entry of this.#tables[kind].values()) {
        const { record } = entry;
        if (entry.others.length > 0)
          entry.others = entry.others.filter((other) => msOfVersion(other.version) + definition.tombstoneMs > now);
        if (isTombstone(record)) {
          if (record.until <= now && !this.#feed.isMissedEnd(entry)) this.#forget(entry);
        } else if (definition.forgottenAt(record) <= now) {
          if (isOfCall(record)) ended.push(record);
          this.#forget(entry);
        } else if (record.kind === "dialog" && this.dialogShares.isToGo(record.value, now)) {
          ended.push(record);
          silent.push(entry);
        }
      }
    }
    for (const entry of silent) this.#forget(entry);
    return ended;
  }

  #bindings(keys: Iterable<string>): BindingRecord[] {
    const records: BindingRecord[] = [];
    for (const key of keys) {
      const record = this.get("binding", key);
      if (record !== undefined) records.push(record);
    }
    return records;
  }

  #insert(record: StateRecord, merged: Held, origin: Origin): void {
    const own = ownRecord(merged.record, undefined, origin === "local", this.#sharedTexts);
    const sequence = this.#feed.next();
    const entry: Entry = {
      record: own,
      others: merged.others,
      othersKnownAt: Number.POSITIVE_INFINITY,
      sequence,
      first: origin === "local" ? sequence : 0,
      isEcho: origin === "peer",
      onDisk: origin === "disk" ? record : this.#rows.takeOrphan(own),
      text: "",
      isDirty: false,
      previous: undefined,
      next: undefined,
    };
    this.#tables[own.kind].set(own.key, entry);
    this.#feed.append(entry);
    this.#count(own, 1);
    if (own.kind === "binding") {
      const addressOfRecord = own.value?.addressOfRecord ?? addressOfRecordOfBindingKey(own.key);
      this.#byAddressOfRecord.add(addressOfRecord, own.key);
      this.#indexFlow(own);
      this.#boundBindings(addressOfRecord, msOfVersion(own.version));
    }
    if (origin !== "disk") this.#rows.soil(entry);
  }

  #replace(entry: Entry, record: StateRecord, merged: Held, origin: Origin): boolean {
    const before = entry.record;
    const isChanged = merged.record !== before;
    // The peer needs nothing of this when it has what we had before, or when nothing of that is left.
    const hasOurs = entry.isEcho || entry.sequence <= this.#feed.acknowledged;
    // A phone that takes another Call-ID each time must not have all of them sent each time.
    entry.othersKnownAt = hasOurs && merged.record === record ? entry.sequence : Number.POSITIVE_INFINITY;
    entry.isEcho = origin === "peer" && (hasOurs || (merged.record === record && merged.others.length === 0));
    entry.sequence = this.#feed.next();
    this.#feed.remove(entry);
    this.#feed.append(entry);
    entry.others = merged.others;
    if (isChanged) {
      const own = ownRecord(merged.record, before, origin === "local", this.#sharedTexts);
      if (!isTombstone(before)) this.#live[before.kind] -= 1;
      if (!isTombstone(own)) this.#live[own.kind] += 1;
      if (before.kind === "dialog" && own.kind === "dialog") this.dialogShares.replaced(before, own);
      if (before.kind === "call" && own.kind === "call") {
        this.callShares.count(before, -1);
        this.callShares.count(own, 1);
      }
      if (before.kind === "binding" && own.kind === "binding" && before.value?.flow !== own.value?.flow) {
        this.#unindexFlow(before);
        this.#indexFlow(own);
      }
      entry.record = own;
      entry.text = "";
      if (own.kind === "binding" && endsEarlier(own, entry.onDisk)) this.#isShortened = true;
      if (own.kind === "invite" && isTombstone(own) && entry.onDisk?.value !== undefined) this.#hasEndedInvite = true;
      this.#rows.soil(entry);
    }
    if (origin === "disk") this.#rows.noteRow(entry, record);
    return isChanged;
  }

  #indexFlow(record: BindingRecord): void {
    if (record.value !== undefined && record.value.flow !== "") this.#byFlow.add(record.value.flow, record.key);
  }

  #unindexFlow(record: BindingRecord): void {
    if (record.value !== undefined && record.value.flow !== "") this.#byFlow.remove(record.value.flow, record.key);
  }

  /** Keeps what one subscriber can make us remember bounded: over the limit the earliest of its removed and expired bindings is forgotten. */
  #boundBindings(addressOfRecord: string, now: WallMs): void {
    if (this.#byAddressOfRecord.countOf(addressOfRecord) <= bindingRecordsPerAddressOfRecordMax) return;
    let earliest: Entry | undefined;
    for (const key of this.#byAddressOfRecord.keysOf(addressOfRecord)) {
      const entry = this.#tables.binding.get(key);
      const value = entry?.record.value;
      if (entry === undefined || (value !== undefined && "expiresAt" in value && value.expiresAt > now)) continue;
      if (earliest === undefined || entry.record.version < earliest.record.version) earliest = entry;
    }
    if (earliest !== undefined) this.#forget(earliest);
  }

  #forget(entry: Entry): void {
    const { record } = entry;
    this.#tables[record.kind].delete(record.key);
    this.#feed.remove(entry);
    this.#rows.forget(entry);
    this.#count(record, -1);
    if (record.kind === "binding") {
      this.#byAddressOfRecord.remove(addressOfRecordOfBindingKey(record.key), record.key);
      this.#unindexFlow(record);
    }
  }

  #count(record: StateRecord, by: 1 | -1): void {
    if (!isTombstone(record)) this.#live[record.kind] += by;
    if (record.kind === "dialog") this.dialogShares.count(record, by);
    if (record.kind === "call") this.callShares.count(record, by);
  }
}
