import { describe, expect, it } from "vitest";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import {
  additionFault,
  invitedNumberFault,
  mayUse,
  type Member,
  memberOf,
  membersFault,
  membersWith,
  removalFault,
  withoutMember,
} from "../../../cluster/map/members.ts";
import { unsoundness } from "../../../cluster/map/sound-map.ts";
import { invitedMembersMax, membersMax } from "../../../cluster/limits.ts";
import { groupMap } from "../group/group-map.ts";

/** 32 octets, of which the first ones are the number. */
function keyOf(number: number): string {
  return `${String(number).padStart(42, "k")}A`;
}

const h1: Member = { id: "h1", kind: "host", host: "h1", key: keyOf(1) };
const h2: Member = { id: "h2", kind: "host", host: "h2", key: keyOf(2) };
const a: Member = { id: "a", kind: "cell", host: "h1", key: keyOf(3) };
const b: Member = { id: "b", kind: "cell", host: "h1", key: keyOf(4) };
const g1: Member = { id: "g1", kind: "gateway", host: "h1", key: keyOf(5) };
const g2: Member = { id: "g2", kind: "gateway", host: "h2", key: keyOf(6) };
const members = [h1, h2, a, b, g1, g2];
const map: ClusterMap = { ...groupMap(["a", "b"]), authority: "a certificate", members };

describe("what a member may sign for", () => {
  it.each([
    [g2, ["control", "backhaul 3"], ["cell", "api", "host", "pair 3", "backhaul", "backhaul 3 x", "control 1"]],
    [a, ["cell", "pair 3", "line 3"], ["api", "host", "control", "backhaul 3", "pair"]],
    [h1, ["api", "host"], ["cell", "pair 3", "control", "backhaul 3"]],
    // Whoever breaks into a machine with gateways only does not get the API with it.
    [h2, ["host"], ["api", "cell", "pair 3", "control", "backhaul 3"]],
  ])("follows from its kind: %j", (member, may, mayNot) => {
    expect(may.filter((purpose) => !mayUse(map, member, purpose))).toEqual([]);
    expect(mayNot.filter((purpose) => mayUse(map, member, purpose))).toEqual([]);
  });

  it("ends for the API with the last cell of a host", () => {
    expect(mayUse({ ...map, revoked: [a.key] }, h1, "api")).toBe(true);
    expect(mayUse({ ...map, revoked: [a.key, b.key] }, h1, "api")).toBe(false);
  });
});

