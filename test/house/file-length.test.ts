import { describe, expect, it } from "vitest";
import { sourcesOf, textOf } from "./sources.ts";

/** A file holds one idea. One that is longer has a second one, or is a table. */
const linesMax = 500;

/** Where a longer file has become shorter by more than this, its number follows: else it could grow again unseen. */
const slackMax = 10;

/** Longer files, with the lines that each may have and why it is not shorter. The numbers may only fall; a file that has become short goes. */
const exceptions: Readonly<Record<string, { readonly linesMax: number; readonly reason: string }>> = {
  "test/cluster/backhaul/replica-ways.test.ts": { linesMax: 950, reason: "every event in every state of that machine" },
  "test/actors/exchange/orphaned-invites.test.ts": { linesMax: 670, reason: "each case needs a call that both cells have lost" },
  "test/cluster/replication/peer-link.test.ts": { linesMax: 575, reason: "every event in every state of that link" },
  "test/cluster/group/core-group.test.ts": { linesMax: 590, reason: "every change of a view, one by one" },
};

function linesOf(file: string): number {
  return textOf(file).split("\n").length - 1;
}

describe("a file", () => {
  const files = ["sip", "cluster", "actors", "schemas", "workers", "gateway", "kit", "cli", "bench", "test"].flatMap(sourcesOf);

  it(`has at most ${linesMax} lines, or as many as the list says`, () => {
    const long = files.flatMap((file) => {
      const lines = linesOf(file);
      const max = exceptions[file]?.linesMax ?? linesMax;
      return lines > max ? [`${file}: ${lines} lines, at most ${max}`] : [];
    });
    expect(long).toEqual([]);
  });

  it(`stands in the list only while it is longer than that, with at most ${slackMax} lines to spare`, () => {
    const loose = Object.entries(exceptions).flatMap(([file, { linesMax: max }]) => {
      if (!files.includes(file)) return [`${file}: is not there`];
      const lines = linesOf(file);
      if (lines <= linesMax) return [`${file}: ${lines} lines, needs no exception`];
      return max - lines > slackMax ? [`${file}: ${lines} lines, may have ${max}`] : [];
    });
    expect(loose).toEqual([]);
  });
});
