import { RecordKind, type FrameRecord } from "../../cluster/backhaul/frame.ts";
import type { Timer } from "../timer.ts";
import { CellLink, type Loss } from "./cell-link.ts";
import type { ProcessPorts } from "./ports.ts";
import type { SteadyMs } from "../../sip/time.ts";

export type BackhaulLinkHandlers = {
  opened(link: BackhaulLink): void;
  received(link: BackhaulLink, frame: Uint8Array): void;
  /** The connection was lost and nothing more leaves on it, or the first attempt to make one failed. */
  down(link: BackhaulLink, reason: string, loss: Loss): void;
  /** Something for this exchange, and for this replica if it can still be used. */
  answered(link: BackhaulLink, record: FrameRecord): void;
};

/** One backhaul's connection, to one replica of one exchange. What goes over it is decided by cluster/backhaul/replica-ways.ts. */
export class BackhaulLink {
  readonly exchange: number;
  readonly cell: string;
  readonly url: string;
  readonly #handlers: BackhaulLinkHandlers;
  readonly #link: CellLink;
  /** Rings when a cell that was declared down has had the time to answer, */
  readonly #probe: Timer;
  #isProbed = false;
  /** what had come from it before, */
  #signsBefore = 0;
  /** and who declared it down. */
  #doubter = "";

  constructor(exchange: number, cell: { readonly id: string; readonly url: string }, ports: ProcessPorts, handlers: BackhaulLinkHandlers) {
    this.#handlers = handlers;
    this.exchange = exchange;
    this.cell = cell.id;
    this.url = cell.url;
    this.#link = new CellLink({ cell: cell.id, url: cell.url, exchange }, ports, {
      opened: () => handlers.opened(this),
      binary: (octets) => handlers.received(this, octets),
      text: () => {},
      down: (reason, loss) => handlers.down(this, reason, loss),
    });
    this.#probe = ports.timer(() => this.#probed());
  }

  get heardAt(): SteadyMs {
    return this.#link.heardAt;
  }

  get isUp(): boolean {
    return this.#link.isUp;
  }

  start(): void {
    this.#link.start();
  }

  /** Closes for good; what was sent arrives. */
  stop(): void {
    this.#probe.clear();
    this.#link.stop();
  }

  /** Closes for good, and what has not left goes elsewhere. */
  abandon(): void {
    this.#probe.clear();
    this.#link.abandon();
  }

  /** Takes what comes until its replica closes it. False: there is no connection. */
  leave(): boolean {
    this.#probe.clear();
    this.#isProbed = false;
    return this.#link.leave();
  }

  send(frame: Uint8Array): void {
    this.#link.send(frame);
  }

  /** Gives an exchange something back that it waits for: what could not be delivered, an answer, the end of a connection. */
  answer(record: FrameRecord): void {
    this.#handlers.answered(this, record);
  }

  /** A message of the exchange's could not be delivered to this flow. */
  undeliverable(flowKey: string, octets: Uint8Array): void {
    this.answer({ kind: RecordKind.undeliverable, key: flowKey, octets });
  }

  drop(reason: string): void {
    this.#link.drop(reason);
  }

  /** Whether a ping before the last one is unanswered as well, or so many are that the connection may soon be given up. */
  owesAnswer(missedMax: number): boolean {
    return this.#link.pingsMissed > 1 || this.#link.pingsMissed >= missedMax;
  }

  beat(missedMax: number): void {
    this.#link.beat(missedMax);
  }

  check(missedMax: number, answerMs: number, now: SteadyMs): void {
    this.#link.check(missedMax, answerMs, now);
  }

  forgive(): void {
    this.#link.forgive();
  }

  hurry(): void {
    this.#link.hurry();
  }

  /** Another cell says that this one is down: it is, unless it says something itself within `answerMs`. */
  doubt(by: string, answerMs: number): void {
    if (!this.isUp || this.#isProbed) return;
    this.#isProbed = true;
    this.#signsBefore = this.#link.signsOfLife;
    this.#doubter = by;
    this.#link.ping();
    this.#probe.set(answerMs);
  }

  #probed(): void {
    this.#isProbed = false;
    if (this.#link.signsOfLife === this.#signsBefore)
      this.#link.drop(`declared down by cell ${this.#doubter}, and silent`, "missed heartbeats");
  }
}
