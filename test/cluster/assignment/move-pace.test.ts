import { describe, expect, it } from "vitest";
import { allAtOnce, MovePace } from "../../../cluster/assignment/move-pace.ts";
import { movesApartMsMax, movesAtOnceMax } from "../../../cluster/limits.ts";

/** A look of the coordinator a second after the one before. What may begin does. */
class Looks {
  now = 1_000_000;
  readonly pace = new MovePace();

  constructor() {
    this.pace.mapChanged(this.now);
  }

  look(unsettled: number, isLate = false): number {
    this.now += 1_000;
    const begins = this.pace.beginsMax(unsettled, isLate, this.now);
    if (begins > 0) this.step();
    return begins;
  }

  step(): void {
    this.pace.stepped();
    this.pace.mapChanged(this.now);
  }
}

describe("replicas that move", () => {
  it("are one at first, and twice as many after each step, up to so many", () => {
    const looks = new Looks();
    expect([looks.look(0), looks.look(0), looks.look(0), looks.look(0)]).toEqual([1, 2, movesAtOnceMax, movesAtOnceMax]);
  });

  it("count with those that are under way, and with exchanges that are single", () => {
    const looks = new Looks();
    expect(looks.look(0)).toBe(1);
    expect([looks.look(1), looks.look(2), looks.look(movesAtOnceMax)]).toEqual([1, 2, 0]);
  });

  it("are one again after a rest", () => {
    const looks = new Looks();
    for (let count = 0; count < 4; count += 1) looks.look(0);
    // Nothing was to be done.
    looks.pace.beginsMax(0, false, looks.now + 1_000);
    looks.pace.beginsMax(0, false, looks.now + 2_000);
    expect(looks.pace.beginsMax(0, false, looks.now + 3_000)).toBe(1);
  });

  it("are none while exchanges are late, but for one now and then, and begin with one afterwards", () => {
    const looks = new Looks();
    for (let count = 0; count < 4; count += 1) looks.look(0);
    const begun = Array.from({ length: (5 * movesApartMsMax) / 1_000 }, () => looks.look(0, true));
    expect(begun.filter((each) => each > 1)).toEqual([]);
    expect(begun.filter((each) => each === 1)).toHaveLength(5);
    expect([looks.look(0), looks.look(0)]).toEqual([2, movesAtOnceMax]);
  });

  it("go on beside a copy that is never done", () => {
    const looks = new Looks();
    const begun = Array.from({ length: (2 * movesApartMsMax) / 1_000 }, () => looks.look(1));
    expect(begun.reduce((sum, each) => sum + each, 0)).toBeGreaterThan(1);
    const stuck = new Looks();
    expect(Array.from({ length: 12 }, () => stuck.look(movesAtOnceMax))).toEqual(Array.from({ length: 12 }, () => 0));
  });

  it("are as many as ever where nobody is asked to bear them", () => {
    expect([allAtOnce(0), allAtOnce(3), allAtOnce(movesAtOnceMax)]).toEqual([movesAtOnceMax, movesAtOnceMax - 3, 0]);
  });
});
