import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isOutdated, makeNonce, parseNonce, type Nonce, type NonceIssuer, type NonceUse } from "../../../sip/auth/nonce.ts";
import { NonceMemory } from "../../../sip/auth/nonce-memory.ts";
import { noncesRememberedMax, nonceWindow } from "../../../sip/limits.ts";
import { sign } from "./hash.ts";

const now = 1_700_000_000_000;

function nonce(issuedAt: number, id = String(issuedAt)): Nonce {
  return { issuedAt, id };
}

const issuer: NonceIssuer = { replica: "0 a", boot: "b00t" };
const purpose: NonceUse = { realm: "example.test", source: "198.51.100.7" };

describe("nonces", () => {
  it("[RFC7616 3.3] are known again by who made them, for whom they were made, with the time", () => {
    const text = makeNonce(issuer, purpose, now, "r4nd0m", sign);
    expect(parseNonce(text, issuer, { ...purpose, realm: "Example.TEST" }, sign)).toMatchObject({ issuedAt: now });
    for (const other of [{ realm: "other.test" }, { source: "198.51.100.8" }]) {
      expect(parseNonce(text, issuer, { ...purpose, ...other }, sign)).toBeUndefined();
    }
    for (const other of [{ replica: "0 b" }, { replica: "1 a" }, { boot: "b00x" }]) {
      expect(parseNonce(text, { ...issuer, ...other }, purpose, sign)).toBeUndefined();
    }
    expect(parseNonce(text, issuer, purpose, (each) => sign(`${each} other key`))).toBeUndefined();
  });

  it("are not known when any character is changed", () => {
    const text = makeNonce(issuer, purpose, now, "r4nd0m", sign);
    for (let at = 0; at < text.length; at += 1) {
      const changed = text.slice(0, at) + (text[at] === "a" ? "b" : "a") + text.slice(at + 1);
      expect(parseNonce(changed, issuer, purpose, sign)).toBeUndefined();
    }
  });

  it.each(["", ".", "..", "a.b.c", "dcd98b7102dd2f0e8b11d0f600bfb0c093", `${"9".repeat(10_000)}.x.y`])(
    "are not what others made: %s",
    (text) => {
      expect(parseNonce(text, issuer, purpose, sign)).toBeUndefined();
    },
  );

  it("are good for 300 seconds", () => {
    expect([isOutdated(nonce(now), now + 300_000), isOutdated(nonce(now), now + 300_001), isOutdated(nonce(now + 300_001), now)]).toEqual([
      false,
      true,
      true,
    ]);
  });
});

describe("the memory of nonces", () => {
  it("[RFC7616 3.4] takes each count once, in about any order", () => {
    const counts = fc.array(fc.integer({ min: 1, max: nonceWindow }), { maxLength: 60 });
    fc.assert(
      fc.property(counts, (sequence) => {
        const memory = new NonceMemory(0);
        const used = new Set<number>();
        for (const count of sequence) {
          expect(memory.use(nonce(now), count, now)).toBe(!used.has(count));
          used.add(count);
        }
      }),
    );
  });

  it("never takes a count twice, however far apart the counts are", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 0xffff_ffff })), { maxLength: 80 }),
        (sequence) => {
          const memory = new NonceMemory(0);
          const used = new Set<number>();
          for (const count of sequence) {
            if (!memory.use(nonce(now), count, now)) continue;
            expect(used.has(count)).toBe(false);
            used.add(count);
          }
        },
      ),
    );
  });

  it("takes no count 0", () => {
    expect(new NonceMemory(0).use(nonce(now), 0, now)).toBe(false);
  });

  it("takes nothing from before its start: another memory may have seen it used", () => {
    const memory = new NonceMemory(now);
    expect([memory.use(nonce(now - 1), 1, now), memory.use(nonce(now), 1, now)]).toEqual([false, true]);
  });

  it("is bounded, and makes stale what it had to forget, never replayable", () => {
    const memory = new NonceMemory(0);
    for (let n = 0; n < noncesRememberedMax + 1_000; n += 1) expect(memory.use(nonce(now + n), 1, now)).toBe(true);
    expect(memory.size).toBe(noncesRememberedMax);
    expect(memory.use(nonce(now), 1, now)).toBe(false);
    expect(memory.use(nonce(now), 2, now)).toBe(false);
    expect(memory.use(nonce(now + noncesRememberedMax), 2, now)).toBe(true);
  });

  it("never takes a use twice, whatever it forgets", () => {
    const use = fc.tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 1, max: 3 }));
    fc.assert(
      fc.property(fc.array(use, { maxLength: 80 }), (uses) => {
        const memory = new NonceMemory(0, 3);
        const taken = new Set<string>();
        for (const [n, count] of uses) {
          if (!memory.use(nonce(now + n), count, now)) continue;
          expect(taken.has(`${n} ${count}`)).toBe(false);
          taken.add(`${n} ${count}`);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("drops what has expired without making anything else stale", () => {
    const memory = new NonceMemory(0, 3);
    for (const n of [0, 1, 2]) memory.use(nonce(now + n), 1, now);
    expect(memory.use(nonce(now + 400_000), 1, now + 400_000)).toBe(true);
    expect([memory.size, memory.floor]).toEqual([1, 0]);
  });
});
