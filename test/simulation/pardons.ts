/** What may excuse that something went wrong, the widest last. Each pardons one cause (excuses.ts says when). */
export const excuses = [
  "both cells died before a disk had it",
  "its line heard its own cell only",
  "its line died with the replica that had it",
  "it came back in vain to a connection",
  "all copies were lost",
  "its phone was cut off",
  "its datagrams were lost",
  "a phone has moved, and hung up",
  "the replica that passes it has not heard of the other answer",
  "a late copy makes the call anew",
  "a way has failed on which one was",
  "its CANCEL came before it, and counts once",
  "the callee came back in the cell that does not have the call",
  "nobody could be asked who the caller is",
  "the way was back before it was given up",
  "its end was never heard",
  "a clock went past its registration",
  "the callee could not be called",
  "the caller could not be reached",
  "the silence of a fault",
  "two faults of cells at a time",
] as const;

export type Excuse = (typeof excuses)[number];

/** Excuses that are put forward, looked at in their order. */
export type Pleas = Readonly<Partial<Record<Excuse, () => boolean>>>;

/** How often which excuse was needed. */
export class Pardons {
  readonly #counts = new Map<Excuse, number>();

  /** True: one of them holds. The first is counted. */
  grant(pleas: Pleas): boolean {
    for (const excuse of excuses) {
      if (pleas[excuse]?.() !== true) continue;
      this.#counts.set(excuse, this.count(excuse) + 1);
      return true;
    }
    return false;
  }

  count(excuse: Excuse): number {
    return this.#counts.get(excuse) ?? 0;
  }

  add(other: Pardons): void {
    for (const [excuse, count] of other.#counts) this.#counts.set(excuse, this.count(excuse) + count);
  }

  /** A line for each: uses in a thousand runs. */
  tableOf(runs: number): string {
    return excuses.map((excuse) => `${((this.count(excuse) * 1_000) / runs).toFixed(1).padStart(7)} ${excuse}`).join("\n");
  }
}
