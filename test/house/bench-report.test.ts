import { describe, expect, it } from "vitest";
import { type Row, alignedText, figuresMarkdown, goalsMarkdown, isMet, ratioOf, reportText } from "../../bench/report.ts";

const measured = (value: number, failed = 0): { value: number; samples: number[]; failed: number; retransmissions: number } => ({
  value,
  samples: [value],
  failed,
  retransmissions: 7,
});

const row: Row = {
  measure: "call over UDP, 1500/s",
  unit: "us of CPU each",
  systems: { tandem: measured(300), kamailio: measured(400, 2) },
  goal: { of: "ratio", atMost: 1 },
};

describe("the bench's table", () => {
  it("divides Tandem's value by the other's, and leaves out what was not measured", () => {
    expect(ratioOf(row, "kamailio")).toBe(0.75);
    expect(ratioOf(row, "kamailio+dmq")).toBeUndefined();
    expect(ratioOf({ ...row, systems: { ...row.systems, other: measured(200) } }, "other")).toBe(1.5);
    expect(ratioOf({ ...row, systems: { kamailio: measured(1) } }, "kamailio")).toBeUndefined();
  });

  it("knows whether a goal is met", () => {
    expect(isMet(row)).toBe(true);
    expect(isMet({ ...row, goal: { of: "ratio", atMost: 0.7 } })).toBe(false);
    expect(isMet({ ...row, goal: { of: "value", atMost: 300 } })).toBe(true);
    expect(isMet({ ...row, goal: { of: "ratio", atLeast: 1 } })).toBe(false);
    expect(isMet({ ...row, systems: { tandem: measured(1) } })).toBeUndefined();
    const ofNull: Row = { ...row, systems: { ...row.systems, null: measured(100) }, goal: { of: "null", atMost: 2 } };
    expect([ratioOf(ofNull, "null"), isMet(ofNull)]).toEqual([3, false]);
    const { measure, unit, systems } = row;
    expect(isMet({ measure, unit, systems })).toBeUndefined();
  });

  it("holds a latency to both of its bounds, and shows three percentiles", () => {
    const latency: Row = {
      measure: "INVITE to 200",
      unit: "ms",
      systems: { tandem: { value: 2, p99: 9, p999: 31.4, samples: [2] } },
      goal: { of: "value", atMost: 3, p99AtMost: 10 },
    };
    expect(isMet(latency)).toBe(true);
    expect(isMet({ ...latency, goal: { of: "value", atMost: 3, p99AtMost: 8 } })).toBe(false);
    expect(isMet({ ...latency, goal: { of: "value", atMost: 1, p99AtMost: 10 } })).toBe(false);
    const text = reportText([latency]);
    expect(text).toContain("2.00 / 9.00 / 31.4");
    expect(text).toContain("<= 3 / 10 met");
  });

  it("shows what was dropped at the peers and inside, and no column that is empty", () => {
    const { systems } = row;
    const text = reportText([{ ...row, systems: { ...systems, tandem: { ...measured(300), dropped: 5, droppedInside: 11 } } }]);
    expect(text).toMatch(/DROPPED +INSIDE/);
    expect(text).toMatch(/ 5 +11\n/);
    expect(reportText([row])).not.toContain("DROPPED");
    expect(reportText([row])).not.toContain("NULL");
  });

  it("is a table of Markdown of what has a goal", () => {
    const { measure, unit, systems } = row;
    const lost: Row = { measure: "lost", unit: "all", systems: { tandem: measured(3) }, goal: { of: "value", atMost: 0 } };
    expect(goalsMarkdown([row, { measure, unit, systems }, lost]).split("\n").slice(2)).toEqual([
      "| call over UDP, 1500/s | ratio <= 1 | 0.75: 300 us | 400 | met |",
      "| lost | <= 0 | 3.00 |  | missed |",
      "",
    ]);
  });

  it("gives what has no goal as a table of Markdown for the documents, with what it stands beside", () => {
    const { measure, unit, systems } = row;
    const latency: Row = {
      measure: "MESSAGE",
      unit: "ms, p50 / p99 / p99.9",
      systems: { tandem: { value: 2, p99: 9, p999: 31.4, samples: [2] } },
    };
    const replicated: Row = { measure, unit, systems: { ...systems, "kamailio+dmq": measured(600) } };
    expect(figuresMarkdown([row, latency, replicated]).split("\n").slice(2)).toEqual([
      "| MESSAGE, ms | 2.00 / 9.00 / 31.4 |  |  |  |  |",
      "| call over UDP, 1500/s, us of CPU | 300 | 400 | 0.75 | 600 | 0.50 |",
      "",
    ]);
  });

  it("aligns names to the left and numbers to the right", () => {
    expect(
      alignedText(
        ["A", "B"],
        [
          ["long", "1"],
          ["x", "234"],
        ],
        1,
      ),
    ).toBe("A       B\nlong    1\nx     234\n");
  });

  it("shows values, ratio, goal and what failed", () => {
    const text = reportText([row]);
    expect(text).toContain("300       400   0.75");
    expect(text).toContain("ratio <= 1 met");
    expect(text).toContain("0/2");
    expect(text).toContain("7/7");
  });
});
