import { expect, test } from "vitest";
import { lostIn, runWranglerDev } from "./wrangler-dev.ts";

/** What is asked is that nothing is lost: how long that takes on a machine with other work to do says nothing. */
const testMsMax = 600_000;

test(
  "wrangler dev: two cells get another code while calls stand, objects are evicted, a cell is killed and comes back: nothing is lost",
  { timeout: testMsMax },
  async () => {
    const { udp, ws, codes } = await runWranglerDev({ callsPerSecond: 4, standing: 8 }, () => undefined);
    for (const report of [udp, ws]) {
      expect(lostIn(report)).toEqual([]);
      expect(report.established.ended).toBe(8);
      expect(report.newCalls.made).toBeGreaterThan(0);
    }
    expect(codes.map(({ cell }) => cell)).toEqual(["a", "b"]);
    for (const { before, after, others, script } of codes) {
      expect(script).toBe("2");
      expect(after).not.toBe(before);
      expect(others).toBe(0);
    }
  },
);
