import type { Host } from "./host.ts";
import type { World } from "./world.ts";

/** How bad the way of datagrams is. */
export type Weather = { readonly loss: number; readonly duplicates: number; readonly delayMsMax: number };

/** Handlers of one end of a connection. */
export type EndHandlers = { message(data: unknown): void; closed(): void };

/**
 * The ways between processes. Datagrams may be lost, doubled and overtake each other. What goes over a connection is neither: while the way is
 * cut it waits, and it is gone with the connection. Requests each have a connection of their own, so they overtake each other.
 */
export class Network {
  readonly world: World;
  weather: Weather = { loss: 0, duplicates: 0, delayMsMax: 20 };
  readonly #cuts = new Map<string, number>();
  #waiting: { readonly pair: string; readonly run: () => void }[] = [];

  constructor(world: World) {
    this.world = world;
  }

  isCut(one: Host, other: Host): boolean {
    return this.#cuts.size > 0 && (this.#cuts.get(pairOf(one.name, other.name)) ?? 0) > 0;
  }

  cut(one: string, other: string): void {
    const pair = pairOf(one, other);
    this.#cuts.set(pair, (this.#cuts.get(pair) ?? 0) + 1);
    this.world.trace("network", () => `${one} and ${other} are cut off from each other`);
  }

  heal(one: string, other: string): void {
    const pair = pairOf(one, other);
    const left = (this.#cuts.get(pair) ?? 0) - 1;
    if (left > 0) this.#cuts.set(pair, left);
    else this.#cuts.delete(pair);
    if (left > 0) return;
    this.world.trace("network", () => `${one} and ${other} reach each other again`);
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((each) => each.pair !== pair);
    // The first repetition after the cut: TCP tries ever more rarely.
    const ms = this.world.random.whole(1, 400);
    for (const each of waiting) if (each.pair === pair) this.world.after(ms, each.run);
  }

  delay(one: Host, other: Host): number {
    if (one === other) return 0;
    return this.world.random.whole(0, 3);
  }

  /** Runs when data can go from one to the other: now, or when the way is mended. */
  whenWhole(one: Host, other: Host, run: () => void): void {
    if (this.isCut(one, other)) this.#waiting.push({ pair: pairOf(one.name, other.name), run });
    else run();
  }

  datagram(from: Host, to: () => Host | undefined, deliver: () => void): void {
    const { random } = this.world;
    const { loss, duplicates, delayMsMax } = this.weather;
    const copies = random.chance(duplicates) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      if (random.chance(loss)) continue;
      this.world.after(random.whole(1, delayMsMax), () => {
        const host = to();
        if (host !== undefined && !this.isCut(from, host)) host.post(deliver);
      });
    }
  }

  /**
   * A connection. `accept` is called at the other side when it takes it, and returns its handlers; `opened` or `failed` at this one.
   * `isKernels`: the other side's kernel takes it though the process is frozen.
   */
  connect(
    from: Host,
    to: Host,
    accept: (end: End) => EndHandlers,
    opened: (end: End) => EndHandlers,
    failed: (reason: string) => void,
    isKernels = false,
  ): void {
    const { generation } = from;
    const tell = (act: () => void): void => from.post(() => (generation === from.generation ? act() : undefined));
    this.world.after(this.delay(from, to), () => {
      if (to.state === "down" && !this.isCut(from, to)) {
        this.world.after(this.delay(from, to), () => tell(() => failed("refused")));
      } else if (this.isCut(from, to) || (to.state === "frozen" && !isKernels)) {
        this.world.after(3_000, () => tell(() => failed("timeout")));
      } else if (!from.speaksTo(to)) {
        this.world.after(this.delay(from, to), () => tell(() => failed("another version")));
      } else {
        const near = new End(this, from);
        const far = new End(this, to);
        near.meet(far);
        to.post(() => far.handle(accept(far)));
        this.world.after(this.delay(from, to), () => {
          if (generation !== from.generation || from.state === "down") far.reset();
          else tell(() => near.handle(opened(near)));
        });
      }
    });
  }

