import { parseJsonOctets, RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import type { CallEnding, LiveCall } from "../../cluster/calls/live-call.ts";
import type { View } from "../../cluster/group/view.ts";
import { pairOf, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import { servingCells } from "../../cluster/map/serving-cells.ts";
import type { PhoneFlow } from "../../sip/dialog/present-flow.ts";
import { accessOfFlow, isLine, isOfBoot, joinFlow, type Listener } from "../../sip/flow/flow.ts";
import type { Sign } from "../../sip/flow/token.ts";
import { sweepMs } from "../../sip/limits.ts";
import { addressOfRecordOfBindingKey } from "../../sip/record/binding-record.ts";
import { isSubscriptionKey } from "../../sip/record/dialog-record.ts";
import type { Memory } from "../../sip/record/memory.ts";
import type { Origin, RecordStore } from "../../sip/record/record-store.ts";
import type { LiveRecord, StateRecord } from "../../sip/record/state-record.ts";
import { makeTombstone } from "../../sip/record/tombstone.ts";
import { msOfVersion } from "../../sip/record/version.ts";
import { repeatedMs } from "../limits.ts";
import type { SubscriberCredentials } from "./credential-cache.ts";
import type { Effect, ExchangeCounts, Registration } from "./effects.ts";
import { ExchangeParts } from "./exchange-parts.ts";
import { Lateness } from "./lateness.ts";
import type { SipCount } from "./sip-tally.ts";
import { servedBy, wayOf } from "./shown-ways.ts";
import { isReliableFlow } from "./whereabouts.ts";
import type { Clocks, SteadyMs, WallMs } from "../../sip/time.ts";

/** Which replica of which exchange it is, and what it knows when it starts. */
export type ExchangeConfig = {
  readonly exchange: number;
  readonly cell: string;
  readonly map: ClusterMap;
  /** Until when an INVITE may ring that this exchange had in hand and has forgotten; absent: any that there may have been before now. */
  readonly orphansUntil?: WallMs | undefined;
};

/** What is not a function of the arguments, given by the shell. */
export type ExchangeTools = Pick<Clocks, "wallAt"> & {
  /** A keyed hash, the same in the whole cluster. */
  readonly sign: Sign;
  /** Hex digest of the text's octets (Latin-1). */
  readonly hash: (algorithm: "MD5" | "SHA-256", text: string) => string;
  /** A random id of 64 bits or more, `[0-9a-z]`. */
  readonly nextId: () => string;
};

/**
 * One replica of an exchange: the registrar and proxy of a slice of the addresses-of-record, as a pure machine. Events go in through the methods.
 * What is to be done waits in {@link takeEffects}, to be drained after every call. {@link nextDeadline} says when to call {@link tick}. Changed
 * records wait in {@link store} for the disk and the peer.
 */
export class Exchange {
  readonly store: RecordStore;
  readonly #parts: ExchangeParts;
  readonly #lateness = new Lateness();
  /** Cells that can be reached, by the last view; undefined: none has come. */
  #reachable: ReadonlySet<string> | undefined;
  #view: View | undefined;

  constructor(config: ExchangeConfig, tools: ExchangeTools, now: SteadyMs) {
    this.#parts = new ExchangeParts(config, tools, now);
    this.store = this.#parts.store;
  }

  /** A record read back from the disk, before the first event. The clock goes on behind it, even if the machine's was set back. */
  restore(record: StateRecord): void {
    this.#parts.clock.observe(record.version);
    this.store.apply(record, "disk");
  }

  /**
   * A record of the peer's. An INVITE that this replica had in progress and that the other one has taken over, or ended, is dropped without a word.
   * It was this replica that could not be heard. A phone that has registered there may be waited for here.
   */
  applyFromPeer(record: StateRecord, now: SteadyMs): void {
    this.#applyFrom("peer", record, now);
  }

  /** A record of a replica that the map has no more: the peer is to be told of it as of one that was made here. */
  applyFromGuest(record: StateRecord, now: SteadyMs): void {
    this.#applyFrom("local", record, now);
    const held = record.kind === "dialog" ? this.store.get("dialog", record.key) : undefined;
    if (record.kind !== "dialog" || record.value === undefined || held === undefined || held.value !== undefined) return;
    // Its end passed here when only that cell knew the call, which is told nothing: so nobody else notes it.
    if (!isSubscriptionKey(record.key)) this.#parts.calls.endedThere(record.value, msOfVersion(held.version), now);
  }

  #applyFrom(origin: Origin, record: StateRecord, now: SteadyMs): void {
    this.#parts.clock.observe(record.version);
    const standing = record.kind === "dialog" && record.value === undefined ? this.store.dialog(record.key) : undefined;
    const isNews = this.store.apply(record, origin);
    if (standing !== undefined && isNews && !isSubscriptionKey(record.key))
      this.#parts.calls.endedThere(standing, msOfVersion(record.version), now);
    if (record.kind === "invite") {
      this.#parts.invites.cameFromPeer(record.key, now);
      if (this.#parts.cancels.cancelEarly(record, now)) this.#settle(now);
    }
    if (record.kind === "dialog" && isNews && this.#parts.invites.answeredThere(record, now)) this.#settle(now);
    if (record.kind === "binding" && isNews && this.#parts.finder.registered(addressOfRecordOfBindingKey(record.key))) this.#settle(now);
  }

  /** There is a newer map. {@link adoptLeft} comes next. */
  setMap(map: ClusterMap): void {
    const isMore = map.exchangeCount !== this.#parts.map.exchangeCount;
    this.#parts.map = map;
    // Phones that are looked for may belong to another exchange now.
    if (isMore) this.#parts.finder.wayCame();
    this.#tellTakeovers();
  }

  /** This replica is about to be none. Refusals over UDP that nobody has acknowledged are said once more: nobody else knows of them. */
  sayRefusalsAgain(now: SteadyMs): void {
    this.#parts.transactions.sayRefusalsAgain(now);
    this.#settle(now);
  }

  /** Goes on with INVITEs that a replica has in progress which the map has no more: it lets go of them when it hears of the map. */
  adoptLeft(now: SteadyMs): void {
    if (!this.#isFirst || !this.#parts.takeovers.hasLeft(this.#pair)) return;
    this.#parts.orphans.tookOver(now);
    this.#parts.repeatedUntil = now + repeatedMs;
    this.#parts.takeovers.adoptLeft(this.#pair, now);
    this.#parts.invites.adoptedAnswered(now);
    this.#parts.dialogs.confirmAll(now);
    this.#settle(now);
  }

  /** Of two replicas that know of the same thing at the same time one does it: the primary, or the other one where that cannot be reached. */
  get #isFirst(): boolean {
    const { primary } = pairOf(this.#parts.map, this.#parts.config.exchange);
    return primary === this.#parts.clock.cell || this.#reachable?.has(primary) === false;
  }

  /** The cells that have a replica, by the map. */
  get #pair(): ReadonlySet<string> {
    const { primary, secondary } = pairOf(this.#parts.map, this.#parts.config.exchange);
    return new Set([primary, secondary]);
  }

  /** A replica that the map has no more is as one that is down: what it had in hand may be taken up. */
  #tellTakeovers(): void {
    const reachable = this.#reachable;
    if (reachable !== undefined) this.#parts.takeovers.setCells(new Set([...this.#pair].filter((cell) => reachable.has(cell))));
  }

  /**
   * Goes on with the INVITEs that the other replica had in progress. They are those that came or went by this access, which has lost that replica
   * (frame record `takeover`). Undefined: all of them, the cell is down.
   */
  takeOver(access: string | undefined, now: SteadyMs): void {
    this.#parts.orphans.tookOver(now);
    this.#parts.repeatedUntil = now + repeatedMs;
    this.#parts.takeovers.takeOver(access, now);
    this.#parts.dialogs.confirmAll(now);
    this.#settle(now);
  }

  /** Goes on with what an earlier start of this replica had in hand, and nobody else will. To be called once, when it has caught up with its peer. */
  resume(now: SteadyMs): void {
    this.#parts.takeovers.resume(now);
    this.#settle(now);
  }

  /** What this cell sees now, for whoever wants to know. */
  see(view: View): void {
    this.#view = view;
  }

  /**
   * The cells that the view says can be reached, this one included: lines of others are unreachable at once. What was said to their softphones and is
   * not answered is said again where they are now. The answer may have died with the line. What waits for a way goes on with the next {@link tick},
   * which is wanted at once then.
   */
  setCells(reachable: ReadonlySet<string>, now: SteadyMs): void {
    this.#reachable = reachable;
    this.#tellTakeovers();
    this.#parts.accesses.setCells(reachable, now);
    this.#parts.finder.wayCame();
    const isDoubtful = (flow: string): boolean => isLine(accessOfFlow(flow)) && !this.#parts.accesses.isReachable(accessOfFlow(flow));
    this.#parts.transactions.flowsDoubtful(isDoubtful, now);
    this.#settle(now);
  }

  /** Until when an INVITE may ring that nobody remembers, ms: what an exchange that slept with nothing in hand is told when it wakes. */
  get orphansUntil(): WallMs {
    return this.#parts.orphans.until;
  }

  /** How far this replica's memory of dialogs goes back. */
  get memory(): Memory {
    return this.#parts.memory;
  }

  /** At its start, with what is on its disk; and when its peer has told everything that it has. */
  setMemory(memory: Memory): void {
    this.#parts.memory = memory;
  }

  /** Until when everything is known that the other replica has made, ms; `Infinity` while each is told at once what the other one changes. */
  setPeerKnown(until: SteadyMs, now: SteadyMs): void {
    this.#parts.invites.heardAll(until === Number.POSITIVE_INFINITY, now);
    this.#parts.peerKnownUntil = this.#parts.clock.wallAt(until);
  }

  /** True while this cell can reach nobody: REGISTER is answered 503, so that phones go where they can be called. */
  setFenced(isFenced: boolean): void {
    this.#parts.registers.setFenced(isFenced);
  }

  /** Where the phones of an address-of-record of this slice are, or those with this Contact (`sip:...`), for another exchange that asks. */
  flowsOf(name: string, now: SteadyMs): PhoneFlow[] | "unavailable" {
    return /^sips?:/i.test(name) ? this.#parts.contacts.flowsOf(name, now) : this.#parts.registrar.flowsOf(name, now);
  }

  /** The answer to a {@link Effect} of type `flows`. One that nobody waits for any more is ignored. */
  flows(reference: string, answer: readonly PhoneFlow[] | "unavailable", now: SteadyMs): void {
    if (!this.#parts.contacts.answered(reference, answer, now))
      this.#parts.finder.answered(reference, answer === "unavailable" ? [] : answer, now);
    this.#settle(now);
  }

  /**
   * Messages that could not be brought to their access: the line's cell, or the gateway's backhaul, cannot be reached from here. Unlike an
   * `undeliverable` record from the access itself this says nothing about the phone: its binding stays.
   */
  unreachable(access: string, records: readonly FrameRecord[], now: SteadyMs): void {
    this.#parts.accesses.troubled(access, now);
    this.#parts.undeliverables.cameBackFrom(access, records, now);
    this.#settle(now);
  }

  /** A backhaul opened, or was found again after hibernation; a line before its first frame. As with {@link setCells}, a tick may be wanted. */
  connectAccess(access: string, listeners: readonly Listener[]): void {
    this.#parts.accesses.connect(access, listeners);
    if (!isLine(access)) this.#parts.late.mayHaveMissed();
    this.#parts.resolutions.wayCame();
    this.#parts.finder.wayCame();
  }

  disconnectAccess(access: string, now: SteadyMs): void {
    this.#parts.accesses.disconnect(access, now);
  }

  /**
   * The access has started anew: its connections are gone, though it could not say so. Not those of its present start, `boot`, which the peer has told
   * of: this replica may have been away when the access started.
   */
  forgetConnections(access: string, now: SteadyMs, boot?: string): void {
    const isGone = (flow: string): boolean => accessOfFlow(flow) === access && isReliableFlow(flow) && !isOfBoot(flow, boot);
    this.#parts.registrar.flowsGone(isGone, now);
    this.#parts.transactions.flowsGone(isGone, now);
    this.#settle(now);
  }

  /**
   * The process of a gateway has ended, as far as the cells can tell. What was said on its connections and is not answered is tried another way, not
   * given up when Timer F fires. Its bindings stay: they lead nowhere while it is away, and would be missed if it lived after all.
   */
  accessGone(access: string, now: SteadyMs): void {
    this.#parts.transactions.flowsGone((flow) => accessOfFlow(flow) === access && isReliableFlow(flow), now);
    this.#settle(now);
  }

  /** One record of a frame from an access. Kinds that an exchange does not know are ignored: a newer access may send them. */
  receive(access: string, record: FrameRecord, now: SteadyMs): void {
    const flow = joinFlow(access, record.key);
    switch (record.kind) {
      case RecordKind.message:
        this.#parts.reception.receive(record.octets, flow, now);
        break;
      case RecordKind.undeliverable:
        this.#parts.undeliverables.cameBack(record.octets, flow, now);
        break;
      case RecordKind.closed:
        this.#parts.registrar.flowClosed(flow, now);
        this.#parts.transactions.flowClosed(flow, now);
        break;
      case RecordKind.takeover:
        this.takeOver(access, now);
        break;
      case RecordKind.resolved: {
        const keys = parseJsonOctets(record.octets);
        const flows = Array.isArray(keys) ? keys.filter((key) => typeof key === "string").map((key) => joinFlow(access, key)) : [];
        this.#parts.proxy.resolved(record.key, flows, now);
        break;
      }
      default:
        break;
    }
    this.#settle(now);
  }

  /** The same of another exchange, which the access has brought it to. False: it is not `isSure`, and belongs to no INVITE here. */
  takeOffered(access: string, { key, octets }: FrameRecord, isSure: boolean, now: SteadyMs): boolean {
    const flow = joinFlow(access, key);
    const isTaken = isSure || this.#parts.reception.takeOfInvite(octets, flow, now);
    if (isSure) this.#parts.reception.receive(octets, flow, now, true);
    this.#settle(now);
    return isTaken;
  }

  /** The cells of another exchange that can be reached, this one first. `isHere`: it is one of them. */
  cellsOf(exchange: number): { readonly cells: readonly string[]; readonly isHere: boolean } {
    const { map, config } = this.#parts;
    const reachable = this.#reachable;
    const cells = servingCells(map, exchange, config.cell).filter((cell) => reachable?.has(cell) !== false);
    return { cells, isHere: cells.includes(config.cell) };
  }

  /** Whether all is gone from here that belongs to younger exchanges: what is brought here for them is theirs. */
  setHandedOver(isHandedOver: boolean): void {
    this.#parts.elderRequests.isHandedOver = isHandedOver;
  }

  /** Whether another exchange has what belongs to this name, and nothing of it is here any more. */
  isElsewhere(addressOfRecord: string): boolean {
    if (/^sips?:/i.test(addressOfRecord)) return false;
    return this.#parts.elderRequests.isHandedOver && !this.#parts.isServedHere(addressOfRecord);
  }

  /** A gateway has answered a frame, so many ms after it was sent. Tell it before what came with the answer. */
  answeredAfter(roundTripMs: number, now: SteadyMs): void {
    const text = this.#lateness.measured(roundTripMs, now);
    if (text !== undefined) this.#parts.outgoing.push({ type: "log", text: `exchange ${this.#parts.config.exchange} ${text}` });
  }

  /** The answer to a {@link Effect} of type `credentials`. */
  credentials(addressOfRecord: string, answer: SubscriberCredentials | "unknown" | "unavailable", now: SteadyMs): void {
    this.#parts.pipeline.credentials(addressOfRecord, answer, now);
    this.#settle(now);
  }

  /** What this exchange knows of a subscriber of its slice, for another exchange that asks. */
  credentialsOf(addressOfRecord: string): SubscriberCredentials | undefined {
    return this.store.subscriber(addressOfRecord);
  }

  putSubscriber(addressOfRecord: string, value: SubscriberCredentials, now: SteadyMs): void {
    this.store.apply({ kind: "subscriber", key: addressOfRecord, version: this.#parts.clock.tick(now), value });
  }

  /** False: there is no such subscriber. Its bindings go with it. */
  removeSubscriber(addressOfRecord: string, now: SteadyMs): boolean {
    if (this.store.subscriber(addressOfRecord) === undefined) return false;
    this.store.apply(makeTombstone("subscriber", addressOfRecord, this.#parts.clock.tick(now), this.#parts.clock.wallAt(now)));
    this.#parts.registrar.removeAll(addressOfRecord, now);
    return true;
  }

  /** The phones of a user of a domain that was removed are registered no more. False: none was. */
  endRegistrations(addressOfRecord: string, now: SteadyMs): boolean {
    const isRegistered = this.store.bindingsOf(addressOfRecord).some(({ value }) => value !== undefined);
    if (isRegistered) this.#parts.registrar.removeAll(addressOfRecord, now);
    return isRegistered;
  }

  subscribers(): string[] {
    return Array.from(this.store.records("subscriber"), (record) => record.key).filter((key) => this.#parts.isServedHere(key));
  }

  /** Calls that stand now: those of an address-of-record, or all. */
  liveCalls(addressOfRecord: string | undefined): LiveCall[] {
    return this.#parts.calls.live(addressOfRecord);
  }

  /** An operator ends the call with this key. */
  endCall(isIt: (key: string) => boolean, now: SteadyMs): CallEnding {
    const ending = this.#parts.endings.end(isIt, now);
    this.#settle(now);
    return ending;
  }

  /** Two ledgers have these records of calls. */
  collected(records: readonly LiveRecord<"call">[], now: SteadyMs): void {
    for (const record of records) this.#parts.calls.collected(record, now);
  }

  registrations(addressOfRecord: string | undefined, now: SteadyMs): Registration[] {
    const { registrar, accesses, config, map } = this.#parts;
    const primary = servedBy(map, config.exchange, config.cell, this.#view?.cells);
    const shown = { primary, wayOf: (flow: string): string => wayOf(flow, accesses, this.#view?.gateways) };
    // What is here of others yet, they show.
    return registrar.registrations(addressOfRecord, shown, now).filter(({ aor }) => this.#parts.isServedHere(aor));
  }

  /** What is here of others yet, since the exchanges were doubled, they count. */
  counts(now: SteadyMs): ExchangeCounts {
    const { clock, dialogs, elderRequests, map, transactions } = this.#parts;
    const isMixed = map.doubled !== undefined && !elderRequests.isHandedOver;
    const isCounted = isMixed ? (name: string): boolean => this.#parts.isServedHere(name) : undefined;
    return {
      registrations: this.store.registrationCount(clock.wallAt(now), isCounted),
      dialogs: dialogs.count,
      transactions: transactions.size,
      subscribers: isMixed ? this.subscribers().length : this.store.count("subscriber"),
    };
  }

  /** Since this replica started. */
  sipCounts(): SipCount[] {
    return this.#parts.tally.counts();
  }

  /** How late it reads what gateways bring, ms. */
  get lateMs(): number {
    return this.#lateness.ms;
  }

  /** Fires what is due. */
  tick(now: SteadyMs): void {
    this.#parts.timers.fireDue(now, this.#lateness.readUntil(now));
    this.#settle(now);
  }

  /**
   * When {@link tick} is wanted next, ms since the epoch: by transactions in progress, or undefined when nothing is going on but
   * time. {@link nextSweep} says when records should be looked at.
   */
  nextDeadline(): number | undefined {
    const deadline = this.#parts.timers.nextDeadline();
    return deadline === undefined ? undefined : deadline + this.#lateness.ms;
  }

  /** Forgets what has expired. Returns when to come again: far away when little is held, undefined when nothing is. */
  sweep(now: SteadyMs): number | undefined {
    const { calls, clock } = this.#parts;
    calls.forgotten(this.store.sweep(clock.wallAt(now)), now);
    const unnoted = calls.takeUnnoted();
    if (unnoted > 0) this.#parts.outgoing.push({ type: "log", text: unnotedText(this.#parts.config.exchange, unnoted) });
    return this.store.size > this.store.count("subscriber") ? now + sweepMs : undefined;
  }

  /** All that is to be done since the last call. */
  takeEffects(): Effect[] {
    return this.#parts.outgoing.takeEffects();
  }

  /** Gives back what could not even be sent. One round may make the next (another target that is gone too), each with fewer targets. */
  #settle(now: SteadyMs): void {
    for (;;) {
      const unresolvable = this.#parts.resolutions.takeUnresolvable();
      const unsendable = this.#parts.outgoing.takeUnsendable();
      if (unsendable.length === 0 && unresolvable.length === 0 && !this.#parts.finder.settle(now)) break;
      for (const { flow, octets } of unsendable) this.#parts.undeliverables.cameBack(octets, flow, now, true);
      for (const reference of unresolvable) this.#parts.proxy.resolved(reference, [], now);
    }
    this.#parts.invites.flush(now);
  }
}

function unnotedText(exchange: number, count: number): string {
  return `exchange ${exchange}: ${count} calls have no record, because too many records wait for the collector: see tandem group`;
}
