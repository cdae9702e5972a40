import { describe, expect, it } from "vitest";
import { exchangesMax } from "../../../cluster/limits.ts";
import { exchangeOf, pairOf, type ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { mapAtStart } from "../../../cluster/map/deployed-map.ts";
import { doubled, doublingFault, eldersOf, firstCountOf, withExchangesOf } from "../../../cluster/map/doubling.ts";
import { faultOf } from "../../../cluster/map/map-change.ts";
import { isNewer, mapVersionOf, mapVersionText } from "../../../cluster/map/map-version.ts";
import { unsoundness } from "../../../cluster/map/sound-map.ts";
import { groupMap } from "../group/group-map.ts";

const four: ClusterMap = { ...groupMap(["a", "b", "c"]), exchangeCount: 4 };

function doubledOnce(map: ClusterMap): ClusterMap {
  return { ...map, ...doubled(map), version: map.version + 1, writer: "a" };
}

describe("exchanges that are doubled", () => {
  const eight = doubledOnce(four);

  it("have the names of the old one and of its younger one, in the same cells", () => {
    for (let index = 0; index < 500; index += 1) {
      const name = `phone${index}@example.test`;
      const [before, after] = [exchangeOf(four, name), exchangeOf(eight, name)];
      expect([before, before + 4]).toContain(after);
      const { primary, secondary } = pairOf(four, before);
      expect(pairOf(eight, after)).toEqual({ primary, secondary });
    }
    expect(unsoundness(eight, four)).toBeUndefined();
    expect(eight.doubled).toEqual({ first: 4, isUnderWay: true });
  });

  it("keep a cell that joins, and the younger one has none", () => {
    const assignments = Array.from({ length: 4 }, () => ({ primary: "a", secondary: "b", joining: "c" }));
    const { assignments: after = [] } = doubled({ ...four, assignments });
    expect([after[3], after[7]]).toEqual([assignments[3], { primary: "a", secondary: "b" }]);
  });

  it("have elders, the youngest first, and none where there were as many at first", () => {
    const sixteen = doubledOnce(eight);
    expect(firstCountOf(sixteen)).toBe(4);
    expect([13, 9, 5, 8, 3].map((exchange) => eldersOf(sixteen, exchange))).toEqual([[5, 1], [1], [1], [0], []]);
    expect(eldersOf(four, 3)).toEqual([]);
  });

  it("are not doubled while they are, nor above what a map may have, nor to anything but twice as many", () => {
    expect(doublingFault(four)).toBeUndefined();
    expect(doublingFault(eight)).toBe("the exchanges are being doubled already, to 8");
    expect(doublingFault({ ...four, exchangeCount: exchangesMax })).toBe(`${2 * exchangesMax} exchanges are more than ${exchangesMax}`);
    expect(faultOf(four, { exchangeCount: 8 })).toBeUndefined();
    expect(faultOf(four, { exchangeCount: 16 })).toBe("there are 4 exchanges: they can be doubled to 8, and nothing else");
    expect(faultOf(four, { exchangeCount: 8, cells: four.cells })).toMatch(/^exchanges are doubled in the cells where they are/);
  });

  it("are as many in a newer map of a side that has not heard of it, in a version that all make alike", () => {
    const other: ClusterMap = { ...four, version: 9, writer: "c" };
    const both = withExchangesOf(other, eight);
    expect([both.exchangeCount, both.doubled, both.writer]).toEqual([8, { first: 4, isUnderWay: true }, "c*00008"]);
    expect(unsoundness(other, eight)).toBeUndefined();
    expect(unsoundness(both, eight)).toBeUndefined();
    expect(isNewer(mapVersionOf(both), mapVersionOf(other))).toBe(true);
    expect(isNewer({ epoch: 9, writer: "d" }, mapVersionOf(both))).toBe(true);
    const more = withExchangesOf(both, doubledOnce(eight));
    expect([more.writer, isNewer(mapVersionOf(more), mapVersionOf(both))]).toEqual(["c*00016", true]);
    expect(mapVersionText(mapVersionOf(more))).toBe("9 of cell c, with more exchanges");
    expect(withExchangesOf(eight, four)).toBe(eight);
    expect(withExchangesOf(other, { ...four, exchangeCount: 12 })).toBe(other);
  });

  it("stay as many when a cell is deployed anew with fewer", () => {
    expect(mapAtStart({ ...four, version: 1 }, eight).exchangeCount).toBe(8);
    const deployed = mapAtStart({ ...four, version: 20 }, eight);
    expect([deployed.exchangeCount, deployed.version, deployed.writer]).toEqual([8, 20, "*00008"]);
  });
});
