import { describe, expect, it } from "vitest";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { asDeployed, mapAtStart } from "../../../cluster/map/deployed-map.ts";
import { isNewer, mapVersionOf, mapVersionText } from "../../../cluster/map/map-version.ts";
import { groupMap } from "../group/group-map.ts";

const deployed: ClusterMap = { ...groupMap(["a", "b"]), failedLogins: 5 };
/** As cell b has written it, which sees the others elsewhere. */
const written: ClusterMap = {
  ...groupMap(["a", "b", "c"]),
  version: 7,
  writer: "b",
  statedAt: 1,
  exchangeCount: 2,
  assignments: [
    { primary: "a", secondary: "c" },
    { primary: "b", secondary: "a" },
  ],
  domains: [{ name: "elsewhere.test", auth: "digest" }],
  heartbeat: { periodMs: 500, missed: 4 },
  cells: ["a", "b", "c"].map((id) => ({ id, url: `http://relay.invalid/${id}`, host: `h-${id}` })),
};

describe("versions of a map", () => {
  it("are in one order, by epoch, then by writer; one that was deployed is the lowest of its epoch", () => {
    const order = [
      { version: 1 },
      { version: 2 },
      { version: 2, writer: "a" },
      { version: 2, writer: "b" },
      { version: 3, writer: "a" },
      { version: 10 },
    ].map(mapVersionOf);
    for (const [index, one] of order.entries()) {
      for (const [other, version] of order.entries()) expect(isNewer(one, version)).toBe(index > other);
    }
    expect(order.map(mapVersionText).slice(1, 4)).toEqual(["2", "2 of cell a", "2 of cell b"]);
  });
});

function urlsOf({ cells }: ClusterMap): string[] {
  return cells.map(({ url }) => url);
}

describe("a map that was written elsewhere", () => {
  it("keeps what was decided, and what only the operator states is as it was deployed here", () => {
    expect(asDeployed(written, deployed)).toEqual({
      ...written,
      domains: deployed.domains,
      failedLogins: 5,
      cells: [
        { id: "a", url: "http://a.invalid", host: "h-a" },
        { id: "b", url: "http://b.invalid", host: "h-b" },
        { id: "c", url: "http://relay.invalid/c", host: "h-c" },
      ],
    });
  });

  it("has nothing that was stated elsewhere before and is not stated here", () => {
    expect(asDeployed({ ...written, failedLogins: 3 }, groupMap(["a", "b"]))).not.toHaveProperty("failedLogins");
  });

  it("is taken whole when the operator has stated more since", () => {
    const later = { ...written, statedAt: 6 };
    expect(asDeployed(later, deployed)).toBe(later);
  });

  it("has a cell whose name was given again where it is now, unless another URL was deployed since", () => {
    const again: ClusterMap = { ...written, formerUrls: [{ id: "b", url: "http://b.invalid" }] };
    expect(urlsOf(asDeployed(again, deployed))).toEqual(["http://a.invalid", "http://relay.invalid/b", "http://relay.invalid/c"]);
    expect(urlsOf(mapAtStart(deployed, again))).toEqual(urlsOf(asDeployed(again, deployed)));
    const later: ClusterMap = { ...deployed, cells: deployed.cells.map((cell) => ({ ...cell, url: `${cell.url}:81` })) };
    expect(urlsOf(asDeployed(again, later))).toEqual(["http://a.invalid:81", "http://b.invalid:81", "http://relay.invalid/c"]);
  });

  it("is what a cell starts with when it is newer than what was deployed there", () => {
    expect(mapAtStart(deployed, undefined)).toBe(deployed);
    expect(mapAtStart(deployed, written)).toEqual(asDeployed(written, deployed));
    const newer = { ...deployed, version: 8 };
    expect(mapAtStart(newer, written)).toBe(newer);
  });
});
