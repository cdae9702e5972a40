import { describe, expect, it } from "vitest";
import {
  shedBeginsDelayMs,
  shedBeginsMs,
  shedColdMs,
  shedDelayMs,
  shedEndsMs,
  shedSoonDelayMs,
  shedSoonMs,
  shedUpdateMs,
} from "../../../cluster/limits.ts";
import { Shedding } from "../../../cluster/overload/shedding.ts";

/** What each call costs a second's work of, and what refusing one costs. */
type Machine = {
  /** Whole calls that it can do in a second. */
  readonly callsPerSecond: number;
  /** Of a call's work, what comes with its INVITE; the rest comes a second later. */
  readonly firstPart: number;
  /** What a refusal costs, of a call. */
  readonly refusal: number;
  /** The machine's slices: it works in the first part of each only, ms. */
  readonly sliceMs?: number;
};

const machine: Machine = { callsPerSecond: 150, firstPart: 0.45, refusal: 0.05 };

type Second = { taken: number; refused: number; delayMs: number };

/** What has had nothing to do for so long that it is warm at 0. */
function warm(): Shedding {
  const shedding = new Shedding();
  shedding.measured(0, -shedColdMs);
  return shedding;
}

/** A queue, first come first served, before which the share of new calls is refused. Time passes in steps of a millisecond. */
function run(
  offered: (second: number) => number,
  seconds: number,
  { callsPerSecond, firstPart, refusal }: Machine,
  shedding = warm(),
  slowness: (now: number) => number = () => 1,
): Second[] {
  const perMs = 1_000 / callsPerSecond;
  const history: Second[] = [];
  /** Work that waits, ms, and work that comes later, by when. */
  let waiting = 0;
  const later = new Map<number, number>();
  let [offeredSoFar, taken, decided] = [0, 0, 0];
  for (let now = 0; now < seconds * 1_000; now += 1) {
    const second = Math.floor(now / 1_000);
    const now1 = (history[second] ??= { taken: 0, refused: 0, delayMs: 0 });
    waiting = Math.max(0, waiting - 1 / slowness(now)) + (later.get(now) ?? 0);
    later.delete(now);
    if (shedding.isDue(now)) shedding.measured(waiting * slowness(now), now);
    offeredSoFar += offered(second) / 1_000;
    while (decided < Math.floor(offeredSoFar)) {
      decided += 1;
      // Evenly: chance is not what is tested here.
      if (Math.floor((decided + 1) * shedding.share) > Math.floor(decided * shedding.share)) {
        now1.refused += 1;
        waiting += refusal * perMs;
        continue;
      }
      taken += 1;
      now1.taken += 1;
      waiting += firstPart * perMs;
      const at = now + 1_000 + Math.round(waiting);
      later.set(at, (later.get(at) ?? 0) + (1 - firstPart) * perMs);
    }
    now1.delayMs = Math.max(now1.delayMs, waiting * slowness(now));
  }
  expect(taken).toBeGreaterThan(0);
  return history;
}

function sum(seconds: readonly Second[], of: (second: Second) => number): number {
  return seconds.reduce((total, second) => total + of(second), 0);
}

describe("a machine that is offered three times what it can do", () => {
  // What the refusals leave of its time.
  const fits = (150 - 450 * machine.refusal) / (1 - machine.refusal);

  it("does nine tenths of what fits, and no more than fits", () => {
    const seconds = run(() => 450, 40, machine).slice(3, 39);
    const perSecond = sum(seconds, ({ taken }) => taken) / seconds.length;
    expect(perSecond).toBeGreaterThan(0.9 * fits);
    expect(perSecond).toBeLessThan(1.02 * fits);
  });

  it("is late for a moment at first, and not afterwards", () => {
    const seconds = run(() => 450, 40, machine);
    expect(Math.max(...seconds.slice(0, 8).map(({ delayMs }) => delayMs))).toBeLessThan(2_500);
    expect(Math.max(...seconds.slice(8).map(({ delayMs }) => delayMs))).toBeLessThan(2.5 * shedDelayMs);
  });

  it("refuses nothing any more four seconds after it is offered less than it can do", () => {
    const seconds = run((second) => (second < 15 ? 450 : 50), 20, machine);
    expect(sum(seconds.slice(19), ({ refused }) => refused)).toBe(0);
  });

  it("does as well at another size and another excess", () => {
    for (const [callsPerSecond, offered] of [
      [40, 60],
      [150, 170],
      [1_500, 6_000],
      [2_000, 2_400],
    ] as const) {
      const here = { ...machine, callsPerSecond };
      const room = (callsPerSecond - offered * here.refusal) / (1 - here.refusal);
      const seconds = run(() => offered, 40, here).slice(8, 39);
      const perSecond = sum(seconds, ({ taken }) => taken) / seconds.length;
      expect([offered, perSecond > 0.9 * room, perSecond < 1.03 * room]).toEqual([offered, true, true]);
      expect(Math.max(...seconds.map(({ delayMs }) => delayMs))).toBeLessThan(3 * shedDelayMs);
    }
  });
});

