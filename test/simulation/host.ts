import type { Planned, World } from "./world.ts";

/** What every clock says at the beginning of a run, give or take its offset. */
export const epochMs = Date.UTC(2026, 10, 21);
/** What every steady count begins with: nothing that anybody could take for a wall clock, so that what mixes the two does not work. */
export const steadyOriginMs = 1_000_000;

export type Clock = {
  /** Ahead of the true time by so many ms, */
  readonly offsetMs: number;
  /** and by so much more with every ms: 1e-4 is 9 s a day. */
  readonly drift: number;
};

export type HostState = "up" | "frozen" | "down";

/**
 * A process with a clock of its own. A crash loses everything but the disk; a frozen one does nothing while its queues grow and its clock goes
 * on.
 */
export class Host {
  readonly name: string;
  readonly world: World;
  /** Of the protocol that the parts of a cluster speak with each other; undefined: it is none of them. */
  version: number | undefined;
  readonly #rate: number;
  #startsAt: number;
  /** How often its wall clock was set. */
  #steps = 0;
  #state: HostState = "down";
  /** Since when it is what it is, true time. */
  #since = 0;
  /** Counts the starts: what was planned in an earlier one is void. */
  #generation = 0;
  #queue: (() => void)[] = [];
  #soon: (() => void)[] = [];
  /** Called when the process ends, for the connections that end with it. */
  readonly onDown = new Set<() => void>();

  constructor(world: World, name: string, clock: Clock) {
    this.world = world;
    this.name = name;
    this.#rate = 1 + clock.drift;
    this.#startsAt = epochMs + clock.offsetMs;
  }

  get state(): HostState {
    return this.#state;
  }

  /** Nobody has heard of it for so long. */
  get silentMs(): number {
    return this.#state === "up" ? 0 : this.world.now - this.#since;
  }

  /** Whether the two understand each other. A phone speaks SIP only, and to everybody. */
  speaksTo({ version }: Host): boolean {
    return this.version === undefined || version === undefined || this.version === version;
  }

  get generation(): number {
    return this.#generation;
  }

  /** What its wall clock says, ms since the epoch. */
  get wall(): number {
    return Math.floor(this.#startsAt + this.world.now * this.#rate);
  }

  /** What its steady clock says, where the runtime has one. */
  get steady(): number {
    return Math.floor(steadyOriginMs + this.world.now * this.#rate);
  }

  get steps(): number {
    return this.#steps;
  }

  start(boot: () => void): void {
    this.#generation += 1;
    this.#state = "up";
    this.trace(() => "starts");
    this.#execute(boot);
  }

  crash(): void {
    if (this.#state === "down") return;
    this.trace(() => "crashes");
    if (this.#state === "up") this.#since = this.world.now;
    this.#state = "down";
    this.#generation += 1;
    this.#queue = [];
    this.#soon = [];
    for (const told of this.onDown) told();
    this.onDown.clear();
  }

  /** Its wall clock is set: forwards, or back. What was planned comes when it would have come. */
  step(ms: number): void {
    this.trace(() => `has its clock set by ${ms} ms`);
    this.#startsAt += ms;
    this.#steps += 1;
  }

  freeze(): void {
    if (this.#state !== "up") return;
    this.trace(() => "freezes");
    this.#state = "frozen";
    this.#since = this.world.now;
  }

  thaw(): void {
    if (this.#state !== "frozen") return;
    this.trace(() => `thaws, ${this.#queue.length} events wait`);
    this.#state = "up";
    const queue = this.#queue;
    this.#queue = [];
    for (const run of queue) this.post(run);
  }

  /** Something has arrived: it is processed now, or when the process goes on, or never. */
  post(run: () => void): void {
    if (this.#state === "frozen") this.#queue.push(run);
    else if (this.#state === "up") this.#execute(run);
  }

  /** After the present event and before the next one, like a resolved promise. */
  soon(run: () => void): void {
    this.#soon.push(run);
  }

  /** Runs at this time of its wall clock, if that is not set before, or as soon as it can. */
  at(deadline: number, run: () => void): Planned {
    const generation = this.#generation;
    const time = Math.ceil((deadline - this.#startsAt) / this.#rate);
    const planned: Planned = this.world.at(time, () => {
      if (generation === this.#generation) this.post(() => (planned.isOff ? undefined : run()));
    });
    return planned;
  }

  after(ms: number, run: () => void): Planned {
    return this.at(this.wall + ms, run);
  }

  trace(what: () => string): void {
    this.world.trace(this.name, what);
  }

  #execute(run: () => void): void {
    const generation = this.#generation;
    try {
      run();
      for (let next = this.#soon.shift(); next !== undefined && generation === this.#generation; next = this.#soon.shift()) next();
    } catch (error) {
      this.threw(error);
    }
  }

  /** Nothing may throw. */
  threw(error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.world.violated("nothingThrows", `${this.name}: ${text.split("\n").slice(0, 6).join(" | ")}`);
  }
}
