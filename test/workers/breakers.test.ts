import { describe, expect, it } from "vitest";
import { breakersSourcesMax, brokenHeldMs, brokenPerSourceMax } from "../../workers/limits.ts";
import { Breakers } from "../../workers/line/breakers.ts";

describe("sources that break the protocol", () => {
  it("may come again when their time is over, and keep nobody else out", () => {
    const breakers = new Breakers();
    for (let count = 0; count < brokenPerSourceMax; count += 1) {
      expect(breakers.mayCome("one", count)).toBe(true);
      breakers.add("one", count);
    }
    expect(breakers.mayCome("one", brokenHeldMs - 1)).toBe(false);
    expect(breakers.mayCome("other", brokenHeldMs - 1)).toBe(true);
    expect(breakers.mayCome("one", brokenHeldMs)).toBe(true);
  });

  it("are remembered up to a number: those that came first are forgotten first", () => {
    const breakers = new Breakers();
    for (let count = 0; count < brokenPerSourceMax; count += 1) for (const source of ["first", "last"]) breakers.add(source, 0);
    for (let source = 0; source < breakersSourcesMax - 1; source += 1) breakers.add(String(source), 0);
    expect([breakers.mayCome("first", 1), breakers.mayCome("last", 1)]).toEqual([true, false]);
  });
});
