import { peerSocketBatches, peerSocketIdleMs, peerSocketOpenMsMax, peerSocketRetryMs } from "../limits.ts";
import { PeerSocket, type PeerQuestion } from "./peer-socket.ts";

export type PeerCallsOptions = {
  /** Brings a batch by a signed request. Rejects when there is no answer. */
  readonly request: (batch: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>;
  /** Opens a WebSocket to the peer, to be accepted. Rejects when there is none to be had. */
  readonly open: (signal: AbortSignal) => Promise<WebSocket>;
};

/** How batches reach the other replica: by requests while they are few, over a WebSocket while they are many. */
export class PeerCalls {
  readonly #options: PeerCallsOptions;
  #socket: PeerSocket | undefined;
  /** No WebSocket is asked for before: later than the one that is being opened can come. */
  #notBefore = 0;
  /** Batches in the second that began then. */
  #second = 0;
  #batches = 0;
  #usedAt = 0;

  constructor(options: PeerCallsOptions) {
    this.#options = options;
  }

  /** Brings a batch. Its answer rejects as a request does. */
  ask(batch: Uint8Array): PeerQuestion {
    const now = Date.now();
    this.#usedAt = now;
    if (this.#socket !== undefined) return this.#askOver(this.#socket, batch);
    if (this.#isBusy(now)) void this.#open(now);
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

  /** Whether enough batches leave for a WebSocket to be worth it. */
  #isBusy(now: number): boolean {
    if (now - this.#second >= 1_000 || now < this.#second) {
      this.#second = now;
      this.#batches = 0;
    }
    this.#batches += 1;
    return this.#batches >= peerSocketBatches && now >= this.#notBefore;
  }

  async #open(now: number): Promise<void> {
    this.#notBefore = now + peerSocketRetryMs;
    const controller = new AbortController();
    // No AbortSignal.timeout: one that rings later would end the WebSocket.
    const timer = setTimeout(() => controller.abort(), peerSocketOpenMsMax);
    try {
      const opened = await this.#options.open(controller.signal);
      opened.accept();
      const socket = new PeerSocket(opened, () => {
        if (this.#socket === socket) this.#socket = undefined;
      });
      this.#socket = socket;
      this.#watch(socket);
    } catch {
      // Requests do as well.
    } finally {
      clearTimeout(timer);
    }
  }

  /** An open socket keeps both objects awake: it ends when nothing has needed it for a while. */
  #watch(socket: PeerSocket): void {
    setTimeout(() => {
      if (this.#socket !== socket) return;
      if (socket.isIdle && Date.now() - this.#usedAt >= peerSocketIdleMs) socket.close();
      else this.#watch(socket);
    }, peerSocketIdleMs);
  }
}
