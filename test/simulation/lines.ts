import { LineSockets } from "../../actors/exchange/line-sockets.ts";
import type { LinePort } from "../../actors/exchange/ports.ts";
import { frameValidMs } from "../../actors/limits.ts";
import { cellOfLine } from "../../sip/flow/flow.ts";
import type { ExchangePlace } from "./exchange-place.ts";
import { heldBy } from "./frame-ends.ts";
import type { End, EndHandlers } from "./network.ts";
import type { ObjectLife } from "./object-life.ts";
import { TimelyCalls } from "./timely.ts";

/** Takes a frame of a line's: see the replica. */
type Take = (access: string, octets: Uint8Array, until: number, answer: (frame: Uint8Array | Error | undefined) => void) => void;

/** The way from a replica to lines: within its cell, over WebSockets that lines of other cells have opened, or by requests. */
export class Lines implements LinePort {
  readonly #place: ExchangePlace;
  readonly #life: ObjectLife;
  readonly #calls: TimelyCalls;
  readonly #sockets: LineSockets;
  #framesUnderWay = 0;

  constructor(place: ExchangePlace, life: ObjectLife, take: Take) {
    this.#place = place;
    this.#life = life;
    const { clock, timer } = life;
    this.#calls = new TimelyCalls(place.cell, clock.now);
    this.#sockets = new LineSockets({
      now: clock.now,
      wallAt: clock.wallAt,
      timer,
      take: (access, octets, until, answer) => take(access, octets, until, (frame) => answer(frame ?? "late")),
    });
  }

  get isIdle(): boolean {
    return this.#framesUnderWay === 0;
  }

  accept(access: string, end: End): EndHandlers {
    return heldBy(this.#life, end, (socket) => this.#sockets.accept(access, socket));
  }

  bring(access: string, frame: Uint8Array, done: (answer: Uint8Array | undefined) => void): void {
    if (this.#life.isOver) return;
    const { cell } = this.#place;
    this.#place.traceOut(access, frame);
    this.#framesUnderWay += 1;
    const isUnderWay = this.#life.begin(() => {});
    const over = (answer: Uint8Array | undefined): void => {
      if (!isUnderWay()) return;
      this.#framesUnderWay -= 1;
      this.#life.event(() => done(answer));
    };
    const target = cell.cluster.cell(cellOfLine(access));
    if (target === cell) return cell.host.soon(() => over(target.line(access).deliver(frame, cell.host.wall + frameValidMs)));
    const handle = (until: number, answer: (octets: Uint8Array | undefined) => void): void =>
      answer(target.line(access).deliver(frame, until));
    this.#calls.bring(target, { octets: frame, socket: () => this.#sockets.socketFor(access), handle }, over);
  }
}
