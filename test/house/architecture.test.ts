import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const root = resolve(import.meta.dirname, "../..");

describe("the documents", () => {
  it.each(["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/operations.md"])(
    "%s names only files that exist",
    (document) => {
      const text = readFileSync(join(root, document), "utf8");
      const named = [...text.matchAll(/`((?:sip|cluster|actors|schemas|workers|gateway|cli|test|bench|docs|\.ci)\/[\w./-]+)`/g)].map(
        (match) => match[1] ?? "",
      );
      expect(named.length).toBeGreaterThan(0);
      expect(named.filter((file) => !existsSync(join(root, file)))).toEqual([]);
    },
  );
});
