import type { CallOutcome } from "../../actors/line/exchange-link.ts";
import { ExchangeSockets } from "../../actors/line/exchange-sockets.ts";
import { Line as LineActor } from "../../actors/line/line.ts";
import type { Cell } from "./cell.ts";
import type { LinePlace, Softphone } from "./line-place.ts";
import { heldBy } from "./frame-ends.ts";
import { ObjectLife, Unanswered } from "./object-life.ts";
import { TimelyCalls } from "./timely.ts";

const notTaken = new Unanswered("the replica did not take it");

/** One start of a line in its simulated cell: softphones' connections on one side, calls to replicas on the other. */
export class Line {
  readonly access: string;
  readonly #place: LinePlace;
  readonly #cell: Cell;
  readonly #life: ObjectLife;
  readonly #calls: TimelyCalls;
  readonly #sockets: ExchangeSockets;
  readonly #actor: LineActor<Softphone>;

  constructor(place: LinePlace) {
    const { access, cell } = place;
    const { softphones } = place;
    this.access = access;
    this.#place = place;
    this.#cell = cell;
    this.#life = new ObjectLife(cell.host);
    this.#calls = new TimelyCalls(cell, this.#life.clock.now);
    this.#sockets = this.#exchangeSockets();
    const { host } = cell;
    this.#actor = new LineActor(
      { access, cell: cell.id, map: () => cell.map },
      {
        now: this.#life.clock.now,
        wallAt: this.#life.clock.wallAt,
        timer: this.#life.timer,
        send: (key, octets) => this.#send(key, octets),
        close: (key) => softphones.get(key)?.end.close(),
        remember: ({ exchanges }, exchange) => void exchanges.add(exchange),
        exchangesOf: ({ exchanges }) => exchanges,
        call: (exchange, target, frame, over) => this.#call(exchange, target, frame, over),
        random: () => 0,
        wentOnAgo: (told) => this.#life.soon(() => told(cell.wentOnAgoMs)),
        overload: (exchange, news) => host.trace(() => `line ${access}: shedding for exchange ${exchange} has ${news}`),
        unreachable: (exchange, target, reason) => {
          host.trace(() => `line ${access}: exchange ${exchange} in cell ${target} is unreachable: ${reason.message}`);
          if (!(reason instanceof Unanswered)) host.threw(reason);
        },
      },
    );
  }

  /** Its memory is gone. */
  end(): void {
    this.#life.end();
  }

  get maySleep(): boolean {
    return this.#life.maySleep;
  }

  get octetsHeld(): number {
    return this.#actor.octetsHeld;
  }

  said(key: string, octets: Uint8Array, softphone: Softphone): void {
    this.#life.event(() => this.#actor.said({ key, octets, softphone }, this.#life.clock.now()));
  }

  ended(key: string, softphone: Softphone): void {
    this.#life.event(() => this.#actor.ended(key, softphone));
  }

  /** A frame of an exchange; the answer has what could not be delivered. Undefined: it is too late for it. */
  deliver(octets: Uint8Array, until: number): Uint8Array | undefined {
    return this.#actor.deliver(octets, until);
  }

  #send(key: string, octets: Uint8Array): boolean {
    const softphone = this.#place.softphones.get(key);
    if (softphone?.end.isOpen !== true) return false;
    softphone.end.send(octets);
    return true;
  }

  #call(exchange: number, target: string, frame: Uint8Array, over: (outcome: CallOutcome) => void): void {
    const { cluster, host, id } = this.#cell;
    const isUnderWay = this.#life.begin(() => {});
    const answered = (answer: Uint8Array | Error | undefined): void => {
      if (isUnderWay()) this.#life.event(() => over(answer ?? notTaken));
    };
    if (target === id) {
      host.soon(() => this.#cell.replica(exchange).takeLineFrame(this.access, frame, undefined, answered));
      return;
    }
    const there = cluster.cell(target);
    const handle = (until: number, answer: (frame: Uint8Array | Error | undefined) => void): void => {
      if (there.hasExchange(exchange)) there.replica(exchange).takeLineFrame(this.access, frame, until, answer);
      else answer(new Unanswered("there is no such exchange"));
    };
    this.#calls.bring(there, { octets: frame, socket: () => this.#sockets.socketFor(exchange, target), handle }, answered);
  }

  #exchangeSockets(): ExchangeSockets {
    const { cluster, host } = this.#cell;
    return new ExchangeSockets({
      now: this.#life.clock.now,
      wallAt: this.#life.clock.wallAt,
      timer: this.#life.timer,
      take: (frame, until, answer) => answer(this.deliver(frame, until) ?? "late"),
      open: (exchange, target, opened) => {
        const there = cluster.cell(target);
        const isUnderWay = this.#life.begin(() => {});
        cluster.network.connect(
          host,
          there.host,
          (end) => there.acceptLineSocket(exchange, this.access, end),
          (end) => {
            if (isUnderWay()) return heldBy(this.#life, end, opened);
            end.close();
            return { message: () => {}, closed: () => {} };
          },
          () => void isUnderWay(),
        );
      },
    });
  }
}
