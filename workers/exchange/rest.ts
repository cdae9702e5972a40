/**
 * Replicas of this process that have nothing in progress, and until when what they had before their start may ring. It outlives their sleep, and ends with
 * the process. Where objects move between processes, on Cloudflare, one that wakes in another one is as one that starts.
 */
const resting = new Map<string, number>();

/**
 * Whether an exchange that wakes may have lost something. One that slept had nothing in hand, and has lost nothing. One that was reset in the middle
 * of its work has. Disks do not know that: a mark there would cost every call two writes.
 */
export class Rest {
  readonly #name: string;
  /** Undefined: something is in progress. */
  #orphansUntil: number | undefined;

  constructor(name: string) {
    this.#name = name;
    this.#orphansUntil = resting.get(name);
  }

  /** What the exchange knew when it fell asleep; undefined: it starts, or did not sleep. */
  get orphansUntil(): number | undefined {
    return this.#orphansUntil;
  }

  /** Nothing is in progress. */
  begin(orphansUntil: number): void {
    if (this.#orphansUntil === orphansUntil) return;
    this.#orphansUntil = orphansUntil;
    resting.set(this.#name, orphansUntil);
  }

  /** Something is. */
  end(): void {
    if (this.#orphansUntil === undefined) return;
    this.#orphansUntil = undefined;
    resting.delete(this.#name);
  }
}
