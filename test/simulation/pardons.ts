import { aimedFaultKinds } from "./aimed-faults.ts";
import type { Fault } from "./faults.ts";
import type { Edition } from "./simulate.ts";

/** A run that has needed an excuse. */
export type Witness = {
  readonly seed: number;
  readonly edition?: Edition;
  /** All of its faults are drawn of these kinds. */
  readonly drawn?: readonly Fault["kind"][];
};

/**
 * What may excuse that something went wrong, the widest last. Each pardons one cause (excuses.ts says when). Beside it stands a run that needs it: an
 * excuse that none of its runs needs any more goes, or gets another one. The tables of run.ts name the first.
 */
export const excuses = {
  "both cells died before a disk had it": [{ seed: 200001 }, { seed: 31173 }],
  "who refused it died before anybody knew": [{ seed: 345, edition: "present" }, { seed: 200343 }],
  "its line heard its own cell only": [{ seed: 9000, edition: "first" }, { seed: 7000573 }],
  "its line died with the replica that had it": [{ seed: 51482, edition: "first" }],
  "it came back in vain to a connection": [{ seed: 6000615 }],
  "the other replica asked for its password again": [{ seed: 10, drawn: aimedFaultKinds }],
  "all copies were lost": [{ seed: 801111 }, { seed: 522047, edition: "second" }],
  "its phone was cut off": [{ seed: 1173 }],
  "its datagrams were lost": [{ seed: 320328, drawn: ["bad weather"] }],
  "a phone has moved, and hung up": [{ seed: 7000448 }],
  "the replica that passes it has not heard of the other answer": [{ seed: 20189, edition: "first" }, { seed: 200140 }],
  "a way has failed on which one was": [{ seed: 10531, edition: "first" }],
  "its CANCEL came before it, and counts once": [{ seed: 6001042 }],
  "the callee came back in the cell that does not have the call": [{ seed: 200003 }],
  "nobody could be asked who the caller is": [{ seed: 648 }],
  "the way was back before it was given up": [{ seed: 180 }, { seed: 31001 }],
  "its end was never heard": [{ seed: 5001104 }],
  "a clock went past the record of its INVITE": [{ seed: 31000332 }],
  "a clock went past its registration": [{ seed: 87 }],
  "the callee could not be called": [{ seed: 8 }],
  "the caller could not be reached": [{ seed: 6000750 }],
  "the silence of a fault": [{ seed: 7000318 }],
  "two faults of cells at a time": [{ seed: 62747, edition: "first" }],
} as const satisfies Readonly<Record<string, readonly Witness[]>>;

export type Excuse = keyof typeof excuses;

const names = Object.keys(excuses) as readonly Excuse[];

/** Excuses that are put forward, looked at in their order. */
export type Pleas = Readonly<Partial<Record<Excuse, () => boolean>>>;

/** How often which excuse was needed. */
export class Pardons {
  readonly #counts = new Map<Excuse, number>();
  readonly #seeds = new Map<Excuse, number>();

  /** True: one of them holds. The first is counted. */
  grant(pleas: Pleas): boolean {
    for (const excuse of names) {
      if (pleas[excuse]?.() !== true) continue;
      this.#counts.set(excuse, this.count(excuse) + 1);
      return true;
    }
    return false;
  }

  count(excuse: Excuse): number {
    return this.#counts.get(excuse) ?? 0;
  }

  /** What a run of this seed has needed. */
  add(other: Pardons, seed: number): void {
    for (const [excuse, count] of other.#counts) {
      this.#counts.set(excuse, this.count(excuse) + count);
      if (!this.#seeds.has(excuse)) this.#seeds.set(excuse, seed);
    }
  }

  /** A line for each: uses in a thousand runs, and the first seed. */
  tableOf(runs: number): string {
    const lines = names.map((excuse) => {
      const seed = this.#seeds.get(excuse);
      return `${((this.count(excuse) * 1_000) / runs).toFixed(1).padStart(7)} ${excuse}${seed === undefined ? "" : `, seed ${seed}`}`;
    });
    return lines.join("\n");
  }
}
