import { peerSocketBatches, peerSocketIdleMs, peerSocketRetryMs } from "../limits.ts";
import type { SteadyMs } from "../../sip/time.ts";

/**
 * Which way batches go to the peer: by requests while they are few, over a WebSocket while they are many
 * (docs/decisions/0009-a-busy-pair-has-a-websocket.md).
 */
export class PeerWay {
  #hasSocket = false;
  /** No WebSocket is asked for before. */
  #notBefore = 0;
  /** When the second began that is counted in, and its batches. */
  #second = 0;
  #batches = 0;
  #usedAt = 0;

  /**
   * A batch leaves now. `socket`: over the WebSocket that is open. `request`: by a request. `open`: by a request too, and a WebSocket is to be
   * opened for those that follow.
   */
  leaves(now: SteadyMs): "socket" | "request" | "open" {
    this.#usedAt = now;
    if (this.#hasSocket) return "socket";
    if (now - this.#second >= 1_000 || now < this.#second) {
      this.#second = now;
      this.#batches = 0;
    }
    this.#batches += 1;
    if (this.#batches < peerSocketBatches || now < this.#notBefore) return "request";
    this.#notBefore = now + peerSocketRetryMs;
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
    return now - this.#usedAt >= peerSocketIdleMs;
  }
}
