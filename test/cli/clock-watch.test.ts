import { beforeEach, expect, it } from "vitest";
import { ClockWatch } from "../../cli/clock-watch.ts";

let wall: number;
let steady: number;
let told: number[];
let over: () => void;
let watch: ClockWatch;

beforeEach(() => {
  [wall, steady, told] = [Date.UTC(2026, 10, 30), 5_000, []];
  watch = new ClockWatch({
    wall: () => wall,
    steady: () => steady,
    wasSetBack: (byMs) => {
      told.push(byMs);
      return new Promise((resolve) => {
        over = resolve;
      });
    },
  });
});

/** A second passes, and the clock is set meanwhile. */
function pass(setByMs = 0): void {
  steady += 1_000;
  wall += 1_000 + setByMs;
  watch.look();
}

it("tells of a clock that was set back, once", () => {
  pass();
  pass(-60_000);
  pass();
  expect(told).toEqual([60_000]);
});

it("says nothing of a clock that was set forward, that is slewed, or of a machine that slept", () => {
  pass(3_600_000);
  for (let second = 0; second < 100; second += 1) pass(-500);
  wall += 3_600_000;
  pass();
  expect(told).toEqual([]);
});

it("tells of a step that comes while the one before is dealt with, when that is over", async () => {
  pass(-60_000);
  pass(-5_000);
  pass(-4_000);
  expect(told).toEqual([60_000]);
  over();
  await Promise.resolve();
  await Promise.resolve();
  pass();
  expect(told).toEqual([60_000, 9_000]);
});
