import { describe, expect, it } from "vitest";
import { latestCalls } from "../../cli/call-pages.ts";
import type { CallRow } from "../../schemas/api-answers.ts";

const startMs = Date.parse("2026-11-30T08:00:00Z");

/** So many calls, three of which begin in each millisecond. */
function callsOf(count: number): CallRow[] {
  return Array.from({ length: count }, (_, index) => ({
    id: index.toString(16).padStart(16, "0"),
    caller: "alice@example.test",
    callee: "bob@example.test",
    answeredBy: "",
    start: new Date(startMs + Math.floor(index / 3)).toISOString(),
    ring: null,
    answer: null,
    end: new Date(startMs + index).toISOString(),
    status: 486,
    reason: "busy",
    cells: ["a"],
    gateways: ["g1"],
    failovers: 0,
  }));
}

/** A cell with these calls. One that `knowsPages` not is of an earlier release. */
function cellWith(
  calls: readonly CallRow[],
  knowsPages = true,
): { readonly asked: string[]; readonly get: (path: string) => Promise<unknown> } {
  const asked: string[] = [];
  const get = (path: string): Promise<unknown> => {
    asked.push(path);
    const query = new URL(path, "http://a.invalid").searchParams;
    const before = knowsPages ? query.get("before") : null;
    const at = before === null ? calls.length : calls.findIndex(({ start, id }) => `${start},${id}` === before);
    return Promise.resolve(calls.slice(0, at).slice(-Number(query.get("most"))));
  };
  return { asked, get };
}

const all = 1_000_000;

describe("a listing of calls", () => {
  it.each([
    [0, all, 0, false],
    [4_999, all, 4_999, false],
    [5_000, all, 5_000, false],
    [5_001, all, 5_001, false],
    [12_345, all, 12_345, false],
    [12_345, 12_345, 12_345, false],
    [12_345, 12_344, 12_344, true],
    [12_345, 5_000, 5_000, true],
    [5_000, 5_000, 5_000, false],
    [3, 1, 1, true],
    [1, 1, 1, false],
  ])("of %d, the latest %d, has %d, each once and in their order", async (count, limit, expected, isCut) => {
    const calls = callsOf(count);
    const listing = await latestCalls(cellWith(calls), new URLSearchParams(), limit);
    expect(listing.calls.map(({ id }) => id)).toEqual(calls.slice(count - expected).map(({ id }) => id));
    expect(listing.isCut).toBe(isCut);
  });

  it("asks for what was asked for with every page", async () => {
    const cell = cellWith(callsOf(6_000));
    await latestCalls(cell, new URLSearchParams({ failed: "true" }), all);
    expect(cell.asked).toEqual([
      "/api/calls?failed=true&most=5000",
      `/api/calls?failed=true&most=5000&before=${encodeURIComponent("2026-11-30T08:00:00.333Z,00000000000003e8")}`,
    ]);
  });

  it("ends where a cell does not know of pages", async () => {
    const listing = latestCalls(cellWith(callsOf(6_000), false), new URLSearchParams(), all);
    await expect(listing).rejects.toThrow("the cell lists no calls before those that began at 2026-11-30T08:00:00.333Z");
  });
});
