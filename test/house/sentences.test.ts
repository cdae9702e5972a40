import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { sourcesOf, textOf } from "./sources.ts";

const root = resolve(import.meta.dirname, "../..");

/** Whoever reads a longer sentence than this reads it twice. 25 are wanted. */
const wordsMax = 30;

const documents: readonly string[] = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
];

/** Where comments are counted as well. */
const rooms: readonly string[] = ["sip", "cluster", "actors", "schemas", "workers", "gateway"];

/** The paragraphs, items and cells of a text in Markdown. Indented and fenced code is left out. */
function partsOf(text: string): string[] {
  return text
    .replaceAll(/^```[\s\S]*?^```/gm, "")
    .split(/\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\.)\s)/)
    .filter((part) => !/^ {4}\S/.test(part))
    .flatMap((part) => (part.trimStart().startsWith("|") ? part.split("|") : [part]));
}

/** A word in backticks or behind a link is one. */
function sentencesOf(part: string): string[] {
  const plain = part.replaceAll(/\]\([^)]*\)/g, "]").replaceAll(/`[^`]*`|\{@link [^}]*\}/g, "Code");
  return plain.split(/(?<=[.?!][)"*_]*)\s+/).map((sentence) => sentence.trim());
}

function isLong(sentence: string): boolean {
  return sentence.split(/\s+/).filter((word) => /\w/.test(word)).length > wordsMax;
}

/** The comments of a file, each as text: blocks, and lines that follow each other. */
function commentsOf(code: string): string[] {
  const blocks = [...code.matchAll(/\/\*\*?([\s\S]*?)\*\//g)].map(([, text = ""]) => text.replaceAll(/^\s*\* ?/gm, ""));
  const lines = [...code.matchAll(/^[ \t]*\/\/.*(?:\n[ \t]*\/\/.*)*/gm)].map(([text]) => text.replaceAll(/^[ \t]*\/\/ ?/gm, ""));
  return [...blocks, ...lines];
}

describe("a sentence", () => {
  it.each(documents)(`of %s has no more than ${wordsMax} words`, (document) => {
    const text = readFileSync(join(root, document), "utf8");
    expect(partsOf(text).flatMap(sentencesOf).filter(isLong)).toEqual([]);
  });

  it.each(rooms)(`of a comment in %s/ has no more than ${wordsMax} words`, (room) => {
    const comments = sourcesOf(room).flatMap((file) => commentsOf(textOf(file)));
    expect(comments.length).toBeGreaterThan(5);
    expect(comments.flatMap(partsOf).flatMap(sentencesOf).filter(isLong)).toEqual([]);
  });

  it("is found wherever it may be long", () => {
    const long = Array.from({ length: wordsMax + 1 }, () => "word").join(" ");
    for (const text of [`${long}.`, `Short. ${long}`, `- one\n- ${long}`, `| ${long} |`]) {
      expect(partsOf(text).flatMap(sentencesOf).filter(isLong)).toHaveLength(1);
    }
    for (const code of [`/** ${long} */`, `/*\n * Short.\n * ${long}\n */`, `  // ${long.replace(" ", "\n  // ")}`]) {
      expect(commentsOf(code).flatMap(partsOf).flatMap(sentencesOf).filter(isLong)).toHaveLength(1);
    }
    expect(partsOf(`\`\`\`\n${long}\n\`\`\``).flatMap(sentencesOf).filter(isLong)).toEqual([]);
  });
});
