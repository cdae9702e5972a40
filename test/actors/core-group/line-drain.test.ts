import { beforeEach, describe, expect, it } from "vitest";
import { LineDrain, type SendOrder } from "../../../actors/core-group/line-drain.ts";
import {
  drainLateMs,
  drainMsMax,
  drainPatienceMs,
  drainPortionFirst,
  drainPortionMax,
  drainStepMs,
  drainStrangersPortion,
} from "../../../actors/limits.ts";
import { VirtualTime } from "../virtual-time.ts";

const lineCount = 4;

/** Lines with so many softphones each, of which all or none are quiet. */
class Lines {
  readonly time = new VirtualTime();
  /** Registered ones. */
  readonly left: number[];
  /** Those on which nobody has registered, by line. None of them is ever quiet. */
  readonly strangers: number[] = Array.from({ length: lineCount }, () => 0);
  areQuiet = true;
  /** How late exchanges are for them. */
  lateMs: number | undefined = 0;
  /** Lines that do not take orders. */
  readonly deaf = new Set<number>();
  /** How many went in each step, by the time of the step. */
  readonly went = new Map<number, number>();
  readonly taken: number[] = [];
  orders = 0;
  readonly drain: LineDrain;

  constructor(each: number) {
    this.left = Array.from({ length: lineCount }, () => each);
    this.drain = new LineDrain(lineCount, {
      now: () => this.time.now,
      timer: (run) => this.time.timer(run),
      send: (line, order, answered) => answered(this.deaf.has(line) ? undefined : this.#send(line, order)),
      take: (line) => void this.taken.push(line),
    });
  }

  /** Steps of so many ms, and how many went in each. */
  portions(ms: number): number[] {
    this.went.clear();
    this.time.pass(ms);
    return [...this.went.values()];
  }

  #send(line: number, { most, strangersMost, isPatient }: SendOrder): { readonly left: number; readonly lateMs: number | undefined } {
    this.orders += 1;
    const [left = 0, strangers = 0] = [this.left[line], this.strangers[line]];
    const goes = this.areQuiet || !isPatient ? Math.min(most, left) : 0;
    this.left[line] = left - goes;
    this.strangers[line] = Math.max(0, strangers - strangersMost);
    this.went.set(this.time.now, (this.went.get(this.time.now) ?? 0) + goes);
    return { left: left - goes + this.strangers[line], lateMs: this.lateMs };
  }
}

let lines: Lines;

beforeEach(() => {
  lines = new Lines(200);
});

