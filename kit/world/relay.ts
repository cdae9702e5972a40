import { once } from "node:events";
import { type Server, type Socket, connect, createServer } from "node:net";

/** The way from one cell to another: a TCP relay that can be cut and healed, so that a partition needs no privileges. */
export class Relay {
  readonly #server: Server;
  readonly #to: { readonly host: string; readonly port: number };
  readonly #pairs = new Set<Pair>();
  #isCut = false;

  constructor(to: { readonly host: string; readonly port: number }) {
    this.#to = to;
    this.#server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => this.#accept(socket));
  }

  async listen(host: string, port: number): Promise<number> {
    this.#server.listen({ host, port, exclusive: true });
    await once(this.#server, "listening");
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : port;
  }

  /** From now on nothing passes, and nobody is told: what is sent waits, as the retransmissions of TCP would. */
  cut(): void {
    this.#isCut = true;
    for (const pair of this.#pairs) pair.pause();
  }

  /** What waited goes on. */
  heal(): void {
    this.#isCut = false;
    for (const pair of this.#pairs) this.#pass(pair);
  }

  async close(): Promise<void> {
    for (const pair of this.#pairs) pair.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(socket: Socket): void {
    const pair = new Pair(socket, () => this.#pairs.delete(pair));
    this.#pairs.add(pair);
    if (!this.#isCut) this.#pass(pair);
  }

  #pass(pair: Pair): void {
    pair.pass(this.#to);
  }
}

/** One connection on both sides of the relay. What one side does, its end included, the other learns, but not while the relay is cut. */
class Pair {
  readonly #near: Socket;
  readonly #gone: () => void;
  #far: Socket | undefined;
  #isPaused = true;
  /** A side ended while the relay was cut. */
  #isEnded = false;

  constructor(near: Socket, gone: () => void) {
    this.#near = near;
    this.#gone = gone;
    this.#watch(near);
  }

  pause(): void {
    this.#isPaused = true;
    this.#near.pause();
    this.#far?.pause();
  }

  pass(to: { readonly host: string; readonly port: number }): void {
    this.#isPaused = false;
    if (this.#isEnded) return this.destroy();
    if (this.#far === undefined) {
      const far = connect({ ...to, noDelay: true });
      this.#far = far;
      this.#watch(far);
      this.#forward(this.#near, far);
      this.#forward(far, this.#near);
    }
    this.#near.resume();
    this.#far.resume();
  }

  destroy(): void {
    this.#near.destroy();
    this.#far?.destroy();
    this.#gone();
  }

  #forward(from: Socket, to: Socket): void {
    from.on("data", (chunk: Buffer) => {
      if (to.write(chunk)) return;
      from.pause();
      to.once("drain", () => {
        if (!this.#isPaused) from.resume();
      });
    });
    from.on("end", () => to.end());
  }

  #watch(socket: Socket): void {
    // A reset is an end like any other; "close" follows.
    socket.on("error", () => undefined);
    socket.once("close", () => {
      this.#isEnded = true;
      if (!this.#isPaused) this.destroy();
    });
  }
}
