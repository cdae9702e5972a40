import { describe, expect, it, vi } from "vitest";
import { LedgerActor } from "../../../actors/ledger/ledger-actor.ts";
import { ledgerChunkMax } from "../../../actors/limits.ts";
import type { Collector } from "../../../cluster/calls/collector.ts";
import type { Taking } from "../../../cluster/calls/messages.ts";
import { MemoryLedger } from "../../simulation/memory-ledger.ts";

type CallList = readonly unknown[];

function call(name: string, rank = 1): CallList {
  return ["call", `${name} tag`, "version", 1, 0, rank];
}

/** Ledgers of cells a, b and c, and whom each takes for the collector. What they say to each other is answered at once, unless its way is cut. */
class Ledgers {
  readonly disks = new Map<string, MemoryLedger>();
  readonly #actors = new Map<string, LedgerActor>();
  readonly collectors = new Map<string, Collector>();
  readonly cut = new Set<string>();
  readonly said: string[] = [];
  #gathering: (() => void)[] = [];
  /** While it is there, what is said to copies waits here. */
  held: (() => void)[] | undefined;

  constructor() {
    for (const cell of ["a", "b", "c"]) {
      this.disks.set(cell, new MemoryLedger(cell));
      this.restart(cell);
    }
    this.collects("a", 1);
  }

  /** All cells of these see that one collects, and the others live. */
  collects(cell: string, epoch: number, seenBy: readonly string[] = ["a", "b", "c"], others?: readonly string[]): void {
    const collector = { cell, since: { epoch, writer: cell }, others: others ?? ["a", "b", "c"].filter((each) => each !== cell) };
    for (const each of seenBy) this.collectors.set(each, collector);
  }