describe("softphones of a cell that is taken out of service", () => {
  it("go a few at first, more with each step while exchanges are in time, and never more than the most", () => {
    lines = new Lines(5_000);
    lines.drain.set("send");
    const portions = lines.portions(15_000);
    expect(portions[0]).toBeGreaterThan(drainPortionFirst / 2);
    expect(portions).toEqual(portions.toSorted((one, other) => one - other));
    expect(portions.at(-1)).toBe(drainPortionMax);
  });

  it("go by one where all is late, in turn from all lines, and by more again when it is over", () => {
    lines.drain.set("send");
    lines.lateMs = drainLateMs + 1;
    lines.time.pass(5_000);
    const before = [...lines.left];
    expect(lines.portions(lineCount * drainStepMs)).toEqual([1, 1, 1, 1]);
    expect(lines.left).toEqual(before.map((left) => left - 1));
    lines.lateMs = drainLateMs;
    expect(lines.portions(8_000).at(-1)).toBeGreaterThan(8);
  });

  it("go slower where this process is late itself, though nobody asks for anything", () => {
    lines.lateMs = undefined;
    lines.drain.set("send");
    const quick = lines.portions(3_000).at(-1) ?? 0;
    expect(quick).toBeGreaterThan(drainPortionFirst);
    for (let steps = 0; steps < 3; steps += 1) lines.time.standStill(drainStepMs + drainLateMs + 1);
    expect(lines.portions(drainStepMs)[0]).toBeLessThan(quick / 4);
  });

  it("stay as long as they are in the middle of something, until none has been quiet for long", () => {
    lines.drain.set("send");
    lines.time.pass(2_000);
    lines.areQuiet = false;
    const left = lines.drain.left ?? 0;
    lines.time.pass(drainPatienceMs - drainStepMs);
    expect(lines.drain.left).toBe(left);
    lines.time.pass(3 * drainStepMs);
    expect(lines.drain.left).toBeLessThan(left);
  });

  it("all go, however late all is, and those of a line that does not answer when it does", () => {
    lines = new Lines(20);
    lines.lateMs = 1_000;
    lines.deaf.add(2);
    lines.drain.set("send");
    lines.time.pass(60_000);
    expect(lines.left).toEqual([0, 0, 20, 0]);
    expect(lines.drain.left).toBeUndefined();
    lines.deaf.clear();
    lines.time.pass(60_000);
    expect([lines.left, lines.drain.left]).toEqual([[0, 0, 0, 0], 0]);
  });

  it("go one step after the other once none was quiet for long, however late all is", () => {
    lines.drain.set("send");
    lines.areQuiet = false;
    lines.lateMs = drainLateMs + 1;
    lines.time.pass(drainPatienceMs);
    expect(lines.portions(20 * drainStepMs)).toEqual(Array.from({ length: 20 }, () => 1));
  });

  it("have a longest time in all, where they are never quiet and keep all late", () => {
    lines = new Lines(1_000);
    lines.areQuiet = false;
    lines.lateMs = 10_000;
    lines.drain.set("send");
    lines.time.pass(drainMsMax);
    expect(lines.drain.left).toBe(0);
    // It did not end with all at once.
    expect(Math.max(...lines.went.values())).toBeLessThanOrEqual(drainPortionMax / 4);
  });

  it("have the same where all are at one line, and one goes whenever patience is nearly over", () => {
    lines = new Lines(0);
    lines.left[1] = 1_000;
    lines.areQuiet = false;
    lines.lateMs = 10_000;
    lines.drain.set("send");
    for (let passed = 0; passed < drainMsMax; passed += drainPatienceMs / 2) {
      lines.left[1] = Math.max(0, lines.left[1] - 1);
      lines.time.pass(drainPatienceMs / 2);
    }
    expect(lines.drain.left).toBe(0);
  });

  it("are done with in a known time where this process stood still for all of it", () => {
    lines.areQuiet = false;
    lines.drain.set("send");
    lines.time.standStill(drainMsMax);
    lines.time.pass((drainStepMs * lines.left.reduce((sum, left) => sum + left)) / drainPortionMax);
    expect(lines.drain.left).toBe(0);
  });

  it("on which nobody has registered go at once, whatever they send and however late all is, and do not count as patience", () => {
    lines.areQuiet = false;
    lines.lateMs = 10_000;
    lines.strangers.fill(75);
    lines.drain.set("keep");
    lines.time.pass(10_000);
    expect(lines.drain.left).toBe(4 * 275);
    lines.drain.set("send");
    expect(lines.drain.left).toBe(4 * 275 - drainStrangersPortion);
    lines.time.pass(2 * drainStepMs);
    expect([lines.strangers, lines.left]).toEqual([
      [0, 0, 0, 0],
      [200, 200, 200, 200],
    ]);
  });

  it("are kept while replicas leave: lines are told again and again to take no new ones", () => {
    lines.drain.set("keep");
    lines.time.pass(10_000);
    expect([lines.drain.left, lines.orders]).toEqual([4 * 200, 4 * 21]);
    lines.drain.set("send");
    expect(lines.drain.left).toBeLessThan(4 * 200);
  });

  it("are taken again, and nothing of before counts any more", () => {
    lines.drain.set("send");
    lines.time.pass(1_000);
    lines.drain.set("take");
    const { orders } = lines;
    lines.time.pass(10_000);
    expect([lines.taken, lines.orders, lines.drain.left]).toEqual([[0, 1, 2, 3], orders, undefined]);
  });
});
