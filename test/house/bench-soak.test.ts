import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { svgOf } from "../../bench/scale/plot.ts";
import { rowsBelow } from "../../bench/soak/rows.ts";
import { type Sample, meanOf, octetsBelow, openFilesOf } from "../../bench/soak/samples.ts";
import { type Outcome, courseOf, growthOf, judgementsOf, killsOf, spansOf, tableOf } from "../../bench/soak/verdict.ts";

const gateway = "gateway: memory, MiB";
const open = "gateway: descriptors";
const dialogs = "status: dialogs";

function sampleAt(seconds: number, figures: Sample["figures"]): Sample {
  return { seconds, figures };
}

/** An hour, sampled every minute. */
function outcomeOf(memoryAt: (minute: number) => number, after: Sample["figures"] = {}, lost = 0): Outcome {
  const rest = { [gateway]: 100, [open]: 40, [dialogs]: 0 };
  return {
    course: courseOf(60),
    samples: Array.from({ length: 60 }, (_, minute) => sampleAt(minute * 60, { [gateway]: memoryAt(minute) })),
    atRest: { before: sampleAt(0, rest), after: sampleAt(3_600, { ...rest, ...after }) },
    losses: [{ what: "calls lost", count: lost, of: 180_000 }],
  };
}

function missed(outcome: Outcome): readonly string[] {
  return judgementsOf(outcome).flatMap(({ text, isMet }) => (isMet ? [] : [text]));
}

describe("the course of a soak", () => {
  it("kills the cells in turn, every ten minutes of an hour", () => {
    expect(killsOf(courseOf(60))).toEqual([
      { at: 600, cell: 0 },
      { at: 1_200, cell: 1 },
      { at: 1_800, cell: 0 },
      { at: 2_400, cell: 1 },
      { at: 3_000, cell: 0 },
    ]);
  });

  it("kills one once in a short run, in the middle", () => {
    expect(killsOf(courseOf(2))).toEqual([{ at: 60, cell: 0 }]);
    expect(killsOf(courseOf(29))).toEqual([{ at: 870, cell: 0 }]);
  });

  it("compares the last twenty minutes with those before, and nothing of a run that is too short", () => {
    expect(spansOf(courseOf(60))).toEqual([1_200, 2_400, 3_600]);
    expect(spansOf(courseOf(120))).toEqual([4_800, 6_000, 7_200]);
    expect(spansOf(courseOf(59))).toBeUndefined();
    expect(spansOf(courseOf(2))).toBeUndefined();
  });
});

function flat(): number {
  return 100;
}

describe("the verdict of a soak", () => {
  it("is met by what stays as it is, however it warmed up", () => {
    const outcome = outcomeOf((minute) => (minute < 20 ? 50 + minute : 100));
    expect(growthOf(outcome, gateway)).toBe(0);
    expect(missed(outcome)).toEqual([]);
  });

  it("is not met by what grows more than 2 %", () => {
    expect(missed(outcomeOf((minute) => 100 + minute * 0.09))).toEqual([]);
    expect(missed(outcomeOf((minute) => 100 + minute * 0.15))).toEqual(["gateway: memory, MiB: growth 2.9 %, goal <= 2.0 %"]);
  });

  it("is not met by a call that was lost, by none that was made, by descriptors, or by a dialog that stays", () => {
    expect(missed(outcomeOf(flat, {}, 1))).toEqual(["calls lost: 1 of 180000, goal 0"]);
    expect(missed({ ...outcomeOf(flat), losses: [{ what: "calls lost", count: 0, of: 0 }] })).toHaveLength(1);
    expect(missed(outcomeOf(flat, { [open]: 48 }))).toEqual([]);
    expect(missed(outcomeOf(flat, { [open]: 49 }))).toEqual(["gateway: descriptors: 9 more at rest than before, goal <= 8"]);
    expect(missed(outcomeOf(flat, { [dialogs]: 1 }))).toEqual(["status: dialogs: 1 at rest, goal 0"]);
  });

  it("does not judge the memory of a short run", () => {
    const outcome = { ...outcomeOf((minute) => 100 + 10 * minute), course: courseOf(2) };
    expect(missed(outcome)).toEqual([]);
    expect(growthOf(outcome, gateway)).toBeUndefined();
  });

  it("shows every figure in a line", () => {
    const text = tableOf(outcomeOf((minute) => 100 + minute));
    expect(text).toContain("MINUTES 20 TO 40");
    expect(text).toMatch(/gateway: memory, MiB +100 +130 +150 +15\.4 % +100/);
  });
});

describe("the samples of a soak", () => {
  it("have means from a moment on and before another, of those that have the figure", () => {
    const samples = [sampleAt(0, { x: 1 }), sampleAt(10, { x: 2 }), sampleAt(20, {}), sampleAt(30, { x: 4 })];
    expect(meanOf(samples, "x", 0, 30)).toBe(1.5);
    expect(meanOf(samples, "x", 10, 40)).toBe(3);
    expect(meanOf(samples, "x", 20, 30)).toBeUndefined();
  });

  it("count what is on the disk", () => {
    expect(octetsBelow(import.meta.dirname)).toBeGreaterThan(10_000);
  });

  it.runIf(process.platform === "linux")("count what a process has open, and nothing of one that is gone", () => {
    expect(openFilesOf(process.pid)).toBeGreaterThan(2);
    expect(openFilesOf(2 ** 22 + 1)).toBeUndefined();
  });
});

describe("rows on the disk", () => {
  it("are those of all databases together, also what only the log has, without those of the engine", () => {
    const directory = mkdtempSync(join(tmpdir(), "tandem-soak-"));
    try {
      mkdirSync(join(directory, "inner"));
      const databases = ["one.sqlite", "inner/two.sqlite"].map((name) => new DatabaseSync(join(directory, name)));
      for (const database of databases) {
        database.exec("PRAGMA journal_mode = WAL; CREATE TABLE a (x); CREATE TABLE _cf_b (x)");
        database.exec("INSERT INTO a VALUES (1), (2), (3); INSERT INTO _cf_b VALUES (1)");
      }
      expect(rowsBelow(directory)).toBe(6);
      for (const database of databases) database.close();
      expect(rowsBelow(directory)).toBe(6);
      writeFileSync(join(directory, "broken.sqlite"), "no database, and long enough to be looked at".repeat(100));
      expect(rowsBelow(directory)).toBeUndefined();
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe("a plot over time", () => {
  it("marks even steps, and draws a line from the first moment to the last", () => {
    const points = [
      { x: 0, y: 0 },
      { x: 60, y: 50 },
    ];
    const svg = svgOf([{ title: "memory", xName: "minutes", yName: "MiB", isLinear: true, series: [{ name: "gateway", points }] }]);
    expect(svg).toContain('points="62.0,252.0 406.0,40.0"');
    for (const mark of ["0", "20", "40", "60"]) expect(svg).toContain(`text-anchor="middle" font-weight="normal">${mark}</text>`);
    expect(svg).not.toContain("<circle");
  });
});
