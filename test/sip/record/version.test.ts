import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HybridClock } from "../../../cluster/time/hybrid-clock.ts";
import {
  cellOfVersion,
  compareVersions,
  counterMax,
  isVersion,
  laterVersion,
  msOfVersion,
  noVersion,
  parseVersion,
} from "../../../sip/record/version.ts";
import { makeVersion } from "./make-version.ts";

const parts = fc.record({
  ms: fc.integer({ min: 0, max: 2 ** 44 }),
  counter: fc.integer({ min: 0, max: counterMax }),
  cell: fc.constantFrom("a", "b", "west-1"),
});

describe("versions", () => {
  it("are text that sorts by time, then counter, then cell, and can be read back", () => {
    fc.assert(
      fc.property(parts, parts, (first, second) => {
        const order =
          first.ms - second.ms || first.counter - second.counter || (first.cell < second.cell ? -1 : Number(first.cell !== second.cell));
        expect(Math.sign(compareVersions(makeVersion(first), makeVersion(second)))).toBe(Math.sign(order));
        expect(parseVersion(makeVersion(first))).toEqual(first);
      }),
    );
  });

  it("name the moment and the cell of a change", () => {
    const version = makeVersion({ ms: 1_700_000_000_123, counter: 7, cell: "b" });
    expect(version).toHaveLength(14);
    expect(msOfVersion(version)).toBe(1_700_000_000_123);
    expect(cellOfVersion(version)).toBe("b");
    expect(laterVersion(version, noVersion)).toBe(version);
  });

  it.each(["", "x", "0".repeat(13), "ZZZZZZZZZZZZZZ", "0000000000000 a", "00000000000000\n", `0000000000000${"a".repeat(33)}`])(
    "refuse what is none: %j",
    (text) => {
      expect(isVersion(text)).toBe(false);
      expect(parseVersion(text)).toBeUndefined();
    },
  );

  it("throw for a time that no clock shows", () => {
    expect(() => makeVersion({ ms: Number.NaN, counter: 0, cell: "a" })).toThrow(RangeError);
    expect(() => makeVersion({ ms: 36 ** 9, counter: 0, cell: "a" })).toThrow(RangeError);
  });
});

describe("the hybrid clock", () => {
  it("ticks later than every tick and observation before, whatever the time does", () => {
    const step = fc.oneof(
      fc.record({ type: fc.constant("tick" as const), now: fc.integer({ min: 0, max: 100 }) }),
      fc.record({ type: fc.constant("observe" as const), version: parts.map((each) => makeVersion({ ...each, ms: each.ms % 100 })) }),
    );
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const clock = new HybridClock("a");
        let latest = noVersion;
        for (const each of steps) {
          const before = latest;
          if (each.type === "observe") {
            clock.observe(each.version);
            latest = laterVersion(latest, each.version);
          } else {
            latest = clock.tick(each.now);
          }
          const isLater = each.type === "observe" || (compareVersions(latest, before) > 0 && msOfVersion(latest) >= each.now);
          expect(isLater).toBe(true);
        }
      }),
    );
  });

  it("goes on with the next millisecond when a counter is used up", () => {
    const clock = new HybridClock("a");
    clock.observe(makeVersion({ ms: 5, counter: counterMax, cell: "b" }));
    expect(parseVersion(clock.tick(1))).toEqual({ ms: 6, counter: 0, cell: "a" });
  });

  it("ignores what is no version", () => {
    const clock = new HybridClock("a");
    clock.observe("no version");
    expect(parseVersion(clock.tick(3))).toEqual({ ms: 3, counter: 0, cell: "a" });
  });
});
