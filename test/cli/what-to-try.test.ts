import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { parseArguments } from "../../cli/arguments.ts";
import { layoutOf } from "../../cli/layout.ts";
import { settingsOf, upSpec } from "../../cli/settings.ts";
import { quoted } from "../../cli/shown-path.ts";
import { whatHasJoined, whatToTry } from "../../cli/what-to-try.ts";

function hints(...words: string[]): string[] {
  const settings = settingsOf(parseArguments(upSpec, words));
  const text = whatToTry(settings, "example.test", layoutOf(settings, 2), {});
  return text.split("\n").filter((line) => line.includes("npx tandem"));
}

describe("what to try", () => {
  it("names commands that can be pasted, whatever the path of the state directory", () => {
    expect(hints()).toEqual([
      "npx tandem subscriber list shows who may register.",
      "  npx tandem status",
      "  npx tandem registrations",
      "  npx tandem subscriber add dave --password -",
    ]);
    expect(hints("--auth", "open").join()).not.toContain("subscriber add");
    expect(hints("--state", resolve("my state"))[1]).toBe("  npx tandem status --state 'my state'");
    expect(hints("--state", "it's")[0]).toBe(`npx tandem subscriber list --state 'it'\\''s' shows who may register.`);
  });

  it("names the host where commands take its name, first machine or not", () => {
    const settings = settingsOf(parseArguments(upSpec, []));
    const layout = layoutOf(settings, 2);
    expect(whatToTry(settings, "example.test", layout, {}, "h4")).toMatch(/^ {2}Host +h4$/m);
    expect(whatHasJoined(settings, "example.test", layout, "h4")).toMatch(/^ {2}Host +h4$/m);
    expect(whatToTry(settings, "example.test", layout, {})).not.toContain("Host");
  });

  it.each([
    ["/srv/tandem_1.2", "/srv/tandem_1.2"],
    ["a b", "'a b'"],
    ["$HOME", "'$HOME'"],
    ["", "''"],
  ])("a shell reads %j from %s", (word, text) => {
    expect(quoted(word)).toBe(text);
  });
});
