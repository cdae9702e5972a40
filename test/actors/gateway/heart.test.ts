import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { TimeoutTimer } from "../../../gateway/timeout-timer.ts";
import { Heart } from "../../../actors/gateway/heart.ts";

let heart: Heart;
let told: string[];

function started(periodMs: number, lookMsMax: number): void {
  heart = new Heart(periodMs, lookMsMax, (run) => new TimeoutTimer(run));
  told = [];
  heart.onBeat(() => void told.push(`beat ${performance.now()}`));
  heart.onLook(() => void told.push(`look ${performance.now()}`));
}

beforeEach(() => void vi.useFakeTimers({ now: 0 }));

afterEach(() => {
  heart.stop();
  vi.useRealTimers();
});

it("looks and beats at one time, with one timer", () => {
  started(1_000, 1_000);
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(2_500);
  expect(told).toEqual(["look 1000", "beat 1000", "look 2000", "beat 2000"]);
});

it("looks in between where a period is long, evenly", () => {
  started(1_500, 1_000);
  expect(heart.lookMs).toBe(750);
  vi.advanceTimersByTime(2_300);
  expect(told).toEqual(["look 750", "look 1500", "beat 1500", "look 2250"]);
});

it("takes another period at once; the same one changes nothing", () => {
  started(60_000, 1_000);
  vi.advanceTimersByTime(500);
  heart.beatBy(100);
  vi.advanceTimersByTime(60);
  heart.beatBy(100);
  vi.advanceTimersByTime(50);
  expect(told).toEqual(["look 600", "beat 600"]);
  heart.stop();
  expect(vi.getTimerCount()).toBe(0);
});
