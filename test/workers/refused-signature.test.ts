import { describe, expect, it } from "vitest";
import { SignatureNews } from "../../workers/core-group/signature-news.ts";
import { causeOfRefusal, type RefusalCause } from "../../workers/refused-signature.ts";

const signedAt = 1_790_000_000_000;

/** A request that was read after `readMs` by a clock that is ahead, and whose answer came after `tripMs`. */
function causeOf(aheadMs: number, readMs: number, tripMs: number, refusal: string | undefined = "old"): RefusalCause {
  return causeOfRefusal({ signedAt, answeredAt: signedAt + tripMs, theirClock: signedAt + readMs + aheadMs, refusal });
}

describe("a signature that is refused for its age", () => {
  it("is a clock that is off when the round trip does not explain it, and one clock is never two", () => {
    expect(causeOf(3_600_000, 100, 200)).toEqual({ type: "clock", aheadMs: 3_600_000 });
    expect(causeOf(-40_000, 100, 200)).toEqual({ type: "clock", aheadMs: -40_000 });
    // Just over what is allowed: never slow, or nobody would say that this cell is not accepted.
    expect(causeOf(29_950, 100, 200)).toMatchObject({ type: "clock" });
    expect(causeOf(70_000, 1_000, 36_000)).toMatchObject({ type: "clock" });
    for (let tripMs = 30_000; tripMs < 90_000; tripMs += 1_500) {
      for (let readMs = 0; readMs <= tripMs; readMs += 1_500) expect(causeOf(0, readMs, tripMs).type).toBe("slow");
    }
  });

  it("is a cell that reads late when the round trip explains it, also when the clocks differ a little", () => {
    expect(causeOf(0, 36_000, 36_400)).toEqual({ type: "slow", tookMs: 36_000 });
    expect(causeOf(900, 36_000, 36_100)).toEqual({ type: "slow", tookMs: 36_100 });
    expect(causeOf(-900, 36_000, 36_100)).toEqual({ type: "slow", tookMs: 35_100 });
    // A release that says only its clock.
    expect(causeOfRefusal({ signedAt, answeredAt: signedAt + 36_100, theirClock: signedAt + 36_000, refusal: undefined })).toMatchObject({
      type: "slow",
    });
  });

  it.each(["wrong", "used", "version"])("is neither when it is %s, whatever the clocks say", (refusal) => {
    for (const aheadMs of [0, 3_600_000]) expect(causeOf(aheadMs, 36_000, 36_400, refusal)).toEqual({ type: "secret" });
  });

  it.each([0, 29_000, undefined])("is the secret when a release that does not say why has our time, or says none (%s)", (aheadMs) => {
    const theirClock = aheadMs === undefined ? undefined : signedAt + aheadMs;
    expect(causeOfRefusal({ signedAt, answeredAt: signedAt + 50, theirClock, refusal: undefined })).toEqual({ type: "secret" });
  });
});

describe("SignatureNews", () => {
  it("names the clock that is off, and by how much, once; and says that it is over, once", () => {
    const news = new SignatureNews("a");
    expect(news.accepted("b")).toBeUndefined();
    expect(news.refused("b", { type: "clock", aheadMs: 3_600_400 })).toBe(
      "cell a: cell b does not accept this cell's signature: the clock of cell b is 3600 s ahead of this one's, 30 s are allowed: set the one that is wrong",
    );
    expect(news.refused("b", { type: "clock", aheadMs: 3_600_400 })).toBeUndefined();
    expect(news.accepted("b")).toBe("cell a: cell b accepts this cell's signature again");
    expect(news.accepted("b")).toBeUndefined();
    expect(news.refused("b", { type: "clock", aheadMs: -40_000 })).toContain("the clock of cell b is 40 s behind this one's");
  });

  it("says that a cell is too busy, and nothing of clocks and secrets; what comes after that is said as well", () => {
    const news = new SignatureNews("a");
    expect(news.refused("b", { type: "slow", tookMs: 36_100 })).toBe("cell a: cell b took 36 s to read this: it is too busy");
    expect(news.refused("b", { type: "slow", tookMs: 40_000 })).toBeUndefined();
    expect(news.accepted("b")).toBe("cell a: cell b reads in time again");
    expect(news.refused("b", { type: "slow", tookMs: 31_000 })).toBeDefined();
    expect(news.refused("b", { type: "secret" })).toBe(
      "cell a: cell b does not accept this cell's signature: it has another secret, or another version of Tandem",
    );
    expect(news.refused("b", { type: "slow", tookMs: 31_000 })).toBeUndefined();
    expect(news.accepted("b")).toBe("cell a: cell b accepts this cell's signature again");
  });
});
