import { answerClose, closeQuietly } from "../close-socket.ts";

/**
 * A WebSocket between the two replicas of an exchange, for as long as batches are many. Each batch is one event at either end, where a signed request
 * is a handful. Binary messages have a u32 number, big-endian, and the octets of a batch. Its answer comes back under the same number, without octets
 * when it was refused. Whoever has batches to push opens it; signatures are checked when it opens, as with a gateway's backhaul.
 *
 * Nothing depends on it: what it does not bring is asked again by a request, which also tells whether the peer is there.
 */

const numberOctets = 4;

/**
 * A batch under way. Without an AbortSignal: workerd keeps each one, and what its listeners hold, until a full collection; every batch would lie
 * about until then.
 */
export type PeerQuestion = {
  readonly answer: Promise<Uint8Array>;
  /** Nobody waits for the answer any more; it rejects, if it has not come. */
  abandon(): void;
};

/** The pushing end. */
export class PeerSocket {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #closed: () => void;
  #number = 0;
  #isOpen = true;

  /** `socket` is accepted already; `closed` is called once, when the socket can no longer be used. */
  constructor(socket: WebSocket, closed: () => void) {
    this.#socket = socket;
    this.#closed = closed;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => this.#receive(data));
    socket.addEventListener("close", () => this.close());
    socket.addEventListener("error", () => this.close());
  }

  get isIdle(): boolean {
    return this.#waiting.size === 0;
  }

  /**
   * Brings a batch to the peer. The answer rejects when the peer took it for no batch, when the socket ends before, and when it is abandoned. Then
   * the socket ends as well: a peer that does not answer on it may never do.
   */
  ask(batch: Uint8Array): PeerQuestion {
    this.#number = (this.#number + 1) >>> 0;
    const number = this.#number;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    this.#waiting.set(number, { resolve, reject });
    try {
      this.#socket.send(numbered(number, batch));
    } catch {
      this.close();
    }
    return {
      answer: promise,
      abandon: () => {
        if (this.#waiting.has(number)) this.close();
      },
    };
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeQuietly(this.#socket);
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#closed();
    for (const { reject } of waiting) reject(new Error("the WebSocket to the peer has ended"));
  }

  #receive(data: unknown): void {
    const message = messageOf(data);
    if (message === undefined) return this.close();
    const waiting = this.#waiting.get(message.number);
    if (waiting === undefined) return;
    this.#waiting.delete(message.number);
    if (message.octets.length > 0) waiting.resolve(message.octets);
    else waiting.reject(new Error("the peer took it for no batch"));
  }
}

/** The end of a replica that is pushed to: `take` answers a batch; undefined: that was none. The response opens the socket. */
export function acceptPeerSocket(take: (batch: Uint8Array) => Uint8Array | undefined): Response {
  const { 0: far, 1: socket } = new WebSocketPair();
  // Not as a hibernating one: it ends when batches are few, long before this object could sleep.
  socket.accept();
  socket.binaryType = "arraybuffer";
  socket.addEventListener("message", ({ data }) => {
    const message = messageOf(data);
    if (message === undefined) return closeQuietly(socket);
    try {
      socket.send(numbered(message.number, take(message.octets) ?? new Uint8Array(0)));
    } catch (error) {
      console.error("a batch of the peer:", String(error));
      closeQuietly(socket);
    }
    release(message.octets);
  });
  socket.addEventListener("close", ({ code, reason }) => answerClose(socket, code, reason));
  return new Response(null, { status: 101, webSocket: far });
}

type Waiting = { readonly resolve: (answer: Uint8Array) => void; readonly reject: (reason: Error) => void };

function numbered(number: number, octets: Uint8Array): Uint8Array {
  const message = new Uint8Array(numberOctets + octets.length);
  new DataView(message.buffer).setUint32(0, number);
  message.set(octets, numberOctets);
  return message;
}

/** Undefined: no message of this protocol. */
function messageOf(data: unknown): { readonly number: number; readonly octets: Uint8Array } | undefined {
  if (!(data instanceof ArrayBuffer) || data.byteLength < numberOctets) return undefined;
  return { number: new DataView(data).getUint32(0), octets: new Uint8Array(data, numberOctets) };
}

/** Frees octets that nobody reads any more: workerd keeps the event that brought them until a full collection. */
function release({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
