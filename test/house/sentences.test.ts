import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const root = resolve(import.meta.dirname, "../..");

/** Whoever reads a longer sentence than this reads it twice. 25 are wanted. */
const wordsMax = 30;

const documents: readonly string[] = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
];

/** The paragraphs, items and cells of a document. Code blocks are left out, and a word in backticks or behind a link is one. */
function textsOf(document: string): string[] {
  const prose = readFileSync(join(root, document), "utf8").replaceAll(/^```[\s\S]*?^```/gm, "");
  return prose
    .split(/\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\.)\s?)/)
    .filter((block) => !/^ {4}\S/.test(block))
    .flatMap((block) => (block.trimStart().startsWith("|") ? block.split("|") : [block]))
    .map((text) => text.replaceAll(/\]\([^)]*\)/g, "]").replaceAll(/`[^`]*`/g, "Code"));
}

function sentencesOf(text: string): string[] {
  return text.split(/(?<=[.?!][)"*_]*)\s+/).map((sentence) => sentence.trim());
}

function wordsOf(sentence: string): number {
  return sentence.split(/\s+/).filter((word) => /\w/.test(word)).length;
}

describe("the documents", () => {
  it("are all looked at", () => {
    expect(documents).toEqual(expect.arrayContaining(["README.md", "docs/operations.md", "docs/decisions/0023-rooms.md"]));
  });

  it.each(documents)(`%s has no sentence of more than ${wordsMax} words`, (document) => {
    const long = textsOf(document)
      .flatMap(sentencesOf)
      .filter((sentence) => wordsOf(sentence) > wordsMax);
    expect(long).toEqual([]);
  });
});
