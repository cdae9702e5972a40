import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GuessBrake, type Login } from "../../../sip/auth/guess-brake.ts";
import {
  failedLoginMsPerAddress,
  failedLoginMsPerFlow,
  failedLoginMsPerUser,
  failedLoginsPerAddressDefault,
  failedLoginsRememberedMax,
  knownFlowsMax,
  knownLoginsMax,
  newcomersTriesFactor,
  newcomersTriesShare,
} from "../../../sip/limits.ts";

const now = 1_700_000_000_000;
const perFlow = failedLoginsPerAddressDefault / 4;
const perAddress = failedLoginsPerAddressDefault;
const newcomersTries = perAddress * newcomersTriesShare;

/** A login from a port of an address. */
function from(source: string, user: string, port = 5060): Login {
  return { flow: `g1~u0..${source}.${port}`, source, user };
}

/** Everybody from another network as another user. */
function stranger(n: number): Login {
  return from(`2001:db8:${n}`, `user${n}`);
}

/** Guesses as fast as it is let, one a millisecond for so long; how many were looked at. */
function guesses(brake: GuessBrake, loginOf: (n: number) => Login, ms: number): number {
  let checked = 0;
  for (let n = 0; n < ms; n += 1) {
    const login = loginOf(n);
    if (brake.waitMs(login, now + n) > 0) continue;
    checked += 1;
    brake.failed(login, now + n);
  }
  return checked;
}

/** A user of its own for each guess. */
function userOf(n: number): Login {
  return from("198.51.100.7", `user${n}`);
}

/** A port of its own for each guess. */
function portOf(n: number): Login {
  return from("198.51.100.7", "alice", n);
}

