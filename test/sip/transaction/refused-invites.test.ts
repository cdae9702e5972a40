import { describe, expect, it } from "vitest";
import { t1Ms } from "../../../sip/limits.ts";
import { RefusedInvites } from "../../../sip/transaction/refused-invites.ts";

const copiesMs = 64 * t1Ms;

describe("INVITEs that were refused", () => {
  it("are remembered with their Retry-After while copies may come, and not for long", () => {
    for (const phase of [0, 1, copiesMs / 2, copiesMs - 1]) {
      const refused = new RefusedInvites();
      refused.add("first", 5, 0);
      refused.add("one", 7, phase);
      expect(refused.retryAfterOf("one", phase + copiesMs)).toBe(7);
      expect(refused.retryAfterOf("another", phase + copiesMs)).toBeUndefined();
      expect(refused.retryAfterOf("one", phase + 2 * copiesMs + 1)).toBeUndefined();
    }
  });

  it("are so many at most: the earliest are forgotten", () => {
    const refused = new RefusedInvites(100);
    for (let n = 0; n < 1_000; n += 1) refused.add(`n${n}`, 5, n);
    const known = Array.from({ length: 1_000 }, (_, n) => n).filter((n) => refused.retryAfterOf(`n${n}`, 1_000) !== undefined);
    expect(known.length).toBeGreaterThanOrEqual(50);
    expect(known.length).toBeLessThanOrEqual(100);
    expect(known).toEqual(Array.from({ length: known.length }, (_, n) => 1_000 - known.length + n));
  });
});
