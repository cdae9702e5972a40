import type { BackhaulEnd } from "../../actors/exchange/backhauls.ts";
import type { ExchangeCounts } from "../../actors/exchange/effects.ts";
import { ExchangeActor } from "../../actors/exchange/exchange-actor.ts";
import type { Exchange } from "../../actors/exchange/exchange.ts";
import type {
  CoreGroupPort,
  DiskPort,
  ExchangePorts,
  LinePort,
  LogPort,
  OtherExchangesPort,
  PeerPort,
} from "../../actors/exchange/ports.ts";
import { frameValidMs } from "../../actors/limits.ts";
import type { View } from "../../cluster/group/view.ts";
import { pairOf } from "../../cluster/map/cluster-map.ts";
import { servingCells } from "../../cluster/map/serving-cells.ts";
import { otherVersionCause, refusedCause, type PairState } from "../../cluster/replication/peer-link.ts";
import type { PhoneFlow } from "../../sip/dialog/present-flow.ts";
import { cellOfLine } from "../../sip/flow/flow.ts";
import type { Memory } from "../../sip/record/memory.ts";
import { cellAnswerMsMax } from "../../workers/limits.ts";
import type { Cell } from "./cell.ts";
import { lineListeners, simulatedHash, simulatedSign } from "./cluster.ts";
import type { ExchangePlace, SocketOfBackhaul } from "./exchange-place.ts";
import { ObjectLife, Unanswered } from "./object-life.ts";
import { Boots, Room } from "./room.ts";
import { describeBatch } from "./describe.ts";
import { TimelyCalls } from "./timely.ts";

type CredentialsAnswer = ReturnType<Exchange["credentialsOf"]>;
type FlowsAnswer = readonly PhoneFlow[] | "unavailable";

/** How a peer answers that is reset meanwhile: it is there. */
const noAnswer = Symbol("no answer");

/** One start of one replica of one exchange: the real actor, in a simulated process. */
export class Replica {
  readonly number: number;
  readonly #place: ExchangePlace;
  readonly #cell: Cell;
  readonly #life: ObjectLife;
  readonly #peer: string;
  readonly #actor: ExchangeActor;
  readonly #calls: TimelyCalls;
  readonly #ends = new Map<SocketOfBackhaul, BackhaulEnd>();
  /** Batches under way to the peer: how to give them up. */
  readonly #batches = new Map<number, () => void>();
  #framesToLines = 0;

