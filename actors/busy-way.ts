import type { SteadyMs } from "../sip/time.ts";

/** When a way is busy. */
export type BusyLimits = {
  /** So many messages in one second have a WebSocket opened. */
  readonly messages: number;
  /** One that has not been used for so long is spare. */
  readonly idleMs: number;
  /** One that could not be had is asked for again after this. */
  readonly retryMs: number;
};

/**
 * Which way messages go to an object of another cell: by requests while they are few, over a WebSocket while they are many
 * (docs/decisions/0009-a-busy-pair-has-a-websocket.md, 0045-a-busy-line-has-websockets.md).
 */
export class BusyWay {
  readonly #limits: BusyLimits;
  #hasSocket = false;
  /** No WebSocket is asked for before. */
  #notBefore = 0;
  /** When the second began that is counted in, and its messages. */
  #second = 0;
  #messages = 0;
  #usedAt = 0;

  constructor(limits: BusyLimits) {
    this.#limits = limits;
  }

  /**
   * A message leaves now. `socket`: over the WebSocket that is open. `request`: by a request. `open`: by a request too, and a WebSocket is to be
   * opened for those that follow.
   */
  leaves(now: SteadyMs): "socket" | "request" | "open" {
    this.#usedAt = now;
    if (this.#hasSocket) return "socket";
    if (now - this.#second >= 1_000 || now < this.#second) {
      this.#second = now;
      this.#messages = 0;
    }
    this.#messages += 1;
    if (this.#messages < this.#limits.messages || now < this.#notBefore) return "request";
    this.#notBefore = now + this.#limits.retryMs;
    return "open";
  }

  /** The WebSocket that was asked for is open. */
  opened(): void {
    this.#hasSocket = true;
  }

  /** The WebSocket has ended, by whomever. */
  ended(): void {
    this.#hasSocket = false;
  }

  /** Whether a WebSocket on which no answer is awaited is to end. It keeps both objects awake, and nothing has needed it for a while. */
  isSpare(now: SteadyMs): boolean {
    return now - this.#usedAt >= this.#limits.idleMs;
  }
}
