import { stillWanted } from "../../cluster/backhaul/backlog.ts";
import { decodeFrame, encodeFrame, isFrameError, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import { isReachable, type View } from "../../cluster/group/view.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { refusedCause, type PairState } from "../../cluster/replication/peer-link.ts";
import { isLate } from "../../cluster/time/far-clock.ts";
import { cellOfLine, lineOf, type Listener } from "../../sip/flow/flow.ts";
import { joinMemories, memoryOnStart, type Memory } from "../../sip/record/memory.ts";
import { msOfVersion } from "../../sip/record/version.ts";
import { Backhauls, isBackhaulError, type BackhaulEnd, type BackhaulInput, type LostBackhaul } from "./backhauls.ts";
import { DiskWriter } from "./disk-writer.ts";
import { EventRunner } from "./event-runner.ts";
import { Exchange, type ExchangeTools } from "./exchange.ts";
import { framesOf } from "./frames-of.ts";
import { OperatorChanges } from "./operator-changes.ts";
import { Replication } from "./replication.ts";
import type { BackhaulSocket, BackhaulState, ExchangePorts } from "./ports.ts";
import type { SteadyMs, WallMs } from "../../sip/time.ts";

export type ExchangeActorOptions = {
  readonly exchange: number;
  readonly cell: string;
  /** The cell of the other replica; undefined: there is none. */
  readonly peer: string | undefined;
  /** Names this start of this replica: random, never used before. */
  readonly boot: string;
  readonly map: ClusterMap;
  /** What the rest's port was told last, if this actor sleeps and wakes; undefined: it starts. */
  readonly orphansUntil: WallMs | undefined;
  /** Where the lines of a cell listen. */
  readonly lineListeners: (cell: string) => readonly Listener[];
};

/** A frame from a line. */
export type LineFrame = {
  /** The line. */
  readonly access: string;
  readonly octets: Uint8Array;
  /** Wanted until then by the clock of this cell; undefined: whenever it comes. */
  readonly until: WallMs | undefined;
};

/** How a frame of a line is answered. */
export type LineAnswer = {
  /** The frame that acknowledges it, and brings along what there is for the line. Undefined: it came too late, and no new request of it was taken. */
  readonly answered: (frame: Uint8Array | undefined) => void;
  /** It was not taken. */
  readonly refused: (reason: string) => void;
};

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
  readonly #replication: Replication | undefined;
  /** Gateways whose process has ended, by the last view. */
  readonly #gone = new Set<string>();
  /** By the last view. */
  #isFenced = false;
  /** The core group is to hear when this replica has caught up. */
  #isCatchingUp = false;

  /** Reads everything back from the disk. Hand in the backhauls that are there, {@link wakeBackhaul}, then {@link start}. */
  constructor(options: ExchangeActorOptions, tools: Omit<ExchangeTools, "wallAt">, ports: ExchangePorts) {
    const now = ports.now();
    const { exchange, cell, map, orphansUntil, peer } = options;
    this.#options = options;
    this.#ports = ports;
    this.exchange = new Exchange({ exchange, cell, map, orphansUntil }, { ...tools, wallAt: ports.wallAt }, now);
    this.#restore(now);
    const { store } = this.exchange;
    const { disk, room, timer } = ports;
    this.#writer = new DiskWriter({ disk, room, timer, now: ports.now, store, flushMs: map.flushMs, changed: () => this.#fence() });
    this.#backhauls = new Backhauls(ports.boots);
    this.#events = new EventRunner({ exchange: this.exchange, writer: this.#writer, backhauls: this.#backhauls, ports });
    this.#replication = peer === undefined ? undefined : this.#replicationWith(peer, now);
    this.changes = new OperatorChanges({
      exchange: this.exchange,
      writer: this.#writer,
      events: this.#events,
      now: ports.now,
      isPaired: this.#replication !== undefined,
    });
    for (const { id } of map.cells) {
      const listeners = options.lineListeners(id);
      for (let line = 0; line < map.lineCount; line += 1) this.exchange.connectAccess(lineOf(id, line), listeners);
    }
    // There is no peer to wait for: a removed record needs no row once the disk knows.
    if (this.#replication === undefined) store.acknowledge(Number.POSITIVE_INFINITY);
  }

  /** What this replica is to its peer; `alone`: there is none. */
  get pairState(): PairState | "alone" {
    return this.#replication?.state ?? "alone";
  }

  get isServing(): boolean {
    return this.#replication?.isServing ?? true;
  }

  /** Begins. */
  start(): void {
    const now = this.#ports.now();
    this.#events.start(this.#replication, now);
    this.#replication?.start(now);
    this.#isCatchingUp = !this.isServing;
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
    const now = this.#ports.now();
    try {
      const input = this.#backhauls.receive(end, octets, now);
      if (!isBackhaulError(input)) return this.#takeBackhaulInput(end, input, now, over);
      this.refuseBackhaul(end, input.backhaulError);
    } catch (error) {
      this.#lost(this.#backhauls.refuse(end, error instanceof Error ? error.message : String(error), 1013, now), now);
    }
    over();
  }

  /** The other side of a backhaul broke the protocol. */
  refuseBackhaul(end: BackhaulEnd, reason: string): void {
    const now = this.#ports.now();
    this.#ports.log.warn(`exchange ${this.#options.exchange}: closed the backhaul of a confused gateway: ${reason}`);
    this.#lost(this.#backhauls.refuse(end, reason, 1002, now), now);
  }

  /** A backhaul has ended. */
  backhaulClosed(end: BackhaulEnd): void {
    const now = this.#ports.now();
    this.#lost(this.#backhauls.closed(end, now), now);
  }

  /** A frame from a line. One that comes, or had to wait here, until after its time has gone to the other replica with its line. */
  takeLineFrame({ access, octets, until }: LineFrame, { answered, refused }: LineAnswer): void {
    const frame = decodeFrame(octets);
    if (isFrameError(frame)) return refused(`frame from line ${access}: ${frame.frameError}`);
    // What goes into the answer could overtake what is under way to this line already, a CANCEL its INVITE.
    const answering = this.#events.lines.isIdle(access) ? access : undefined;
    let isTaken = false;
    const take = (at: SteadyMs): void => {
      isTaken = !isLate(until, this.#ports.wallAt(at));
      this.#events.receive(access, isTaken ? frame.records : stillWanted(frame.records), at);
    };
    const over = (records: FrameRecord[], at: SteadyMs): void => {
      if (isTaken) return this.#answerLine(access, frame.seq, records, at, answered);
      this.#events.send(access, records, at);
      answered(undefined);
    };
    this.#events.event(take, this.#ports.now(), { answering, over, refused: () => refused(tooMuchWaits) });
  }

  /** A batch of the peer's; its answer. Undefined: that was no such batch, or there is no peer. */
  takePeerBatch(batch: string): string | undefined {
    const now = this.#ports.now();
    const answer = this.#replication?.take(batch, now);
    // Never waits for a commit of this side: the other side's may be waiting for this answer.
    this.#events.carryOut(now);
    return answer;
  }

  /** The peer has answered a batch. */
  peerAnswered(id: number, answer: string): void {
    this.#replication?.answered(id, answer, this.#ports.now());
  }

  /** A batch was not answered. `isRefused`: there is nobody, rather than somebody who is slow or unwell. */
  peerFailed(id: number, isRefused: boolean, cause: string): void {
    this.#replication?.failed(id, isRefused, cause, this.#ports.now());
  }

  /** What this cell sees has changed. */
  setView(view: View): void {
    const now = this.#ports.now();
    const { cell, peer } = this.#options;
    const reachable = view.cells.filter(({ id }) => id === cell || isReachable(view, id)).map(({ id }) => id);
    this.exchange.setCells(new Set(reachable), now);
    this.#isFenced = view.isFenced;
    this.#fence();
    if (peer !== undefined) this.#replication?.see(reachable.includes(peer), view.heartbeat, now);
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
    this.#events.whenServing(run, this.#ports.now(), () => refused(tooMuchWaits));
  }

  /** Reads back what is on the disk, and how far that goes back. Alone, nothing is answered that is not there. */
  #restore(now: SteadyMs): void {
    const { disk } = this.#ports;
    const known = disk.readMemory();
    let latest = 0;
    for (const record of disk.read()) {
      this.exchange.restore(record);
      latest = Math.max(latest, msOfVersion(record.version));
    }
    if (known === undefined) this.#remember(this.exchange.memory);
    else this.#remember(this.#options.peer === undefined ? known : memoryOnStart(known, latest, this.#ports.wallAt(now)));
  }

  #remember(memory: Memory): void {
    this.exchange.setMemory(memory);
    this.#ports.disk.setMemory(memory);
  }

  #replicationWith(peer: string, now: SteadyMs): Replication {
    const { cell, exchange, boot, map } = this.#options;
    return new Replication(
      {
        cell,
        peer,
        exchange,
        boot,
        map,
        store: this.exchange.store,
        ports: this.#ports,
        writer: this.#writer,
        release: this.#events.release,
        apply: (record, at) => this.#events.guard(() => this.exchange.applyFromPeer(record, at)),
        memory: () => this.exchange.memory,
        remember: (ofPeer) => this.#remember(joinMemories(this.exchange.memory, ofPeer)),
        known: (until) => this.exchange.setPeerKnown(until),
        changed: (state, cause, at) => this.#pairChanged(peer, state, cause, at),
      },
      now,
    );
  }

  #pairChanged(peer: string, state: PairState, cause: string, now: SteadyMs): void {
    const { coreGroup } = this.#ports;
    coreGroup.pairChanged(state, cause);
    this.exchange.store.setPeerAway(state !== "together");
    this.#fence();
    this.#writer.flushLater();
    if (state !== "syncing") this.#backhauls.tellServing(true, now);
    // Whoever cannot reach a cell says so at once: the core group confirms it by a probe.
    if (state === "away" && cause === refusedCause) coreGroup.suspect(peer, refusedCause);
  }

  /** Registrations are refused that nobody else would ever hear of, or that nothing but this memory would keep. */
  #fence(): void {
    const isKept = !this.#writer.isFull || this.#replication?.state === "together";
    this.exchange.setFenced(this.#isFenced || !isKept);
  }

  #setGone(gateway: string, isGone: boolean, now: SteadyMs): void {
    if (!isGone) this.#gone.delete(gateway);
    else if (!this.#gone.has(gateway)) {
      this.#gone.add(gateway);
      this.#events.event((at) => this.exchange.accessGone(gateway, at), now);
    }
  }

  #takeBackhaulInput(end: BackhaulEnd, input: BackhaulInput, now: SteadyMs, over: () => void): void {
    const { access, seq, records, opened, roundTripMs } = input;
    if (roundTripMs !== undefined) this.exchange.answeredAfter(roundTripMs, now);
    const isNewBoot = opened?.isNewBoot === true;
    if (opened !== undefined) {
      this.exchange.connectAccess(access, opened.listeners);
      this.#events.arm(now);
      if (records.length === 0 && !isNewBoot) this.#backhauls.finish(end, seq);
      this.#backhauls.tellServing(this.isServing, now, access);
      if (!isNewBoot) this.#events.send(access, opened.again, now);
    }
    if (records.length === 0 && !isNewBoot) {
      this.#backhauls.finish(end, seq);
      this.#backhauls.send(access, [], now);
      return over();
    }
    const run = (at: SteadyMs): void => {
      if (isNewBoot) {
        this.exchange.forgetConnections(access, at, opened.boot);
        this.#events.notTaken(access, opened.again, at);
      }
      this.#events.receive(access, records, at);
    };
    this.#events.event(run, now, {
      committed: () => this.#backhauls.finish(end, seq),
      isKept: true,
      over: (_answer, at) => {
        this.#backhauls.send(access, [], at);
        over();
      },
      refused: () => {
        this.#lost(this.#backhauls.refuse(end, tooMuchWaits, 1013, now), now);
        over();
      },
    });
  }

  /**
   * The event waits at the gate while a hello does not: a newer backhaul of the same gateway may be there when it runs. What the old one may not have
   * delivered is tried another way all the same.
   */
  #lost(lost: LostBackhaul | undefined, now: SteadyMs): void {
    if (lost === undefined) return;
    const { access, records } = lost;
    this.#events.event((at) => {
      if (this.#backhauls.has(access)) return this.#events.send(access, records, at);
      this.exchange.disconnectAccess(access, at);
      this.#events.notTaken(access, records, at);
    }, now);
  }

  #answerLine(access: string, seq: number, records: FrameRecord[], now: SteadyMs, answered: LineAnswer["answered"]): void {
    const answer = (at: SteadyMs): void => {
      const [first = [], ...rest] = framesOf(records);
      for (const some of rest) this.#events.send(access, some, at);
      answered(encodeFrame(0, seq, first));
    };
    // A line of this cell ends with this replica. One of another cell would say again to the other what is not acknowledged.
    if (cellOfLine(access) === this.#options.cell) answer(now);
    else this.#events.follow(now, answer);
  }
}
