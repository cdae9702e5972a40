import { describe, expect, it } from "vitest";
import { clockLookMs } from "../../actors/limits.ts";
import { SteadyTimers } from "../../actors/steady-timers.ts";
import { Host } from "../simulation/host.ts";
import { timeoutsOf, type Timeout } from "../simulation/workerd-timeouts.ts";
import { World } from "../simulation/world.ts";

/** Timers in a process whose timeouts go by the wall clock, as in workerd; what rings, and when by true time. */
class Rig {
  readonly world = new World(1, false);
  readonly host = new Host(this.world, "a", { offsetMs: 0, drift: 0 });
  readonly rang: (readonly [name: string, at: number])[] = [];
  readonly timers: SteadyTimers<Timeout>;

  /** `stands`: see {@link timeoutsOf}. */
  constructor(stands = false) {
    this.host.start(() => {});
    this.timers = new SteadyTimers(timeoutsOf(this.host, stands));
  }

  set(name: string, delayMs: number): { clear(): void } {
    const timer = this.timers.timer(() => void this.rang.push([name, this.world.now]));
    timer.set(delayMs);
    return timer;
  }

  /** The wall clock is set after so many ms. */
  stepAt(at: number, ms: number): void {
    this.world.at(at, () => this.host.step(ms));
  }
}

describe("timers over timeouts that go by the wall clock", () => {
  it("ring in time, each once, in the order of their times", () => {
    const rig = new Rig();
    rig.set("late", 3 * clockLookMs + 100);
    rig.set("early", 100);
    rig.set("never", 200).clear();
    rig.world.runUntil(10 * clockLookMs);
    expect(rig.rang).toEqual([
      ["early", 100],
      ["late", 3 * clockLookMs + 100],
    ]);
  });

  it.each([-60_000, -3_600_000])("ring in time when the clock is set by %i ms while one is measured and others wait", (ms) => {
    const rig = new Rig();
    rig.set("first", 500);
    rig.set("second", 900);
    rig.set("third", 30_000);
    rig.stepAt(100, ms);
    rig.world.runUntil(60_000);
    expect(rig.rang).toEqual([
      ["first", 500],
      ["second", 900],
      ["third", 30_000],
    ]);
  });

  it("ring in time when one is set anew just after the step: what was measured before is not any more", () => {
    const rig = new Rig();
    rig.set("before", 500);
    rig.stepAt(100, -60_000);
    rig.world.at(200, () => {
      rig.timers.clock.now();
      rig.set("after", 1_000);
    });
    rig.world.runUntil(10_000);
    // The hundred ms before the step are lost: nobody had looked at the clock.
    expect(rig.rang.map(([name]) => name)).toEqual(["before", "after"]);
    expect(Math.max(...rig.rang.map(([, at]) => at))).toBeLessThanOrEqual(1_300);
  });

  it("ring early by no more than a standstill counts for when the clock is set forward by an hour", () => {
    const rig = new Rig();
    rig.set("Timer C", 180_000);
    rig.stepAt(1_000, 3_600_000);
    rig.world.runUntil(200_000);
    const [[, at] = ["", 0]] = rig.rang;
    expect(180_000 - at).toBeLessThanOrEqual(5_000);
  });

  it("ring when the process goes on after it was frozen", () => {
    const rig = new Rig();
    rig.set("one", 500);
    rig.world.at(100, () => rig.host.freeze());
    rig.world.at(9_000, () => rig.host.thaw());
    rig.world.runUntil(20_000);
    expect(rig.rang).toEqual([["one", 9_000]]);
  });

  it("wait with the runtime where its clock stands instead of going back, and go on with it as if nothing had been", () => {
    const rig = new Rig(true);
    rig.set("measured", 500);
    rig.set("second", 900);
    rig.set("third", 30_000);
    rig.stepAt(100, -60_000);
    rig.world.runUntil(200_000);
    expect(rig.rang).toEqual([
      ["measured", 500],
      ["second", 60_900],
      ["third", 90_000],
    ]);
  });
});
