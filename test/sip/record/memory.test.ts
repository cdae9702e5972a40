import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { recentEndMs } from "../../../sip/limits.ts";
import { joinMemories, mayBeUnknown, memoryFrom, memoryOf, memoryOfText, memoryOnStart, type Memory } from "../../../sip/record/memory.ts";

const day = 86_400_000;

describe("how far a replica's memory of dialogs goes back", () => {
  it("to its first start with this disk", () => {
    const memory = memoryFrom(10 * day);
    expect([mayBeUnknown(memory, 10 * day - 1), mayBeUnknown(memory, 10 * day), mayBeUnknown(memory, 11 * day)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it("a restart with the disk leaves a gap, from shortly before the latest that is on it, until the peer has told", () => {
    const memory = memoryOnStart(memoryFrom(10 * day), 12 * day, 13 * day);
    const at = [10 * day, 12 * day - recentEndMs - 1, 12 * day - recentEndMs, 13 * day, 13 * day + 1];
    expect(at.map((ms) => mayBeUnknown(memory, ms))).toEqual([false, false, true, true, false]);
    expect(joinMemories(memory, memoryFrom(11 * day))).toEqual(memoryFrom(10 * day));
    // A second restart before that does not close it.
    const again = memoryOnStart(memory, 13 * day + 1, 14 * day);
    expect(mayBeUnknown(again, 12 * day)).toBe(true);
  });

  it("a young replica takes its peer's", () => {
    expect(joinMemories(memoryFrom(20 * day), memoryFrom(10 * day))).toEqual(memoryFrom(10 * day));
  });

  it("joined, it is unsure of everything that neither knows, and says no less from either side", () => {
    const memories = fc.tuple(fc.nat(50), fc.nat(50), fc.nat(50)).map(([since, from, length]): Memory => {
      return length === 0 ? { since, gapFrom: 0, gapUntil: 0 } : { since, gapFrom: from + 1, gapUntil: from + 1 + length };
    });
    fc.assert(
      fc.property(memories, memories, fc.integer({ min: 1, max: 110 }), (own, peer, at) => {
        const joined = joinMemories(own, peer);
        expect(joined).toEqual(joinMemories(peer, own));
        // The last instant of a gap is that of a start.
        const isInside = at !== own.gapUntil && at !== peer.gapUntil;
        const isMissing = isInside && mayBeUnknown(own, at) && mayBeUnknown(peer, at);
        const isKnown = !mayBeUnknown(own, at) && own.gapUntil === 0 && peer.gapUntil === 0;
        expect([isMissing && !mayBeUnknown(joined, at), isKnown && mayBeUnknown(joined, at)]).toEqual([false, false]);
      }),
      { numRuns: 2_000 },
    );
  });

  it("is read back as it was written, and nothing else is", () => {
    const memory = memoryOnStart(memoryFrom(1), 2, 3);
    expect(memoryOfText(JSON.stringify(memory))).toEqual(memory);
    for (const other of [undefined, null, 1, {}, { since: -1, gapFrom: 0, gapUntil: 0 }, { since: "1", gapFrom: 0, gapUntil: 0 }]) {
      expect(memoryOf(other)).toBeUndefined();
    }
    expect([memoryOfText(""), memoryOfText("{"), memoryOfText("[]")]).toEqual([undefined, undefined, undefined]);
  });
});
