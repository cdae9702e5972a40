import { BusyWay } from "../../actors/busy-way.ts";
import { peerSocketBatches, peerSocketIdleMs, peerSocketRetryMs } from "../../actors/limits.ts";
import { cellSocketOpenMsMax } from "../limits.ts";
import { PeerSocket, type PeerQuestion } from "./peer-socket.ts";

import type { Clocks } from "../../sip/time.ts";

export type PeerCallsOptions = {
  readonly now: Clocks["now"];
  /** Brings a batch by a signed request. Rejects when there is no answer. */
  readonly request: (batch: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>;
  /** Opens a WebSocket to the peer, to be accepted. Rejects when there is none to be had. */
  readonly open: (signal: AbortSignal) => Promise<WebSocket>;
};

/** Brings batches to the peer, the way that actors/busy-way.ts says. */
export class PeerCalls {
  readonly #options: PeerCallsOptions;
  readonly #way = new BusyWay({ messages: peerSocketBatches, idleMs: peerSocketIdleMs, retryMs: peerSocketRetryMs });
  #socket: PeerSocket | undefined;

  constructor(options: PeerCallsOptions) {
    this.#options = options;
  }

  /** Brings a batch. Its answer rejects as a request does. */
  ask(batch: Uint8Array): PeerQuestion {
    const way = this.#way.leaves(this.#options.now());
    if (way === "socket" && this.#socket !== undefined) return this.#askOver(this.#socket, batch);
    if (way === "open") void this.#open();
    return this.#request(batch);
  }

  #request(batch: Uint8Array): PeerQuestion {
    const controller = new AbortController();
    return { answer: this.#options.request(batch, controller.signal), abandon: () => controller.abort() };
  }

  /** Applying a batch twice changes nothing, and only a request tells a peer that has died from a socket that has. */
  #askOver(socket: PeerSocket, batch: Uint8Array): PeerQuestion {
    const question = socket.ask(batch);
    let abandon = (): void => question.abandon();
    let isAbandoned = false;
    const answer = question.answer.catch((error: unknown) => {
      if (isAbandoned) throw error;
      const request = this.#request(batch);
      abandon = () => request.abandon();
      return request.answer;
    });
    return {
      answer,
      abandon: () => {
        isAbandoned = true;
        abandon();
      },
    };
  }

  async #open(): Promise<void> {
    const controller = new AbortController();
    // No AbortSignal.timeout: one that rings later would end the WebSocket.
    const timer = setTimeout(() => controller.abort(), cellSocketOpenMsMax);
    try {
      const opened = await this.#options.open(controller.signal);
      opened.accept();
      const socket = new PeerSocket(opened, () => {
        if (this.#socket !== socket) return;
        this.#socket = undefined;
        this.#way.ended();
      });
      this.#socket = socket;
      this.#way.opened();
      this.#watch(socket);
    } catch {
      // Requests do as well.
    } finally {
      clearTimeout(timer);
    }
  }

  /** Looks now and then whether the socket is still needed. */
  #watch(socket: PeerSocket): void {
    setTimeout(() => {
      if (this.#socket !== socket) return;
      if (socket.isIdle && this.#way.isSpare(this.#options.now())) socket.close();
      else this.#watch(socket);
    }, peerSocketIdleMs);
  }
}