describe("what is no overload", () => {
  it("is all that fits", () => {
    expect(
      sum(
        run(() => 140, 20, machine),
        ({ refused }) => refused,
      ),
    ).toBe(0);
  });

  it("is a moment, however late all is then", () => {
    expect(beganAt(warm(), (now) => (now >= 2_000 && now < 2_000 + shedSoonMs - shedUpdateMs ? 3_000 : 5), 5_000)).toBeUndefined();
  });

  it("is what phones wait for without asking twice, for as long as it does not last", () => {
    expect(beganAt(warm(), lateFor(shedBeginsMs - shedUpdateMs), 10_000)).toBeUndefined();
    expect(beganAt(warm(), lateFor(shedBeginsMs + 2 * shedUpdateMs), 10_000)).toBeGreaterThanOrEqual(2_000 + shedBeginsMs - shedUpdateMs);
  });

  it("is a queue that shrinks, however long it takes", () => {
    expect(beganAt(warm(), (now) => (now < 2_000 ? 5 : Math.max(0, 3_000 - (now - 2_000) / 3)), 20_000)).toBeUndefined();
    expect(beganAt(warm(), (now) => (now < 2_000 ? 5 : (now - 2_000) / 3), 20_000)).toBeLessThanOrEqual(2_000 + 2 * shedBeginsMs);
  });

  it("is a start with cold code: calls take four times as long in the first seconds, and a second's calls wait", () => {
    const seconds = run(
      () => 70,
      30,
      machine,
      new Shedding(),
      (now) => (now < 3_000 ? 4 : 1),
    );
    expect(Math.max(...seconds.map(({ delayMs }) => delayMs))).toBeGreaterThan(shedBeginsDelayMs);
    expect(sum(seconds, ({ refused }) => refused)).toBe(0);
  });

  it("is a neighbour who takes three quarters of the processor for a second", () => {
    const seconds = run(
      () => 70,
      30,
      machine,
      warm(),
      (now) => (now >= 10_000 && now < 11_000 ? 4 : 1),
    );
    expect(Math.max(...seconds.map(({ delayMs }) => delayMs))).toBeGreaterThan(shedBeginsDelayMs);
    expect(sum(seconds, ({ refused }) => refused)).toBe(0);
  });

  it("is the first that is heard after a long time, however late", () => {
    const shedding = new Shedding();
    expect(shedding.measured(3_000, 100_000)).toBeUndefined();
  });

  it("is a second of silence, after which all is answered: what was silent is not late yet", () => {
    const shedding = warm();
    for (let now = 0; now < 8_000; now += shedUpdateMs) {
      const delayMs = now < 2_000 ? 5 : now < 2_900 ? undefined : Math.max(0, 1_500 - (now - 2_900));
      expect([now, shedding.measured(delayMs, now)]).toEqual([now, undefined]);
    }
  });

  it("is silence: nothing was answered", () => {
    const shedding = new Shedding();
    for (let now = 0; now < 5_000; now += shedUpdateMs) shedding.measured(now < 1_000 ? 5 : undefined, now);
    expect([shedding.isOn, shedding.share]).toEqual([false, 0]);
  });

  it("is a takeover or a start, unless far more is waited for longer", () => {
    for (const delayMs of [2 * shedBeginsDelayMs, shedSoonDelayMs]) {
      const shedding = warm();
      expect(shedding.measured(5, 0)).toBeUndefined();
      shedding.disturbed(100);
      const began = beganAt(shedding, () => delayMs, 20_000, 100);
      expect(began).toBeGreaterThanOrEqual(100 + (delayMs < shedSoonDelayMs ? shedColdMs : shedBeginsMs));
      expect(began).toBeLessThanOrEqual(200 + (delayMs < shedSoonDelayMs ? shedColdMs : shedBeginsMs));
    }
  });

  it("is not that three times too much is offered at the start: it is refused, only later", () => {
    const seconds = run(() => 450, 40, machine, new Shedding());
    expect(sum(seconds.slice(0, 5), ({ refused }) => refused)).toBeGreaterThan(0);
    expect(Math.max(...seconds.slice(20).map(({ delayMs }) => delayMs))).toBeLessThan(2.5 * shedDelayMs);
  });
});

