import { afterEach, describe, expect, it, vi } from "vitest";
import { processPorts } from "../../gateway/process-ports.ts";
import { steadyNow } from "../../gateway/steady-now.ts";

afterEach(() => vi.restoreAllMocks());

describe("the clocks of a gateway", () => {
  it("are one that goes on and one that was set, whichever way", () => {
    const { now, wallAt } = processPorts({ cell: () => "" } as never, () => undefined);
    for (const stepMs of [-3_600_000, -60_000, 3_600_000]) {
      const before = now();
      const set = Date.now() + stepMs;
      vi.spyOn(Date, "now").mockReturnValue(set);
      const after = now();
      expect(after - before).toBeGreaterThanOrEqual(0);
      expect(after - before).toBeLessThan(1_000);
      expect(Math.abs(wallAt(after) - set)).toBeLessThan(1_000);
      vi.restoreAllMocks();
    }
  });

  it("begin together", () => {
    expect(Number.isInteger(steadyNow())).toBe(true);
    expect(Math.abs(steadyNow() - Date.now())).toBeLessThan(60_000);
  });
});