  restart(cell: string): void {
    const ask = <Answer>(
      what: string,
      to: string,
      answer: (actor: LedgerActor) => Answer,
      told: (answer: Answer | undefined) => void,
    ): void => {
      this.said.push(`${cell} ${what} ${to}`);
      const isCut = this.cut.has(cell) || this.cut.has(to);
      told(isCut ? undefined : answer(this.actor(to)));
    };
    this.#actors.set(
      cell,
      new LedgerActor(cell, {
        disk: this.disk(cell),
        timer: (run) => ({ set: () => (this.#gathering = [...this.#gathering, run]), clear: () => undefined }),
        collector: (told) => told(this.collectors.get(cell)),
        pass: (to, delivery, told) => {
          this.said.push(`${cell} passes on to ${to}`);
          if (this.cut.has(to)) told(undefined);
          else this.actor(to).take(delivery, told);
        },
        copy: (to, message, told) => {
          const run = (): void => ask("copies to", to, (actor) => actor.copied(message), told);
          if (this.held === undefined) run();
          else this.held.push(run);
        },
        read: (to, message, told) => ask("reads", to, (actor) => actor.readBy(message), told),
      }),
    );
  }

  actor(cell: string): LedgerActor {
    const actor = this.#actors.get(cell);
    if (actor === undefined) throw new Error(`no cell ${cell}`);
    return actor;
  }

  disk(cell: string): MemoryLedger {
    const disk = this.disks.get(cell);
    if (disk === undefined) throw new Error(`no cell ${cell}`);
    return disk;
  }

  /** An exchange of this cell delivers, and nothing more comes. */
  deliver(cell: string, ...records: readonly CallList[]): Taking["outcome"] | "waits" {
    let outcome: Taking["outcome"] | "waits" = "waits";
    this.actor(cell).take({ records }, (taking) => (outcome = taking.outcome));
    this.gathered();
    return outcome;
  }

  /** Timers of ledgers that have been set ring. */
  gathered(): void {
    const rings = this.#gathering;
    this.#gathering = [];
    for (const ring of rings) ring();
  }

  has(cell: string): string[] {
    return Array.from(this.disk(cell).rows.values(), ({ record }) => String(record[1]).replace(" tag", "")).toSorted();
  }
}

describe("a ledger", () => {
  it("takes what is brought to it when the copy has it, from the exchanges of all cells", () => {
    const ledgers = new Ledgers();
    expect([ledgers.deliver("a", call("one"), call("two")), ledgers.deliver("c", call("three"))]).toEqual(["taken", "taken"]);
    expect([ledgers.has("a"), ledgers.has("b"), ledgers.has("c")]).toEqual([["one", "three", "two"], ["one", "three", "two"], []]);
    expect(ledgers.said).toContain("c passes on to a");
  });

  it("puts what comes within a moment as one, whichever cell it is from, and answers each when the copy has it", () => {
    const ledgers = new Ledgers();
    const put = vi.spyOn(ledgers.disk("a"), "put");
    const outcomes: string[] = [];
    for (const [cell, name] of [
      ["a", "one"],
      ["c", "two"],
      ["a", "three"],
    ] as const) {
      ledgers.actor(cell).take({ records: [call(name)] }, ({ outcome }) => outcomes.push(`${name} ${outcome}`));
    }
    expect([outcomes, ledgers.has("a"), ledgers.has("b")]).toEqual([[], [], []]);
    const before = put.mock.calls.length;
    ledgers.gathered();
    expect([outcomes, ledgers.has("b")]).toEqual([
      ["one taken", "two taken", "three taken"],
      ["one", "three", "two"],
    ]);
    expect(put.mock.calls.length - before).toBe(1);
    expect(ledgers.said.filter((said) => said === "a copies to b").length).toBe(2);
  });

  it("has each once, whatever comes again, and what says more of a call in both", () => {
    const ledgers = new Ledgers();
    ledgers.deliver("a", call("one"));
    ledgers.deliver("b", call("one"));
    ledgers.deliver("b", call("one", 2));
    ledgers.deliver("a", call("one", 1));
    for (const cell of ["a", "b"]) expect([...ledgers.disk(cell).rows.values()].map(({ record }) => record[5])).toEqual([2]);
  });

  it("takes nothing while the copy does not answer, and all of it when that is back, or another one is the copy", () => {
    const ledgers = new Ledgers();
    ledgers.cut.add("b");
    expect(ledgers.deliver("a", call("one"))).toBe("failed");
    expect(ledgers.deliver("c", call("two"))).toBe("failed");
    ledgers.cut.clear();
    expect(ledgers.deliver("a", call("one"))).toBe("taken");
    expect(ledgers.has("b")).toEqual(["one", "two"]);
    ledgers.collects("a", 1, ["a"], ["c"]);
    expect(ledgers.deliver("a", call("three"))).toBe("taken");
    expect(ledgers.has("c")).toEqual(["one", "three", "two"]);
  });

  it("takes what comes when no other cell lives, and brings it to the first one that does", () => {
    const ledgers = new Ledgers();
    ledgers.collects("a", 1, ["a"], []);
    expect(ledgers.deliver("a", call("one"))).toBe("taken");
    ledgers.collects("a", 1, ["a"], ["b"]);
    ledgers.actor("a").whenRead(() => undefined);
    expect(ledgers.has("b")).toEqual(["one"]);
  });

  it("tells a copy that has a gap, or is new, everything from there on, some at a time", () => {
    const ledgers = new Ledgers();
    ledgers.collects("a", 1, ["a"], []);
    const many = Array.from({ length: 2 * ledgerChunkMax + 3 }, (_, n) => call(`n${n}`));
    expect(ledgers.deliver("a", ...many)).toBe("taken");
    ledgers.collects("a", 1);
    expect(ledgers.deliver("a", call("one"))).toBe("taken");
    expect(ledgers.has("b").length).toBe(many.length + 1);
    // Its database was lost: it begins anew, and says so.
    ledgers.disks.set("b", new MemoryLedger("b anew"));
    ledgers.restart("b");
    expect(ledgers.deliver("a", call("two"))).toBe("taken");
    expect(ledgers.has("b").length).toBe(many.length + 2);
  });
});

describe("a collector that was replaced", () => {
  it("is refused by the copy, and takes nothing, until it hears of that", () => {
    const ledgers = new Ledgers();
    ledgers.deliver("a", call("one"));
    // Cell a is frozen; when it goes on it knows of nothing.
    ledgers.collects("b", 2, ["b", "c"], ["c"]);
    expect(ledgers.deliver("c", call("two"))).toBe("taken");
    expect([ledgers.deliver("a", call("three")), ledgers.deliver("a", call("four"))]).toEqual(["refused", "refused"]);
    expect(ledgers.has("b")).toEqual(["one", "two"]);
    ledgers.collects("b", 2);
    expect(ledgers.deliver("a", call("three"), call("four"))).toBe("taken");
    expect([ledgers.has("b"), ledgers.has("a")]).toEqual([
      ["four", "one", "three", "two"],
      ["four", "one", "three", "two"],
    ]);
  });

  it("was told by the copy while its records were under way", () => {
    const ledgers = new Ledgers();
    ledgers.deliver("a", call("one"));
    ledgers.held = [];
    let outcome: string | undefined;
    ledgers.actor("a").take({ records: [call("two")] }, (taking) => (outcome = taking.outcome));
    ledgers.collects("b", 2, ["b", "c"], ["c"]);
    const held = ledgers.held;
    ledgers.held = undefined;
    ledgers.deliver("b", call("three"));
    for (const run of held) run();
    expect([outcome, ledgers.has("b")]).toEqual(["refused", ["one", "three"]]);
  });
});

describe("a collector that begins", () => {
  it("reads what the others have, once: of its copy it knows that from what it was told", () => {
    const ledgers = new Ledgers();
    ledgers.deliver("a", call("one"), call("two"));
    ledgers.collects("c", 2);
    expect(ledgers.deliver("c", call("three"))).toBe("taken");
    expect([ledgers.has("c"), ledgers.has("a")]).toEqual([
      ["one", "three", "two"],
      ["one", "three", "two"],
    ]);
    ledgers.collects("a", 3);
    ledgers.actor("a").whenRead(() => undefined);
    expect(ledgers.disk("a").read["c"]).toBe(ledgers.disk("c").last);
  });

  it("reads a ledger that could not be reached when it can, before it says what there is", () => {
    const ledgers = new Ledgers();
    ledgers.deliver("a", call("one"));
    ledgers.cut.add("a");
    ledgers.collects("c", 2, ["b", "c"], ["b"]);
    ledgers.deliver("c", call("two"));
    // Both sides of the cut have collected.
    ledgers.collects("a", 1, ["a"], []);
    ledgers.deliver("a", call("three"));
    ledgers.cut.clear();
    ledgers.collects("c", 2, ["a", "b", "c"], ["a", "b"]);
    let found: string[] = [];
    ledgers.actor("c").whenRead(() => (found = ledgers.has("c")));
    expect(found).toEqual(["one", "three", "two"]);
  });

  it("is known by the others: nobody passes anything on twice", () => {
    const ledgers = new Ledgers();
    ledgers.collects("c", 2, ["a"]);
    ledgers.collects("a", 1, ["c"]);
    expect(ledgers.deliver("a", call("one"))).toBe("refused");
    ledgers.collectors.delete("b");
    expect(ledgers.deliver("b", call("one"))).toBe("refused");
  });
});
