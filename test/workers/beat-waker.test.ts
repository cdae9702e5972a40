import { beforeEach, describe, expect, it } from "vitest";
import { BeatWaker } from "../../workers/core-group/beat-waker.ts";
import { beatBackstopMs } from "../../workers/limits.ts";

const periodMs = 1_000;

/** A core group that beats every second, and what wakes it. */
class Rig {
  now = 1_000_000;
  /** What the wall clock is ahead of the steady one. */
  aheadMs = 500_000_000;
  isRoom: true | Promise<boolean> = true;
  readonly room = { isFull: false, ask: () => this.isRoom };
  /** When alarms were to ring, by the wall clock, in the order in which they were set. */
  readonly alarms: number[] = [];
  /** When the timer rings, ms. */
  timerAt = Number.POSITIVE_INFINITY;
  readonly told: boolean[] = [];
  beats = 0;
  #nextTick = 0;
  readonly waker: BeatWaker;
  #ring = (): void => {};

  constructor(isOwnDisk: boolean) {
    this.waker = new BeatWaker({
      isOwnDisk,
      storage: { setAlarm: async (at) => void this.alarms.push(Number(at)) },
      room: this.room,
      clock: { now: () => this.now, wallAt: (moment) => moment + this.aheadMs },
      timer: (run) => {
        this.#ring = run;
        return {
          set: (delayMs) => void (this.timerAt = this.now + delayMs),
          clear: () => void (this.timerAt = Number.POSITIVE_INFINITY),
        };
      },
      rang: () => this.tick(),
      roomTold: (isRoom) => void this.told.push(isRoom),
    });
  }

  /** A tick, and the next one is due after a period. */
  beat(everyMs = periodMs): void {
    this.beats += 1;
    this.#nextTick = this.now + everyMs;
    this.waker.arm(this.#nextTick, this.#nextTick, this.now);
  }

  /** A beat, if one is due. */
  tick(): void {
    if (this.now >= this.#nextTick) this.beat();
    else this.waker.arm(this.#nextTick, this.#nextTick, this.now);
  }

  /** The timer rings whenever it is due. */
  runFor(ms: number): void {
    const until = this.now + ms;
    while (this.timerAt <= until) {
      this.now = this.timerAt;
      this.timerAt = Number.POSITIVE_INFINITY;
      this.#ring();
    }
    this.now = until;
  }
}

describe("a core group on a disk of one's own", () => {
  let rig: Rig;

  beforeEach(() => {
    rig = new Rig(true);
    rig.beat();
  });

  it("beats by a timer, and writes two alarms in a minute, none of which rings", () => {
    rig.runFor(2 * beatBackstopMs);
    expect(rig.beats).toBe(1 + (2 * beatBackstopMs) / periodMs);
    expect(rig.alarms).toHaveLength(5);
    for (const [index, at] of rig.alarms.entries()) expect(rig.alarms[index + 1] ?? at).toBeLessThan(at + beatBackstopMs);
    expect(rig.alarms.at(-1)).toBeGreaterThan(rig.now + rig.aheadMs);
  });

  it("that is reset is woken within a minute though nobody calls it", () => {
    for (let second = 0; second < 100; second += 1) {
      rig.runFor(periodMs);
      const untilAlarmMs = (rig.alarms.at(-1) ?? Number.POSITIVE_INFINITY) - rig.aheadMs - rig.now;
      expect(untilAlarmMs).toBeGreaterThanOrEqual(periodMs);
      expect(untilAlarmMs).toBeLessThanOrEqual(beatBackstopMs);
    }
  });

  it("sets the alarm again for the clock that people see, when that was set back", () => {
    rig.aheadMs -= 3_600_000;
    rig.runFor(beatBackstopMs);
    expect(rig.alarms.at(-1)).toBeLessThanOrEqual(rig.now + rig.aheadMs + beatBackstopMs);
  });

  it("sets an alarm at once when the one before has rung: the clock was set forward", () => {
    rig.waker.alarmRang();
    rig.beat();
    expect(rig.alarms).toHaveLength(2);
  });

  it("with slow beats has its alarm behind the next one", () => {
    rig.beat(60_000);
    expect(rig.alarms.at(-1)).toBe(rig.now + rig.aheadMs + 120_000);
  });

  it("goes on without room for an alarm, and says when it is known that there is none", async () => {
    rig = new Rig(true);
    rig.isRoom = Promise.resolve(false);
    rig.beat();
    await rig.waker.arming;
    expect([rig.alarms, rig.told]).toEqual([[], [false]]);
    rig.room.isFull = true;
    rig.runFor(3 * periodMs);
    expect([rig.beats, rig.alarms]).toEqual([4, []]);
    [rig.room.isFull, rig.isRoom] = [false, Promise.resolve(true)];
    rig.runFor(periodMs);
    await rig.waker.arming;
    expect([rig.alarms.length, rig.told]).toEqual([1, [false, true]]);
  });
});

describe("a core group on Cloudflare", () => {
  it("beats by alarms, and has no timer: since compatibility date 2026-10-01 one keeps the object awake, which is billed", () => {
    const rig = new Rig(false);
    for (let beat = 0; beat < 5; beat += 1) {
      rig.waker.alarmRang();
      rig.beat();
      expect(rig.alarms.at(-1)).toBe(rig.now + rig.aheadMs + periodMs);
      rig.runFor(periodMs);
      expect(rig.timerAt).toBe(Number.POSITIVE_INFINITY);
    }
    expect([rig.beats, rig.alarms.length]).toEqual([5, 5]);
  });

  it("finds with any event that its alarm is late", () => {
    const rig = new Rig(false);
    rig.beat();
    rig.runFor(periodMs + 500);
    rig.tick();
    expect([rig.beats, rig.alarms.length]).toEqual([2, 2]);
  });

  it("has a timer for what comes before its next beat, and lets go of it when that is over", () => {
    const rig = new Rig(false);
    rig.waker.arm(rig.now + periodMs, rig.now + 300, rig.now);
    expect(rig.timerAt).toBe(rig.now + 300);
    rig.waker.arm(rig.now + periodMs, rig.now + periodMs, rig.now);
    expect(rig.timerAt).toBe(Number.POSITIVE_INFINITY);
    expect(rig.alarms).toEqual([rig.now + rig.aheadMs + periodMs]);
  });

  it("has a timer between beats that are so slow that it would sleep", () => {
    const rig = new Rig(false);
    rig.beat(30_000);
    expect(rig.timerAt).toBe(rig.now + 30_000);
  });
});
