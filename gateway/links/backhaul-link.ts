import { frameOctetsMax } from "../../cluster/limits.ts";
import type { FrameRecord } from "../../cluster/backhaul/frame.ts";
import { CellSocket, type Loss } from "./cell-socket.ts";
import { declaredDownAnswerMs } from "../limits.ts";

export type BackhaulLinkOptions = {
  readonly exchange: number;
  readonly cell: { readonly id: string; readonly url: string };
  readonly gateway: string;
  readonly secret: string;
};

export type BackhaulLinkHandlers = {
  opened(link: BackhaulLink): void;
  received(link: BackhaulLink, frame: Uint8Array): void;
  /** The connection was lost and nothing more leaves on it, or the first attempt to make one failed. */
  down(link: BackhaulLink, reason: string, loss: Loss): void;
  /** Something for this exchange, and for this replica if it can still be used. */
  answered(link: BackhaulLink, record: FrameRecord): void;
};

/** One backhaul's WebSocket, to one replica of one exchange. What goes over it is decided by the exchange's pair of backhauls. */
export class BackhaulLink {
  readonly exchange: number;
  readonly cell: string;
  readonly url: string;
  readonly #handlers: BackhaulLinkHandlers;
  readonly #socket: CellSocket;
  #probe: NodeJS.Timeout | undefined;

  constructor(options: BackhaulLinkOptions, handlers: BackhaulLinkHandlers) {
    const { exchange, cell, gateway, secret } = options;
    this.#handlers = handlers;
    this.exchange = exchange;
    this.cell = cell.id;
    this.url = cell.url;
    this.#socket = new CellSocket(
      {
        cell: cell.id,
        cellUrl: cell.url,
        path: `/backhaul/${exchange}`,
        purpose: `backhaul ${exchange}`,
        gateway,
        secret,
        octetsMax: frameOctetsMax,
      },
      {
        opened: () => handlers.opened(this),
        binary: (octets) => handlers.received(this, octets),
        text: () => {},
        down: (reason, loss) => handlers.down(this, reason, loss),
      },
    );
  }

  get isUp(): boolean {
    return this.#socket.isUp;
  }

  start(): void {
    this.#socket.start();
  }

  /** Closes for good; what was sent arrives. */
  stop(): void {
    clearTimeout(this.#probe);
    this.#socket.stop();
  }

  /** Closes for good, and what has not left goes elsewhere. */
  abandon(): void {
    clearTimeout(this.#probe);
    this.#socket.abandon();
  }

  send(frame: Uint8Array): void {
    this.#socket.send(frame);
  }

  /** Gives an exchange something back that it waits for: what could not be delivered, an answer, the end of a connection. */
  answer(record: FrameRecord): void {
    this.#handlers.answered(this, record);
  }

  drop(reason: string): void {
    this.#socket.drop(reason);
  }

  /** Whether a ping before the last one is unanswered as well, or so many are that the connection may soon be given up. */
  owesAnswer(missedMax: number): boolean {
    return this.#socket.pingsMissed > 1 || this.#socket.pingsMissed >= missedMax;
  }

  beat(missedMax: number): void {
    this.#socket.beat(missedMax);
  }

  check(missedMax: number, answerMs: number, now: number): void {
    this.#socket.check(missedMax, answerMs, now);
  }

  forgive(): void {
    this.#socket.forgive();
  }

  hurry(): void {
    this.#socket.hurry();
  }

  /** Another cell says that this one is down: it is, unless it says something itself at once. */
  doubt(by: string): void {
    if (!this.isUp || this.#probe !== undefined) return;
    const { signsOfLife } = this.#socket;
    this.#socket.ping();
    this.#probe = setTimeout(() => {
      this.#probe = undefined;
      if (this.#socket.signsOfLife === signsOfLife) this.#socket.drop(`declared down by cell ${by}, and silent`, "missed heartbeats");
    }, declaredDownAnswerMs);
  }
}