  /**
   * A request. `handle` runs at the other side, and answers when it likes; `done` gets the answer, or undefined when nobody is there, or somebody of
   * another version, or the connection was lost. Returns how to give up: what is under way may be handled all the same.
   */
  request<Answer>(
    from: Host,
    to: Host,
    handle: (reply: (answer: Answer | undefined) => void) => void,
    done: (answer: Answer | undefined) => void,
  ): () => void {
    const { generation } = from;
    let isOver = false;
    const finish = (answer: Answer | undefined): void => {
      from.post(() => {
        if (isOver || generation !== from.generation) return;
        isOver = true;
        done(answer);
      });
    };
    const back = (answer: Answer | undefined): void => {
      this.world.after(this.delay(from, to), () => this.whenWhole(from, to, () => finish(answer)));
    };
    this.world.after(this.delay(from, to), () => {
      this.whenWhole(from, to, () => {
        if (isOver && this.world.random.chance(0.5)) return;
        if (to.state === "down" || !from.speaksTo(to)) return back(undefined);
        let isAnswered = false;
        const reply = (answer: Answer | undefined): void => {
          if (isAnswered) return;
          isAnswered = true;
          to.onDown.delete(lost);
          back(answer);
        };
        const lost = (): void => reply(undefined);
        to.onDown.add(lost);
        to.post(() => handle(reply));
      });
    });
    return () => {
      isOver = true;
    };
  }
}

/** One end of a connection: ordered, nothing is lost, until one side closes or dies. */
export class End {
  readonly host: Host;
  readonly #network: Network;
  readonly #onDown = (): void => this.close();
  #peer: End | undefined;
  #handlers: EndHandlers | undefined;
  /** Arrived before the handlers were there. */
  #early: (() => void)[] = [];
  #isOpen = true;
  /** What is under way from here. */
  #queue: { readonly at: number; readonly data: unknown }[] = [];
  #isPumping = false;
  #lastAt = 0;
  #isReset = false;

  constructor(network: Network, host: Host) {
    this.#network = network;
    this.host = host;
    host.onDown.add(this.#onDown);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  meet(peer: End): void {
    this.#peer = peer;
    peer.#peer = this;
  }

  handle(handlers: EndHandlers): void {
    this.#handlers = handlers;
    for (const run of this.#early.splice(0)) run();
  }

  send(data: unknown): void {
    if (this.#isOpen) this.#put(data);
  }

  /** What was sent before arrives. */
  close(): void {
    if (!this.#isOpen) return;
    this.#leave();
    this.#put(closing);
  }

  /** What was sent before and has not been read is lost. */
  reset(): void {
    if (!this.#isOpen) return;
    this.#leave();
    this.#isReset = true;
    this.#queue = [];
    this.#put(closing);
  }

  #leave(): void {
    this.#isOpen = false;
    this.host.onDown.delete(this.#onDown);
  }

  #put(data: unknown): void {
    const peer = this.#peer;
    if (peer === undefined) return;
    this.#lastAt = Math.max(this.#lastAt, this.#network.world.now + this.#network.delay(this.host, peer.host));
    this.#queue.push({ at: this.#lastAt, data });
    this.#pump(peer);
  }

  #pump(peer: End): void {
    const next = this.#queue[0];
    if (this.#isPumping || next === undefined) return;
    this.#isPumping = true;
    this.#network.world.at(next.at, () => {
      this.#network.whenWhole(this.host, peer.host, () => {
        this.#isPumping = false;
        const { now } = this.#network.world;
        while (this.#queue.length > 0 && (this.#queue[0]?.at ?? 0) <= now) this.#arrive(peer, this.#queue.shift()?.data);
        this.#pump(peer);
      });
    });
  }

  #arrive(peer: End, data: unknown): void {
    const isLast = data === closing;
    const read = (): void => {
      if (!peer.#isOpen || (this.#isReset && !isLast)) return;
      if (peer.#handlers === undefined) {
        peer.#early.push(read);
        return;
      }
      if (isLast) {
        peer.#leave();
        peer.#handlers.closed();
      } else peer.#handlers.message(data);
    };
    peer.host.post(read);
  }
}

const closing = Symbol("closing");

function pairOf(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`;
}
