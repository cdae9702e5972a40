import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { timerQueuesMax } from "../../../sip/limits.ts";
import { nowhere, Timer, TimerTable } from "../../../sip/transaction/timer-table.ts";

function isSet(timer: Timer): boolean {
  return timer.place !== nowhere;
}

/** A table with timers that write down their names when they fire. */
class Rig {
  readonly timers = new TimerTable();
  fired: string[] = [];
  readonly #named = new Map<string, Timer>();

  named(name: string, then: (now: number) => void = () => {}): Timer {
    const known = this.#named.get(name);
    if (known !== undefined) return known;
    const timer = new Timer((now) => {
      this.fired.push(name);
      then(now);
    });
    this.#named.set(name, timer);
    return timer;
  }

  due(now: number): string[] {
    this.fired = [];
    this.timers.fireDue(now);
    return this.fired;
  }
}

describe("TimerTable", () => {
  it("fires what is due, earliest first, and only once", () => {
    const rig = new Rig();
    rig.timers.set(rig.named("late"), 30);
    rig.timers.set(rig.named("early"), 10);
    rig.timers.set(rig.named("middle"), 20);
    expect(rig.timers.nextDeadline()).toBe(10);
    expect(rig.due(9)).toEqual([]);
    expect(rig.due(20)).toEqual(["early", "middle"]);
    expect(rig.due(20)).toEqual([]);
    expect(rig.timers.nextDeadline()).toBe(30);
  });

  it("fires equal deadlines in the order they were set", () => {
    const rig = new Rig();
    for (const name of ["a", "b", "c", "d", "e", "a"]) rig.timers.set(rig.named(name), 7);
    expect(rig.due(7)).toEqual(["b", "c", "d", "e", "a"]);
  });

  it("moves a timer that is set again, and forgets one that is cleared", () => {
    const rig = new Rig();
    const [a, b] = [rig.named("a"), rig.named("b")];
    rig.timers.set(a, 10);
    rig.timers.set(b, 20);
    rig.timers.set(a, 30);
    rig.timers.clear(b);
    rig.timers.clear(b);
    expect(rig.timers.size).toBe(1);
    expect([isSet(a), isSet(b)]).toEqual([true, false]);
    expect(rig.due(29)).toEqual([]);
    expect(rig.due(30)).toEqual(["a"]);
    expect(isSet(a)).toBe(false);
    expect(rig.timers.nextDeadline()).toBeUndefined();
  });

  it("does not fire what another one has cleared or moved", () => {
    const rig = new Rig();
    const first = rig.named("first", () => {
      rig.timers.clear(rig.named("cleared"));
      rig.timers.set(rig.named("moved"), 50);
    });
    for (const timer of [first, rig.named("cleared"), rig.named("moved")]) rig.timers.set(timer, 10);
    expect(rig.due(10)).toEqual(["first"]);
    expect(rig.due(50)).toEqual(["moved"]);
  });

  it("leaves what is set meanwhile for the next call, so that it always comes to an end", () => {
    const rig = new Rig();
    const again = rig.named("again", () => rig.timers.set(again, 0));
    rig.timers.set(again, 5);
    expect(rig.due(10)).toEqual(["again"]);
    expect(rig.timers.nextDeadline()).toBe(0);
    expect(rig.due(10)).toEqual(["again"]);
  });

  it("loses none behind one that throws", () => {
    const rig = new Rig();
    const broken = rig.named("broken", () => {
      throw new Error("broken");
    });
    rig.timers.set(broken, 1);
    rig.timers.set(rig.named("next"), 2);
    expect(() => rig.due(2)).toThrow("broken");
    expect(rig.due(2)).toEqual(["next"]);
  });

  it("fires in order what fits into no queue: deadlines that come closer and closer", () => {
    const rig = new Rig();
    const count = 5 * timerQueuesMax;
    for (let n = 0; n < count; n += 1) rig.timers.set(rig.named(`t${n}`), 1_000 - n);
    for (let n = 0; n < count; n += 3) rig.timers.clear(rig.named(`t${n}`));
    const left = Array.from({ length: count }, (_, n) => n).filter((n) => n % 3 > 0);
    expect(rig.timers.size).toBe(left.length);
    expect(rig.due(1_000)).toEqual(left.toReversed().map((n) => `t${n}`));
    expect(rig.timers.nextDeadline()).toBeUndefined();
  });

  // Few of them fit into queues, many do not.
  it.each([15, 80])("agrees with a plain sorted list under any sequence of operations, with %i timers", (most) => {
    const operation = fc.tuple(
      fc.constantFrom("set", "set", "clear", "due"),
      fc.integer({ min: 0, max: most }),
      fc.integer({ min: 0, max: 100 }),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
        const rig = new Rig();
        let model: { name: string; deadline: number }[] = [];
        for (const [what, number, time] of operations) {
          const name = `t${number}`;
          if (what === "set" || what === "clear") model = model.filter((timer) => timer.name !== name);
          if (what === "set") model.push({ name, deadline: time });
          const expected = what === "due" ? model.filter((timer) => timer.deadline <= time) : [];
          model = model.filter((timer) => !expected.includes(timer));
          if (what === "set") rig.timers.set(rig.named(name), time);
          if (what === "clear") rig.timers.clear(rig.named(name));
          const due = what === "due" ? rig.due(time) : [];
          expect(due).toEqual(expected.toSorted((left, right) => left.deadline - right.deadline).map((timer) => timer.name));
          expect(rig.timers.size).toBe(model.length);
          expect(rig.timers.nextDeadline()).toBe(model.length === 0 ? undefined : Math.min(...model.map((timer) => timer.deadline)));
        }
      }),
    );
  });
});
