import { faultKinds, type Fault } from "./faults.ts";

/** What people and phones do that a fault may come upon. */
export const doings = [
  "CANCEL",
  "re-INVITE of the caller",
  "re-INVITE of the callee",
  "REFER of the caller",
  "REFER of the callee",
  "BYE of the caller",
  "BYE of the callee",
  "the caller moves",
  "the callee moves",
  "a request for a caller that has moved",
  "a request for a callee that has moved",
] as const;

export type Doing = (typeof doings)[number];

/** Something that was done. True time. */
export type Done = { readonly what: Doing; readonly at: number };

/** Everybody has noticed a fault, or its end. */
const afterMs = 5_000;
/** How many kinds of faults each thing must have met. */
const kindsMetMin = 7;

/** How often each thing was done while a fault of each kind was there, or had hardly gone. */
export class Repertoire {
  readonly #counts = new Map<string, number>();
  readonly #faults = new Map<Fault["kind"], number>();

  add(faults: readonly Fault[], done: readonly Done[]): void {
    for (const { kind } of faults) this.#faults.set(kind, (this.#faults.get(kind) ?? 0) + 1);
    for (const { what, at } of done) {
      for (const kind of new Set(faults.filter(({ from, until }) => from <= at && until + afterMs >= at).map((fault) => fault.kind))) {
        this.#counts.set(nameOf(kind, what), this.count(kind, what) + 1);
      }
    }
  }

  count(kind: Fault["kind"], what: Doing): number {
    return this.#counts.get(nameOf(kind, what)) ?? 0;
  }

  /** Things that no fault of some kind has come upon: each must meet nearly all kinds, whoever of the two does it all of them. */
  get missing(): string[] {
    const unmet = [...new Set(doings.map(sideless))].flatMap((side) => {
      const both = doings.filter((what) => sideless(what) === side);
      const kinds = faultKinds.filter((kind) => both.every((what) => this.count(kind, what) === 0));
      return kinds.map((kind) => `${kind}: ${both.join(", ")}`);
    });
    const rare = doings.filter((what) => faultKinds.filter((kind) => this.count(kind, what) > 0).length < kindsMetMin);
    return [...unmet, ...rare];
  }

  /** A line for each kind of fault: how often, in a thousand runs. */
  faultsOf(runs: number): string {
    const kinds = [...this.#faults].toSorted(([, one], [, other]) => other - one);
    return kinds.map(([kind, count]) => `${((count * 1_000) / runs).toFixed(1).padStart(7)} ${kind}`).join("\n");
  }

  /** A line for each thing: how often in each kind of fault. */
  get table(): string {
    const width = Math.max(...doings.map(({ length }) => length));
    const lines = doings.map((what) => [what.padEnd(width), ...faultKinds.map((kind) => this.count(kind, what))].join(" | "));
    return [["".padEnd(width), ...faultKinds].join(" | "), ...lines].join("\n");
  }
}

/** Without saying which of the two. */
function sideless(what: Doing): string {
  return what.replace(/calle[er]/, "");
}

function nameOf(kind: Fault["kind"], what: Doing): string {
  return `${kind}: ${what}`;
}