/** What each frame waited that such a machine has answered in each 100 ms, and which frames of it: it stands still from 2 s on. */
function stalled(stallMs: number, perSecond: number, canPerSecond: number): (now: number) => number | undefined {
  const end = 2_000 + stallMs;
  /** When the oldest that waits was given to it. */
  let oldest = 0;
  return (now) => {
    if (now < 2_000) return 5;
    if (now < end) return undefined;
    // In a tenth of a second it does this much of what came in so many ms.
    oldest = Math.min(now - 5, Math.max(oldest, 2_000 - 5) + (now === end ? 0 : (shedUpdateMs * canPerSecond) / perSecond));
    return now - oldest;
  };
}

/** It answers for 300 ms of each second from 2 s on. */
function standsStillAgain(now: number): number | undefined {
  return now < 2_000 ? 5 : now % 1_000 < 700 ? undefined : 1_800;
}

describe("a cell that stood still", () => {
  it.each([
    [1_500, 200, 600],
    [1_500, 200, 300],
    [1_500, 200, 210],
    [2_500, 200, 300],
  ])("for %i ms is no overload at %i calls a second of %i that it can do", (stallMs, perSecond, canPerSecond) => {
    expect(beganAt(warm(), stalled(stallMs, perSecond, canPerSecond), 60_000)).toBeUndefined();
  });

  it("works off what it was given, with what phones have said again, and refuses nobody", () => {
    // A second of what it does is copies: what is waited falls late, and by fits and starts.
    const waited = [1_450, 1_500, 1_380, 1_460, 1_400, 1_450, 1_350, 1_250, 1_300, 1_200, 1_250, 1_100, 900, 950, 700, 400, 100];
    const trace = (now: number): number | undefined => (now < 2_000 ? 5 : now < 3_500 ? undefined : (waited[(now - 3_500) / 100] ?? 5));
    expect(beganAt(warm(), trace, 10_000)).toBeUndefined();
  });

  it("and is given more than it can do refuses soon: that grows, or lasts", () => {
    for (const [canPerSecond, soonMs] of [
      [70, 1_500],
      [150, 3_000],
      [195, 4_000],
    ] as const) {
      const began = beganAt(warm(), stalled(1_500, 200, canPerSecond), 20_000);
      expect([canPerSecond, began !== undefined && began <= 3_500 + soonMs]).toEqual([canPerSecond, true]);
    }
  });

  it("and stands still again and again is late", () => {
    expect(beganAt(warm(), standsStillAgain, 20_000)).toBeLessThanOrEqual(6_000);
  });
});

/** Late from the second second on, for so long. */
function lateFor(ms: number): (now: number) => number {
  return (now) => (now >= 2_000 && now < 2_000 + ms ? 2 * shedBeginsDelayMs : 5);
}

/** When it began with these delays, ms. */
function beganAt(shedding: Shedding, delayMs: (now: number) => number | undefined, ms: number, from = 0): number | undefined {
  for (let now = from; now < ms; now += shedUpdateMs) if (shedding.measured(delayMs(now), now) === "began") return now;
  return undefined;
}

describe("its news", () => {
  it("come once when it begins and once when it is over, with a second between at least", () => {
    const shedding = warm();
    const news: string[] = [];
    for (let now = 0; now < 10_000; now += shedUpdateMs) {
      const isLate = now >= 1_000 && now < 4_000;
      const said = shedding.measured(isLate ? 600 : 5, now);
      if (said !== undefined) news.push(`${said} ${now}`);
    }
    expect(news.map((text) => text.split(" ")[0])).toEqual(["began", "ended"]);
    const ended = Number(news[1]?.split(" ")[1]);
    expect(ended).toBeGreaterThanOrEqual(4_000 + shedEndsMs);
    expect(ended).toBeLessThan(4_000 + 6 * shedEndsMs);
  });
});
