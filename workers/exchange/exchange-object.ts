import { DurableObject } from "cloudflare:workers";
import { isReachable, type View } from "../../cluster/group/view.ts";
import type { PhoneFlow } from "../../sip/dialog/present-flow.ts";
import type { SubscriberCredentials } from "../../actors/exchange/credential-cache.ts";
import type { Effect, ExchangeCounts } from "../../actors/exchange/effects.ts";
import { Exchange } from "../../actors/exchange/exchange.ts";
import { sweepMs } from "../../sip/limits.ts";
import { refusedCause, type PairState } from "../../cluster/replication/pair-link.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { joinMemories, memoryOnStart, type Memory } from "../../sip/record/memory.ts";
import { msOfVersion } from "../../sip/record/version.ts";
import { stillWanted } from "../../cluster/backhaul/backlog.ts";
import { isLate } from "../../cluster/time/far-clock.ts";
import { cellOfLine, isLine, lineOf } from "../../sip/flow/flow.ts";
import { decodeFrame, encodeFrame, isFrameError, jsonOctets, RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { openCellSocket, otherReplicaOf } from "../cells.ts";
import { answerClose } from "../close-socket.ts";
import { clusterMapOf, coreGroupName, exchangeName, numberOfName, type Environment } from "../environment.ts";
import { DiskRoom } from "../disk-room.ts";
import { sweepAlarmMs } from "../limits.ts";
import { lineListeners } from "../line/line-listeners.ts";
import { randomIds } from "../random-id.ts";
import { hashOf, tokenSigner } from "../signature.ts";
import { TimelyCalls } from "../timely-calls.ts";
import { Deadlines } from "./deadlines.ts";
import { digestOf, type Digest } from "./digest.ts";
import { DiskWriter } from "./disk-writer.ts";
import { Disk } from "./disk.ts";
import { framesOf } from "./frames-of.ts";
import { LineCouriers } from "./line-couriers.ts";
import { OperatorChanges, type SubscriberChange } from "./operator-changes.ts";
import { OtherExchanges } from "./other-exchanges.ts";
import { Outbox } from "./outbox.ts";
import { Pair } from "./pair.ts";
import { PairCalls } from "./pair-calls.ts";
import { PairNews } from "./pair-news.ts";
import { acceptPairSocket } from "./pair-socket.ts";
import { Rest } from "./rest.ts";
import { isBackhaulError, BackhaulSockets, type LostBackhaul, type BackhaulInput } from "./backhaul-sockets.ts";

/** What one exchange counts. `pair`: what this replica is to the other one; `alone`: there is none. */
export type CountsOfExchange = ExchangeCounts & { readonly exchange: number; readonly pair: PairState | "alone" };

/** Who gets what an event has for it as an answer, and what is to be done when all that the event changed is committed. */
type Aftermath = { readonly answering?: string | undefined; readonly committed?: () => void };

/**
 * One replica of one exchange: a thin shell. It gives events to the core (actors/exchange), one at a time, and carries out what the core
 * wants after each: frames to accesses, records to the pair and to disk, deadlines, questions to other exchanges.
 */
export class ExchangeObject extends DurableObject<Environment> {
  readonly #map: ClusterMap;
  readonly #number: number;
  readonly #exchange: Exchange;
  readonly #disk: Disk;
  readonly #room: DiskRoom;
  readonly #writer: DiskWriter;
  readonly #changes: OperatorChanges;
  readonly #backhauls: BackhaulSockets;
  readonly #calls: TimelyCalls;
  readonly #lines: LineCouriers;
  readonly #others: OtherExchanges;
  readonly #deadlines: Deadlines;
  /** The cell of the other replica; undefined: there is none. */
  readonly #peer: string | undefined;
  readonly #pair: Pair | undefined;
  readonly #news = new PairNews(
    (cause) =>
      void this.#coreGroup()
        .replicaIsAlone(this.#number, cause)
        .catch(() => undefined),
  );
  /** Gateways whose process has ended, by the last view. */
  readonly #gone = new Set<string>();
  /** By the last view. */
  #isFenced = false;
  /** What has waited for commits and is about to leave: see {@link ExchangeObject.#sendReleased}. */
  #released = new Outbox();
  #isReleasing = false;
  readonly #rest: Rest;
  /** When records are to be looked at for what has expired, ms. */
  #nextSweep = 0;

  constructor(ctx: DurableObjectState, env: Environment) {
    super(ctx, env);
    this.#map = clusterMapOf(env);
    this.#number = numberOfName(ctx.id);
    const nextId = randomIds();
    this.#rest = new Rest(`${env.CELL} ${this.#number}`);
    this.#exchange = new Exchange(
      { exchange: this.#number, cell: env.CELL, map: this.#map, orphansUntil: this.#rest.orphansUntil },
      { sign: tokenSigner(env.TANDEM_SECRET), hash: hashOf, nextId },
      Date.now(),
    );
    this.#peer = otherReplicaOf(this.#map, this.#number, env.CELL);
    this.#disk = new Disk(ctx.storage, (record) => this.#exchange.store.textOf(record));
    this.#room = new DiskRoom(env.DISK, exchangeName(this.#number));
    this.#restore();
    this.#writer = this.#newWriter();
    this.#changes = new OperatorChanges({
      exchange: this.#exchange,
      writer: this.#writer,
      event: (run) => this.#event(run),
      committed: () => this.#pair?.commit(this.#exchange.store.sequence),
    });
    this.#backhauls = new BackhaulSockets(ctx, this.#room);
    for (const { access, listeners } of this.#backhauls.opened()) this.#exchange.connectAccess(access, listeners);
    this.#calls = new TimelyCalls(env, this.#map);
    this.#lines = new LineCouriers(
      env,
      this.#map,
      this.#number,
      this.#calls,
      (access, records) => this.#returned(access, records),
      (access, records) => void this.#event((now) => this.#notTaken(access, records, now)),
    );
    for (const { id } of this.#map.cells) {
      const listeners = lineListeners(this.#map, id);
      for (let line = 0; line < this.#map.lineCount; line += 1) this.#exchange.connectAccess(lineOf(id, line), listeners);
    }
    this.#others = new OtherExchanges(env, this.#map);
    this.#deadlines = new Deadlines(ctx.storage, this.#room, () => void this.#event((now) => this.#exchange.tick(now)));
    this.#pair = this.#peer === undefined ? undefined : this.#pairWith(this.#peer, nextId());
    // There is no pair to wait for: a removed record needs no row once the disk knows.
    if (this.#pair === undefined) this.#exchange.store.acknowledge(Number.POSITIVE_INFINITY);
    this.#sweep(Date.now());
    this.#arm(Date.now());
    this.#pair?.start();
    void this.#askForView();
    // Nothing is promised before it is known whether it can be kept.
    if (env.DISK !== undefined) void ctx.blockConcurrencyWhile(() => this.#writer.hasRoomAtFirst());
  }

  /** Takes a gateway's backhaul, or the pair's WebSocket. The caller has checked the signature and says whose it is. */
  override fetch(request: Request): Response {
    const who = request.headers.get("tandem-who");
    if (who === null || request.headers.get("upgrade")?.toLowerCase() !== "websocket") return new Response(null, { status: 426 });
    if (new URL(request.url).pathname.startsWith("/pair/")) return acceptPairSocket((batch) => this.takePairMessage(batch));
    return this.#backhauls.accept(who);
  }

  override async webSocketMessage(socket: WebSocket, data: ArrayBuffer | string): Promise<void> {
    const input = this.#backhauls.receive(socket, data);
    if (isBackhaulError(input)) {
      console.warn(`exchange ${this.#number}: closed the backhaul of a confused gateway: ${input.backhaulError}`);
      await this.#lost(this.#backhauls.refuse(socket, input.backhaulError));
      return;
    }
    try {
      await this.#takeBackhaulFrame(socket, input);
    } catch (error) {
      await this.#lost(this.#backhauls.refuse(socket, error instanceof Error ? error.message : String(error), 1013));
    }
  }

  override webSocketClose(socket: WebSocket, code: number, reason: string): Promise<void> {
    answerClose(socket, code, reason);
    return this.webSocketError(socket);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    await this.#lost(this.#backhauls.closed(socket));
  }

  override async alarm(): Promise<void> {
    this.#deadlines.alarmRang();
    // The end of this alarm is a write of the runtime's own: without room the reserve is given up for it.
    await this.#writer.hasRoom();
    await this.#event((now) => {
      this.#nextSweep = now;
      this.#exchange.tick(now);
    });
  }

  /**
   * A frame from a line. The answer acknowledges it, and brings along what this exchange has for the line. Undefined: it came, or had to
   * wait here, until after this time (ms), and its line has gone to the other replica with it; no new request of it was taken.
   */
  async takeLineFrame(access: string, octets: Uint8Array, until?: number): Promise<Uint8Array | undefined> {
    const frame = decodeFrame(octets);
    if (isFrameError(frame)) throw new Error(`frame from line ${access}: ${frame.frameError}`);
    // What goes into the answer could overtake what is under way to this line already, a CANCEL its INVITE.
    const answering = this.#lines.isIdle(access) ? access : undefined;
    let isTaken = false;
    const take = (now: number): void => {
      isTaken = !isLate(until, now);
      this.#receive(access, isTaken ? frame.records : stillWanted(frame.records), now);
    };
    const records = await this.#event(take, { answering });
    if (!isTaken) {
      if (records.length > 0) this.#lines.send(access, records);
      return undefined;
    }
    // A line of this cell ends with this replica. One of another cell would say again to the other what is not acknowledged.
    if (this.#pair !== undefined && cellOfLine(access) !== this.env.CELL) await new Promise<void>((done) => this.#pair?.follow(done));
    const [first = [], ...rest] = framesOf(records);
    for (const some of rest) this.#lines.send(access, some);
    return encodeFrame(0, frame.seq, first);
  }

  /** A batch of records from the other replica, by a request; the answer. Undefined: that was no such batch, or there is no other replica. */
  takePairBatch(octets: Uint8Array): Uint8Array | undefined {
    return this.#takeBatch(octets);
  }

  /** The same, over the pair's WebSocket: what is billed otherwise has another name. */
  takePairMessage(octets: Uint8Array): Uint8Array | undefined {
    return this.#takeBatch(octets);
  }

  /** The cell's view has changed. Answers whether this replica serves yet. */
  setView(view: View): { readonly isServing: boolean } {
    const reachable = view.cells.filter(({ id }) => id === this.env.CELL || isReachable(view, id)).map(({ id }) => id);
    this.#exchange.setCells(new Set(reachable), Date.now());
    this.#isFenced = view.isFenced;
    this.#fence();
    if (this.#peer !== undefined) this.#pair?.see(reachable.includes(this.#peer), view.heartbeat);
    void this.#carryOut(Date.now(), {});
    for (const { id, isGone } of view.gateways) this.#setGone(id, isGone);
    return { isServing: this.#isServing };
  }

  /** A subscriber's secrets, for an exchange that authenticates a call from this one's subscriber. */
  credentialsOf(addressOfRecord: string): Promise<SubscriberCredentials | undefined> {
    return this.#enter(() => this.#exchange.credentialsOf(addressOfRecord));
  }

  /** Where a user's phones are, for an exchange that has a call with one of them. */
  flowsOf(addressOfRecord: string): Promise<PhoneFlow[] | "unavailable"> {
    return this.#enter(() => this.#exchange.flowsOf(addressOfRecord, Date.now()));
  }

  /** Adds or replaces subscribers. Answered when they are on disk, and at the pair if it is there: with how many were replaced. */
  putSubscribers(changes: readonly SubscriberChange[]): Promise<number> {
    return this.#changes.put(changes);
  }

  /** Removes a subscriber. False: there was none. */
  removeSubscriber(addressOfRecord: string): Promise<boolean> {
    return this.#changes.remove(addressOfRecord);
  }

  subscribers(): Promise<string[]> {
    return this.#enter(() => this.#exchange.subscribers());
  }

  /** Registrations as a JSON array: 10 000 are text on the way to a client anyhow, and cross to the Worker faster as text. */
  registrations(addressOfRecord: string | undefined): Promise<string> {
    return this.#enter(() => JSON.stringify(this.#exchange.registrations(addressOfRecord, Date.now())));
  }

  /** Does not wait for anything: this is also how one sees that a replica does not serve. */
  counts(): CountsOfExchange {
    return { exchange: this.#number, pair: this.#pair?.state ?? "alone", ...this.#exchange.counts(Date.now()) };
  }

  /** Of what is in memory now: for whoever compares the two replicas. */
  digest(): Digest {
    return digestOf(this.#exchange.store);
  }

  #takeBatch(octets: Uint8Array): Uint8Array | undefined {
    const answer = this.#pair?.take(octets);
    // Never waits for a commit of this side: the other side's may be waiting for this answer.
    void this.#carryOut(Date.now(), {});
    return answer;
  }

  #setGone(gateway: string, isGone: boolean): void {
    if (!isGone) this.#gone.delete(gateway);
    else if (!this.#gone.has(gateway)) {
      this.#gone.add(gateway);
      void this.#event((now) => this.#exchange.accessGone(gateway, now));
    }
  }

  #pairWith(peer: string, boot: string): Pair {
    const { store } = this.#exchange;
    const calls = new PairCalls({
      request: (batch, signal) => this.#calls.ask(peer, `/cell/pair/${this.#number}`, batch, signal),
      open: (signal) => openCellSocket(this.env, this.#map, peer, `/pair/${this.#number}`, `pair ${this.#number}`, signal),
    });
    return new Pair({
      cell: this.env.CELL,
      peer,
      exchange: this.#number,
      boot,
      map: this.#map,
      store,
      call: (batch) => calls.ask(batch),
      apply: (record, now) => this.#run(() => this.#exchange.applyFromPair(record, now)),
      memory: () => this.#exchange.memory,
      remember: (pair) => this.#remember(joinMemories(this.#exchange.memory, pair)),
      flush: () => this.#writer.flush(),
      flushTogether: () => this.#writer.flushTogether(),
      released: () => this.#sendReleased(),
      known: (until) => this.#exchange.setPairKnown(until),
      changed: (state, cause) => this.#pairChanged(peer, state, cause),
    });
  }

  /** Reads back what is on the disk, and how far that goes back. Alone, nothing is answered that is not there. */
  #restore(): void {
    const known = this.#disk.readMemory();
    let latest = 0;
    for (const record of this.#disk.read()) {
      this.#exchange.restore(record);
      latest = Math.max(latest, msOfVersion(record.version));
    }
    if (known === undefined) this.#remember(this.#exchange.memory);
    else this.#remember(this.#peer === undefined ? known : memoryOnStart(known, latest, Date.now()));
  }

  #remember(memory: Memory): void {
    this.#exchange.setMemory(memory);
    this.#disk.setMemory(memory);
  }

  #pairChanged(peer: string, state: PairState, cause: string): void {
    this.#news.changed(state, () => this.#pair?.lastError || cause);
    this.#exchange.store.setPairAway(state !== "together");
    this.#fence();
    this.#writer.flushLater();
    if (state !== "syncing") this.#backhauls.tellServing(true);
    // Whoever cannot reach a cell says so at once: the core group confirms it by a probe.
    if (state === "away" && cause === refusedCause)
      void this.#coreGroup()
        .suspect(peer, refusedCause)
        .catch(() => undefined);
  }

  #coreGroup(): ReturnType<Environment["CORE_GROUP"]["getByName"]> {
    return this.env.CORE_GROUP.getByName(coreGroupName);
  }

  get #isServing(): boolean {
    return this.#pair?.isServing ?? true;
  }

  async #askForView(): Promise<void> {
    const isSyncing = !this.#isServing;
    try {
      const { isAlone, ...view } = await this.#coreGroup().viewFor(this.#number, isSyncing);
      if (isAlone) this.#news.wasTold();
      this.setView(view);
      if (!isSyncing) return;
      await this.#pair?.enter(() => {}, false);
      await this.#coreGroup().caughtUp(this.#number);
    } catch (error) {
      console.warn(`exchange ${this.#number}: the core group does not say what it sees: ${String(error)}`);
    }
  }

  async #takeBackhaulFrame(socket: WebSocket, { access, seq, records, opened, roundTripMs }: BackhaulInput): Promise<void> {
    if (roundTripMs !== undefined) this.#exchange.answeredAfter(roundTripMs, Date.now());
    const committed = (): void => this.#backhauls.finish(socket, seq);
    if (opened !== undefined) {
      this.#exchange.connectAccess(access, opened.listeners);
      this.#arm(Date.now());
      if (records.length === 0 && !opened.isNewBoot) committed();
      this.#backhauls.tellServing(this.#isServing, access);
      if (!opened.isNewBoot) this.#sendAgain(access, opened.again);
    }
    if (records.length > 0 || opened?.isNewBoot === true) {
      const run = (now: number): void => {
        if (opened?.isNewBoot === true) {
          this.#exchange.forgetConnections(access, now, opened.boot);
          this.#notTaken(access, opened.again, now);
        }
        this.#receive(access, records, now);
      };
      await this.#event(run, { committed });
    } else {
      committed();
    }
    this.#backhauls.send(access, []);
  }

  /**
   * The event waits at the gate while a hello does not: a newer backhaul of the same gateway may be there when it runs. What the old one may not have
   * delivered is tried another way all the same.
   */
  async #lost(lost: LostBackhaul | undefined): Promise<void> {
    if (lost === undefined) return;
    const { access, records } = lost;
    await this.#event((now) => {
      if (this.#backhauls.has(access)) return this.#sendAgain(access, records);
      this.#exchange.disconnectAccess(access, now);
      this.#notTaken(access, records, now);
    });
  }

  #sendAgain(access: string, records: readonly FrameRecord[]): void {
    if (records.length > 0 && !this.#backhauls.send(access, records)) void this.#event((now) => this.#notTaken(access, records, now));
  }

  /** Runs what reads or changes the records when this replica may serve; bounded by what waits already. */
  async #enter<Result>(run: () => Result): Promise<Awaited<Result>> {
    return await (this.#pair === undefined ? run() : this.#pair.enter(run));
  }

  /** One event on the core, and what it wants done. Returns what is for `answering`, an access that waits for an answer. */
  #event(run: (now: number) => void, aftermath: Aftermath = {}): Promise<FrameRecord[]> {
    const act = (): Promise<FrameRecord[]> => {
      const now = Date.now();
      this.#run(() => run(now));
      return this.#carryOut(now, aftermath);
    };
    // Only what an access could send to the other replica instead is refused when too much waits.
    const isBounded = aftermath.answering !== undefined || aftermath.committed !== undefined;
    return this.#pair === undefined ? act() : Promise.resolve(this.#pair.enter(act, isBounded));
  }

  #receive(access: string, records: readonly FrameRecord[], now: number): void {
    for (const record of records) {
      if (record.kind !== RecordKind.hello) this.#run(() => this.#exchange.receive(access, record, now));
    }
  }

  /** A broken invariant must not take the other calls of this exchange along: it is said, and the next event served. */
  #run(act: () => void): void {
    try {
      act();
    } catch (error) {
      console.error(`exchange ${this.#number}:`, error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
  }

  async #carryOut(now: number, { answering, committed }: Aftermath): Promise<FrameRecord[]> {
    this.#sweep(now);
    const early = new Outbox();
    const late = new Outbox();
    let sequence = 0;
    for (let effects = this.#exchange.takeEffects(); effects.length > 0; effects = this.#exchange.takeEffects()) {
      for (const effect of effects) sequence = Math.max(sequence, this.#sort(effect, early, late, now));
    }
    const answer = early.take(answering);
    if (late.isEmpty) {
      this.#follow(committed);
      this.#send(early);
      this.#arm(now);
      this.#writer.flushDue();
      return answer;
    }
    // Before anything is written: the output gate holds back what is sent after a write, until it is on disk.
    this.#send(early);
    this.#arm(now);
    const wait = this.#commit(sequence);
    const written = this.#writer.flushShortened();
    this.#follow(committed);
    this.#writer.flushLater();
    if (wait === undefined && written === undefined) {
      answer.push(...late.take(answering));
      this.#send(late);
      return answer;
    }
    await wait;
    if (written !== undefined) await written;
    answer.push(...late.take(answering));
    this.#released.addAll(late);
    this.#sendReleased();
    return answer;
  }

  /**
   * What commits have set free leaves when all that waited for them has gone on, in one frame for each access: an answer of the pair ends the
   * wait of many events. Accesses for which there is nothing get their acknowledgements alone.
   */
  #sendReleased(): void {
    if (this.#isReleasing) return;
    this.#isReleasing = true;
    queueMicrotask(() => {
      this.#isReleasing = false;
      const released = this.#released;
      this.#released = new Outbox();
      this.#send(released);
      this.#backhauls.acknowledge();
    });
  }

  /** Returns the sequence number that must be committed first; 0: none. */
  #sort(effect: Effect, early: Outbox, late: Outbox, now: number): number {
    switch (effect.type) {
      case "send": {
        const { access, record, commit } = effect;
        if (isLine(access) || this.#backhauls.has(access)) (commit === undefined ? early : late).add(access, record);
        else this.#notTaken(access, [record], now);
        return commit ?? 0;
      }
      case "log":
        console.warn(effect.text);
        return 0;
      case "credentials":
        void this.#askForCredentials(effect.addressOfRecord, effect.exchange);
        return 0;
      case "flows":
        void this.#askForFlows(effect.addressOfRecord, effect.exchange, effect.reference);
        return 0;
    }
    return effect satisfies never;
  }

  #send(outbox: Outbox): void {
    for (const [access, records] of outbox.entries()) {
      const isTaken = isLine(access) ? this.#lines.send(access, records) : this.#backhauls.send(access, records);
      if (!isTaken) void this.#event((now) => this.#notTaken(access, records, now));
    }
  }

  /** An access gives back what it could not deliver. */
  #returned(access: string, records: readonly FrameRecord[]): void {
    void this.#event((now) => this.#receive(access, records, now));
  }

  /** An access that cannot be reached from here: its phones may be well. */
  #notTaken(access: string, records: readonly FrameRecord[], now: number): void {
    if (!isLine(access) && !this.#backhauls.has(access)) this.#exchange.disconnectAccess(access, now);
    this.#run(() => this.#exchange.unreachable(access, records, now));
    const questions = records.filter(({ kind }) => kind === RecordKind.resolve);
    const answers = questions.map(({ key }) => ({ kind: RecordKind.resolved, key, octets: jsonOctets([]) }));
    this.#receive(access, answers, now);
  }

  /**
   * Resolves when everything up to this sequence number would survive the end of this process: when the pair has it, or the disk.
   * Undefined: it does already. The output gate holds what is sent after a write until the disk has it.
   */
  #commit(sequence: number): Promise<void> | undefined {
    return this.#pair === undefined ? this.#writer.flushTogether() : this.#pair.commit(sequence);
  }

  /** What came of an event is on its way to the pair; `committed` is called when it is there. */
  #follow(committed: (() => void) | undefined): void {
    if (this.#pair === undefined) committed?.();
    else if (committed === undefined) this.#pair.look();
    else this.#pair.follow(committed);
  }

  #newWriter(): DiskWriter {
    return new DiskWriter({
      disk: this.#disk,
      room: this.#room,
      store: this.#exchange.store,
      flushMs: this.#map.flushMs,
      changed: () => this.#fence(),
      broken: (error) => {
        // Memory counts as written what is not: this start is over, the next one has the disk and the pair.
        console.error(`exchange ${this.#number}: the disk does not take records: ${String(error)}`);
        this.ctx.abort("the disk does not take records");
      },
    });
  }

  /** Registrations are refused that nobody else would ever hear of, or that nothing but this memory would keep. */
  #fence(): void {
    const isKept = !this.#writer.isFull || this.#pair?.state === "together";
    this.#exchange.setFenced(this.#isFenced || !isKept);
  }

  /** Transactions in progress keep the object awake; records that will expire one day only have it wake for a moment. */
  #arm(now: number): void {
    const deadline = this.#exchange.nextDeadline();
    if (deadline === undefined) this.#rest.begin(this.#exchange.orphansUntil);
    else this.#rest.end();
    if (deadline !== undefined) return this.#deadlines.armTimer(deadline, now);
    this.#deadlines.disarmTimer();
    if (this.#exchange.store.size > this.#exchange.store.count("subscriber")) void this.#deadlines.armAlarm(now + sweepAlarmMs);
  }

  #sweep(now: number): void {
    if (now < this.#nextSweep) return;
    this.#nextSweep = this.#exchange.sweep(now) ?? now + sweepMs;
  }

  async #askForCredentials(addressOfRecord: string, exchange: number): Promise<void> {
    const answer = await this.#others.credentials(addressOfRecord, exchange);
    await this.#event((now) => this.#exchange.credentials(addressOfRecord, answer, now));
  }

  async #askForFlows(addressOfRecord: string, exchange: number, reference: string): Promise<void> {
    const answer = await this.#others.flows(addressOfRecord, exchange);
    await this.#event((now) => this.#exchange.flows(reference, answer, now));
  }
}
