import { describe, expect, it } from "vitest";
import { type Heartbeat, parseHeartbeat } from "../../../cluster/group/heartbeat.ts";
import { KnownMap } from "../../../cluster/group/known-map.ts";
import { settingsOf } from "../../../cluster/group/settings.ts";
import { revokedKeysMax } from "../../../cluster/limits.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { mapVersionOf, mapVersionText } from "../../../cluster/map/map-version.ts";
import { type Member, memberOf } from "../../../cluster/map/members.ts";
import { changeFor } from "../../../cluster/map/wish.ts";
import { groupMap } from "./group-map.ts";
import { Simulation } from "./group-simulation.ts";

const key = (number: number): string => `${String(number).padStart(42, "k")}A`;
const member = (id: string, kind: Member["kind"], host: string, number: number): Member => ({ id, kind, host, key: key(number) });
const members = [
  member("h1", "host", "h1", 1),
  member("h2", "host", "h2", 2),
  member("a", "cell", "h1", 3),
  member("b", "cell", "h1", 4),
  member("c", "cell", "h1", 5),
  member("d", "cell", "h1", 6),
  member("g1", "gateway", "h2", 7),
];
const cells = ["a", "b", "c", "d"];

function running(): Simulation {
  const simulation = new Simulation({ cells: 4, gateways: 0, deployed: { authority: "a certificate", members } }).startAll();
  simulation.run(2_500);
  return simulation;
}

function remove(simulation: Simulation, at: string, id: string): void {
  simulation.tell(at, (group, now) => {
    const change = changeFor(group.map, { removeMember: id }, 0);
    if ("refused" in change) throw new Error(change.refused);
    group.changeMap(change, now);
  });
}

/** Changes of the map that have nothing to do with members. */
function writeOften(simulation: Simulation, at: string): void {
  for (let times = 0; times < 6; times += 1) simulation.tell(at, (group, now) => group.changeMap({ healAfterMs: 40_000 + times }, now));
}

/** Where the key of a member counts. */
function countsAt(simulation: Simulation, id: string): string[] {
  return cells.filter((cell) => simulation.isRunning(cell) && memberOf(simulation.group(cell).map, id) !== undefined);
}

describe("a member that was removed on one side of a cut", () => {
  it.each(["a", "c"])(
    "counts nowhere again where that is known, though the map of the other side is the higher one (removed at %s)",
    (at) => {
      const simulation = running();
      const sides = [cells.slice(0, 2), cells.slice(2)] as const;
      simulation.cutApart(...sides);
      simulation.run(6_000);
      remove(simulation, at, "g1");
      simulation.run(1_000);
      const [own, other] = sides[0].includes(at) ? sides : [sides[1], sides[0]];
      writeOften(simulation, other[0] ?? "");
      simulation.run(1_000);
      expect(countsAt(simulation, "g1")).toEqual(other);
      simulation.heal();
      const versionOf = (cell: string): string => mapVersionText(mapVersionOf(simulation.group(cell).map));
      const isHealed = (): boolean => new Set(cells.map(versionOf)).size === 1;
      simulation.until(() => {
        for (const cell of own) expect(countsAt(simulation, "g1")).not.toContain(cell);
        return isHealed() && countsAt(simulation, "g1").length === 0;
      }, 10_000);
      simulation.run(5_000);
      const map = simulation.mapOf("a");
      expect(map).toMatchObject({ healAfterMs: 40_005, revoked: [key(7)] });
      expect(map).not.toHaveProperty("revokedBeside");
      expect(map?.members?.map(({ id }) => id)).toEqual(["h1", "h2", "a", "b", "c", "d"]);
      const { version } = map ?? {};
      simulation.run(60_000);
      expect(simulation.mapOf("a")?.version).toBe(version);
    },
  );

  it("counts nowhere again though whoever knew it started anew before anybody had written that", () => {
    const simulation = running();
    simulation.cutApart(["d"], ["a", "b", "c"]);
    simulation.run(6_000);
    remove(simulation, "d", "g1");
    writeOften(simulation, "a");
    simulation.run(1_000);
    // It hears of the higher map, and nobody hears it.
    const higher = simulation.group("a").map;
    const known = new KnownMap({ ...groupMap(cells), authority: "a certificate", members }, simulation.mapOf("d"));
    expect(known.hear(saying("a", higher))).toBe("newer");
    expect(known.map).toMatchObject({ version: higher.version, revokedBeside: [key(7)] });
    const again = new KnownMap({ ...groupMap(cells), authority: "a certificate", members }, known.map);
    expect(memberOf(again.map, "g1")).toBeUndefined();
    expect(again.write({ preferred: ["b"] }, "d")).toBeUndefined();
    expect(again.map).toMatchObject({ preferred: ["b"], revoked: [key(7)] });
    expect(again.map).not.toHaveProperty("revokedBeside");
    expect(again.map.members?.some(({ id }) => id === "g1")).toBe(false);
  });

  it("needs a new key, also before anybody has written it", () => {
    const known = new KnownMap({ ...groupMap(cells), authority: "a certificate", members }, undefined);
    expect(known.hearRevoked({ ...saying("b", known.map), revoked: [key(9)] })).toBe(true);
    expect(changeFor(known.map, { addMembers: [member("g9", "gateway", "h2", 9)] }, 0)).toEqual({
      refused: "the key of g9 was removed: it needs a new one",
    });
  });
});

