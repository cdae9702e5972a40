import { describe, expect, it } from "vitest";
import { FarClock, isLate, TimelySend } from "../../../cluster/time/far-clock.ts";

const validMs = 1_500;
const patienceMs = 2_000;

/** A sender and a receiver whose clock is another one, and the way between them. */
class Way {
  now = 1_790_000_000_000;
  readonly clock = new FarClock();
  delivered = 0;
  aheadMs: number;

  constructor(aheadMs: number) {
    this.aheadMs = aheadMs;
  }

  /** One try: how it is received after `delayMs`. The receiver's answer, its time, comes `backMs` later. */
  try(send: TimelySend, delayMs: number, backMs = delayMs): "delivered" | "again" | "given up" {
    const until = send.until(this.now);
    this.now += delayMs;
    const theirs = this.now + this.aheadMs;
    const isTaken = until !== undefined && !isLate(until, theirs);
    if (isTaken) this.delivered += 1;
    this.now += backMs;
    if (!isTaken) return send.refused(theirs, this.now) ? "again" : "given up";
    this.clock.heard(theirs, this.now);
    return "delivered";
  }

  send(): TimelySend {
    return new TimelySend(this.clock, this.now, validMs, patienceMs);
  }

  /** Sends until it is delivered or given up; the tries. */
  bring(delayMs: number): number {
    const send = this.send();
    for (let tries = 1; ; tries += 1) {
      const outcome = this.try(send, delayMs);
      if (outcome !== "again") return outcome === "delivered" ? tries : -tries;
    }
  }
}

describe.each([-30_000, 0, 30_000])("what is sent to a clock that is %d ms ahead", (aheadMs) => {
  it("is asked for its time with the first frame ever, and delivered by the second try", () => {
    const way = new Way(aheadMs);
    expect(way.send().until(way.now)).toBeUndefined();
    expect(way.bring(100)).toBe(2);
    expect(way.bring(100)).toBe(1);
  });

  it("is delivered within the time that it is wanted, however long the way is, and never after", () => {
    const way = new Way(aheadMs);
    way.bring(1);
    const outcomes = new Map<number, string>();
    for (let delayMs = 0; delayMs <= 2 * patienceMs; delayMs += 50) outcomes.set(delayMs, way.try(way.send(), delayMs, 1));
    expect(way.delivered - 1).toBe([...outcomes.values()].filter((outcome) => outcome === "delivered").length);
    const wanted = [...outcomes.keys()].map((delayMs) => {
      return delayMs < validMs ? "delivered" : delayMs < patienceMs ? "again" : "given up";
    });
    expect([...outcomes.values()]).toEqual(wanted);
  });

  it("is sent again when it comes late while its sender waits still, and by then is as good as new", () => {
    const way = new Way(aheadMs);
    way.bring(5);
    const send = way.send();
    expect([way.try(send, validMs + 100, 5), way.try(send, 5), way.delivered]).toEqual(["again", "delivered", 2]);
  });

  it("is late after a freeze or a cut: a burst of old frames comes first, and the new one behind them is delivered at its first try", () => {
    const way = new Way(aheadMs);
    way.bring(5);
    const old = Array.from({ length: 20 }, () => way.send());
    const untils = old.map((send) => send.until(way.now));
    way.now += 10_000;
    expect(untils.map((until) => isLate(until, way.now + aheadMs))).toEqual(untils.map(() => true));
    expect(way.bring(5)).toBe(1);
  });

  it.each([-20_000, 20_000])("survives that the clock is set by %d ms: at most one try more", (stepMs) => {
    const way = new Way(aheadMs);
    way.bring(5);
    way.aheadMs += stepMs;
    expect(way.bring(5)).toBe(stepMs > 0 ? 2 : 1);
    expect(way.bring(5)).toBe(1);
    // What waits is late by the clock as it is now.
    const until = way.send().until(way.now);
    expect(isLate(until, way.now + way.aheadMs + validMs + 20)).toBe(true);
  });
});

describe("an answer that was read late, because this side stood still,", () => {
  it("costs a try, and no delivery after the time", () => {
    const way = new Way(0);
    way.try(way.send(), 1, 5_000);
    expect(way.bring(1)).toBe(2);
  });
});

describe("a receiver that refuses without end", () => {
  it("is asked three times", () => {
    const clock = new FarClock();
    const send = new TimelySend(clock, 0, validMs, patienceMs);
    expect([1, 2, 3].map((now) => send.refused(9_999, now))).toEqual([true, true, false]);
  });

  it("and says no time is asked once", () => {
    const send = new TimelySend(new FarClock(), 0, validMs, patienceMs);
    expect(send.refused(Number.NaN, 1)).toBe(false);
  });
});

it("what names no time is never late", () => {
  expect(isLate(undefined, 1e15)).toBe(false);
});
