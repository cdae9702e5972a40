import { describe, expect, it } from "vitest";
import { CoreGroupActor } from "../../../actors/core-group/core-group-actor.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import type { Wish } from "../../../cluster/map/wish.ts";
import { wishBodySchema } from "../../../schemas/api-bodies.ts";
import { carriedMapSchema } from "../../../schemas/cluster-map.ts";
import { read } from "../../../schemas/reading.ts";
import { MapChanges } from "../../../workers/core-group/map-changes.ts";
import { groupMap } from "../group/group-map.ts";

/** What no cell would take is not written: a map that is ahead of all others for ever would hold up every later change. */

const map: ClusterMap = {
  ...groupMap(["a", "b"]),
  cells: [
    { id: "a", url: "https://192.0.2.1:8841", host: "h1" },
    { id: "b", url: "https://192.0.2.2:8842", host: "h2" },
  ],
  authority: "x",
  members: ["a", "b"].flatMap((id, index) => [
    { id: `h${index + 1}`, kind: "host" as const, host: `h${index + 1}`, key: `h${id}`.padEnd(43, "A") },
    { id, kind: "cell" as const, host: `h${index + 1}`, key: id.padEnd(43, "A") },
  ]),
};
const aheadMs = 1_000;
const isNone = (): void => {};

function groupOfA(): CoreGroupActor {
  const options = { cell: "a", boot: "a1", deployed: map, kept: undefined, epoch: 1, gateways: [], isDraining: false };
  const ports = { arm: isNone, beat: isNone, keepView: isNone, keepMap: isNone, keepLeft: isNone, sendToGateways: isNone };
  return new CoreGroupActor(options, {
    ...ports,
    now: () => 1_790_000_000_000,
    wallAt: (moment) => moment + aheadMs,
    heard: () => [],
    tellExchange: isNone,
    drainLines: isNone,
    fenced: isNone,
    singleton: isNone,
    askSingleton: isNone,
    mapRefused: isNone,
    untold: isNone,
  });
}

const move = (url: string, door?: string): Wish => ({ moveCells: [{ id: "b", url, ...(door === undefined ? {} : { door }) }], host: "h2" });
const there = "https://192.0.2.9:8842";

describe("a map that has not the form of one", () => {
  it.each([
    ["door", move(there, "x")],
    ["url", move("https://192.0.2.9:99999")],
    ["door", move(there, "javascript:alert(1)")],
    ["door", move(there, "http://192.0.2.9/\u001b[2J")],
    ["door", move(there, "http://192.0.2.9/\n")],
    ["url", move(`${there}/${"x".repeat(300)}`)],
  ] as const)("is not written: its %s is wrong, %j", async (field, wish) => {
    const group = groupOfA();
    await expect(new MapChanges(group).fulfil(wish)).resolves.toEqual({
      refused: expect.stringMatching(new RegExp(`^the map would not have its form: cells\\[1\\]\\.${field} must `)) as string,
    });
    expect(group.map).toEqual(map);
    // Whoever asks is told so before, by the same schema.
    expect(read(wishBodySchema, wish).fault).toBeDefined();
  });

  it("is not written when it has the form, and is not sound", async () => {
    const group = groupOfA();
    await expect(new MapChanges(group).fulfil(move("https://192.0.2.9:8842/?x"))).resolves.toEqual({
      refused: "the map would not be sound",
    });
    expect(group.map).toEqual(map);
  });

  it("is none that a wish makes which is taken", () => {
    const group = groupOfA();
    const wish = move(there, "wss://door.example.test/");
    expect(read(wishBodySchema, wish)).toEqual({ value: wish });
    void new MapChanges(group).fulfil(wish);
    expect(group.map.cells[1]).toMatchObject({ url: there, door: "wss://door.example.test/" });
    expect(read(carriedMapSchema, JSON.parse(JSON.stringify(group.map)))).toHaveProperty("value");
  });
});
