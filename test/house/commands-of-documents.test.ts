import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { sourcesOf } from "./sources.ts";

const root = resolve(import.meta.dirname, "../..");

/** A TypeScript file that is started by the machine's own Node, or by a path into node_modules. */
const otherForms = /(?<!\bnpx )(?<![\w./-])node (?:--?\S+ )*(?:[\w-]+\/)*[\w-]+\.ts\b|node_modules\/\.bin\/node [\w./-]+\.ts\b/g;

/** Documents, and sources: their comments, help texts and messages name commands too. */
const named: readonly string[] = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...["docs", "test"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".md"))
      .map((name) => join(folder, name)),
  ),
  ...["sip", "cluster", "actors", "schemas", "workers", "gateway", "kit", "cli", "bench", "test"].flatMap(sourcesOf),
];

describe("a command that people copy", () => {
  it("starts a file with `npx node`: the machine's own Node may be 20, which runs no TypeScript", () => {
    const found = named
      .filter((file) => join(root, file) !== import.meta.filename)
      .flatMap((file) => [...readFileSync(join(root, file), "utf8").matchAll(otherForms)].map(([text]) => `${file}: ${text}`));
    expect(found).toEqual([]);
  });

  it("is found in every other form", () => {
    for (const text of [
      "node bench/core.ts",
      "`node bench/core.ts`",
      "(node --no-warnings cli/tandem.ts)",
      "node_modules/.bin/node a/b.ts",
    ]) {
      expect(text.match(otherForms)).toHaveLength(1);
    }
    expect("npx node bench/core.ts".match(otherForms)).toBeNull();
  });
});
