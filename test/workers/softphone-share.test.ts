import { describe, expect, it } from "vitest";
import { lineSocketsMax, socketsRecountMs } from "../../workers/limits.ts";
import { shareOf, SoftphoneShare } from "../../workers/line/softphone-share.ts";

describe("a line's share", () => {
  it("is what Cloudflare has for one object, where the cell is told nothing", () => {
    expect(shareOf(undefined, 4)).toBe(lineSocketsMax);
    expect(lineSocketsMax).toBeLessThan(32_768);
    expect(shareOf("999999999", 1)).toBe(lineSocketsMax);
  });

  it("is the cell's, divided by its lines, and one at least", () => {
    expect(shareOf("100", 4)).toBe(25);
    expect(shareOf("103", 4)).toBe(25);
    expect(shareOf("1", 4)).toBe(1);
  });

  it.each(["", "0", "-1", "1.5", "many", "1e3", "9999999999"])("throws for %j", (text) => {
    expect(() => shareOf(text, 4)).toThrow("SOFTPHONES_MAX");
  });
});

describe("taking softphones", () => {
  it("refuses beyond the share, those that were there at its start included", () => {
    const share = new SoftphoneShare(5, () => 3);
    expect([1, 2, 3].map((at) => share.take(at))).toEqual([true, true, false]);
  });

  it("counts anew when it seems full, not for each that is refused, and takes again when some have gone", () => {
    let open = 0;
    let counted = 0;
    const share = new SoftphoneShare(2, () => {
      counted += 1;
      return open;
    });
    for (let at = 0; at < 2; at += 1) {
      expect(share.take(at)).toBe(true);
      open += 1;
    }
    for (let at = 2; at < socketsRecountMs; at += 1) expect(share.take(at)).toBe(false);
    expect(counted).toBe(1);
    expect(share.take(socketsRecountMs)).toBe(false);
    open = 1;
    expect(share.take(socketsRecountMs + 1)).toBe(false);
    expect([share.take(2 * socketsRecountMs), share.take(2 * socketsRecountMs)]).toEqual([true, false]);
    expect(counted).toBe(3);
  });
});