it("a gateway that was removed is shown no more, and keeps no cell from serving", () => {
  const simulation = new Simulation({ cells: 4, gateways: 1, deployed: { authority: "a certificate", members } }).startAll();
  simulation.run(2_500);
  const shown = (cell: string): string[] =>
    simulation
      .group(cell)
      .status(simulation.now)
      .gateways.map(({ id, state }) => `${id} ${state}`);
  expect(shown("b")).toEqual(["g1 up"]);
  simulation.killGateway("g1");
  simulation.run(1_000);
  expect(shown("b")).toEqual(["g1 down"]);
  remove(simulation, "a", "g1");
  simulation.run(1_000);
  expect(cells.map((cell) => shown(cell))).toEqual([[], [], [], []]);
  // One that starts now has it on its disk, and hears of it.
  simulation.killCell("b");
  simulation.run(6_000);
  simulation.startCell("b");
  for (const cell of ["a", "c", "d"]) simulation.killCell(cell);
  simulation.run(200_000);
  expect(shown("b")).toEqual([]);
  expect(simulation.isFenced("b")).toBe(false);
});

let sequence = 1_000_000;

function saying(cell: string, map: ClusterMap): Heartbeat {
  sequence += 1;
  const said = { cell, boot: "other", sequence, state: "up", epoch: 1, gateways: [], settings: settingsOf(map) } as const;
  return { ...said, writer: map.writer ?? "", map };
}

const deployed: ClusterMap = { ...groupMap(cells), authority: "a certificate", members };

function keys(from: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) => key(from + index));
}

/** What is read of such a list in a heartbeat. */
function read(revoked: unknown): readonly string[] | undefined {
  return parseHeartbeat({ ...saying("b", deployed), revoked }, () => undefined)?.revoked;
}

describe("keys that cells say were revoked", () => {
  it("are of the form of keys, and no more than can be known", () => {
    expect(read([key(7)])).toEqual([key(7)]);
    for (const wrong of [[], [7], ["short"], [key(7), ""], "text", keys(1_000, revokedKeysMax + 1)]) expect(read(wrong)).toBeUndefined();
  });

  it("make no version after the other where there is no room for all of them", () => {
    const full: ClusterMap = { ...deployed, revoked: keys(1_000, revokedKeysMax) };
    const known = new KnownMap(full, undefined);
    expect(known.hearRevoked({ ...saying("b", full), revoked: keys(5_000, 20) })).toBe(false);
    expect(known.hearRevoked({ ...saying("b", full), revoked: [key(7), ...keys(5_000, 20)] })).toBe(true);
    expect(known.write({}, "a")).toBeUndefined();
    expect(known.map.revoked).toHaveLength(revokedKeysMax);
    expect(known.map.revoked?.at(-1)).toBe(key(7));
    expect(known.hearRevoked({ ...saying("b", full), revoked: full.revoked ?? [] })).toBe(false);
  });

  it("are no news to a system without an authority", () => {
    const known = new KnownMap(groupMap(cells), undefined);
    expect(known.hearRevoked({ ...saying("b", groupMap(cells)), revoked: [key(7)] })).toBe(false);
  });
});
