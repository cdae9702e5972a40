import { describe, expect, it } from "vitest";
import { signatureAgeSecondsMax } from "../../cluster/limits.ts";
import { UsedSignatures } from "../../workers/used-signatures.ts";

const now = 1_790_000_000_000;
const ageMsMax = signatureAgeSecondsMax * 1000;

describe("used signatures", () => {
  it("are not good again for as long as they are young, whatever the clocks say", () => {
    for (const skew of [-ageMsMax, 0, ageMsMax]) {
      const used = new UsedSignatures();
      const madeAt = now + skew;
      expect(used.use("nonce", madeAt, now)).toBe(true);
      for (let later = now; later <= madeAt + ageMsMax; later += 100) {
        used.use(`other ${later}`, later, later);
        expect(used.use("nonce", madeAt, later)).toBe(false);
      }
    }
  });

  it("are forgotten when they are too old, so that a busy hour is no more than a busy minute", () => {
    const used = new UsedSignatures();
    let most = 0;
    for (let at = 0; at < 3_600_000; at += 100) {
      expect(used.use(`n${at}`, now + at, now + at)).toBe(true);
      most = Math.max(most, used.size);
    }
    expect(most).toBeLessThanOrEqual((ageMsMax + 20_000) / 100);
  });

  it("over the limit are refused, and none is forgotten for them", () => {
    const used = new UsedSignatures(100);
    for (let n = 0; n < 100; n += 1) expect(used.use(`n${n}`, now, now)).toBe(true);
    for (let n = 0; n < 200; n += 1) expect(used.use(`n${n}`, now, now)).toBe(false);
    expect(used.use("later", now + 2 * ageMsMax, now + 2 * ageMsMax)).toBe(true);
  });
});
