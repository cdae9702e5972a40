import { memoryFrom, type Memory } from "../../sip/record/memory.ts";
import type { PhoneFlow } from "../../sip/dialog/present-flow.ts";
import { isParseError, type ParseError } from "../../sip/errors.ts";
import { repeatedMs } from "../limits.ts";
import { inviteLifetimeMs, messageOctetsMax, retryAfterSeconds, sweepMs } from "../../sip/limits.ts";
import { buildResponse, type HeaderField } from "../../sip/message/build.ts";
import { capabilityHeaders } from "../../sip/message/capabilities.ts";
import { Header } from "../../sip/message/header-names.ts";
import { octetsOf } from "../../sip/message/octets.ts";
import { parseMessage, type SipMessage } from "../../sip/message/sip-message.ts";
import { isSipUri } from "../../sip/message/uri.ts";
import { domainOf, exchangeOf, pairOf, type ClusterMap, type Domain } from "../../cluster/map/cluster-map.ts";
import type { ProxyEnvironment } from "../../sip/proxy/environment.ts";
import { privacyOf } from "../../sip/proxy/identity-headers.ts";
import { Proxy } from "../../sip/proxy/proxy.ts";
import { isBranch, type Branch } from "../../sip/proxy/branch.ts";
import { isResponseContext, type ResponseContext } from "../../sip/proxy/response-context.ts";
import type { Target } from "../../sip/proxy/target-set.ts";
import type { Preprocessed } from "../../sip/proxy/route-preprocessing.ts";
import { HybridClock } from "../../cluster/time/hybrid-clock.ts";
import { addressOfRecordOfBindingKey } from "../../sip/record/keys.ts";
import { RecordStore } from "../../sip/record/record-store.ts";
import { isUndialable } from "../../sip/registrar/contact.ts";
import { makeTombstone, type StateRecord } from "../../sip/record/state-record.ts";
import type { DialogSide } from "../../sip/record/values.ts";
import { Specimen } from "../../sip/specimen.ts";
import { TimerTable } from "../../sip/transaction/timer-table.ts";
import { TransactionLayer } from "../../sip/transaction/transaction-layer.ts";
import type { ServerTransaction, TransactionUser, TransportSink } from "../../sip/transaction/transaction.ts";
import { briefResponse, tagOfRefusal } from "../../sip/flow/brief-response.ts";
import { accessOfFlow, isLine, isOfBoot, joinFlow, splitFlow, type Listener } from "../../sip/flow/flow.ts";
import { parseJsonOctets, RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { responseFlow, stampReceived } from "../../sip/flow/response-flow.ts";
import type { Sign } from "../../sip/flow/token.ts";
import { Accesses } from "./accesses.ts";
import { Authority } from "./authority.ts";
import { addressOfRecordIn, asksNobody, callingOf, claimOfParty, showsAnother, vouch, type Calling } from "./caller.ts";
import { ContactFinder, type ContactWaiter } from "./contact-finder.ts";
import type { SubscriberCredentials } from "./credential-cache.ts";
import { DialogKeeper } from "./dialog-keeper.ts";
import { DialogWays, type NoWay } from "./dialog-ways.ts";
import { FailedLoginLines } from "./failed-logins.ts";
import type { Effect, ExchangeCounts, Registration } from "./effects.ts";
import { InviteKeeper } from "./invite-keeper.ts";
import { Lateness } from "./lateness.ts";
import { LateResponses } from "./late-responses.ts";
import { OrphanedInvites } from "./orphaned-invites.ts";
import { PhoneFinder } from "./phone-finder.ts";
import { RegisterRequests } from "./register-requests.ts";
import { RegistrarDesk } from "./registrar-desk.ts";
import { Resolutions } from "./resolutions.ts";
import { ofStranger, refusalOfStranger } from "./strangers.ts";
import { Takeovers } from "./takeovers.ts";
import { WaitingRoom } from "./waiting-room.ts";
import { isReliableFlow, Whereabouts, type DialogTarget } from "./whereabouts.ts";

export type ExchangeConfig = {
  readonly exchange: number;
  readonly cell: string;
  readonly map: ClusterMap;
  /** Until when an INVITE may ring that this exchange had in hand and has forgotten, ms; absent: any that there may have been before now. */
  readonly orphansUntil?: number | undefined;
};

/** What is not a function of the arguments, given by the shell. */
export type ExchangeTools = {
  /** A keyed hash, the same in the whole cluster. */
  readonly sign: Sign;
  /** Hex digest of the text's octets (Latin-1). */
  readonly hash: (algorithm: "MD5" | "SHA-256", text: string) => string;
  /** A random id of 64 bits or more, `[0-9a-z]`. */
  readonly nextId: () => string;
};

/** Requests that are always within something that another one has begun (RFC 3261 15.1, RFC 3262, 3311, 6086, RFC 6665 4.1.2). */
const beginNothing: ReadonlySet<string> = new Set(["BYE", "PRACK", "UPDATE", "INFO", "NOTIFY"]);
/** RFC 3261 16.6 4, RFC 6665 4.3. */
const recordRouteMethods: ReadonlySet<string> = new Set(["INVITE", "SUBSCRIBE", "REFER", "NOTIFY"]);

/**
 * One replica of an exchange: the registrar and proxy of a slice of the addresses-of-record, as a pure machine. Events go in through the
 * methods; what is to be done waits in {@link takeEffects}, to be drained after every call; {@link nextDeadline} says when to call
 * {@link tick}. Changed records wait in {@link store} for the disk and the pair.
 */
export class Exchange {
  readonly store: RecordStore;
  readonly #config: ExchangeConfig;
  readonly #tools: ExchangeTools;
  readonly #clock: HybridClock;
  readonly #timers = new TimerTable();
  readonly #transactions: TransactionLayer;
  readonly #proxy: Proxy;
  readonly #accesses: Accesses;
  readonly #authority: Authority;
  readonly #registrar: RegistrarDesk;
  readonly #registers: RegisterRequests;
  readonly #dialogs: DialogKeeper;
  /** Names this start of this replica in references, so that a branch of an earlier start is not taken for one of this one. */
  readonly #boot: string;
  #map: ClusterMap;
  #references = 0;
  #effects: Effect[] = [];
  /** Messages for accesses that are not there: they come back as undeliverable when the event that sent them is over. */
  #unsendable: { readonly flow: string; readonly octets: Uint8Array }[] = [];
  readonly #resolutions: Resolutions;
  readonly #waiting: WaitingRoom;
  readonly #invites: InviteKeeper;
  readonly #finder: PhoneFinder;
  readonly #contacts: ContactFinder;
  readonly #takeovers: Takeovers;
  readonly #orphans: OrphanedInvites;
  readonly #late: LateResponses;
  readonly #specimens = { request: new Specimen(), response: new Specimen() };
  readonly #whereabouts: Whereabouts;
  /** Cells that can be reached, by the last view; undefined: none has come. */
  #reachable: ReadonlySet<string> | undefined;
  readonly #failedLogins = new FailedLoginLines();
  readonly #lateness = new Lateness();
  #isReturning = false;
  #memory: Memory;
  /** Nobody has said that the two replicas are together. */
  #pairKnownUntil = Number.NEGATIVE_INFINITY;
  /** Until then the other replica, or an earlier start of this one, may have forwarded what comes here. */
  #repeatedUntil: number;

  constructor(config: ExchangeConfig, tools: ExchangeTools, now: number) {
    this.#config = config;
    this.#tools = tools;
    this.#map = config.map;
    const { primary, secondary } = pairOf(config.map, config.exchange);
    this.store = new RecordStore({ isPaired: primary !== secondary });
    this.#repeatedUntil = now + repeatedMs;
    this.#late = new LateResponses(config.cell, now);
    this.#boot = tools.nextId().slice(0, 8);
    this.#clock = new HybridClock(config.cell);
    this.#accesses = new Accesses(config.map.domains[0]?.name ?? "", now);
    this.#resolutions = new Resolutions(this.#accesses, (effect) => this.#effects.push(effect));
    const transport = { send: (flow: string, octets: Uint8Array, commit?: number): void => this.#send(flow, octets, commit) };
    this.#transactions = new TransactionLayer({
      timers: this.#timers,
      transport,
      user: this.#user(),
      isReliable: isReliableFlow,
    });
    const env = this.#environment();
    this.#proxy = new Proxy(env, this.#transactions, this.#timers, transport);
    this.#dialogs = new DialogKeeper(this.store, this.#clock, () => this.#map);
    this.#registrar = new RegistrarDesk(this.store, this.#clock, (uri) => this.#accesses.own.namedBy(this.#map, uri));
    this.#invites = new InviteKeeper(this.store, this.#clock, this.#proxy, this.#transactions);
    this.#waiting = new WaitingRoom(this.#timers, (caller, at) => this.credentials(caller, "unavailable", at));
    this.#takeovers = new Takeovers({
      cell: config.cell,
      invites: this.#invites,
      transactions: this.#transactions,
      transport,
    });
    const flowsHere = (addressOfRecord: string, at: number): PhoneFlow[] | undefined => {
      return this.#isServedHere(addressOfRecord) ? this.#registrar.flowsOf(addressOfRecord, at) : undefined;
    };
    this.#finder = new PhoneFinder({
      timers: this.#timers,
      flowsHere,
      ask: (addressOfRecord, reference) => {
        this.#effects.push({ type: "flows", addressOfRecord, exchange: exchangeOf(this.#map, addressOfRecord), reference });
      },
    });
    this.#memory = memoryFrom(now);
    this.#whereabouts = this.#newWhereabouts(flowsHere);
    this.#orphans = this.#orphanedInvites(env, transport, now);
    this.#contacts = this.#contactFinder();
    this.#authority = new Authority({
      ...tools,
      isServedHere: (addressOfRecord) => this.#isServedHere(addressOfRecord),
      subscriber: (addressOfRecord) => this.store.subscriber(addressOfRecord),
      isOurHost: (host) => domainOf(this.#map, host) !== undefined,
      now,
      issuer: { replica: `${config.exchange} ${config.cell}`, boot: this.#boot },
      failedLoginsPerAddress: config.map.failedLogins,
      failed: (login, at) => {
        const text = this.#failedLogins.lineOf(login, at);
        if (text !== undefined) this.#effects.push({ type: "log", text });
      },
    });
    this.#registers = new RegisterRequests({
      map: () => this.#map,
      store: this.store,
      registrar: this.#registrar,
      authority: this.#authority,
      finder: this.#finder,
    });
  }

  /** A new cluster map: domains, aliases and settings count from now on. The exchange count and the place in it do not change. */
  setMap(map: ClusterMap): void {
    this.#map = map;
  }

  /** A record read back from the disk, before the first event. The clock goes on behind it, even if the machine's was set back. */
  restore(record: StateRecord): void {
    this.#clock.observe(record.version);
    this.store.apply(record, "disk");
  }

  /**
   * A record of the pair's. An INVITE that this replica had in progress and that the other one has taken over, or ended, is dropped
   * without a word: it was this replica that could not be heard. A phone that has registered there may be waited for here.
   */
  applyFromPair(record: StateRecord, now: number): void {
    this.#clock.observe(record.version);
    const isNews = this.store.apply(record, "pair");
    if (record.kind === "invite") {
      this.#invites.cameFromPair(record.key, now);
      if (this.#orphans.hasEarlyCancels) this.#cancelEarly(record, now);
    }
    if (record.kind === "dialog" && isNews && this.#invites.answeredThere(record, now)) this.#settle(now);
    if (record.kind === "binding" && isNews && this.#finder.registered(addressOfRecordOfBindingKey(record.key))) this.#settle(now);
  }

  /**
   * Goes on with the INVITEs that the other replica had in progress: those that came or went by this access, which has lost that replica
   * (frame record `takeover`); undefined: all of them, the cell is down.
   */
  takeOver(access: string | undefined, now: number): void {
    this.#orphans.tookOver(now);
    this.#repeatedUntil = now + repeatedMs;
    this.#takeovers.takeOver(access, now);
    this.#dialogs.confirmAll(now);
    this.#settle(now);
  }

  /**
   * The cells that the view says can be reached, this one included: lines of others are unreachable at once. What was said to their softphones
   * and is not answered is said again where they are now, for the answer may have died with the line. What waits for a way goes on with
   * the next {@link tick}, which is wanted at once then.
   */
  setCells(reachable: ReadonlySet<string>, now: number): void {
    this.#reachable = reachable;
    this.#takeovers.setCells(reachable);
    this.#accesses.setCells(reachable, now);
    this.#finder.wayCame();
    const isDoubtful = (flow: string): boolean => isLine(accessOfFlow(flow)) && !this.#accesses.isReachable(accessOfFlow(flow));
    this.#transactions.flowsDoubtful(isDoubtful, now);
    this.#settle(now);
  }

  /** Until when an INVITE may ring that nobody remembers, ms: what an exchange that slept with nothing in hand is told when it wakes. */
  get orphansUntil(): number {
    return this.#orphans.until;
  }

  /** How far this replica's memory of dialogs goes back. */
  get memory(): Memory {
    return this.#memory;
  }

  /** At its start, with what is on its disk; and when its pair has told everything that it has. */
  setMemory(memory: Memory): void {
    this.#memory = memory;
  }

  /** Until when everything is known that the other replica has made, ms; `Infinity` while each is told at once what the other one changes. */
  setPairKnown(until: number): void {
    this.#pairKnownUntil = until;
  }

  /** True while this cell can reach nobody: REGISTER is answered 503, so that phones go where they can be called. */
  setFenced(isFenced: boolean): void {
    this.#registers.setFenced(isFenced);
  }

  /** Where the phones of an address-of-record of this slice are, or those with this Contact (`sip:...`), for another exchange that asks. */
  flowsOf(name: string, now: number): PhoneFlow[] | "unavailable" {
    return /^sips?:/i.test(name) ? this.#contacts.flowsOf(name, now) : this.#registrar.flowsOf(name, now);
  }

  /** The answer to a {@link Effect} of type `flows`. One that nobody waits for any more is ignored. */
  flows(reference: string, answer: readonly PhoneFlow[] | "unavailable", now: number): void {
    if (!this.#contacts.answered(reference, answer, now)) this.#finder.answered(reference, answer === "unavailable" ? [] : answer, now);
    this.#settle(now);
  }

  /**
   * Messages that could not be brought to their access: the line's cell, or the gateway's backhaul, cannot be reached from here. Unlike an
   * `undeliverable` record from the access itself this says nothing about the phone: its binding stays.
   */
  unreachable(access: string, records: readonly FrameRecord[], now: number): void {
    this.#accesses.troubled(access, now);
    this.#isReturning = true;
    for (const { kind, key, octets } of records) if (kind === RecordKind.send) this.#undeliverable(octets, joinFlow(access, key), now);
    this.#isReturning = false;
    this.#settle(now);
  }

  /** A backhaul opened, or was found again after hibernation; a line before its first frame. As with {@link setCells}, a tick may be wanted. */
  connectAccess(access: string, listeners: readonly Listener[]): void {
    this.#accesses.connect(access, listeners);
    if (!isLine(access)) this.#late.mayHaveMissed();
    this.#resolutions.wayCame();
    this.#finder.wayCame();
  }

  disconnectAccess(access: string, now: number): void {
    this.#accesses.disconnect(access, now);
  }

  /**
   * The access has started anew: its connections are gone, though it could not say so. Not those of its present start, `boot`, which the pair has told
   * of: this replica may have been away when the access started.
   */
  forgetConnections(access: string, now: number, boot?: string): void {
    const isGone = (flow: string): boolean => accessOfFlow(flow) === access && isReliableFlow(flow) && !isOfBoot(flow, boot);
    this.#registrar.flowsGone(isGone, now);
    this.#transactions.flowsGone(isGone, now);
    this.#settle(now);
  }

  /**
   * The process of a gateway has ended, as far as the cells can tell. What was said on its connections and is not answered is tried another way, not
   * given up when Timer F fires. Its bindings stay: they lead nowhere while it is away, and would be missed if it lived after all.
   */
  accessGone(access: string, now: number): void {
    this.#transactions.flowsGone((flow) => accessOfFlow(flow) === access && isReliableFlow(flow), now);
    this.#settle(now);
  }

  /** One record of a frame from an access. Kinds that an exchange does not know are ignored: a newer access may send them. */
  receive(access: string, record: FrameRecord, now: number): void {
    const flow = joinFlow(access, record.key);
    switch (record.kind) {
      case RecordKind.message:
        this.#receiveMessage(record.octets, flow, now);
        break;
      case RecordKind.undeliverable:
        this.#undeliverable(record.octets, flow, now);
        break;
      case RecordKind.closed:
        this.#registrar.flowClosed(flow, now);
        this.#transactions.flowClosed(flow, now);
        break;
      case RecordKind.takeover:
        this.takeOver(access, now);
        break;
      case RecordKind.resolved: {
        const keys = parseJsonOctets(record.octets);
        const flows = Array.isArray(keys) ? keys.filter((key) => typeof key === "string").map((key) => joinFlow(access, key)) : [];
        this.#proxy.resolved(record.key, flows, now);
        break;
      }
      default:
        break;
    }
    this.#settle(now);
  }

  /** A gateway has answered a frame, so many ms after it was sent. Tell it before what came with the answer. */
  answeredAfter(roundTripMs: number, now: number): void {
    const text = this.#lateness.measured(roundTripMs, now);
    if (text !== undefined) this.#effects.push({ type: "log", text: `exchange ${this.#config.exchange} ${text}` });
  }

  /** The answer to a {@link Effect} of type `credentials`. */
  credentials(addressOfRecord: string, answer: SubscriberCredentials | "unknown" | "unavailable", now: number): void {
    if (answer !== "unavailable") this.#authority.learn(addressOfRecord, answer, now);
    for (const { tx, request } of this.#waiting.leave(addressOfRecord)) {
      if (answer === "unavailable") this.#refuseFor(tx, request.message, 503, now);
      else this.#process(tx, request, now);
    }
    this.#settle(now);
  }

  /** What this exchange knows of a subscriber of its slice, for another exchange that asks. */
  credentialsOf(addressOfRecord: string): SubscriberCredentials | undefined {
    return this.store.subscriber(addressOfRecord);
  }

  putSubscriber(addressOfRecord: string, value: SubscriberCredentials, now: number): void {
    this.store.apply({ kind: "subscriber", key: addressOfRecord, version: this.#clock.tick(now), value });
  }

  /** False: there is no such subscriber. Its bindings go with it. */
  removeSubscriber(addressOfRecord: string, now: number): boolean {
    if (this.store.subscriber(addressOfRecord) === undefined) return false;
    this.store.apply(makeTombstone("subscriber", addressOfRecord, this.#clock.tick(now), now));
    this.#registrar.removeAll(addressOfRecord, now);
    return true;
  }

  subscribers(): string[] {
    return Array.from(this.store.records("subscriber"), (record) => record.key);
  }

  registrations(addressOfRecord: string | undefined, now: number): Registration[] {
    const rows = this.#registrar.registrations(addressOfRecord, now);
    const reachable = this.#reachable;
    if (reachable === undefined || rows.every(({ primary }) => reachable.has(primary))) return rows;
    // A cell that is down serves nobody: what it took is served here.
    return rows.map((row) => (reachable.has(row.primary) ? row : { ...row, primary: this.#config.cell }));
  }

  counts(now: number): ExchangeCounts {
    return {
      registrations: this.store.registrationCount(now),
      dialogs: this.#dialogs.count,
      transactions: this.#transactions.size,
      subscribers: this.store.count("subscriber"),
    };
  }

  /** Fires what is due. */
  tick(now: number): void {
    this.#timers.fireDue(now, this.#lateness.readUntil(now));
    this.#settle(now);
  }

  /**
   * When {@link tick} is wanted next, ms since the epoch: by transactions in progress, or undefined when nothing is going on but
   * time. {@link nextSweep} says when records should be looked at.
   */
  nextDeadline(): number | undefined {
    const deadline = this.#timers.nextDeadline();
    return deadline === undefined ? undefined : deadline + this.#lateness.ms;
  }

  /** Forgets what has expired. Returns when to come again: far away when little is held, undefined when nothing is. */
  sweep(now: number): number | undefined {
    this.store.sweep(now);
    return this.store.size > this.store.count("subscriber") ? now + sweepMs : undefined;
  }

  /** All that is to be done since the last call. */
  takeEffects(): Effect[] {
    const effects = this.#effects;
    if (effects.length > 0) this.#effects = [];
    return effects;
  }

  #receiveMessage(octets: Uint8Array, flow: string, now: number): void {
    const parsed = parseMessage(octets);
    if (isParseError(parsed)) return this.#refuseUnparsed(parsed, flow);
    const message = parsed.isRequest ? stampReceived(parsed, flow) : parsed;
    const wrong = message.checkMandatory();
    if (wrong !== undefined) return this.#refuseUnparsed(wrong.of(message), flow);
    this.#specimens[message.isRequest ? "request" : "response"].keep(message);
    if (!this.#registerAtOnce(message, flow, now)) this.#transactions.receive(message, flow, now);
  }

  /** RFC 3261 8.2, 16.3 1: a request that cannot be read is answered without a transaction, as far as it says whom to answer. */
  #refuseUnparsed(error: ParseError, flow: string): void {
    const { message } = error;
    if (message === undefined || !message.isRequest || message.method === "ACK" || !message.isAnswerable) return;
    const stamped = stampReceived(message, flow);
    const response = buildResponse(stamped, error.status, { reason: error.reason, toTag: tagOfRefusal(stamped) });
    const back = responseFlow(stamped, flow);
    this.#send(back, briefResponse(stamped, back, response), undefined);
  }

  /**
   * `isWayMissing`: it has not left, for want of a way to its access. `client`: the side of a dialog that a response without a transaction is for, as
   * it was before that response ended it.
   */
  #undeliverable(octets: Uint8Array, flow: string, now: number, isWayMissing = false, client?: DialogSide): void {
    const message = parseMessage(octets);
    if (isParseError(message)) return;
    if (message.isRequest && message.method === "ACK") this.#whereabouts.ackLost(message, flow, now);
    else if (!this.#transactions.undeliverable(message, flow, now, isWayMissing) && !message.isRequest) {
      this.#whereabouts.strayLost(message, flow, client, now);
    }
  }

  #user(): TransactionUser {
    return {
      request: (tx, message, now) => this.#request(tx, message, now),
      ack: (message, flow, now) => this.#ack(message, flow, now),
      cancel: (tx, cancelTx, message, now) => {
        const invite = tx ?? this.#takeovers.adoptedForCancel(message, now);
        if (invite === undefined && this.#orphans.cancel(cancelTx, message, now)) return;
        if (tx === undefined && invite !== undefined) this.#orphans.remember(cancelTx, message, now);
        this.#proxy.cancel(invite, cancelTx, message, now);
        if (invite !== undefined) this.#orphans.alsoCancel(cancelTx, message, invite.owner, now);
      },
      response: (tx, message, now) => void this.#proxy.response(tx, message, now),
      strayResponse: (message, flow, now) => this.#strayResponse(message, flow, now),
      timeout: (tx, now) => void this.#proxy.timeout(tx, now),
      silent: (tx, now) => this.#proxy.silent(tx, now),
      transportError: (tx, now) => {
        if (isBranch(tx.owner)) this.#late.undelivered(tx.owner.via.branch, tx.method);
        this.#proxy.transportError(tx, now);
      },
      terminated: (tx, now) => {
        if (isBranch(tx.owner)) this.#late.ended(tx.owner.via.branch, tx.owner.via.mark, tx.method, now);
      },
      responseLost: (tx, response, now) => this.#whereabouts.responseLost(tx, response, now),
      isTrustedOn: (flow) => this.store.bindingsOnFlow(flow).some(({ value }) => asksNobody(this.#map, value.addressOfRecord)),
      answeredElsewhere: (tx, now) => {
        const context = tx.owner;
        if (isResponseContext(context) && this.#invites.isAdopted(context)) this.#proxy.endedElsewhere(context, now);
      },
    };
  }

  #dialogWays({ exchange, cell }: ExchangeConfig): DialogWays {
    return new DialogWays({
      exchange,
      cell,
      map: () => this.#map,
      dialogs: this.#dialogs,
      memory: () => this.#memory,
      pairKnownUntil: () => this.#pairKnownUntil,
      inviteOf: (callId, callerTag) => this.#proxy.inviteOf(callId, callerTag),
      mayBeElsewhere: (callId) => this.#invites.mayBeForeign(callId),
    });
  }

  #newWhereabouts(flowsHere: (addressOfRecord: string, now: number) => PhoneFlow[] | undefined): Whereabouts {
    return new Whereabouts({
      map: () => this.#map,
      accesses: this.#accesses,
      dialogs: this.#dialogs,
      ways: this.#dialogWays(this.#config),
      finder: this.#finder,
      registrar: this.#registrar,
      flowsHere,
      send: (flow, octets) => this.#send(flow, octets, undefined),
      resolved: (reference, flows, at) => this.#proxy.resolved(reference, flows, at),
      returned: (reference, targets, at) => this.#proxy.returned(reference, targets, at),
      moveResponse: (tx, response, flow, at) => this.#transactions.moveResponse(tx, response, flow, at),
    });
  }

  #orphanedInvites(env: ProxyEnvironment, transport: TransportSink, now: number): OrphanedInvites {
    return new OrphanedInvites(
      {
        env,
        map: () => this.#map,
        proxy: this.#proxy,
        transactions: this.#transactions,
        transport,
        finder: this.#finder,
        targets: (addressOfRecord, isSecure, at) => this.#registrar.targets(addressOfRecord, at, isSecure),
        isServedHere: (addressOfRecord) => this.#isServedHere(addressOfRecord),
        isKnown: (flow) => isReliableFlow(flow) || this.store.bindingsOnFlow(flow).length > 0,
        dialogTarget: (request, at) => this.#whereabouts.dialogTarget(request, at),
      },
      this.#config.orphansUntil ?? now + inviteLifetimeMs,
    );
  }

  #isServedHere(addressOfRecord: string): boolean {
    return exchangeOf(this.#map, addressOfRecord) === this.#config.exchange;
  }

  /** A response without a transaction here: its INVITE is taken up, or it goes on by its Vias. */
  #strayResponse(message: SipMessage, flow: string, now: number): void {
    const via = message.topVia;
    const cSeq = message.cSeq;
    if (isParseError(via) || via.branch === undefined || isParseError(cSeq)) return;
    const isSaidOnce = message.status >= 300 ? isReliableFlow(flow) : message.status >= 200;
    const known = cSeq.method === "INVITE" ? this.#takeovers.ofResponse(via.branch, flow, isSaidOnce, now) : undefined;
    if (known === "adopted") return this.#transactions.receive(message, flow, now);
    // Only the replica that has it in hand can acknowledge a refusal, and try another phone.
    if (known === "gone" || (known === "theirs" && message.status >= 300)) return;
    if (cSeq.method === "INVITE" && message.status >= 300 && this.#orphans.refused(message, via.branch)) return;
    const byVia = this.#proxy.strayResponse(message, now);
    if (byVia === undefined) return;
    const onward = { flow: this.#orphans.callerOf(via.branch) ?? byVia.flow, octets: byVia.octets };
    if (cSeq.method === "INVITE" && message.status < 300 && message.status >= 200) this.#takeovers.passed(via.branch);
    if (known === undefined) this.#orphans.answered(message, via.branch, byVia.flow, now);
    // Before the answer to a BYE ends the dialog that knows it.
    const client = this.#dialogs.senderOf(message);
    const hasChanged = this.#dialogs.followStray(message, onward.flow, flow, now);
    if (this.#accesses.usable(onward.flow) === undefined) return this.#undeliverable(onward.octets, onward.flow, now, true, client);
    const mustWait = hasChanged && cSeq.method === "INVITE";
    this.#send(onward.flow, onward.octets, mustWait ? this.store.sequence : undefined);
  }

  /** The other replica has an INVITE in hand whose CANCEL was answered here: it did not know of that. */
  #cancelEarly({ key, value }: StateRecord & { readonly kind: "invite" }, now: number): void {
    const message = value === undefined ? undefined : parseMessage(octetsOf(value.request));
    if (value === undefined || message === undefined || isParseError(message)) return;
    const early = this.#orphans.earlyCancelOf(key, message, value.flow, now);
    const invite = early === undefined ? undefined : this.#takeovers.adoptedForCancel(early.message, now);
    if (early === undefined || invite === undefined) return;
    this.#proxy.cancel(invite, early.tx, early.message, now);
    this.#settle(now);
  }

  /** A new request: RFC 3261 16.2. */
  #request(tx: ServerTransaction, message: SipMessage, now: number): void {
    if (tx.kind === "inviteServer" && this.#takeovers.repeatedInvite(tx, message, now)) return;
    if (tx.kind === "inviteServer" && this.#orphans.earlyCancelOf(tx.key, message, tx.flow, now) !== undefined)
      return this.#refuseFor(tx, message, 487, now);
    const request = this.#proxy.preprocess(message, tx.flow);
    if (isParseError(request)) return this.#refuseFor(tx, message, request.status, now, request.reason);
    this.#process(tx, request, now);
  }

  /** At first, and when what was asked about its sender is known. */
  #process(tx: ServerTransaction, request: Preprocessed, now: number): void {
    const target = this.#dialogTarget(request, now);
    if (target === undefined) return this.#processInitial(tx, request, now);
    // Who brings the token of this dialog, or knows its Call-ID and both tags, takes part in it. Where its record knows him too he is not asked again.
    if ("status" in target) return this.#refuseFor(tx, request.message, target.status, now, target.reason);
    const { unproved } = target;
    if (unproved !== undefined && !this.#isProved(tx, request, unproved.caller, unproved.domain, now)) return;
    tx.isProven = true;
    this.#dialogs.requested(request.message, tx.flow, now);
    // RFC 6665 4.3: a NOTIFY may be what makes the dialog for its subscriber.
    const said = target.isOfStranger === true ? ofStranger(this.#map, request) : request;
    this.#proxy.forward(tx, said, [target], { recordRoute: request.message.method === "NOTIFY" }, now);
  }

  #ack(message: SipMessage, flow: string, now: number): void {
    const request = this.#proxy.preprocess(message, flow);
    if (isParseError(request)) return; // RFC 3261 17: an ACK is never answered
    const target = this.#dialogTarget(request, now);
    // For a refusal of ours, which has no transaction: nobody else has to do with it.
    if (target === undefined && message.toTag === tagOfRefusal(message)) return;
    if (target === undefined) return this.#orphans.ack(request, now);
    if ("status" in target) return;
    this.#dialogs.requested(request.message, flow, now);
    this.#proxy.ack(target.isOfStranger === true ? ofStranger(this.#map, request) : request, target, now);
  }

  /** Undefined: the request is outside of dialogs, or in one that we are not on the path of. */
  #dialogTarget(request: Preprocessed, now: number): DialogTarget | NoWay | undefined {
    if (request.token === undefined && request.message.toTag === undefined && request.message.method !== "ACK") return undefined;
    return this.#whereabouts.dialogTarget(request, now);
  }

  /** A request outside of dialogs, or within one that we are not on the path of: whose is it, may it, and where does it go. */
  #processInitial(tx: ServerTransaction, request: Preprocessed, now: number): void {
    const { message } = request;
    if (message.method === "REGISTER") return this.#register(tx, message, now);
    const calling = callingOf(this.#map, message);
    if (message.method === "OPTIONS" && calling.callee?.startsWith("@") === true) return this.#answerOptions(tx, message, now);
    const refusal = this.#proxy.checkForwarding(request);
    if (refusal !== undefined) return this.#proxy.refuse(tx, message, refusal, now);
    // A stranger speaks to phones within dialogs that we know, or begins one.
    const isWithin = message.toTag !== undefined || beginNothing.has(message.method);
    if (isWithin && calling.callerDomain === undefined) return this.#refuseFor(tx, message, 481, now);
    if (calling.callee === undefined && calling.callerDomain === undefined)
      return this.#refuseFor(tx, message, 403, now, "Relaying Denied");
    if (calling.callerDomain !== undefined && !this.#isAuthorized(tx, request, calling, calling.callerDomain, now)) return;
    const wrong = calling.callerDomain === undefined ? refusalOfStranger(this.#map, message) : undefined;
    if (wrong !== undefined) return this.#refuseFor(tx, message, wrong.status, now, wrong.reason);
    if (showsAnother(this.#map, message, calling.caller)) return this.#refuseFor(tx, message, 403, now, "Not Your Name");
    if (tx.kind === "inviteServer" && !isWithin && !this.#dialogs.mayBegin(calling, tx.flow)) return this.#refuseFor(tx, message, 503, now);
    vouch(request, calling);
    this.#forwardInitial(tx, calling.callerDomain === undefined ? ofStranger(this.#map, request) : request, calling, now);
  }

  #forwardInitial(tx: ServerTransaction, request: Preprocessed, calling: Calling, now: number): void {
    const { message } = request;
    const recordRoute = recordRouteMethods.has(message.method);
    if (!request.isLeaving && privacyOf(message).isImpossible) return this.#refuseFor(tx, message, 500, now, "Privacy Not Available");
    if (message.method === "SUBSCRIBE" || message.method === "REFER")
      this.#dialogs.subscriptions.begins(message, now, claimOfParty(this.#map, message.to)?.addressOfRecord);
    const uri = message.parsedRequestUri;
    if (calling.callee === undefined && !isParseError(uri) && isSipUri(uri) && isUndialable(uri)) {
      this.#transactions.trying(tx, now);
      const referrer = message.has(Header.ReferredBy) ? addressOfRecordIn(this.#map, message.text(Header.ReferredBy) ?? "") : "";
      const first = referrer === "" ? undefined : exchangeOf(this.#map, referrer);
      return this.#contacts.find({ tx, request, caller: calling.caller ?? "", referrer, first }, now);
    }
    if (calling.callee === undefined) {
      const outside: Target = { requestUri: message.requestUri, routes: [] };
      if (!this.#transactions.mayWait(tx, "", calling.callerDomain === undefined, 1)) return this.#refuseFor(tx, message, 503, now);
      return this.#proxy.forward(tx, request, [outside], { recordRoute }, now);
    }
    const targets = this.#registrar.targets(calling.callee, now, message.requestUri.startsWith("sips:"), message.end - message.start);
    if (targets.length > 0 || this.#whereabouts.mayReturn(request, now)) {
      const isStranger = calling.callerDomain === undefined;
      if (!this.#transactions.mayWait(tx, calling.callee, isStranger, targets.length)) return this.#refuseFor(tx, message, 503, now);
      return this.#proxy.forward(tx, request, targets, { recordRoute }, now);
    }
    // Where nobody is provisioned, who has been here is known.
    const isKnown = this.store.subscriber(calling.callee) !== undefined || this.store.bindingsOf(calling.callee).length > 0;
    this.#refuseFor(tx, message, isKnown ? 480 : 404, now);
  }

  #contactFinder(): ContactFinder {
    return new ContactFinder({
      timers: this.#timers,
      exchange: this.#config.exchange,
      exchangeCount: () => this.#map.exchangeCount,
      bindings: () => this.store.records("binding"),
      ask: (contact, exchange, reference) => this.#effects.push({ type: "flows", addressOfRecord: contact, exchange, reference }),
      found: (waiter, flow, at) => this.#forwardToContact(waiter, flow, at),
    });
  }

  /** A softphone is called by its Contact, as a phone does that has been referred to it (RFC 3515, RFC 3891). */
  #forwardToContact({ tx, request }: ContactWaiter, flow: string | undefined, now: number): void {
    const { method, requestUri } = request.message;
    if (flow === undefined) return this.#refuseFor(tx, request.message, 480, now);
    if (!this.#transactions.mayWait(tx, "", false, 1)) return this.#refuseFor(tx, request.message, 503, now);
    this.#proxy.forward(tx, request, [{ requestUri, routes: [], flow }], { recordRoute: recordRouteMethods.has(method) }, now);
  }

  /** True: go on. False: the request has been answered, or waits for the caller's secrets. */
  #isAuthorized(tx: ServerTransaction, request: Preprocessed, calling: Calling, domain: Domain, now: number): boolean {
    if (domain.auth === "open") {
      // Nobody proves anything here, so nobody is relayed to the outside but phones that are registered on this very flow.
      if (calling.callee !== undefined || this.#isRegisteredOn(calling.caller ?? "", tx.flow, now)) return true;
      this.#refuseFor(tx, request.message, 403, now, "Relaying Denied");
      return false;
    }
    return this.#isProved(tx, request, calling.caller, domain, now);
  }

  /** The same, by the caller's password. */
  #isProved(tx: ServerTransaction, request: Preprocessed, caller: string | undefined, domain: Domain, now: number): boolean {
    const { message } = request;
    // An identity that nobody here can have is not asked for.
    if (caller === undefined) {
      this.#refuseFor(tx, message, 403, now, "Unknown Caller");
      return false;
    }
    const verdict = this.#authority.checkCaller(message, caller, domain, tx.flow, now);
    switch (verdict.type) {
      case "granted":
        tx.isProven = true;
        return true;
      case "refused":
        // Somebody else than he says, but somebody: his nonce is used up.
        tx.isProven = verdict.status === 403;
        this.#refuseFor(tx, message, verdict.status, now, verdict.reason, verdict.headers);
        return false;
      case "ask":
        this.#waitForCredentials(tx, request, verdict.addressOfRecord, now);
        return false;
    }
  }

  #waitForCredentials(tx: ServerTransaction, request: Preprocessed, addressOfRecord: string, now: number): void {
    const next = this.#waiting.enter(addressOfRecord, { tx, request }, now);
    if (next === "full") return this.#refuseFor(tx, request.message, 503, now);
    if (next === "ask") this.#effects.push({ type: "credentials", addressOfRecord, exchange: exchangeOf(this.#map, addressOfRecord) });
  }

  #isRegisteredOn(addressOfRecord: string, flow: string, now: number): boolean {
    return this.#registrar.targets(addressOfRecord, now, false).some((target) => target.flow === flow);
  }

  /** RFC 3261 10.3, on a transaction. */
  #register(tx: ServerTransaction, message: SipMessage, now: number): void {
    const { status, octets, commit } = this.#registers.answer(message, tx.flow, now);
    // Whoever is refused leaves nothing behind.
    if (status >= 300) this.#transactions.refuse(tx, status, octets, now);
    else this.#transactions.respond(tx, status, octets, now, commit);
  }

  /** A REGISTER that needs no transaction has been answered. False: it goes on as other requests do. */
  #registerAtOnce(message: SipMessage, flow: string, now: number): boolean {
    if (message.method !== "REGISTER" || message.has(Header.Route) || !this.#registers.isAnsweredAlike(message, flow, now)) return false;
    const { status, octets, commit } = this.#registers.answer(message, flow, now);
    const back = responseFlow(message, flow);
    this.#send(back, status < 300 ? octets : briefResponse(message, back, octets), commit);
    return true;
  }

  /** RFC 3261 11: OPTIONS for the domain itself. */
  #answerOptions(tx: ServerTransaction, message: SipMessage, now: number): void {
    this.#refuseFor(tx, message, 200, now, undefined, capabilityHeaders);
  }

  /** Answers a request ourselves; 503 always says when to come again. */
  #refuseFor(
    tx: ServerTransaction,
    message: SipMessage,
    status: number,
    now: number,
    reason?: string,
    headers: readonly HeaderField[] = [],
  ): void {
    const response = buildResponse(message, status, {
      ...(reason === undefined ? {} : { reason }),
      toTag: tagOfRefusal(message),
      headers: status === 503 && headers.length === 0 ? [["Retry-After", String(retryAfterSeconds)]] : headers,
    });
    this.#transactions.refuse(tx, status, response, now);
  }

  /** Of the two cells of this exchange the one that a request comes to by itself is the one to be named, as long as that makes no difference. */
  #cellFor({ token, flow }: Preprocessed, next: string, now: number): string {
    const { cell, exchange } = this.#config;
    const { primary, secondary } = pairOf(this.#map, exchange);
    const preferred = token?.cell ?? primary;
    if (preferred === cell || (preferred !== primary && preferred !== secondary)) return cell;
    return this.#takeovers.cellFor(preferred, accessOfFlow(flow), accessOfFlow(next), now);
  }

  #environment(): ProxyEnvironment {
    return {
      exchange: this.#config.exchange,
      cell: this.#config.cell,
      sign: this.#tools.sign,
      nextReference: () => {
        this.#references += 1;
        return `${this.#boot}-${this.#references.toString(36)}`;
      },
      cellFor: (request, flow, now) => (now < this.#repeatedUntil ? this.#cellFor(request, flow, now) : this.#config.cell),
      isLate: (branch, cell, method, now) => this.#late.isLate(branch, cell, method, now),
      mayBeRepeated: (now) => now < this.#repeatedUntil,
      hasPassed: (branch) => this.#takeovers.hasPassed(branch),
      mayBeCopy: (flow, now) => now < this.#repeatedUntil && this.#takeovers.mayBeCopy(flow, now),
      nextTag: () => this.#tools.nextId(),
      sentBy: (flow) => this.#accesses.sentBy(flow),
      resolve: (uri, reference) => this.#resolutions.resolve(uri, reference),
      numericFlow: (uri, near) => this.#accesses.numericFlow(uri, accessOfFlow(near)),
      isOurs: (host, port) => domainOf(this.#map, host, port) !== undefined,
      leadsHere: (flow) => this.#accesses.own.has(flow),
      // As Kamailio does: nobody may say which way we call. The route set of a dialog that is not ours (RFC 3261 12.2) leads somewhere else.
      followsRoutes: ({ message, token }) =>
        token !== undefined || (message.toTag !== undefined && callingOf(this.#map, message).callee === undefined),
      seek: (wanted, now) => this.#whereabouts.seek(wanted, now),
      stopSeeking: (reference) => this.#finder.stop(reference),
      mayReturn: (request, now) => this.#whereabouts.mayReturn(request, now),
      isUnproven: (bindingKey, flow) => !this.#registrar.isProvenAt(bindingKey, flow),
      proved: (bindingKey, flow, now) => this.#registrar.proved(bindingKey, flow, now),
      flowFailed: (flow, target, now) => {
        // That it cannot be reached from here says nothing about the phone.
        if (this.#accesses.usable(flow) === undefined) return "unreachable";
        const binding = "bindingKey" in target && typeof target.bindingKey === "string" ? target.bindingKey : undefined;
        if (binding !== undefined && !this.#isReturning) this.#registrar.flowFailed(binding, flow, now);
        return "dead";
      },
      provisional: (context, now) => this.#invites.rings(context, now),
      unacknowledged: (tx, response, now) => this.#whereabouts.unacknowledged(tx, response, now),
      final: (context, status, branch, message, now) => this.#final(context, status, branch, message, now),
      changed: (context, now) => this.#invites.changed(context, now),
      vouch: (request) => vouch(request, callingOf(this.#map, request.message)),
    };
  }

  /** A final response is about to be forwarded. A 2xx to an INVITE waits until the pair knows the dialog, and the end of the INVITE. */
  #final(
    context: ResponseContext,
    status: number,
    branch: Branch | undefined,
    response: SipMessage | undefined,
    now: number,
  ): number | undefined {
    const { tx } = context;
    const before = this.store.sequence;
    this.#dialogs.follow(tx, status, branch, response, now);
    if (!context.isInvite || status < 200 || status >= 300) return undefined;
    this.#invites.ended(context, now);
    return this.store.sequence > before || tx.commit === undefined ? this.store.sequence : tx.commit;
  }

  #send(flow: string, octets: Uint8Array, commit: number | undefined): void {
    // A refusal that repeats the longest of Vias: no frame takes it, and its backhaul would be lost over it.
    if (octets.length > messageOctetsMax) return;
    const usable = this.#accesses.usable(flow);
    const split = usable === undefined ? undefined : splitFlow(usable);
    if (split === undefined) {
      this.#unsendable.push({ flow, octets });
      return;
    }
    const record = { kind: RecordKind.send, key: split.key, octets };
    this.#effects.push({ type: "send", access: split.access, record, commit });
  }

  /** Gives back what could not even be sent. One round may make the next (another target that is gone too), each with fewer targets. */
  #settle(now: number): void {
    for (;;) {
      const unresolvable = this.#resolutions.takeUnresolvable();
      const unsendable = this.#unsendable;
      if (unsendable.length === 0 && unresolvable.length === 0 && !this.#finder.settle(now)) break;
      if (unsendable.length > 0) this.#unsendable = [];
      for (const { flow, octets } of unsendable) this.#undeliverable(octets, flow, now, true);
      for (const reference of unresolvable) this.#proxy.resolved(reference, [], now);
    }
    this.#invites.flush(now);
  }
}
