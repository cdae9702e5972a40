import { expect, describe, it } from "vitest";
import { clockJumpMsMin, countedMsMax } from "../../../cluster/limits.ts";
import { SteadyClock } from "../../../cluster/time/steady-clock.ts";

const epoch = 1_790_000_000_000;
const hourMs = 3_600_000;

/** A steady count over a wall clock that a test sets. */
class Rig {
  wall = epoch;
  isWatched = true;
  setBacks = 0;
  readonly clock = new SteadyClock({
    wall: () => this.wall,
    isWatched: () => this.isWatched,
    wasSetBack: () => void (this.setBacks += 1),
    origin: 1_000,
  });

  /** The count after so much by the wall clock. */
  after(ms: number): number {
    this.wall += ms;
    return this.clock.now();
  }
}

describe("a steady count", () => {
  it("goes with the wall clock, and begins with what that says unless another origin is given", () => {
    const rig = new Rig();
    expect([rig.after(0), rig.after(5), rig.after(2_000), rig.clock.latest]).toEqual([1_000, 1_005, 3_005, 3_005]);
    expect(new SteadyClock({ wall: () => epoch, isWatched: () => true, wasSetBack: () => undefined }).now()).toBe(epoch);
  });

  it("stands when the wall clock is set back, and goes on with it from there", () => {
    const rig = new Rig();
    expect([rig.after(-hourMs), rig.after(500), rig.after(-1), rig.after(10)]).toEqual([1_000, 1_500, 1_500, 1_510]);
    expect(rig.setBacks).toBe(2);
  });

  it("knows what the wall clock says at its moments, before a step and after it", () => {
    const rig = new Rig();
    expect(rig.clock.wallAt(rig.after(10))).toBe(epoch + 10);
    expect(rig.clock.wallAt(rig.after(-60_000))).toBe(epoch - 59_990);
    expect(rig.clock.wallAt(rig.after(hourMs))).toBe(epoch - 59_990 + hourMs);
    expect(rig.clock.wallAt(rig.clock.latest + 500)).toBe(rig.wall + 500);
  });

  it(`counts a step forward, or a standstill, for ${clockJumpMsMin} ms while timers are set`, () => {
    const rig = new Rig();
    expect([rig.after(clockJumpMsMin), rig.after(hourMs), rig.after(10)]).toEqual([6_000, 11_000, 11_010]);
  });

  it("counts all that has passed while no timer was set: nobody looked", () => {
    const rig = new Rig();
    rig.isWatched = false;
    expect(rig.after(hourMs)).toBe(1_000 + hourMs);
  });

  it("counts a standstill for longer than the silence after which others take over", () => {
    const rig = new Rig();
    const heartbeat = { periodMs: 5_000, missed: 3 };
    rig.clock.countAtMost(countedMsMax(heartbeat));
    expect(rig.after(hourMs) - 1_000).toBeGreaterThan(heartbeat.periodMs * heartbeat.missed);
    rig.clock.countAtMost(10);
    expect(rig.after(hourMs)).toBe(1_000 + countedMsMax(heartbeat) + clockJumpMsMin);
  });

  it("has come to where a timer was set to when that rings, though the wall clock was set back meanwhile", () => {
    const rig = new Rig();
    rig.wall -= 60_000 - 500;
    expect(rig.clock.reached(1_500)).toBe(1_500);
    expect(rig.after(1)).toBe(1_501);
    rig.wall += 700;
    expect(rig.clock.reached(2_000)).toBe(2_201);
  });

  it("never goes back, whatever the wall clock does", () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const rig = new Rig();
      let last = rig.clock.now();
      for (let step = 0; step < 50; step += 1) {
        const random = Math.abs(Math.sin(seed * 1_000 + step)) % 1;
        rig.wall += Math.round((random - 0.45) * (step % 7 === 0 ? 2 * hourMs : 500));
        const now = step % 3 === 0 ? rig.clock.reached(last + Math.round(random * 300)) : rig.clock.now();
        expect(now).toBeGreaterThanOrEqual(last);
        expect(now - last).toBeLessThanOrEqual(clockJumpMsMin);
        last = now;
      }
    }
  });
});
