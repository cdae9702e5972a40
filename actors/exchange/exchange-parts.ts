import { domainOf, exchangeOf, pairOf, type ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { PhoneFlow } from "../../sip/dialog/present-flow.ts";
import { isBranch } from "../../sip/proxy/branch.ts";
import type { ProxyEnvironment } from "../../sip/proxy/environment.ts";
import { Proxy } from "../../sip/proxy/proxy.ts";
import { isResponseContext } from "../../sip/proxy/response-context.ts";
import { memoryFrom, type Memory } from "../../sip/record/memory.ts";
import { RecordStore } from "../../sip/record/record-store.ts";
import { TimerTable } from "../../sip/transaction/timer-table.ts";
import { TransactionLayer } from "../../sip/transaction/transaction-layer.ts";
import type { TransactionUser } from "../../sip/transaction/transaction.ts";
import { gatewaysComeMs, repeatedMs } from "../limits.ts";
import { Accesses } from "./accesses.ts";
import { Authority } from "./authority.ts";
import { ElderRequests } from "./elder-requests.ts";
import { asksNobody } from "./caller.ts";
import { CallEndings, type CallEndingsOptions } from "./call-endings.ts";
import { CallKeeper } from "./call-keeper.ts";
import { Cancels } from "./cancels.ts";
import { ContactFinder } from "./contact-finder.ts";
import { DialogKeeper } from "./dialog-keeper.ts";
import { DialogWays } from "./dialog-ways.ts";
import type { ExchangeConfig, ExchangeTools } from "./exchange.ts";
import { FailedLoginLines } from "./failed-logins.ts";
import { InviteKeeper } from "./invite-keeper.ts";
import { LateResponses } from "./late-responses.ts";
import { OrphanedInvites } from "./orphaned-invites.ts";
import { Outgoing } from "./outgoing.ts";
import { PhoneFinder } from "./phone-finder.ts";
import { proxyEnvironment } from "./proxy-environment.ts";
import { Reception } from "./reception.ts";
import { RecordClock } from "./record-clock.ts";
import { RegisterRequests } from "./register-requests.ts";
import { RegistrarDesk } from "./registrar-desk.ts";
import { RequestPipeline } from "./request-pipeline.ts";
import { Resolutions } from "./resolutions.ts";
import { SipTally } from "./sip-tally.ts";
import { StrayResponses } from "./stray-responses.ts";
import { Takeovers } from "./takeovers.ts";
import { Undeliverables } from "./undeliverables.ts";
import { WaitingRoom } from "./waiting-room.ts";
import { isReliableFlow, Whereabouts } from "./whereabouts.ts";
import type { SteadyMs, WallMs } from "../../sip/time.ts";

/**
 * What an exchange is made of, put together. A part is given those that were made before it. One that calls a part made later gets this
 * whole, under a type that says what it uses, and looks there when it is called.
 */
export class ExchangeParts {
  readonly store: RecordStore;
  readonly config: ExchangeConfig;
  readonly clock: RecordClock;
  readonly timers = new TimerTable();
  readonly accesses: Accesses;
  readonly outgoing: Outgoing;
  readonly transactions: TransactionLayer;
  readonly proxy: Proxy;
  readonly authority: Authority;
  readonly registrar: RegistrarDesk;
  readonly registers: RegisterRequests;
  readonly dialogs: DialogKeeper;
  readonly calls: CallKeeper;
  readonly endings: CallEndings;
  readonly resolutions: Resolutions;
  readonly waiting: WaitingRoom;
  readonly invites: InviteKeeper;
  readonly finder: PhoneFinder;
  readonly contacts: ContactFinder;
  readonly takeovers: Takeovers;
  readonly orphans: OrphanedInvites;
  readonly cancels: Cancels;
  readonly late: LateResponses;
  readonly whereabouts: Whereabouts;
  readonly undeliverables: Undeliverables;
  readonly strays: StrayResponses;
  readonly reception: Reception;
  readonly elderRequests: ElderRequests;
  readonly pipeline: RequestPipeline;
  readonly tally = new SipTally();
  readonly #failedLogins = new FailedLoginLines();
  /** The newest that is known here. */
  map: ClusterMap;
  /** How far this replica's memory of dialogs goes back. */
  memory: Memory;
  /** Until when everything is known that the other replica has made; nobody has said so at first. */
  peerKnownUntil: WallMs = Number.NEGATIVE_INFINITY;
  /** Until then the other replica, or an earlier start of this one, may have forwarded what comes here. */
  repeatedUntil: SteadyMs;

  constructor(config: ExchangeConfig, tools: ExchangeTools, now: SteadyMs) {
    this.config = config;
    this.map = config.map;
    this.memory = memoryFrom(tools.wallAt(now));
    this.repeatedUntil = now + repeatedMs;
    // Names this start of this replica in references, so that a branch of an earlier start is not taken for one of this one.
    const boot = tools.nextId().slice(0, 8);
    const { primary, secondary } = pairOf(config.map, config.exchange);

    this.store = new RecordStore({ isPaired: primary !== secondary });
    this.clock = new RecordClock(config.cell, tools.wallAt);
    this.late = new LateResponses(config.cell, now);
    this.accesses = new Accesses(config.map.domains[0]?.name ?? "", now);
    this.outgoing = new Outgoing(this.accesses);
    this.resolutions = new Resolutions(this.accesses, this.outgoing, now + gatewaysComeMs);
    this.calls = new CallKeeper(this.store, this.clock, () => this.map);
    this.dialogs = new DialogKeeper(this.store, this.clock, () => this.map, this.calls);
    this.registrar = new RegistrarDesk(this.store, this.clock, (uri) => this.accesses.own.namedBy(this.map, uri));
    this.finder = this.#phoneFinder();
    this.contacts = this.#contactFinder();

    this.transactions = new TransactionLayer({
      timers: this.timers,
      transport: this.outgoing,
      user: this.#user(),
      isReliable: isReliableFlow,
    });
    const env = proxyEnvironment(this, tools, boot);
    this.proxy = new Proxy(env, this.transactions, this.timers, this.outgoing);

    this.invites = new InviteKeeper(this);
    this.takeovers = new Takeovers(config.cell, this);
    this.whereabouts = this.#newWhereabouts();
    this.undeliverables = new Undeliverables(this.transactions, this.whereabouts);
    this.orphans = this.#orphanedInvites(env, now);
    this.cancels = new Cancels(this.proxy, this.takeovers, this.orphans);
    this.strays = new StrayResponses(this);

    this.authority = this.#newAuthority(tools, boot, now);
    this.registers = new RegisterRequests(this);
    const { exchange } = config;
    this.elderRequests = new ElderRequests({
      store: this.store,
      transactions: this.transactions,
      exchange,
      map: () => this.map,
      startedAt: now,
    });
    this.reception = new Reception(this.transactions, this.registers, this.outgoing, this.elderRequests, this.tally);
    this.waiting = new WaitingRoom(this.timers, (caller, at) => this.pipeline.credentials(caller, "unavailable", at));
    this.pipeline = new RequestPipeline(this);
    const { store, clock, calls, proxy, transactions } = this;
    const targetOf: CallEndingsOptions["targetOf"] = (request, at) => this.whereabouts.dialogTarget(request, at);
    this.endings = new CallEndings({ store, cell: clock.cell, calls, proxy, transactions, nextId: tools.nextId, targetOf });
  }

  #user(): TransactionUser {
    return {
      request: (tx, message, now) => this.pipeline.begin(tx, message, now),
      ack: (message, flow, now) => this.pipeline.ack(message, flow, now),
      cancel: (tx, cancelTx, message, now) => this.cancels.receive(tx, cancelTx, message, now),
      response: (tx, message, now) => void this.proxy.response(tx, message, now),
      strayResponse: (message, flow, now) => this.strays.receive(message, flow, now),
      timeout: (tx, now) => void this.proxy.timeout(tx, now),
      silent: (tx, now) => this.proxy.silent(tx, now),
      transportError: (tx, now) => {
        if (isBranch(tx.owner)) this.late.undelivered(tx.owner.via.branch, tx.method);
        this.proxy.transportError(tx, now);
      },
      terminated: (tx, now) => {
        if (isBranch(tx.owner)) this.late.ended(tx.owner.via.branch, tx.owner.via.mark, tx.method, now);
      },
      responded: (method, status) => this.tally.responded(method, status),
      responseLost: (tx, response, now) => this.whereabouts.responseLost(tx, response, now),
      isTrustedOn: (flow) => this.store.bindingsOnFlow(flow).some(({ value }) => asksNobody(this.map, value.addressOfRecord)),
      answeredElsewhere: (tx, now) => {
        const context = tx.owner;
        if (isResponseContext(context) && this.invites.isAdopted(context)) this.proxy.endedElsewhere(context, now);
      },
    };
  }

  #dialogWays({ exchange, cell }: ExchangeConfig): DialogWays {
    return new DialogWays({
      exchange,
      cell,
      map: () => this.map,
      dialogs: this.dialogs,
      wallAt: (moment) => this.clock.wallAt(moment),
      memory: () => this.memory,
      peerKnownUntil: () => this.peerKnownUntil,
      inviteOf: (callId, callerTag) => this.proxy.inviteOf(callId, callerTag),
      mayBeElsewhere: (callId) => this.invites.mayBeForeign(callId),
    });
  }

  #newWhereabouts(): Whereabouts {
    return new Whereabouts({
      wallAt: (moment) => this.clock.wallAt(moment),
      map: () => this.map,
      accesses: this.accesses,
      dialogs: this.dialogs,
      ways: this.#dialogWays(this.config),
      finder: this.finder,
      registrar: this.registrar,
      flowsHere: (addressOfRecord, at) => this.#flowsHere(addressOfRecord, at),
      send: (flow, octets) => this.outgoing.send(flow, octets),
      resolved: (reference, flows, at) => this.proxy.resolved(reference, flows, at),
      returned: (reference, targets, at) => this.proxy.returned(reference, targets, at),
      moveResponse: (tx, response, flow, at) => this.transactions.moveResponse(tx, response, flow, at),
    });
  }

  #orphanedInvites(env: ProxyEnvironment, now: SteadyMs): OrphanedInvites {
    return new OrphanedInvites(
      {
        env,
        map: () => this.map,
        proxy: this.proxy,
        transactions: this.transactions,
        transport: this.outgoing,
        finder: this.finder,
        calls: this.calls,
        targets: (addressOfRecord, isSecure, at) => this.registrar.targets(addressOfRecord, at, isSecure),
        isServedHere: (addressOfRecord) => this.isServedHere(addressOfRecord),
        isKnown: (flow) => isReliableFlow(flow) || this.store.bindingsOnFlow(flow).length > 0,
        dialogTarget: (request, at) => this.whereabouts.dialogTarget(request, at),
      },
      this.config.orphansUntil,
      now,
    );
  }

  isServedHere(addressOfRecord: string): boolean {
    return exchangeOf(this.map, addressOfRecord) === this.config.exchange;
  }

  /** The phones of an address-of-record of this exchange; undefined: another one serves it. */
  #flowsHere(addressOfRecord: string, now: SteadyMs): PhoneFlow[] | undefined {
    return this.isServedHere(addressOfRecord) ? this.registrar.flowsOf(addressOfRecord, now) : undefined;
  }

  #phoneFinder(): PhoneFinder {
    return new PhoneFinder({
      timers: this.timers,
      flowsHere: (addressOfRecord, at) => this.#flowsHere(addressOfRecord, at),
      ask: (addressOfRecord, reference) => {
        this.outgoing.push({ type: "flows", addressOfRecord, exchange: exchangeOf(this.map, addressOfRecord), reference });
      },
    });
  }

  #contactFinder(): ContactFinder {
    return new ContactFinder({
      timers: this.timers,
      wallAt: (moment) => this.clock.wallAt(moment),
      exchange: this.config.exchange,
      exchangeCount: () => this.map.exchangeCount,
      bindings: () => this.store.records("binding"),
      ask: (contact, exchange, reference) => this.outgoing.push({ type: "flows", addressOfRecord: contact, exchange, reference }),
      found: (waiter, flow, at) => this.pipeline.foundContact(waiter, flow, at),
    });
  }

  #newAuthority(tools: ExchangeTools, boot: string, now: SteadyMs): Authority {
    return new Authority({
      ...tools,
      isServedHere: (addressOfRecord) => this.isServedHere(addressOfRecord),
      subscriber: (addressOfRecord) => this.store.subscriber(addressOfRecord),
      isOurHost: (host) => domainOf(this.map, host) !== undefined,
      startedAt: now,
      issuer: { replica: `${this.config.exchange} ${this.config.cell}`, boot },
      failedLoginsPerAddress: this.config.map.failedLogins,
      failed: (login, at) => {
        const text = this.#failedLogins.lineOf(login, at);
        if (text !== undefined) this.outgoing.push({ type: "log", text });
      },
    });
  }
}
