import { describe, expect, it } from "vitest";
import { cpuSecondsOf, familyOf, memoryOf, parseKilobytes, parseStat } from "../../bench/process-usage.ts";

describe("what /proc says", () => {
  it("has the parent and the CPU time of all threads, whatever the program is called", () => {
    const rest = "S 17 4 4 0 -1 4194304 100 0 0 0 250 50 9 9 20 0 1 0 12345 1000 200";
    expect(parseStat(`42 (workerd) ${rest}`)).toEqual({ parent: 17, cpuSeconds: 3 });
    expect(parseStat(`42 (a ) b (c) ${rest}`)).toEqual({ parent: 17, cpuSeconds: 3 });
  });

  it("has sizes in kilobytes", () => {
    const text = "00400000-7ffe [rollup]\nRss:     2048 kB\nPss:     1024 kB\nPss_Anon:  12 kB\n";
    expect(parseKilobytes(text, "Pss")).toBe(1024 * 1024);
    expect(parseKilobytes(text, "Swap")).toBeUndefined();
  });

  it("finds all generations below a process", () => {
    const parents = new Map([
      [5, 3],
      [3, 2],
      [2, 1],
      [4, 1],
      [9, 7],
    ]);
    expect(familyOf(2, parents)).toEqual([2, 3, 5]);
    expect(new Set(familyOf(1, parents))).toEqual(new Set([1, 2, 3, 4, 5]));
  });

  it.runIf(process.platform === "linux")("is read for a living process, and says so when one is gone", () => {
    expect(cpuSecondsOf([process.pid])).toBeGreaterThan(0);
    expect(memoryOf([process.pid])).toBeGreaterThan(1024 * 1024);
    // No process can have this id: the kernel's highest is 2^22.
    expect(() => cpuSecondsOf([2 ** 22 + 1])).toThrow("gone");
  });
});
