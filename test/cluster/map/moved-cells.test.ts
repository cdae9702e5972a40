import { describe, expect, it } from "vitest";
import { formerCellsMax } from "../../../cluster/limits.ts";
import type { ClusterMap, MapCell } from "../../../cluster/map/cluster-map.ts";
import { asDeployed } from "../../../cluster/map/deployed-map.ts";
import { type CellPlace, cellsMoved } from "../../../cluster/map/moved-cells.ts";
import { unsoundness } from "../../../cluster/map/sound-map.ts";
import { changeFor } from "../../../cluster/map/wish.ts";
import { groupMap } from "../group/group-map.ts";

const at = (id: string, url: string): MapCell => ({
  id,
  url,
  door: `http://127.0.0.1:${id.charCodeAt(0)}`,
  host: id === "a" ? "h1" : "h2",
});
const keyOf = (id: string): string => id.padEnd(43, "A");
const map: ClusterMap = {
  ...groupMap(["a", "b", "c"]),
  cells: [at("a", "https://192.0.2.1:8841"), at("b", "https://192.0.2.2:8842"), at("c", "https://192.0.2.2:8843")],
  authority: "x",
  members: [
    { id: "h1", kind: "host", host: "h1", key: keyOf("h1") },
    { id: "a", kind: "cell", host: "h1", key: keyOf("a") },
    { id: "h2", kind: "host", host: "h2", key: keyOf("h2") },
    { id: "b", kind: "cell", host: "h2", key: keyOf("b") },
    { id: "c", kind: "cell", host: "h2", key: keyOf("c") },
    { id: "g2", kind: "gateway", host: "h2", key: keyOf("g2") },
  ],
};
const places: readonly CellPlace[] = [
  { id: "b", url: "https://192.0.2.9:8842", door: "http://127.0.0.1:98" },
  { id: "c", url: "https://192.0.2.9:8843", door: "http://127.0.0.1:99" },
];
/** The cells of h2 at one address. */
const atAll = (address: string): readonly CellPlace[] => places.map((each) => ({ ...each, url: each.url.replace("192.0.2.9", address) }));

function moved(from: ClusterMap, to: readonly CellPlace[], host = "h2"): ClusterMap {
  const change = cellsMoved(from, host, to);
  if ("refused" in change) throw new Error(change.refused);
  return { ...from, ...change, version: from.version + 1 };
}

describe("cells that are at another address", () => {
  it("are there by the map, with all else that they had, and whoever was deployed with the old place does not look there", () => {
    const after = moved(map, places);
    expect(after.cells.map(({ url, host }) => `${host} ${url}`)).toEqual([
      "h1 https://192.0.2.1:8841",
      "h2 https://192.0.2.9:8842",
      "h2 https://192.0.2.9:8843",
    ]);
    expect(after.formerUrls).toEqual([
      { id: "b", url: "https://192.0.2.2:8842" },
      { id: "c", url: "https://192.0.2.2:8843" },
    ]);
    expect(unsoundness(after, map)).toBeUndefined();
    // A cell that joined later was deployed with this place of theirs.
    expect(asDeployed(after, map).cells.map(({ url }) => url)).toEqual(after.cells.map(({ url }) => url));
    expect(changeFor(map, { moveCells: places, host: "h2" }, 0)).toEqual(cellsMoved(map, "h2", places));
  });

  it("may be at an address of IPv6, and on the loopback where another machine is", () => {
    expect(moved(map, atAll("[2001:db8::9]")).cells[1]?.url).toBe("https://[2001:db8::9]:8842");
    const onLoopback = { ...map, cells: [at("a", "https://127.0.0.1:8841"), ...map.cells.slice(1)] };
    expect(moved(onLoopback, atAll("127.0.0.2")).cells[1]?.url).toBe("https://127.0.0.2:8842");
  });

  it("may come back to where they were, and move as often as they like", () => {
    const back = map.cells.slice(1).map(({ id, url }) => ({ id, url }));
    const again = moved(moved(map, places), back);
    expect(again.cells.map(({ url }) => url)).toEqual(map.cells.map(({ url }) => url));
    expect(again.formerUrls).toEqual(places.map(({ id, url }) => ({ id, url })));
    let far = map;
    for (let turn = 0; turn < 3 * formerCellsMax; turn += 1) {
      far = moved(
        far,
        places.map(({ id }) => ({ id, url: `https://198.51.100.${turn % 250}:${8000 + turn}${id === "b" ? "" : "0"}` })),
      );
    }
    expect(far.formerUrls?.length).toBeLessThanOrEqual(formerCellsMax);
    // What is told twice changes nothing more.
    expect(moved(moved(map, places), places).formerUrls).toEqual(moved(map, places).formerUrls);
  });

  it.each([
    ["of another machine", "h1", places, "cell b does not run on host h1"],
    ["nobody has", "h2", [{ id: "z", url: "https://192.0.2.9:1" }], "cell z does not run on host h2"],
    ["are no cells", "h2", [{ id: "g2", url: "https://192.0.2.9:1" }], "cell g2 does not run on host h2"],
    [
      "go where another machine is",
      "h2",
      places.map((each) => ({ ...each, url: each.url.replace("2.9", "2.1") })),
      "cell a is at 192.0.2.1",
    ],
    ["leave one behind", "h2", places.slice(0, 1), "a machine has one address"],
    [
      "have a name for an address",
      "h2",
      places.map((each) => ({ ...each, url: each.url.replace("192.0.2.9", "h2.test") })),
      "no IP address",
    ],
    ["share one place", "h2", places.map((each) => ({ ...each, url: "https://192.0.2.9:1" })), "two cells would be at https://192.0.2.9:1"],
    ["have no TLS", "h2", places.map((each) => ({ ...each, url: each.url.replace("https", "http") })), "members are reached by https"],
  ])("are refused that %s", (_what, host, wanted, why) => {
    expect(cellsMoved(map, host, wanted)).toEqual({ refused: expect.stringContaining(why) });
  });

  it.each(["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])("are not at %s, where no other machine finds them", (address) => {
    expect(cellsMoved(map, "h2", atAll(address))).toEqual({ refused: expect.stringContaining("on their own machines") });
  });

  it.each([
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "255.255.255.255",
    "169.254.169.254",
    "[::]",
    "[ff02::1]",
    "[fe80::1]",
    "[::ffff:224.0.0.1]",
  ])("are not at %s, where no machine is", (address) => {
    expect(cellsMoved(map, "h2", atAll(address))).toEqual({ refused: expect.stringContaining("is no address of a machine") });
  });

  it("are not moved by a machine whose key was revoked", () => {
    expect(cellsMoved({ ...map, revoked: [keyOf("b")] }, "h2", places)).toEqual({ refused: "cell b does not run on host h2" });
  });
});
