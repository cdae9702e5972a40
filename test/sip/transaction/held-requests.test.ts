import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  answeredMs,
  heldInviteOctets,
  heldOctetsMax,
  heldOctetsOfStrangersMax,
  heldOctetsPerCalleeMax,
  heldOctetsPerSourceMax,
  heldStrangerShare,
  heldStrangersShare,
} from "../../../sip/limits.ts";
import { HeldRequests, type Held } from "../../../sip/transaction/held-requests.ts";

const length = 900;

function bob(): string {
  return "bob";
}

/** Holds INVITEs, as many as may be. */
function fill(requests: HeldRequests, sourceOf: (n: number) => string, calleeOf: (n: number) => string, isStranger: boolean): Held[] {
  const held: Held[] = [];
  for (let n = 0; n < 20_000; n += 1) {
    const one = requests.hold(sourceOf(n), length, true, 1);
    if (one === undefined) continue;
    if (requests.charge(one, calleeOf(n), isStranger, 2 * length, 0)) held.push(one);
    else requests.release(one);
  }
  return held;
}

describe("requests that wait", () => {
  it("of one source have a share, and others of any source go on", () => {
    const requests = new HeldRequests();
    const flood = fill(
      requests,
      () => "flood",
      (n) => `callee ${n}`,
      false,
    );
    expect(flood.length).toBeGreaterThan(1_000);
    expect(requests.octets).toBeLessThanOrEqual(heldOctetsPerSourceMax);
    // An office behind one address, with hundreds of calls.
    const office = Array.from({ length: 500 }, () => requests.hold("office", length, true, 1));
    expect(office).not.toContain(undefined);
  });

  it("for one callee have a share, and others are called", () => {
    const requests = new HeldRequests();
    const flood = fill(
      requests,
      (n) => `source ${n}`,
      () => "bob",
      false,
    );
    expect(flood.length).toBeGreaterThan(200);
    expect(requests.octets).toBeLessThanOrEqual(heldOctetsPerCalleeMax);
    const other = requests.hold("alice", length, true, 1);
    expect(other !== undefined && requests.charge(other, "carol", false, length, 0)).toBe(true);
  });

  it("of strangers have a share, from however many addresses and for however many callees", () => {
    const requests = new HeldRequests();
    fill(
      requests,
      (n) => `source ${n}`,
      (n) => `callee ${n}`,
      true,
    );
    expect(requests.octets).toBeLessThanOrEqual(heldOctetsOfStrangersMax);
    const subscribers = fill(
      requests,
      (n) => `phone ${n}`,
      (n) => `friend ${n}`,
      false,
    );
    expect(subscribers.length).toBeGreaterThan(1_000);
    expect(requests.octets).toBeLessThanOrEqual(heldOctetsMax);
    // Within calls there is a reserve.
    expect(requests.hold("new", length, true, 1)).toBeUndefined();
    expect(requests.hold("in a call", length, true, 1.25)).toBeDefined();
  });

  it("of strangers leave room at each callee for callers who have shown a password, and one of them for others", () => {
    const requests = new HeldRequests();
    const flood = fill(requests, () => "flood", bob, true);
    expect(flood.length).toBeGreaterThan(50);
    expect(requests.octets).toBeLessThanOrEqual(heldOctetsPerCalleeMax * heldStrangerShare);
    const others = fill(requests, (n) => `source ${n}`, bob, true);
    expect(others.length).toBeGreaterThan(50);
    expect(requests.octets).toBeLessThanOrEqual(heldOctetsPerCalleeMax * heldStrangersShare);
    expect(fill(requests, () => "alice", bob, false).length).toBeGreaterThan(100);
    for (const one of [...flood, ...others]) requests.release(one);
    expect(fill(requests, () => "flood", bob, true).length).toBeGreaterThan(50);
  });

  it("of a callee who answers have as much more room as was answered lately, strangers' too, and none a while later", () => {
    const requests = new HeldRequests();
    const call = (now: number): Held | undefined => {
      const one = requests.hold("carrier", length, true, 1);
      if (one === undefined || requests.charge(one, "bob", true, 2 * length, now)) return one;
      requests.release(one);
      return undefined;
    };
    // 400 calls/s, answered after 5 ms; then the system lags.
    for (let now = 0; now < 4_000; now += 5) {
      const calls = [call(now), call(now)];
      for (const one of calls) if (one !== undefined) requests.release(one, now + 5);
      expect(calls).not.toContain(undefined);
    }
    const waiting: Held[] = [];
    for (let one = call(4_000); one !== undefined; one = call(4_000)) waiting.push(one);
    expect(waiting.length).toBeGreaterThan(800);
    expect(requests.octets).toBeLessThanOrEqual(heldOctetsPerSourceMax);
    for (const one of waiting) requests.release(one);
    // Nobody answers any more.
    const rang = Array.from({ length: 1_000 }, () => call(4_000 + 2 * answeredMs)).filter((one) => one !== undefined);
    expect(rang.length).toBe(Math.floor((heldOctetsPerCalleeMax * heldStrangerShare) / (heldInviteOctets + 4 * length)));
  });

  it("count for what they are: large ones are few", () => {
    const requests = new HeldRequests();
    let count = 0;
    while (requests.hold(`source ${count}`, 64 * 1024, true, 1) !== undefined) count += 1;
    expect(count).toBe(Math.floor(heldOctetsMax / (heldInviteOctets + 2 * 64 * 1024)));
  });

  it("leave nothing behind, whatever happens in whatever order", () => {
    const step = fc.record({
      source: fc.constantFrom("a", "b"),
      callee: fc.constantFrom("", "x", "y"),
      isStranger: fc.boolean(),
      which: fc.nat(),
    });
    const limits = { all: 100_000, perSource: 60_000, perCallee: 50_000, ofStrangers: 40_000 };
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const requests = new HeldRequests(limits);
        const all: Held[] = [];
        for (const { source, callee, isStranger, which } of steps) {
          const one = requests.hold(source, which % 5_000, which % 2 === 0, 1);
          if (one !== undefined) all.push(one);
          const some = all[which % Math.max(1, all.length)];
          if (some !== undefined && which % 3 === 0) requests.charge(some, callee, isStranger, which % 1_000, 0);
          else if (some !== undefined && which % 3 === 1) requests.release(some);
        }
        for (const one of all) requests.release(one);
        expect(requests.octets).toBe(0);
        // All limits are as at the start.
        const full = requests.hold("a", 10_000, true, 1);
        expect(full !== undefined && requests.charge(full, "x", true, limits.perCallee * heldStrangerShare - full.octets, 0)).toBe(true);
      }),
    );
  });
});
