import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TimerTable } from "../../../sip/transaction/timer-table.ts";

describe("TimerTable", () => {
  it("fires what is due, earliest first, and only once", () => {
    const timers = new TimerTable();
    timers.set("late", 30);
    timers.set("early", 10);
    timers.set("middle", 20);
    expect(timers.nextDeadline()).toBe(10);
    expect(timers.due(9)).toEqual([]);
    expect(timers.due(20)).toEqual(["early", "middle"]);
    expect(timers.due(20)).toEqual([]);
    expect(timers.nextDeadline()).toBe(30);
  });

  it("fires equal deadlines in the order they were set", () => {
    const timers = new TimerTable();
    for (const key of ["a", "b", "c", "d", "e"]) timers.set(key, 7);
    timers.set("a", 7);
    expect(timers.due(7)).toEqual(["b", "c", "d", "e", "a"]);
  });

  it("moves a timer that is set again, and forgets one that is cleared", () => {
    const timers = new TimerTable();
    timers.set("a", 10);
    timers.set("b", 20);
    timers.set("a", 30);
    timers.clear("b");
    timers.clear("b");
    expect(timers.size).toBe(1);
    expect(timers.has("b")).toBe(false);
    expect(timers.due(29)).toEqual([]);
    expect(timers.due(30)).toEqual(["a"]);
    expect(timers.nextDeadline()).toBeUndefined();
  });

  it("agrees with a plain sorted list under any sequence of operations", () => {
    const operation = fc.tuple(fc.constantFrom("set", "clear", "due"), fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 100 }));
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const timers = new TimerTable();
        let model: { key: string; deadline: number }[] = [];
        for (const [what, number, time] of operations) {
          const key = `k${number}`;
          if (what === "set" || what === "clear") model = model.filter((timer) => timer.key !== key);
          if (what === "set") model.push({ key, deadline: time });
          const expected = what === "due" ? model.filter((timer) => timer.deadline <= time) : [];
          model = model.filter((timer) => !expected.includes(timer));
          if (what === "set") timers.set(key, time);
          if (what === "clear") timers.clear(key);
          const due = what === "due" ? timers.due(time) : [];
          expect(due).toEqual(expected.toSorted((left, right) => left.deadline - right.deadline).map((timer) => timer.key));
          expect(timers.size).toBe(model.length);
          expect(timers.nextDeadline()).toBe(model.length === 0 ? undefined : Math.min(...model.map((timer) => timer.deadline)));
        }
      }),
    );
  });
});
