import { describe, expect, it } from "vitest";
import { RateSearch } from "../../bench/rate-search.ts";
import { parseCounts, parseTimes } from "../../bench/sipp.ts";
import { median, percentile, shortNumber } from "../../bench/statistics.ts";

describe("the bench's numbers", () => {
  it("takes the middle of several rounds", () => {
    expect(median([5, 1, 100])).toBe(5);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([])).toBeNaN();
  });

  it("sorts numbers as numbers", () => {
    expect(median([9, 10, 100])).toBe(10);
  });

  it("takes percentiles between two values by proportion", () => {
    const values = Array.from({ length: 101 }, (_, index) => index);
    expect(percentile(values, 99)).toBe(99);
    expect(percentile([0, 10], 25)).toBe(2.5);
    expect(percentile([7], 99)).toBe(7);
  });

  it("shows three digits", () => {
    expect([1234.5, 123.4, 12.34, 1.234, 0.126, 0, undefined, Number.NaN].map(shortNumber)).toEqual([
      "1235",
      "123",
      "12.3",
      "1.23",
      "0.13",
      "0",
      "-",
      "-",
    ]);
  });
});

describe("what SIPp timed", () => {
  it("is in milliseconds, by timer, without lines that are cut off", () => {
    const text = "Date_ms;response_time_ms;rtd_no\n116.001;104;1\n128.001;4;2\n130.001;108;1\n131";
    expect(parseTimes(text)).toEqual(
      new Map([
        [1, [104, 108]],
        [2, [4]],
      ]),
    );
    expect(parseTimes("").size).toBe(0);
  });
});

/** What is found for a system that stands `limit`, and how many probes that took. */
function search(limit: number, options = { first: 500, max: 8_000, precision: 0.05 }): { best: number; probes: number } {
  const rates = new RateSearch(options);
  let probes = 0;
  for (let rate = rates.next(); rate !== undefined; rate = rates.next()) {
    rates.report(rate, rate <= limit);
    probes += 1;
  }
  return { best: rates.best, probes };
}

describe("the search for the highest rate", () => {
  it.each([10, 137, 499, 500, 501, 1_234, 3_999, 7_990])("finds %i to 5 % or ten, never above", (limit) => {
    const { best, probes } = search(limit);
    expect(best).toBeLessThanOrEqual(limit);
    expect(best).toBeGreaterThanOrEqual(limit - Math.max(20, limit * 0.06));
    expect(probes).toBeLessThan(15);
  });

  it("stops at the maximum", () => {
    expect(search(1_000_000).best).toBe(8_000);
  });

  it("says 0 when nothing passes", () => {
    expect(search(0)).toMatchObject({ best: 0 });
  });
});

describe("SIPp's statistics", () => {
  it("are the totals of the last line", () => {
    const text = [
      "StartTime;TotalCallCreated;SuccessfulCall(C);FailedCall(P);FailedCall(C);Retransmissions(C);",
      "a;10;5;1;1;2;",
      "a;20;15;0;3;4;",
      "",
    ].join("\n");
    expect(parseCounts(text)).toEqual({ calls: 20, failed: 3, retransmissions: 4 });
  });

  it("are zeros before the first line", () => {
    expect(parseCounts("")).toEqual({ calls: 0, failed: 0, retransmissions: 0 });
    expect(parseCounts("TotalCallCreated;FailedCall(C);\n")).toEqual({ calls: 0, failed: 0, retransmissions: 0 });
  });
});
