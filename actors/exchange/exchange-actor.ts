import type { FrameRecord } from "../../cluster/backhaul/frame.ts";
import { isReachable, type View } from "../../cluster/group/view.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { isNewer, mapVersionOf } from "../../cluster/map/map-version.ts";
import { parseBatch } from "../../cluster/replication/peer-batch.ts";
import { causeText, refusedCause, type PairState } from "../../cluster/replication/peer-link.ts";
import { BatchIds } from "../../cluster/replication/sending-side.ts";
import { isParseError } from "../../sip/errors.ts";
import { lineOf } from "../../sip/flow/flow.ts";
import { memoryOnStart, type Memory } from "../../sip/record/memory.ts";
import type { StateRecord } from "../../sip/record/state-record.ts";
import type { ExchangeActorOptions, LineAnswer, LineFrame } from "./actor-inputs.ts";
import { BackhaulFrames } from "./backhaul-frames.ts";
import { Backhauls, type BackhaulEnd } from "./backhauls.ts";
import { CallCourier } from "./call-courier.ts";
import { DiskWriter } from "./disk-writer.ts";
import { Elders } from "./elders.ts";
import { EventRunner } from "./event-runner.ts";
import { Exchange, type ExchangeTools } from "./exchange.ts";
import { FlushTurns } from "./flush-turns.ts";
import { Guests } from "./guests.ts";
import { HandOver } from "./hand-over.ts";
import { Leaving } from "./leaving.ts";
import { LineFrames } from "./line-frames.ts";
import { Newcomer } from "./newcomer.ts";
import { OperatorChanges } from "./operator-changes.ts";
import { joinedText, Pair } from "./pair.ts";
import { placeIn, type Place } from "./place.ts";
import { restored } from "./restored.ts";
import type { BackhaulSocket, BackhaulState, ExchangePorts } from "./ports.ts";
import type { SteadyMs } from "../../sip/time.ts";

/** Why a backhaul is closed, or a frame refused, where the map has no replica any more: whoever comes has an older map. */
export const movedText = "this cell has no replica of the exchange any more";
const movedCode = 4003;
/** Why a replica is started anew by a map. Whoever told it that map is answered by its end. */
export const againText = "the map gives this cell a replica again";

const tooMuchCode = 1013;
const tooMuchWaits = "too much waits for this replica to serve";

/**
 * One replica of one exchange: what becomes of everything that reaches it. The core (exchange.ts) says what SIP wants; this says when that may happen
 * and in which order it leaves. It has no clock, no sockets and no disk: see ports.ts.
 */
export class ExchangeActor {
  readonly exchange: Exchange;
  readonly changes: OperatorChanges;
  readonly #options: ExchangeActorOptions;
  readonly #ports: ExchangePorts;
  readonly #writer: DiskWriter;
  readonly #backhauls: Backhauls;
  readonly #events: EventRunner;
  readonly #frames: BackhaulFrames;
  readonly #lineFrames: LineFrames;
  readonly #guests: Guests;
  readonly #pair: Pair;
  readonly #newcomer: Newcomer;
  readonly #elders: Elders;
  readonly #handOver: HandOver;
  #map: ClusterMap;
  #place: Place;
  #turns: FlushTurns;
  readonly #leaving: Leaving;
  /** This replica has nothing, and has not had anything. */
  #isBlank = false;
  readonly #courier: CallCourier;
  /** It was one, since this start, and what it had in hand others go on with. */
  #hasLeft = false;
  /** Gateways whose process has ended, by the last view. */
  readonly #gone = new Set<string>();
  /** By the last view. */
  #isFenced = false;
  /** The core group is to hear when this replica has caught up. */
  #isCatchingUp = false;