describe("members that come", () => {
  const g3: Member = { id: "g3", kind: "gateway", host: "h2", key: keyOf(7) };

  it("are added, and may be added again as they are: whoever joins may have missed the answer", () => {
    expect(additionFault(map, [g3])).toBeUndefined();
    expect(membersWith(map, [g3])).toEqual([...members, g3]);
    expect(additionFault(map, [g2])).toBeUndefined();
    expect(membersWith(map, [g2])).toHaveLength(members.length);
  });

  it.each([
    [map, [{ ...g3, id: "a" }], "the name a is taken by a cell"],
    [map, [{ ...g3, id: "c" }], "the name c is for a cell, and this is a gateway"],
    [map, [{ ...h2, id: "X", host: "X", key: keyOf(9) }], "the name X is for a cell, and this is a host"],
    [map, [{ ...h2, id: "g7", host: "g7", key: keyOf(9) }], "the name g7 is for a gateway, and this is a host"],
    [map, [{ ...a, id: "g7", key: keyOf(9) }], "the name g7 is for a gateway, and this is a cell"],
    // On the other side of a cut its key was removed: it has its exchanges still.
    [{ ...map, members: [h1, h2, b] }, [{ ...a, host: "h2", key: keyOf(9) }], "the name a is taken by a cell"],
    [map, [{ ...h1, key: keyOf(8) }], "the name h1 is taken by a host; h1-2 is free"],
    [map, [{ ...g2, key: keyOf(8) }], "the name g2 is taken by a gateway"],
    [map, [{ ...g3, key: g2.key }], "g3 has the key of another member"],
    [map, [g3, g3], "there are two members g3"],
    [map, [{ ...g3, id: "g.3" }], "g.3 on h2 is no name of a member"],
    [map, [{ ...g3, key: "short" }], "the key of g3 is no Ed25519 key"],
    [map, [{ ...h2, id: "h3", key: keyOf(9) }], "host h3 runs on h2"],
    [{ ...map, revoked: [g3.key] }, [g3], "the key of g3 was removed: it needs a new one"],
    [groupMap(["a", "b"]), [g3], "this system has no authority: it was started without --listen"],
  ])("are refused: %#", (known, added, fault) => {
    expect(additionFault(known, added)).toBe(fault);
  });

  it("have a bound for each host that was invited, with what it has", () => {
    const onH2 = (count: number): readonly Member[] =>
      Array.from({ length: count }, (_, n): Member => ({ ...g2, id: `g${n + 10}`, key: keyOf(n + 10) }));
    expect(invitedNumberFault(map, "h2", [h2, ...onH2(invitedMembersMax - 1)])).toBeUndefined();
    // Who says it again has as many as before.
    expect(invitedNumberFault({ ...map, members: [...members, ...onH2(15)] }, "h2", [h2, ...onH2(15)])).toBeUndefined();
    const text = "host h2 would run 17 cells and gateways: one that was invited runs 16 at most";
    expect(invitedNumberFault(map, "h2", [h2, ...onH2(invitedMembersMax)])).toBe(text);
    expect(invitedNumberFault({ ...map, members: [...members, ...onH2(15)] }, "h2", [h2, { ...g2, id: "g9", key: keyOf(9) }])).toBe(text);
  });

  it("have a bound", () => {
    const many = Array.from({ length: membersMax + 1 }, (_, n): Member => ({ id: `g-${n}`, kind: "gateway", host: "h2", key: keyOf(n) }));
    expect(membersFault({ authority: "a", members: many.slice(1) })).toBeUndefined();
    expect(membersFault({ authority: "a", members: many })).toBe(`${membersMax + 1} members are more than ${membersMax}`);
  });
});

describe("members that go", () => {
  it("are members no more, and their keys count in no map", () => {
    const left = { ...map, ...withoutMember(map, "g1") };
    expect(left.members).toEqual([h1, h2, a, b, g2]);
    expect(left.revoked).toEqual([g1.key]);
    expect(memberOf(left, "g1")).toBeUndefined();
    // The map of the other side of a cut, in which it stands still.
    expect(memberOf({ ...left, members }, "g1")).toBeUndefined();
    expect(memberOf({ ...left, members }, "g2")).toEqual(g2);
  });

  it("go with all that runs on them where they are hosts", () => {
    expect(withoutMember(map, "h2")).toEqual({ members: [h1, a, b, g1], revoked: [h2.key, g2.key] });
  });

  it.each([
    ["x", "x is no member"],
    ["a", "cell a has its share of the exchanges: tandem cell remove a comes first"],
    ["h1", "cell a has its share of the exchanges: tandem cell remove a comes first"],
    ["g1", undefined],
    ["h2", undefined],
  ])("are refused where something would be lost: %s", (id, fault) => {
    expect(removalFault(map, id)).toBe(fault);
  });

  it("leave a host that may change something", () => {
    expect(removalFault({ ...map, cells: [] }, "h1")).toBe("h1 is the last host that could change anything");
  });
});

describe("a map with members", () => {
  it("is sound, and without an authority it is not", () => {
    expect(unsoundness(map)).toBeUndefined();
    const { authority: _authority, ...plain } = map;
    expect(unsoundness(plain)).toBe("there are members, and no authority");
    expect(unsoundness({ ...map, members: [...members, { ...g2, id: "g3" }] })).toBe("g3 has the key of another member");
  });
});
