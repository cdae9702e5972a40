import { describe, expect, it } from "vitest";
import { sourcesOf, textOf } from "./sources.ts";

/** A file holds one idea. One that is longer has a second one, or is a table. */
const linesMax = 500;

/** Longer files, with the lines that each may have and why it is not shorter. The numbers may only fall; a file that has become short goes. */
const exceptions: Readonly<Record<string, { readonly linesMax: number; readonly reason: string }>> = {
  "cluster/backhaul/backhaul-pair.ts": { linesMax: 530, reason: "one machine: two ways, one of them in use" },
  "test/cluster/backhaul/backhaul-pair.test.ts": { linesMax: 950, reason: "every event in every state of that machine" },
  "test/actors/exchange/orphaned-invites.test.ts": { linesMax: 670, reason: "each case needs a call that both cells have lost" },
  "test/cluster/replication/peer-link.test.ts": { linesMax: 610, reason: "every event in every state of that link" },
  "test/cluster/group/core-group.test.ts": { linesMax: 590, reason: "every change of a view, one by one" },
  "test/simulation/call.ts": { linesMax: 550, reason: "a caller and a callee, and what both have to have seen" },
  "test/actors/exchange/lost-ways.test.ts": { linesMax: 550, reason: "each case needs a call whose way is lost" },
};

describe("a file", () => {
  it(`has at most ${linesMax} lines, or as many as the list says`, () => {
    const files = ["sip", "cluster", "actors", "schemas", "workers", "gateway", "kit", "cli", "bench", "test"].flatMap(sourcesOf);
    const long = files.flatMap((file) => {
      const lines = textOf(file).split("\n").length - 1;
      const max = exceptions[file]?.linesMax ?? linesMax;
      return lines > max ? [`${file}: ${lines} lines, at most ${max}`] : [];
    });
    expect(long).toEqual([]);
  });
});
