import type { BackhaulEnd } from "../../actors/exchange/backhauls.ts";
import type { ExchangeCounts } from "../../actors/exchange/effects.ts";
import type { CallsPort } from "../../actors/exchange/call-courier.ts";
import { ExchangeActor } from "../../actors/exchange/exchange-actor.ts";
import type { Exchange } from "../../actors/exchange/exchange.ts";
import type { CoreGroupPort, DiskPort, ExchangePorts, LogPort, OtherExchangesPort, PeerPort } from "../../actors/exchange/ports.ts";
import { isDelivery, type Taking } from "../../cluster/calls/messages.ts";
import type { FrameRecord } from "../../cluster/backhaul/frame.ts";
import type { View } from "../../cluster/group/view.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { servingCells } from "../../cluster/map/serving-cells.ts";
import { otherVersionCause, refusedCause, type PairState } from "../../cluster/replication/peer-link.ts";
import type { PhoneFlow } from "../../sip/dialog/present-flow.ts";
import type { Memory } from "../../sip/record/memory.ts";
import { cellAnswerMsMax } from "../../workers/limits.ts";
import type { Cell } from "./cell.ts";
import { lineListeners, simulatedHash, simulatedSign } from "./cluster.ts";
import type { ExchangePlace, SocketOfBackhaul } from "./exchange-place.ts";
import { Lines } from "./lines.ts";
import type { End, EndHandlers } from "./network.ts";
import { ObjectLife, Unanswered } from "./object-life.ts";
import { Boots, Room } from "./room.ts";
import { describeBatch } from "./describe.ts";

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
  readonly #actor: ExchangeActor;
  readonly #lines: Lines;
  readonly #ends = new Map<SocketOfBackhaul, BackhaulEnd>();
  /** Batches under way to the peer: how to give them up. */
  readonly #batches = new Map<number, () => void>();

  constructor(place: ExchangePlace) {
    const { cell, number } = place;
    this.#place = place;
    this.#cell = cell;
    this.number = number;
    const { random } = cell.cluster;
    const { host } = cell;
    this.#life = new ObjectLife(host);
    this.#lines = new Lines(place, this.#life, (access, octets, until, answer) => this.takeLineFrame(access, octets, until, answer));
    const nextId = (): string => random.id();
    this.#actor = new ExchangeActor(
      {
        exchange: number,
        cell: cell.id,
        boot: nextId(),
        map: cell.map,
        orphansUntil: place.orphansUntil,
        lineListeners: (map) => lineListeners(map),
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

  get state(): PairState | "alone" | "none" | "joining" {
    return this.#actor.pairState;
  }

  /** Nothing is under way, and no transaction waits. */
  get isIdle(): boolean {
    return this.#batches.size === 0 && this.#lines.isIdle && this.exchange.nextDeadline() === undefined;
  }

  get maySleep(): boolean {
    return this.#life.maySleep;
  }

  /** A line of another cell has opened a WebSocket. */
  acceptLineSocket(access: string, end: End): EndHandlers {
    return this.#lines.accept(access, end);
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
      // A replica that is none any more takes none.
      const answer = this.#actor.takePeerBatch(text);
      if (answer === undefined && this.state !== "none" && this.state !== "joining") throw new Error("no batch of the peer's");
      if (isUnderWay()) reply(answer ?? noAnswer);
    });
  }

  /** Records of another exchange that belong to this one. */
  takeHandedOver(batch: string, answer: (isTaken: boolean) => void): void {
    const isUnderWay = this.#life.begin(() => answer(false));
    this.#life.event(() => {
      const isTaken = this.#actor.takeHandedOver(batch);
      if (isUnderWay()) answer(isTaken);
    });
  }

  /** One that has come from this one asks for what is its own. */
  handOver(done: () => void): void {
    const isUnderWay = this.#life.begin(() => {});
    this.#life.event(() => {
      this.#actor.setMap(this.#cell.map);
      if (this.#life.isOver) return;
      this.#actor.handOver(() => {
        if (isUnderWay()) done();
      });
    });
  }

  takeOffered(access: string, record: FrameRecord, isSure: boolean, answer: (isTaken: boolean) => void): void {
    const isUnderWay = this.#life.begin(() => answer(false));
    this.#life.event(() =>
      this.#actor.takeOffered(access, record, isSure, (isTaken) => {
        if (isUnderWay()) answer(isTaken);
      }),
    );
  }

  /** `told`: whether it serves; undefined: it was reset. */
  setView(view: View, map: ClusterMap, told: (isServing: boolean | undefined) => void): void {
    const isUnderWay = this.#life.begin(() => told(undefined));
    this.#life.event(() => {
      this.#actor.setMap(map);
      if (this.#life.isOver) return;
      this.#actor.setView(view);
      if (isUnderWay()) told(this.#actor.isCaughtUp);
    });
  }

  /** For an exchange of this cell that has a call with one of these phones. */
  flowsOf(addressOfRecord: string, answer: (flows: FlowsAnswer) => void): void {
    this.#whenServing<FlowsAnswer>(
      (now) => (this.exchange.isElsewhere(addressOfRecord) ? "unavailable" : this.exchange.flowsOf(addressOfRecord, now)),
      answer,
    );
  }

  credentialsOf(addressOfRecord: string, answer: (credentials: CredentialsAnswer | "unavailable") => void): void {
    this.#whenServing<CredentialsAnswer | "unavailable">(
      () => (this.exchange.isElsewhere(addressOfRecord) ? "unavailable" : this.exchange.credentialsOf(addressOfRecord)),
      answer,
    );
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
      lines: this.#lines,
      others: this.#othersPort(),
      coreGroup: this.#coreGroupPort(),
      calls: this.#callsPort(),
      log: this.#log(),
      restart: (reason) => this.#place.reset(reason),
      empty: (reason) => {
        this.#cell.cluster.moments.reached("a replica is empty that has handed over what it had");
        this.#place.disk.clear();
        this.#place.reset(reason);
      },
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
        if (rows.put.length + rows.remove.length > 0 || memory !== disk.memory) disk.write(rows, memory);
      },
      cleaningOctets: () => 0,
    };
  }

  #coreGroupPort(): CoreGroupPort {
    const { host } = this.#cell;
    const tell = (run: () => void): void => (this.#life.isOver ? undefined : host.soon(run));
    return {
      askForView: (isSyncing) =>
        this.#life.soon(() => {
          const view = this.#cell.viewFor(this.number, isSyncing);
          this.#actor.setMap(this.#cell.map);
          if (!this.#life.isOver) this.#actor.setFirstView(view);
        }),
      caughtUp: () => tell(() => this.#cell.caughtUp(this.number)),
      suspect: (cell, cause) => tell(() => this.#cell.suspect(cell, cause)),
      emptied: () => tell(() => this.#cell.group.actor.emptied(this.number)),
      handedOver: (count) => tell(() => this.#cell.group.actor.exchangeHasHandedOver(this.number, count)),
      copied: (to) => tell(() => this.#cell.copied(this.number, to)),
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
      send: (id, batch, to) => {
        if (this.#life.isOver) return;
        const peer = cluster.cell(to);
        host.trace(() => `exchange ${this.number} > peer: batch ${id}, ${batch.length} octets`);
        const abort = cluster.network.request<string | typeof noAnswer>(
          host,
          peer.host,
          (reply) => (peer.takesBatches(this.number, this.#cell) ? peer.replica(this.number).takeBatch(batch, reply) : reply(noAnswer)),
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

  #othersPort(): OtherExchangesPort {
    return {
      give: (exchange, batch, answered) => {
        this.#cell.host.trace(() => `exchange ${this.number} > exchange ${exchange}: ${describeBatch(batch)}`);
        this.#ask<boolean>(
          exchange,
          (other, answer) => other.takeHandedOver(batch, (isTaken) => answer(isTaken ? true : "unavailable")),
          (isTaken) => answered(isTaken === true),
        );
      },
      askElder: (exchange, answered) => {
        const isUnderWay = this.#life.begin(() => {});
        const over = (hasTold: boolean): void => {
          if (isUnderWay()) this.#life.event(() => answered(hasTold));
        };
        this.#askIn<boolean>(
          this.#cell,
          (answer) => this.#cell.replica(exchange).handOver(() => answer(true)),
          over,
          () => over(false),
        );
      },
      offer: ({ exchange, cells, access, record, isSure }, answered) => {
        const to = isSure ? "is for" : "may be for";
        this.#cell.host.trace(() => `exchange ${this.number}: what ${access} brought ${to} exchange ${exchange}`);
        if (!isSure) this.#cell.cluster.moments.reached("an elder exchange is asked");
        this.#ask<boolean>(
          exchange,
          (other, answer) => other.takeOffered(access, record, isSure, answer),
          (isTaken) => answered(isTaken === true),
          cells,
        );
      },
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

  #callsPort(): CallsPort {
    const cell = this.#cell;
    return {
      deliver: (text, told) => {
        const delivery: unknown = JSON.parse(text);
        if (!isDelivery(delivery)) throw new Error(`no delivery: ${text}`);
        const isUnderWay = this.#life.begin(() => {});
        const over = (taking: Taking | undefined): void => {
          if (isUnderWay()) this.#life.event(() => told(taking));
        };
        this.#askIn<Taking>(
          cell,
          (answer) => cell.ledger.take(delivery, answer),
          (taking) => over(taking),
          () => over(undefined),
        );
      },
    };
  }

  /** Asks a replica of another exchange: the one in this cell, if it has one, else those of the others (workers/exchange/other-exchanges.ts). */
  #ask<Answer>(
    exchange: number,
    ask: (other: Replica, answer: (found: Answer | "unavailable") => void) => void,
    tell: (found: Answer | "unavailable") => void,
    among: readonly string[] = servingCells(this.#cell.map, exchange, this.#cell.id),
  ): void {
    const { cluster } = this.#cell;
    const cells = among.map((id) => cluster.cell(id));
    if (!cells.includes(this.#cell)) cluster.moments.reached("an exchange asks one that is in other cells only");
    const isUnderWay = this.#life.begin(() => {});
    const over = (found: Answer | "unavailable"): void => {
      if (isUnderWay()) this.#life.event(() => tell(found));
    };
    const askNext = (): void => {
      const cell = cells.shift();
      if (cell === undefined) return over("unavailable");
      const next = (found: Answer | "unavailable"): void => (found === "unavailable" ? askNext() : over(found));
      const askThere = (answer: (found: Answer | "unavailable") => void): void =>
        cell.hasExchange(exchange) ? ask(cell.replica(exchange), answer) : answer("unavailable");
      this.#askIn<Answer | "unavailable">(cell, askThere, next, askNext);
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