  constructor(place: ExchangePlace) {
    const { cell, number } = place;
    this.#place = place;
    this.#cell = cell;
    this.number = number;
    const { map, random } = cell.cluster;
    const { host } = cell;
    const { primary, secondary } = pairOf(map, number);
    this.#peer = primary === cell.id ? secondary : primary;
    this.#life = new ObjectLife(host);
    this.#calls = new TimelyCalls(cell, this.#life.clock.now);
    const nextId = (): string => random.id();
    this.#actor = new ExchangeActor(
      {
        exchange: number,
        cell: cell.id,
        peer: this.#peer,
        boot: nextId(),
        map,
        orphansUntil: place.orphansUntil,
        lineListeners: () => lineListeners(map),
      },
      { sign: simulatedSign, hash: simulatedHash, nextId },
      this.#ports(),
    );
  }

  /** The rest of the constructor of a Durable Object. */
  start(): void {
    const { disk } = this.#cell;
    for (const socket of this.#place.sockets) {
      const { state, end } = socket;
      if (state !== undefined) this.#ends.set(socket, this.#actor.wakeBackhaul(socket, state, end.isOpen));
    }
    this.#life.event(() => this.#actor.start());
    if (disk.isAskedForRoom) this.#actor.askForRoomAtFirst(this.#life.block());
  }

  /** Its memory is gone. */
  end(): void {
    this.#life.end();
  }

  get exchange(): Exchange {
    return this.#actor.exchange;
  }

  get counts(): ExchangeCounts {
    return this.exchange.counts(this.#life.clock.latest);
  }

  get isServing(): boolean {
    return this.#actor.isServing;
  }

  get state(): PairState | "alone" {
    return this.#actor.pairState;
  }

  /** Nothing is under way, and no transaction waits. */
  get isIdle(): boolean {
    return this.#batches.size === 0 && this.#framesToLines === 0 && this.exchange.nextDeadline() === undefined;
  }

  get maySleep(): boolean {
    return this.#life.maySleep;
  }

  accept(access: string, socket: SocketOfBackhaul): void {
    this.#life.event(() => this.#ends.set(socket, this.#actor.acceptBackhaul(access, socket)));
  }

  takeBackhaulFrame(access: string, socket: SocketOfBackhaul, frame: Uint8Array): void {
    this.#place.comesIn(access, frame);
    const isUnderWay = this.#life.begin(() => {});
    this.#life.event(() => {
      const end = this.#ends.get(socket);
      if (end !== undefined) this.#actor.takeBackhaulFrame(end, frame, isUnderWay);
    });
  }

  backhaulClosed(socket: SocketOfBackhaul): void {
    this.#life.event(() => {
      const end = this.#ends.get(socket);
      if (end !== undefined) this.#actor.backhaulClosed(end);
    });
  }

  alarmRang(): void {
    const isUnderWay = this.#life.begin(() => {});
    this.#life.event(() => this.#actor.alarmRang(isUnderWay));
  }

  /** A frame from a line. `answer` gets the frame that answers it; undefined: it comes too late; an error: nobody knows what became of it. */
  takeLineFrame(
    access: string,
    octets: Uint8Array,
    until: number | undefined,
    answer: (frame: Uint8Array | Error | undefined) => void,
  ): void {
    this.#place.comesIn(access, octets);
    const isUnderWay = this.#life.begin(() => answer(new Unanswered("it was reset")));
    const tell = (frame: Uint8Array | Error | undefined): void => {
      if (!isUnderWay()) return;
      if (frame instanceof Uint8Array) this.#place.traceOut(access, frame);
      answer(frame);
    };
    this.#life.event(() => {
      const line = { access, octets, until };
      this.#actor.takeLineFrame(line, { answered: tell, refused: (reason) => tell(new Unanswered(reason)) });
    });
  }

  /** A batch of the peer's. */
  takeBatch(text: string, reply: (answer: string | typeof noAnswer) => void): void {
    this.#cell.host.trace(() => `exchange ${this.number} < peer: ${describeBatch(text)}`);
    const isUnderWay = this.#life.begin(() => reply(noAnswer));
    this.#life.event(() => {
      const answer = this.#actor.takePeerBatch(text);
      if (answer === undefined) throw new Error("no batch of the peer's");
      if (isUnderWay()) reply(answer);
    });
  }

  /** `told`: whether it serves; undefined: it was reset. */
  setView(view: View, told: (isServing: boolean | undefined) => void): void {
    const isUnderWay = this.#life.begin(() => told(undefined));
    this.#life.event(() => {
      this.#actor.setView(view);
      if (isUnderWay()) told(this.isServing);
    });
  }

  /** For an exchange of this cell that has a call with one of these phones. */
  flowsOf(addressOfRecord: string, answer: (flows: FlowsAnswer) => void): void {
    this.#whenServing<FlowsAnswer>((now) => this.exchange.flowsOf(addressOfRecord, now), answer);
  }

  credentialsOf(addressOfRecord: string, answer: (credentials: CredentialsAnswer | "unavailable") => void): void {
    this.#whenServing(() => this.exchange.credentialsOf(addressOfRecord), answer);
  }

  #whenServing<Result>(run: (now: number) => Result, answer: (result: Result | "unavailable") => void): void {
    const isUnderWay = this.#life.begin(() => answer("unavailable"));
    const tell = (result: Result | "unavailable"): void => {
      if (isUnderWay()) answer(result);
    };
    this.#life.event(() =>
      this.#actor.whenServing(
        (now) => tell(run(now)),
        () => tell("unavailable"),
      ),
    );
  }

  #ports(): ExchangePorts {
    const { disk } = this.#cell;
    const life = this.#life;
    const place = this.#place;
    return {
      now: life.clock.now,
      wallAt: life.clock.wallAt,
      timer: life.timer,
      soon: (run) => life.soon(run),
      alarm: { arm: (at) => (life.isOver ? undefined : place.arm(at)) },
      rest: {
        begin: (orphansUntil) => (life.isOver ? undefined : (place.orphansUntil = orphansUntil)),
        end: () => (life.isOver ? undefined : (place.orphansUntil = undefined)),
      },
      disk: this.#disk(),
      boots: new Boots(place.disk),
      room: new Room(life, disk),
      peer: this.#peerPort(),
      lines: this.#linePort(),
      others: this.#othersPort(),
      coreGroup: this.#coreGroupPort(),
      log: this.#log(),
    };
  }

  #disk(): DiskPort {
    const { disk } = this.#place;
    let memory: Memory | undefined;
    return {
      readMemory: () => disk.memory,
      setMemory: (latest) => (memory = latest),
      read: () => disk.read(),
      write: (rows) => {
        if (disk.isRefusing && !this.#life.isOver) {
          this.#cell.disk.isRefusing = false;
          this.#cell.cluster.moments.reached("a write is refused");
          this.#place.reset("the disk does not take records");
        }
        if (this.#life.isOver) throw new Error("the disk does not take records");
        if (rows.put.length + rows.remove.length > 0) disk.write(rows, memory);
      },
      cleaningOctets: () => 0,
    };
  }

  #coreGroupPort(): CoreGroupPort {
    const { host } = this.#cell;
    const tell = (run: () => void): void => (this.#life.isOver ? undefined : host.soon(run));
    return {
      askForView: (isSyncing) => this.#life.soon(() => this.#actor.setFirstView(this.#cell.viewFor(this.number, isSyncing))),
      caughtUp: () => tell(() => this.#cell.caughtUp(this.number)),
      suspect: (cell, cause) => tell(() => this.#cell.suspect(cell, cause)),
      pairChanged: (state, cause) => host.trace(() => `exchange ${this.number}: ${state} with its peer: ${cause}`),
    };
  }

  /** What an object says when it has been reset is about that. */
  #log(): LogPort {
    const { host } = this.#cell;
    return {
      warn: (text) => host.trace(() => text),
      // Only our own parts speak here.
      error: (text) => (this.#life.isOver ? undefined : host.threw(new Error(text))),
      threw: (error) => (this.#life.isOver ? undefined : host.threw(error)),
    };
  }

  #peerPort(): PeerPort {
    const { cluster, host } = this.#cell;
    const failed = (id: number, isRefused: boolean, isOfVersion: boolean): void => {
      if (!isOfVersion) cluster.moments.reached("the cells of a pair are of two versions");
      this.#actor.peerFailed(id, isRefused, isOfVersion ? refusedCause : otherVersionCause);
    };
    return {
      send: (id, batch) => {
        if (this.#life.isOver) return;
        const peer = cluster.cell(this.#peer);
        host.trace(() => `exchange ${this.number} > peer: batch ${id}, ${batch.length} octets`);
        const abort = cluster.network.request<string | typeof noAnswer>(
          host,
          peer.host,
          (reply) => peer.replica(this.number).takeBatch(batch, reply),
          (answer) => {
            if (!isUnderWay()) return;
            this.#batches.delete(id);
            this.#life.event(() => {
              if (typeof answer === "string") this.#actor.peerAnswered(id, answer);
              else failed(id, answer === undefined, host.speaksTo(peer.host));
            });
          },
        );
        const isUnderWay = this.#life.begin(abort);
        this.#batches.set(id, () => {
          if (isUnderWay()) abort();
        });
      },
      abandon: (id) => {
        this.#batches.get(id)?.();
        this.#batches.delete(id);
      },
    };
  }

  #linePort(): LinePort {
    const { cluster, host } = this.#cell;
    return {
      bring: (access, frame, done) => {
        if (this.#life.isOver) return;
        this.#place.traceOut(access, frame);
        this.#framesToLines += 1;
        const isUnderWay = this.#life.begin(() => {});
        const over = (answer: Uint8Array | undefined): void => {
          if (!isUnderWay()) return;
          this.#framesToLines -= 1;
          this.#life.event(() => done(answer));
        };
        const target = cluster.cell(cellOfLine(access));
        if (target === this.#cell) host.soon(() => over(target.line(access).deliver(frame, host.wall + frameValidMs)));
        else this.#calls.bring(target, (until, answer) => answer(target.line(access).deliver(frame, until)), over);
      },
    };
  }

  #othersPort(): OtherExchangesPort {
    return {
      credentials: (addressOfRecord, exchange, answered) =>
        this.#ask<CredentialsAnswer | "unavailable">(
          exchange,
          (other, answer) => other.credentialsOf(addressOfRecord, answer),
          (found) => answered(found ?? "unknown"),
        ),
      flows: (addressOfRecord, exchange, answered) => {
        this.#cell.host.trace(() => `exchange ${this.number} asks exchange ${exchange} where ${addressOfRecord} is`);
        this.#ask<FlowsAnswer>(
          exchange,
          (other, answer) => other.flowsOf(addressOfRecord, answer),
          (found) => answered(found),
        );
      },
    };
  }

  /** Asks a replica of another exchange: the one in this cell, if it has one, else those of the others (workers/exchange/other-exchanges.ts). */
  #ask<Answer>(
    exchange: number,
    ask: (other: Replica, answer: (found: Answer) => void) => void,
    tell: (found: Answer | "unavailable") => void,
  ): void {
    const { cluster } = this.#cell;
    const cells = servingCells(cluster.map, exchange, this.#cell.id).map((id) => cluster.cell(id));
    if (!cells.includes(this.#cell)) cluster.moments.reached("an exchange asks one that is in other cells only");
    const isUnderWay = this.#life.begin(() => {});
    const over = (found: Answer | "unavailable"): void => {
      if (isUnderWay()) this.#life.event(() => tell(found));
    };
    const askNext = (): void => {
      const cell = cells.shift();
      if (cell === undefined) return over("unavailable");
      this.#askIn(cell, (answer) => ask(cell.replica(exchange), answer), over, askNext);
    };
    askNext();
  }

  /** `failed`: it is not answered in time. */
  #askIn<Answer>(cell: Cell, ask: (answer: (found: Answer) => void) => void, over: (found: Answer) => void, failed: () => void): void {
    const { cluster, host } = this.#cell;
    let isOver = false;
    const end = (found: Answer | undefined): void => {
      if (isOver) return;
      isOver = true;
      timer.isOff = true;
      if (found === undefined) failed();
      else over(found);
    };
    const timer = host.after(cellAnswerMsMax, () => end(undefined));
    if (cell === this.#cell) host.soon(() => ask(end));
    else cluster.network.request<Answer>(host, cell.host, (reply) => ask(reply), end);
  }
}
