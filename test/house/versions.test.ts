import { describe, expect, it } from "vitest";
import { protocolVersion } from "../../cluster/protocol-version.ts";
import { memberScheme, secretScheme } from "../../cluster/signed-text.ts";
import { textOf } from "./sources.ts";

/** The value of a constant that its file keeps to itself. */
function numberIn(file: string, name: string): string {
  const found = new RegExp(`const ${name} = (\\d+);`).exec(textOf(file))?.[1];
  if (found === undefined) throw new Error(`${file} has no ${name}`);
  return found;
}

const rows = textOf("docs/versions.md")
  .split("\n")
  .filter((line) => line.startsWith("| "))
  .slice(2)
  .map((line) => line.split("|").map((cell) => cell.trim()));

/** What has a number, by the beginning of its line in docs/versions.md. */
const versions: readonly (readonly [what: string, version: string])[] = [
  ["requests, upgrades and answers", String(protocolVersion)],
  ["frames", String(protocolVersion)],
  ["the API", String(protocolVersion)],
  ["signatures of requests", secretScheme],
  ["signatures of members", memberScheme],
  ["tokens", "td2"],
  ["rows", numberIn("workers/exchange/record-log.ts", "rowFormat")],
  ["the database", numberIn("workers/disk-format.ts", "diskFormat")],
  ["a state directory", numberIn("cli/state-directory.ts", "stateFormat")],
];

describe("docs/versions.md", () => {
  it.each(versions)("says the version of %s", (what, version) => {
    const row = rows.filter(([, first = ""]) => first.startsWith(what));
    expect(row.map(([, , , now]) => now)).toEqual([`\`${version}\``]);
  });

  it("has a test for each line", () => {
    expect(rows.length).toBeGreaterThan(versions.length);
    expect(rows.filter(([, , , , , test = ""]) => !/`test\/[\w/-]+\.test\.ts`/.test(test)).map(([, what]) => what)).toEqual([]);
  });
});