describe("the brake on guessing", () => {
  it("looks at a quarter of the burst on one flow as one user, and at one more a minute", () => {
    const brake = new GuessBrake();
    const alice = from("198.51.100.7", "alice");
    expect(guesses(brake, () => alice, 3_000)).toBe(perFlow);
    expect(brake.waitMs(alice, now + 3_000)).toBeGreaterThan(0);
    expect(brake.waitMs(alice, now + failedLoginMsPerFlow)).toBe(0);
    expect(guesses(new GuessBrake(), () => alice, 600_000)).toBe(perFlow + 9);
  });

  it("looks at the burst of one address for many users, and at one more a second", () => {
    expect(guesses(new GuessBrake(), userOf, 500)).toBe(perAddress);
    expect(guesses(new GuessBrake(), userOf, 60_000)).toBe(perAddress + 60_000 / failedLoginMsPerAddress - 1);
  });

  it("looks at twice as many for one user from many ports of one address in an hour, and at ten more a minute", () => {
    expect(guesses(new GuessBrake(), portOf, 500)).toBe(perAddress);
    expect(guesses(new GuessBrake(), portOf, 600_000)).toBe(perAddress * 2 + 600_000 / failedLoginMsPerUser - 1);
  });

  it("looks at the first guess of every address, when all together have guessed too much for one user", () => {
    const brake = new GuessBrake();
    let checked = 0;
    for (let n = 0; n < 1_000; n += 1) checked += guesses(brake, () => from(`203.0.113.${n}`, "alice"), 3);
    // Three each until the user's share and that of newcomers are used up, then one each.
    expect(checked).toBeLessThan(1_000 + perAddress * 2 + perAddress * newcomersTriesFactor);
    expect(guesses(brake, () => from("203.0.113.5", "alice"), 1_000)).toBe(0);
  });

  it("nobody is locked out by strangers: an address that has not failed is looked at, whatever others do", () => {
    const act = fc.tuple(fc.integer({ min: 0, max: 9 }), fc.constantFrom("alice", "bob"), fc.integer({ min: 0, max: 5_000 }));
    fc.assert(
      fc.property(fc.array(act, { maxLength: 300 }), (acts) => {
        const brake = new GuessBrake(8);
        let at = now;
        for (const [n, user, ms] of acts) {
          at += ms;
          const login = from(`203.0.113.${n}`, user, n);
          if (brake.waitMs(login, at) === 0) brake.failed(login, at);
          expect(brake.waitMs(from("198.51.100.7", "alice"), at)).toBe(0);
        }
      }),
    );
  });

  it("a newcomer has some tries of his own at a user whom others guess at, for as long as these have fewer than a hundred addresses", () => {
    for (const strangers of [3, 90]) {
      const brake = new GuessBrake();
      for (let second = 0; second < 3_600; second += 1) {
        const at = now + second * 1_000;
        for (let n = 0; n < strangers; n += 1) {
          const login = from(`203.0.113.${n}`, "alice", 5060 + (second % 50));
          if (brake.waitMs(login, at) === 0) brake.failed(login, at);
        }
        if (second % 600 !== 599) continue;
        // Each time at a new place, where a password is mistyped three times.
        for (let mistakes = 0; mistakes < newcomersTries; mistakes += 1) {
          const alice = from(`198.51.100.${second / 599}`, "alice");
          expect(brake.waitMs(alice, at)).toBe(0);
          brake.failed(alice, at);
        }
        expect(brake.waitMs(from(`198.51.100.${second / 599}`, "alice"), at)).toBeGreaterThan(0);
      }
    }
  });

  it.each([
    [1, 700],
    [3, 720],
    [100, 2_700],
    [1_000, 10_000],
  ])("%i addresses that guess at one user for an hour have %i guesses looked at, not more", (strangers, max) => {
    const brake = new GuessBrake();
    let checked = 0;
    for (let second = 0; second < 3_600; second += 6) {
      const at = now + second * 1_000;
      for (let n = 0; n < strangers; n += 1) {
        const login = from(`203.${n >> 8}.113.${n & 255}`, "alice", 5060 + (second % 50));
        if (brake.waitMs(login, at) > 0) continue;
        brake.failed(login, at);
        checked += 1;
      }
    }
    expect(checked).toBeLessThanOrEqual(max);
  });

  it("what was let through over the burst makes nobody wait for longer than the next turn", () => {
    const brake = new GuessBrake();
    for (let n = 0; n < 3_000; n += 1) brake.failed(from(`203.0.${n >> 8}.${n & 255}`, "alice"), now);
    expect(brake.waitMs(from("203.0.0.1", "alice"), now + failedLoginMsPerUser)).toBe(0);
  });

  it("a flow that a user was right on does not suffer from anybody else at its address, in its own name or another's", () => {
    const brake = new GuessBrake();
    brake.succeeded(from("198.51.100.7", "alice", 5070), now);
    guesses(brake, (n) => from("198.51.100.7", "alice", n), 3_000);
    guesses(brake, (n) => from("198.51.100.7", `user${n}`, n), 3_000);
    expect(brake.waitMs(from("198.51.100.7", "alice", 5070), now + 3_000)).toBe(0);
    expect(brake.waitMs(from("198.51.100.7", "alice", 5071), now + 3_000)).toBeGreaterThan(0);
    // It is not free of its own.
    expect(guesses(brake, () => from("198.51.100.7", "alice", 5070), 1_000)).toBe(perFlow);
  });

  it("at an address that a user was right at, what others get wrong there does not count", () => {
    const brake = new GuessBrake();
    brake.succeeded(from("198.51.100.7", "alice", 5070), now);
    guesses(brake, (n) => from("198.51.100.7", `user${n}`), 3_000);
    guesses(brake, () => from("203.0.113.1", "alice"), 3_000);
    expect(brake.waitMs(from("198.51.100.7", "alice", 5071), now + 3_000)).toBe(0);
    expect(brake.waitMs(from("198.51.100.7", "bob"), now + 2_900)).toBeGreaterThan(0);
    expect(guesses(brake, (n) => from("198.51.100.7", "alice", 10_000 + n), 3_000)).toBe(perAddress);
  });

  it("remembers some flows of a user at an address: phones behind one NAT", () => {
    const brake = new GuessBrake();
    for (let n = 0; n <= knownFlowsMax; n += 1) brake.succeeded(from("198.51.100.7", "alice", n), now);
    guesses(brake, (n) => from("198.51.100.7", "alice", 10_000 + n), 3_000);
    const waits = Array.from({ length: knownFlowsMax + 1 }, (_, n) => brake.waitMs(from("198.51.100.7", "alice", n), now + 3_000) > 0);
    expect(waits).toEqual([true, ...Array.from({ length: knownFlowsMax }, () => false)]);
  });

  it("one phone with an old password leaves a new neighbour enough, however long it goes on", () => {
    const brake = new GuessBrake();
    const old = from("198.51.100.7", "old");
    for (let s = 0; s < 7_200; s += 1) {
      const at = now + s * 1_000;
      if (brake.waitMs(old, at) === 0) brake.failed(old, at);
      expect(brake.waitMs(from("198.51.100.7", "new", 7), at)).toBe(0);
    }
  });

  it("forgets the mistakes on a flow of who then knows the password", () => {
    const brake = new GuessBrake();
    const alice = from("198.51.100.7", "alice");
    for (let n = 0; n < perFlow - 1; n += 1) brake.failed(alice, now);
    brake.succeeded(alice, now);
    expect(guesses(brake, () => alice, 1_000)).toBe(perFlow);
  });

  it("is off with 0", () => {
    const brake = new GuessBrake(0);
    expect(guesses(brake, () => from("198.51.100.7", "alice"), 3_000)).toBe(3_000);
    brake.succeeded(from("198.51.100.7", "alice"), now);
    expect(brake.size).toBe(0);
  });

  it("is bounded: however many addresses fail for however many users", () => {
    const brake = new GuessBrake();
    for (let n = 0; n < 3 * failedLoginsRememberedMax; n += 1) brake.failed(stranger(n), now);
    expect(brake.size).toBe(4 * failedLoginsRememberedMax);
    for (let n = 0; n < knownLoginsMax + 1_000; n += 1) brake.succeeded(stranger(100_000 + n), now);
    expect(brake.size).toBe(4 * failedLoginsRememberedMax + knownLoginsMax);
    // The latest are remembered.
    const last = stranger(3 * failedLoginsRememberedMax - 1);
    for (let n = 0; n < perFlow; n += 1) brake.failed(last, now);
    expect(brake.waitMs(last, now)).toBeGreaterThan(0);
  });
});
