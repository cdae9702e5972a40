import { describe, expect, it } from "vitest";
import type { Heartbeat } from "../../../cluster/group/heartbeat.ts";
import { KnownMap } from "../../../cluster/group/known-map.ts";
import { settingsOf } from "../../../cluster/group/settings.ts";
import { mapEpochAheadMax } from "../../../cluster/limits.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { mapVersionOf, mapVersionText } from "../../../cluster/map/map-version.ts";
import { groupMap } from "./group-map.ts";
import { Simulation } from "./group-simulation.ts";

const deployed = groupMap(["a", "b", "c"]);
let sequence = 1_000_000;

/** What a cell says that has this map, or says that it has. `map`: and brings it. */
function saying(cell: string, map: ClusterMap, isBrought = true): Heartbeat {
  sequence += 1;
  const said = { cell, boot: "forged", sequence, state: "up", epoch: 1, gateways: [], settings: settingsOf(map) } as const;
  return { ...said, writer: map.writer ?? "", ...(isBrought ? { map } : {}) };
}

/** A cell of an earlier release. */
function settings(cell: string, version: number, periodMs = 700): Heartbeat {
  sequence += 1;
  return { cell, boot: "1", sequence, state: "up", epoch: 1, gateways: [], settings: { version, heartbeat: { periodMs, missed: 4 } } };
}

const toNobody: ClusterMap = {
  ...deployed,
  version: 51,
  writer: "b",
  statedAt: 1,
  assignments: [1, 2, 3].map(() => ({ primary: "zz", secondary: "yy" })),
};

describe("a map that is not sound", () => {
  it.each<[string, Heartbeat]>([
    ["with exchanges in cells that are not there", saying("b", toNobody)],
    ["with exchanges without number", saying("b", { ...deployed, version: 70, writer: "b", exchangeCount: 300_000_000 })],
    ["of a version that nobody can raise", saying("b", { ...deployed, version: 2 ** 53 - 1, writer: "b" }, false)],
    ["of a version that is far ahead", saying("b", { ...deployed, version: mapEpochAheadMax + 2, writer: "b" })],
    ["of settings that are far ahead", settings("b", 2 ** 53 - 1)],
    [
      "of another version than is said",
      { ...saying("b", { ...deployed, version: 9, writer: "b" }), map: { ...deployed, version: 10, writer: "b" } },
    ],
  ])("%s is not taken, and that is said once", (_what, heartbeat) => {
    const known = new KnownMap(deployed, undefined);
    expect(known.hear(heartbeat)).toBe("refused");
    expect(known.takeNews()).toMatch(/^map .* is not taken from cell b: /);
    expect(known.hear(heartbeat)).toBe("refused");
    expect(known.takeNews()).toBeUndefined();
    expect(known.map).toBe(deployed);
    expect(known.write({ preferred: ["b"] }, "a")).toBeUndefined();
    expect(known.map).toMatchObject({ writer: "a", preferred: ["b"], exchangeCount: 3 });
    expect(known.map.version).toBeLessThan(100);
    expect(known.map.assignments).toBeUndefined();
  });

  it("is not written either", () => {
    const known = new KnownMap(deployed, undefined);
    expect(known.write({ assignments: [{ primary: "a", secondary: "zz" }] }, "a")).toMatch(/^map 2 is not written: there are 3 exchanges/);
    expect(known.map).toBe(deployed);
  });

  it("is not asked for again, and the next map is above it", () => {
    const known = new KnownMap(deployed, undefined);
    expect(known.hear(saying("b", toNobody, false))).toBe("to be asked");
    expect(known.hear(saying("b", toNobody))).toBe("refused");
    expect(known.hear(saying("b", toNobody, false))).toBe("refused");
    known.write({ preferred: ["b"] }, "a");
    expect(mapVersionText(mapVersionOf(known.map))).toBe("52 of cell a");
  });

  it("keeps no group from going on: all stay up, and the next change is known everywhere", () => {
    const simulation = new Simulation({ cells: 3, gateways: 0 }).startAll();
    simulation.run(2_500);
    for (const map of [toNobody, { ...deployed, version: 2 ** 53 - 1, writer: "b" }]) {
      for (const cell of ["a", "c"]) simulation.tell(cell, (group, now) => void group.received(saying("b", map), now));
    }
    simulation.run(5_000);
    for (const cell of ["a", "c"]) {
      expect(simulation.refusalsOf(cell)).toHaveLength(1);
      for (const other of ["a", "b", "c"]) expect(simulation.stateOf(other, cell)).toBe("up");
    }
    simulation.tell("a", (group, now) => group.changeMap({ preferred: ["b"] }, now));
    simulation.run(2_000);
    for (const cell of ["a", "b", "c"]) expect(simulation.mapOf(cell)).toMatchObject({ version: 52, writer: "a", preferred: ["b"] });
  });
});

/** A has written a map that B has not heard of, and settings of c reach both. */
function both(): { readonly a: KnownMap; readonly b: KnownMap } {
  const [a, b] = [new KnownMap(deployed, undefined), new KnownMap(deployed, undefined)];
  a.write({ preferred: ["b"] }, "a");
  return { a, b };
}

describe("settings of an earlier release", () => {
  it("lead to one map where two knew different ones, and what one of them alone knew is not lost", () => {
    const { a, b } = both();
    for (const known of [a, b]) expect(known.hear(settings("c", 5))).toBe("newer");
    expect(mapVersionText(mapVersionOf(a.map))).toBe("5 of cell c, laid upon 2 of cell a");
    expect(a.hear(saying("b", b.map))).toBe("known");
    expect(b.hear(saying("a", a.map))).toBe("newer");
    expect(b.map).toEqual(a.map);
    expect(b.map).toMatchObject({ preferred: ["b"], heartbeat: { periodMs: 700, missed: 4 } });
  });

  it("are laid upon the higher map as well when they come to the other one first", () => {
    const { a, b } = both();
    b.hear(settings("c", 5));
    expect(a.hear(saying("b", b.map))).toBe("newer");
    expect(a.map).toMatchObject({ version: 5, preferred: ["b"], heartbeat: { periodMs: 700 } });
    expect(b.hear(saying("a", a.map))).toBe("newer");
    expect(b.map).toEqual(a.map);
  });

  it("are the same map by whichever way they come, one after the other or the last alone, and its writer does not grow", () => {
    const [a, b] = [new KnownMap(deployed, undefined), new KnownMap(deployed, undefined)];
    for (const version of [5, 8, 11]) a.hear(settings("c", version, 100 * version));
    b.hear(settings("c", 11, 1_100));
    expect(b.map).toEqual(a.map);
    expect(a.map.writer).toBe("+0000000000000001++c");
  });
});
