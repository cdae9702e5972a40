import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { sourcesOf, textOf } from "./sources.ts";

const root = resolve(import.meta.dirname, "../..");

describe("the documents", () => {
  it.each(["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/operations.md", "docs/configuration.md"])(
    "%s names only files that exist",
    (document) => {
      const text = readFileSync(join(root, document), "utf8");
      const named = [...text.matchAll(/`((?:sip|cluster|actors|schemas|workers|gateway|kit|cli|test|bench|docs|\.ci)\/[\w./-]+)`/g)].map(
        (match) => match[1] ?? "",
      );
      expect(named.length).toBeGreaterThan(0);
      expect(named.filter((file) => !existsSync(join(root, file)))).toEqual([]);
    },
  );

  it("ARCHITECTURE.md names only files, functions and members that exist, where it says no folder as well", () => {
    const text = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
    const sources = ["sip", "cluster", "actors", "schemas", "workers", "gateway", "cli"].flatMap(sourcesOf);
    const bare = [...text.matchAll(/`([\w-]+\.ts)`/g)].map((match) => match[1] ?? "");
    expect(bare.length).toBeGreaterThan(0);
    expect(bare.filter((name) => !sources.some((file) => file.endsWith(`/${name}`)))).toEqual([]);
    const members = [...text.matchAll(/`(#?\w+)`(?: of each kind,)?\s+(?:(?:of|in)\s+)?\(?`([\w./-]+\.ts)`/g)];
    expect(members.length).toBeGreaterThan(3);
    expect(members.filter(([, name = "", file = ""]) => !textOf(file).includes(name)).map(([found]) => found)).toEqual([]);
  });

  it.each(["docs/outsiders.md", "docs/limits.md"])("%s names only tests that exist", (document) => {
    const tests = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".test.ts"));
    const named = [...readFileSync(join(root, document), "utf8").matchAll(/`(?:test\/)?([\w./-]+\.test\.ts)`/g)].map(
      (match) => match[1] ?? "",
    );
    expect(named.length).toBeGreaterThan(20);
    // A name without its folder stands behind another test of it.
    expect(named.filter((name) => !tests.some((test) => test === name || test.endsWith(`/${name}`)))).toEqual([]);
  });

  it("link to headings that exist", () => {
    const pages = ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/operations.md", "docs/configuration.md"];
    const dead = pages.flatMap((page) =>
      [...readFileSync(join(root, page), "utf8").matchAll(/\]\(([\w./-]*)#([\w-]+)\)/g)]
        .map(([, file = "", anchor = ""]) => ({ file: file === "" ? page : join(dirname(page), file), anchor }))
        .filter(({ file, anchor }) => !anchorsOf(file).has(anchor))
        .map(({ file, anchor }) => `${page}: ${file}#${anchor}`),
    );
    expect(dead).toEqual([]);
  });
});

describe("comments", () => {
  it("name only files that exist", () => {
    const sources = ["sip", "cluster", "actors", "schemas", "workers", "gateway", "kit", "cli", "bench", "test"].flatMap(sourcesOf);
    const pages = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" }).map((name) => join("docs", name));
    const files = [...sources, ...pages, ...readdirSync(root)];
    const known = (name: string): boolean => files.some((file) => file === name || file.endsWith(`/${name}`));
    const dead = sources.flatMap((file) =>
      [...textOf(file).matchAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm)]
        .flatMap(([comment]) => [...comment.matchAll(/(?<![\w./-])((?:[\w-]+\/)*[\w-][\w.-]*\.(?:ts|md))\b/g)])
        .map(([, name = ""]) => name)
        .filter((name) => !known(name))
        .map((name) => `${file}: ${name}`),
    );
    expect(dead).toEqual([]);
  });
});

/** As GitHub makes them of headings. */
function anchorsOf(file: string): ReadonlySet<string> {
  const headings = readFileSync(join(root, file), "utf8").matchAll(/^#+ (.*)$/gm);
  return new Set(
    Array.from(headings, ([, text = ""]) =>
      text
        .toLowerCase()
        .replaceAll(/[^\w -]/g, "")
        .replaceAll(" ", "-"),
    ),
  );
}