  /** Reads everything back from the disk. Hand in the backhauls that are there, {@link wakeBackhaul}, then {@link start}. */
  constructor(options: ExchangeActorOptions, tools: Omit<ExchangeTools, "wallAt">, ports: ExchangePorts) {
    const now = ports.now();
    const { exchange, cell, map, orphansUntil, boot } = options;
    this.#options = options;
    this.#ports = ports;
    this.#map = map;
    this.#place = placeIn(map, exchange, cell);
    this.exchange = new Exchange({ exchange, cell, map, orphansUntil }, { ...tools, wallAt: ports.wallAt }, now);
    this.#restore(now);
    const { store } = this.exchange;
    const { disk, room, timer } = ports;
    this.#turns = new FlushTurns(map, exchange, cell);
    const waitMs = (): number => (this.pairState === "together" ? this.#turns.waitMs(ports.wallAt(ports.now())) : map.flushMs);
    this.#writer = new DiskWriter({ disk, room, timer, now: ports.now, store, waitMs, changed: () => this.#fence() });
    this.#backhauls = new Backhauls(ports.boots);
    const ids = new BatchIds();
    const apply = (record: StateRecord): void => this.#applyFromGuest(record);
    const memory = (): Memory => this.exchange.memory;
    this.#newcomer = new Newcomer({ cell, boot, ids, store, ports, coreGroup: ports.coreGroup, apply, memory });
    this.#elders = new Elders({ exchange, cell, map: () => this.#map, ports, over: (haveTold) => this.#eldersAreOver(haveTold) });
    const changed = (isOver: boolean): void => this.#handedOver(isOver);
    this.#handOver = new HandOver(map, { exchange, cell, boot, store, ports, changed });
    this.#events = new EventRunner({
      exchange: this.exchange,
      writer: this.#writer,
      backhauls: this.#backhauls,
      newcomer: this.#newcomer,
      elders: this.#elders,
      handOver: this.#handOver,
      ports,
    });
    this.#frames = new BackhaulFrames({
      number: exchange,
      exchange: this.exchange,
      backhauls: this.#backhauls,
      events: this.#events,
      ports,
      isServing: () => this.isServing,
      refusal: () => ({ reason: this.#refusal, code: this.#isReplica ? tooMuchCode : movedCode }),
    });
    this.#lineFrames = new LineFrames({ cell, boot, events: this.#events, ports });
    this.#pair = new Pair(
      {
        own: options,
        exchange: this.exchange,
        ids,
        newcomer: this.#newcomer,
        writer: this.#writer,
        events: this.#events,
        ports,
        map: () => this.#map,
        place: () => this.#place,
        isBlank: () => this.#isBlank,
        remember: (known) => this.#remember(known),
        changed: (peer, state, cause, at) => this.#pairChanged(peer, state, cause, at),
      },
      now,
    );
    this.#leaving = new Leaving(ports.timer, () => ports.empty("what was here has been handed over"));
    this.#guests = new Guests({ boot, map: () => this.#map, apply });
    this.#courier = this.#newCourier();
    this.changes = new OperatorChanges({
      exchange: this.exchange,
      writer: this.#writer,
      events: this.#events,
      now: ports.now,
      isPaired: () => this.#pair.replication !== undefined,
    });
    this.#connectLines(map.cells);
  }

  /** What this replica is to its peer; `alone`: there is none. `none`: the map has no replica here; `joining`: not yet. */
  get pairState(): PairState | "alone" | "none" | "joining" {
    if (this.#place.role !== "replica") return this.#place.role;
    return this.#pair.state;
  }

  get isServing(): boolean {
    return this.#isReplica && !this.#elders.isWaiting && this.#pair.isServing;
  }

  /** Nothing is waited for: it serves, or is not to. */
  get isCaughtUp(): boolean {
    return !this.#isReplica || this.isServing;
  }

  get #isReplica(): boolean {
    return this.#place.role === "replica";
  }

  /** Begins. */
  start(): void {
    const now = this.#ports.now();
    const { store } = this.exchange;
    this.#events.start(this.#pair.replication, this.#courier, now);
    const { role } = this.#place;
    if (role !== "replica") this.#leave(now);
    if (role === "none" && store.size === 0) return this.#ports.coreGroup.emptied();
    this.#pair.replication?.start(now);
    if (role === "replica") this.#handOver.start();
    // One that slept has heard all.
    if (role === "replica" && this.#options.orphansUntil === undefined) this.#elders.start();
    this.#copy(now);
    this.#isCatchingUp = !this.isCaughtUp;
    if (this.#options.orphansUntil === undefined) this.#events.event((at) => this.exchange.resume(at), now);
    this.#ports.coreGroup.askForView(this.#isCatchingUp);
  }

  /** Tells whether there is room on the disk, asked while nothing else may happen. Nothing is promised before it is known whether it can be kept. */
  askForRoomAtFirst(told: () => void): void {
    this.#writer.hasRoomAtFirst(this.#ports.now(), told);
  }

  /** The alarm has rung. `over` is called when what is due has been done. */
  alarmRang(over: () => void): void {
    // The end of an alarm is a write of the runtime's own: without room the reserve is given up for it.
    this.#writer.hasRoom(0, this.#ports.now(), (_isRoom, at) => this.#events.wake(at, over));
  }

  /** A backhaul that was there before this actor woke. */
  wakeBackhaul(socket: BackhaulSocket, state: BackhaulState, isOpen: boolean): BackhaulEnd {
    const end = this.#backhauls.wake(socket, state, isOpen);
    if (isOpen && state.boot !== undefined) this.exchange.connectAccess(state.access, state.listeners);
    return end;
  }

  /** A gateway has opened a backhaul. */
  acceptBackhaul(access: string, socket: BackhaulSocket): BackhaulEnd {
    return this.#backhauls.accept(access, socket);
  }

  /** A frame on a backhaul. `over` is called when it has been processed, or refused. */
  takeBackhaulFrame(end: BackhaulEnd, octets: Uint8Array, over: () => void): void {
    if (this.#isReplica) return this.#frames.take(end, octets, over);
    // Not when it was accepted: the runtime keeps to itself how a WebSocket ends that is closed before its opening was answered.
    this.#backhauls.closeAll(movedCode, movedText);
    over();
  }

  /** The other side of a backhaul broke the protocol. */
  refuseBackhaul(end: BackhaulEnd, reason: string): void {
    this.#frames.refuse(end, reason);
  }

  /** A backhaul has ended. */
  backhaulClosed(end: BackhaulEnd): void {
    this.#frames.closed(end);
  }

  /** A frame from a line. One that comes, or had to wait here, until after its time has gone to the other replica with its line. */
  takeLineFrame(frame: LineFrame, answer: LineAnswer): void {
    if (!this.#isReplica) return answer.refused(movedText);
    this.#lineFrames.take(frame, answer, () => this.#refusal);
  }

  /**
   * A batch of the peer's, or of a cell whose replica the map has no more; its answer. Undefined: that was no such batch. It is not taken either by one
   * that is no replica: who counts on that as a second memory has an older map.
   */
  takePeerBatch(batch: string): string | undefined {
    const { role } = this.#place;
    if (role === "none") return undefined;
    const now = this.#ports.now();
    const ofPeer = this.#pair.replication?.take(batch, now);
    const answer = role === "joining" ? ofPeer : (ofPeer ?? this.#newcomer.take(batch, now) ?? this.#takeGuestBatch(batch, now));
    // Never waits for a commit of this side: the other side's may be waiting for this answer.
    this.#events.carryOut(now);
    return answer;
  }

  /** Records that belong here, of an exchange that this one has come from. False: this is no replica of it. */
  takeHandedOver(batch: string): boolean {
    const parsed = this.#isReplica ? parseBatch(batch) : undefined;
    if (parsed === undefined || isParseError(parsed)) return false;
    const now = this.#ports.now();
    for (const record of parsed.records) this.#applyFromGuest(record);
    this.#events.carryOut(now);
    return true;
  }

  /** An exchange that has come from this one starts: `done` when it has all that is here of it. One that had nothing on its disk is told itself first. */
  handOver(done: () => void): void {
    if (!this.#isReplica) done();
    else if (this.#isBlank && !this.isServing) this.#events.whenServing(() => this.#handOver.whenGiven(done), this.#ports.now());
    else this.#handOver.whenGiven(done);
  }

  /** What an access has brought to another exchange: see {@link OtherExchangesPort.offer}. */
  takeOffered(access: string, record: FrameRecord, isSure: boolean, answered: (isTaken: boolean) => void): void {
    let isTaken = false;
    const take = (at: SteadyMs): void => {
      isTaken = this.exchange.takeOffered(access, record, isSure, at);
    };
    this.#events.event(take, this.#ports.now(), { over: () => answered(isTaken), refused: () => answered(false) });
  }

  /** The peer has answered a batch. */
  peerAnswered(id: number, answer: string): void {
    const now = this.#ports.now();
    this.#pair.answered(id, answer, now);
  }

  /** A batch was not answered. `isRefused`: there is nobody, rather than somebody who is slow or unwell. */
  peerFailed(id: number, isRefused: boolean, cause: string): void {
    const now = this.#ports.now();
    this.#pair.failed(id, isRefused, cause, now);
  }

  /** There is a newer map, perhaps: this cell may have another peer, or none, or no replica any more. Calls stand. */
  setMap(map: ClusterMap): void {
    if (!isNewer(mapVersionOf(map), mapVersionOf(this.#map))) return;
    const now = this.#ports.now();
    const { exchange, cell } = this.#options;
    const before = this.#place;
    const isNew = map.cells.filter(({ id }) => this.#map.cells.every((known) => known.id !== id));
    this.#map = map;
    this.#place = placeIn(map, exchange, cell);
    this.#turns = new FlushTurns(map, exchange, cell);
    const { role, peer } = this.#place;
    // What it had in hand when it left is not in hand any more, and what others have done since it has not heard.
    if (before.role === "none" ? role !== "none" : role === "replica" && this.#hasLeft) return this.#ports.restart(againText);
    this.#connectLines(isNew);
    const isLeaving = before.role !== role && role !== "replica";
    if (isLeaving) {
      this.#hasLeft = before.role === "replica";
      if (this.#hasLeft) this.#events.event((at) => this.exchange.sayRefusalsAgain(at), now);
      this.#leave(now);
    }
    // To the primary it is somebody else than its peer from now on.
    if (isLeaving || peer !== before.peer) this.#pair.meet(peer, now);
    this.exchange.setMap(map);
    this.#handOver.setMap(map);
    if (before.role === "joining" && role === "replica") this.#enter(now);
    this.#copy(now);
    this.#events.event((at) => this.exchange.adoptLeft(at), now);
  }

  /** What this cell sees has changed. */
  setView(view: View): void {
    const now = this.#ports.now();
    const { cell } = this.#options;
    const reachable = view.cells.filter(({ id }) => id === cell || isReachable(view, id)).map(({ id }) => id);
    this.exchange.setCells(new Set(reachable), now);
    this.exchange.see(view);
    this.#isFenced = view.isFenced;
    this.#fence();
    this.#pair.see(reachable, view.heartbeat, now);
    if (this.#isReplica) this.#handOver.tell();
    this.#events.carryOut(now);
    for (const { id, isGone } of view.gateways) this.#setGone(id, isGone, now);
  }

  /** The view that {@link start} asked for. */
  setFirstView(view: View): void {
    this.setView(view);
    if (!this.#isCatchingUp) return;
    this.#isCatchingUp = false;
    this.#events.whenServing(() => this.#ports.coreGroup.caughtUp(), this.#ports.now());
  }

  /** Runs what reads the records when this replica may serve; `refused`, with why, when too much waits for that already. */
  whenServing(run: (now: SteadyMs) => void, refused: (reason: string) => void): void {
    this.#events.whenServing(run, this.#ports.now(), () => refused(this.#refusal));
  }

  get #refusal(): string {
    return this.#isReplica ? tooMuchWaits : movedText;
  }

  #connectLines(cells: ClusterMap["cells"]): void {
    const { lineListeners } = this.#options;
    for (const { id } of cells) {
      const listeners = lineListeners(this.#map, id);
      for (let line = 0; line < this.#map.lineCount; line += 1) this.exchange.connectAccess(lineOf(id, line), listeners);
    }
  }

  /** Nobody is served here any more, or not yet. What is here goes to the primary, and is on the disk until then. */
  #leave(now: SteadyMs): void {
    this.#writer.flush(now);
    this.#backhauls.closeAll(movedCode, movedText);
    this.#events.retire();
    this.#pair.replication?.letIn();
  }

  /** This cell has a replica from now on, and knows what the primary knows. */
  #enter(now: SteadyMs): void {
    const { peer } = this.#place;
    this.#events.enter(now);
    this.#handOver.start();
    if (peer !== undefined) this.#pairChanged(peer, this.#pair.replication?.state ?? "lagging", joinedText, now);
  }

  /** Tells everything to the cell that the map wants it told to, as soon as there is something that is sure. */
  #copy(now: SteadyMs): void {
    this.#newcomer.set(this.isServing ? this.#place.joining : undefined, this.#map, now);
  }

  /** With what they have told it is no newcomer, though its cell has no replica from the first: the elder had been moved before. */
  #eldersAreOver(haveTold: boolean): void {
    const now = this.#ports.now();
    if (haveTold && this.#isBlank) this.#pair.replication?.knowsAll(now);
    if (this.isServing) this.#backhauls.tellServing(true, now);
    this.#copy(now);
  }

  /** What belongs to younger exchanges is with them, and forgotten here: its rows are deleted. */
  #handedOver(isOver: boolean): void {
    this.exchange.setHandedOver(isOver);
    if (isOver) this.#writer.flushLater();
  }

  #applyFromGuest(record: StateRecord): void {
    this.#events.guard(() => this.exchange.applyFromGuest(record, this.#ports.now()));
  }

  #takeGuestBatch(batch: string, now: SteadyMs): string | undefined {
    const answer = this.#guests.take(batch);
    if (answer === undefined) return undefined;
    this.#pair.replication?.look(now);
    this.#events.event((at) => this.exchange.adoptLeft(at), now);
    return answer;
  }

  /** Reads back what is on the disk, and how far that goes back. Alone, nothing is answered that is not there. */
  #restore(now: SteadyMs): void {
    const { isBlank, known, latest } = restored(this.#ports.disk, this.exchange);
    this.#isBlank = isBlank;
    if (known === undefined) this.#remember(this.exchange.memory);
    else this.#remember(this.#place.peer === undefined ? known : memoryOnStart(known, latest, this.#ports.wallAt(now)));
  }

  #remember(memory: Memory): void {
    this.exchange.setMemory(memory);
    this.#ports.disk.setMemory(memory);
  }

  #newCourier(): CallCourier {
    const { now, wallAt, timer, calls } = this.#ports;
    return new CallCourier({
      now,
      wallAt,
      timer,
      store: this.exchange.store,
      port: calls,
      pairedWith: () => (this.#pair.state === "together" ? this.#place.peer : undefined),
      isServing: () => this.isServing,
      collected: (records) => this.#events.event((at) => this.exchange.collected(records, at), now()),
    });
  }

  #pairChanged(peer: string, state: PairState, cause: string, now: SteadyMs): void {
    if (this.#place.role === "none") return this.#leaving.changed(state);
    this.exchange.store.setPeerAway(state !== "together");
    if (state === "together") this.#writer.flushLater();
    else this.#writer.flushSoon();
    if (!this.#isReplica) return;
    const { coreGroup } = this.#ports;
    coreGroup.pairChanged(state, causeText(peer, cause));
    this.#fence();
    if (this.isServing) this.#backhauls.tellServing(true, now);
    // Whoever cannot reach a cell says so at once: the core group confirms it by a probe.
    if (state === "away" && cause === refusedCause) coreGroup.suspect(peer, refusedCause);
    this.#copy(now);
  }

  /** Registrations are refused that nobody else would ever hear of, or that nothing but this memory would keep. */
  #fence(): void {
    const isKept = !this.#writer.isFull || this.#pair.state === "together";
    this.exchange.setFenced(this.#isFenced || !isKept);
  }

  #setGone(gateway: string, isGone: boolean, now: SteadyMs): void {
    if (!isGone) this.#gone.delete(gateway);
    else if (!this.#gone.has(gateway)) {
      this.#gone.add(gateway);
      this.#events.event((at) => this.exchange.accessGone(gateway, at), now);
    }
  }
}
