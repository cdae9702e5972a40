import { expect, it } from "vitest";
import { codeOf, sourcesOf } from "./sources.ts";

/** The runtime's own fetch, and no method of that name. */
const plainFetch = /(?<![.\w])(?:globalThis\.)?fetch\((?!request\b[^)]*\)(?:: [^{]*)? \{)/;

it("goes one way from cell to cell: nothing of workers/ calls fetch but that", () => {
  const found = sourcesOf("workers").filter((file) => plainFetch.test(codeOf(file)));
  expect(found.filter((file) => file !== "workers/cells.ts")).toEqual([]);
  expect(found).toEqual(["workers/cells.ts"]);
});
