import type { Cell } from "./cell.ts";
import type { Host } from "./host.ts";
import type { End, EndHandlers } from "./network.ts";
import type { Planned } from "./world.ts";

/** gateway/limits.ts */
const reconnectMsMin = 50;
const reconnectMsMax = 2_000;
const declaredDownAnswerMs = 250;

export type LinkHandlers = {
  /** At the cell, when it takes the connection. */
  accept(end: End): EndHandlers;
  opened(): void;
  received(data: unknown): void;
  down(reason: string): void;
};

/** A WebSocket to a cell that is made anew whenever it is lost (gateway/links/cell-socket.ts, backhaul-link.ts). */
export class GatewayLink {
  readonly #host: Host;
  readonly #cell: Cell;
  readonly #handlers: LinkHandlers;
  #end: End | undefined;
  /** Counts attempts: what an earlier one brings is void. */
  #attempt = 0;
  #isConnecting = false;
  #failures = 0;
  #retry: Planned | undefined;
  #isDownTold = false;
  #pingsMissed = 0;
  #pingedAt = 0;
  #signsOfLife = 0;
  #isProbed = false;

  constructor(host: Host, cell: Cell, handlers: LinkHandlers) {
    this.#host = host;
    this.#cell = cell;
    this.#handlers = handlers;
  }

  start(): void {
    this.#retry = undefined;
    this.#attempt += 1;
    this.#isConnecting = true;
    const attempt = this.#attempt;
    this.#cell.cluster.network.connect(
      this.#host,
      this.#cell.host,
      (end) => this.#handlers.accept(end),
      (end) => this.#opened(end, attempt),
      (reason) => {
        if (attempt === this.#attempt) this.drop(reason);
      },
    );
  }

  send(data: unknown): void {
    this.#end?.send(data);
  }

  beat(missedMax: number): void {
    if (this.#end === undefined) return;
    if (this.#pingsMissed >= missedMax) return this.drop(`missed ${this.#pingsMissed} pings`);
    this.#pingsMissed += 1;
    this.#ping();
  }

  check(missedMax: number, answerMs: number, now: number): void {
    if (this.#end !== undefined && this.#pingsMissed >= missedMax && now - this.#pingedAt >= answerMs) {
      this.drop(`missed ${this.#pingsMissed} pings`);
    }
  }

  forgive(): void {
    this.#pingsMissed = 0;
  }

  hurry(): void {
    if (this.#retry === undefined) return;
    this.#retry.isOff = true;
    this.start();
  }

  doubt(by: string): void {
    if (this.#end === undefined || this.#isProbed) return;
    const signs = this.#signsOfLife;
    this.#ping();
    this.#isProbed = true;
    this.#host.after(declaredDownAnswerMs, () => {
      this.#isProbed = false;
      if (this.#signsOfLife === signs) this.drop(`declared down by cell ${by}, and silent`);
    });
  }

  drop(reason: string): void {
    if (this.#end === undefined && !this.#isConnecting) return;
    const end = this.#end;
    this.#end = undefined;
    this.#isConnecting = false;
    this.#attempt += 1;
    end?.reset();
    if (!this.#isDownTold) {
      this.#isDownTold = true;
      this.#handlers.down(reason);
    }
    const wait = this.#failures === 0 ? 0 : Math.min(reconnectMsMax, reconnectMsMin * 2 ** (this.#failures - 1));
    this.#failures += 1;
    this.#retry = this.#host.after(Math.ceil(wait * (1 - this.#cell.cluster.random.real() / 2)), () => this.start());
  }

  #opened(end: End, attempt: number): EndHandlers {
    if (attempt !== this.#attempt) {
      end.reset();
      return { message: () => {}, closed: () => {} };
    }
    this.#end = end;
    this.#isConnecting = false;
    this.#isDownTold = false;
    this.#pingsMissed = 0;
    this.#signsOfLife += 1;
    this.#handlers.opened();
    return {
      message: (data) => {
        this.#pingsMissed = 0;
        this.#signsOfLife += 1;
        this.#failures = 0;
        if (data !== "pong") this.#handlers.received(data);
      },
      closed: () => {
        if (this.#end === end) this.drop("closed");
      },
    };
  }

  #ping(): void {
    this.#pingedAt = this.#host.now;
    this.#end?.send("ping");
  }
}
