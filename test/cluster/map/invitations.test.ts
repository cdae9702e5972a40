import { describe, expect, it } from "vitest";
import { revokedKeysMax, usedInvitationKeptMs, usedInvitationsMax } from "../../../cluster/limits.ts";
import type { ClusterMap } from "../../../cluster/map/cluster-map.ts";
import { deployedFrom } from "../../../cluster/map/deployed-map.ts";
import type { UsedInvitation } from "../../../cluster/map/invitations.ts";
import { type Member, withRevokedWritten } from "../../../cluster/map/members.ts";
import { unsoundness } from "../../../cluster/map/sound-map.ts";
import { changeFor } from "../../../cluster/map/wish.ts";
import { carriedMapSchema, writtenMapSchema } from "../../../schemas/cluster-map.ts";
import { read } from "../../../schemas/reading.ts";
import { groupMap } from "../group/group-map.ts";

const now = 1_790_000_000_000;
const keyOf = (letter: string): string => `${letter.repeat(42)}A`;
const h1: Member = { id: "h1", kind: "host", host: "h1", key: keyOf("a") };
const a: Member = { id: "a", kind: "cell", host: "h1", key: keyOf("b") };
const h2: Member = { id: "h2", kind: "host", host: "h2", key: keyOf("c") };
const g2: Member = { id: "g2", kind: "gateway", host: "h2", key: keyOf("d") };
const map: ClusterMap = { ...groupMap(["a", "b"]), authority: "a certificate", members: [h1, a] };
const used: UsedInvitation = { id: "0123456789abcdef", host: "h2", key: h2.key, until: now + 60_000 };

function after(known: ClusterMap, members: readonly Member[], by: UsedInvitation, at = now): ClusterMap {
  const change = changeFor(known, { addMembers: members, by }, at);
  if ("refused" in change) throw new Error(change.refused);
  return { ...known, ...change };
}

describe("an invitation", () => {
  it("is used in the same change that makes members, and known to all by the map", () => {
    const joined = after(map, [h2], used);
    expect(joined).toMatchObject({ members: [h1, a, h2], invitations: [used] });
    expect(unsoundness(joined)).toBeUndefined();
    expect(read(carriedMapSchema, JSON.parse(JSON.stringify(joined))).value?.invitations).toEqual([used]);
  });

  it("may be said again by the host that has used it, with what runs on it", () => {
    const joined = after(after(map, [h2], used), [h2, g2], used);
    expect(joined).toMatchObject({ members: [h1, a, h2, g2], invitations: [used] });
    expect(after(joined, [h2, g2], used)).toMatchObject({ members: [h1, a, h2, g2], invitations: [used] });
  });

  it.each([
    ["another host", { ...h2, id: "h3", host: "h3", key: keyOf("e") }],
    ["its name with another key", { ...h2, key: keyOf("e") }],
    ["another host with its key", { ...h2, id: "h3", host: "h3" }],
  ])("counts once: not for %s", (_who, other) => {
    const joined = after(map, [h2], used);
    const change = changeFor(
      { ...joined, members: [h1, a] },
      { addMembers: [other], by: { ...used, host: other.host, key: other.key } },
      now,
    );
    expect(change).toEqual({ refused: "the token has been used by host h2" });
  });

  it("makes nobody a member when it does not count, or the name is taken", () => {
    const taken = { ...h2, id: "h1", host: "h1" };
    expect(changeFor(map, { addMembers: [taken], by: used }, now)).toEqual({ refused: "the name h1 is taken by a host; h1-2 is free" });
  });

  it("is forgotten when it has expired for every clock, and not before", () => {
    const joined = after(map, [h2], used);
    const [h3, later] = [
      { ...h2, id: "h3", host: "h3", key: keyOf("e") },
      { ...used, id: "f".repeat(16), host: "h3", key: keyOf("e") },
    ];
    const end = used.until + usedInvitationKeptMs;
    expect(after(joined, [h3], { ...later, until: end }, end - 1).invitations).toHaveLength(2);
    expect(after(joined, [h3], { ...later, until: end }, end).invitations).toEqual([{ ...later, until: end }]);
  });

  it("brings no more than a machine runs, however often it is said", () => {
    const more = Array.from({ length: 20 }, (_, n): Member => ({ ...g2, id: `g${n + 10}`, key: keyOf(String.fromCharCode(65 + n)) }));
    const first = after(map, [h2, ...more.slice(0, 10)], used);
    const second = after(first, [h2, ...more.slice(10, 16)], used);
    const refused = expect.stringMatching(/^host h2 would run 17 cells and gateways/) as string;
    expect(changeFor(second, { addMembers: [h2, ...more.slice(16, 17)], by: used }, now)).toEqual({ refused });
    expect(changeFor(first, { addMembers: [h2, ...more.slice(10, 17)], by: used }, now)).toEqual({ refused });
  });

  it("has a bound, which those that have expired do not fill", () => {
    const many = Array.from({ length: usedInvitationsMax }, (_, n) => ({ ...used, id: String(n).padStart(16, "0"), host: `x${n}` }));
    const full = { ...map, invitations: many };
    const wish = { addMembers: [h2], by: used };
    expect(changeFor(full, wish, now)).toEqual({ refused: expect.stringMatching(/^128 invitations have been used/) as string });
    expect(changeFor(full, wish, used.until + usedInvitationKeptMs)).not.toHaveProperty("refused");
    // Who has come by one of them may say it again.
    expect(changeFor({ ...full, members: [h1, a, h2], invitations: [...many.slice(1), used] }, wish, now)).not.toHaveProperty("refused");
  });
});

/** A change that a map takes. */
function changed(known: ClusterMap, wish: Parameters<typeof changeFor>[1]): ClusterMap {
  const change = changeFor(known, wish, now);
  if ("refused" in change) throw new Error(change.refused);
  return { ...known, ...change };
}

/** So many keys are removed afterwards that the first ones are forgotten. */
function longAfter(known: ClusterMap): ClusterMap {
  let later = known;
  for (let n = 0; n < revokedKeysMax; n += 1) {
    const member: Member = { id: "gx", kind: "gateway", host: "h1", key: `${String(n).padStart(42, "x")}A` };
    later = changed(changed(later, { addMembers: [member] }), { removeMember: "gx" });
  }
  return later;
}

describe("a host that is removed", () => {
  const over = "the token has been used by host h2, which has been removed since or has lost a member";

  it("does not come back by its invitation, also when its key is forgotten", () => {
    const removed = changed(after(map, [h2, g2], used), { removeMember: "h2" });
    expect(removed.invitations).toEqual([{ id: used.id, host: "h2", until: used.until }]);
    expect(read(carriedMapSchema, JSON.parse(JSON.stringify(removed))).value?.invitations).toEqual(removed.invitations);
    const later = longAfter(removed);
    expect(later.revoked).not.toContain(h2.key);
    expect(changeFor(later, { addMembers: [h2], by: used }, now)).toEqual({ refused: over });
    expect(changeFor(later, { addMembers: [{ ...h2, key: keyOf("e") }], by: { ...used, key: keyOf("e") } }, now)).toEqual({
      refused: over,
    });
    // The note of it is forgotten when the token has expired for every clock.
    expect(after(later, [h2], { ...used, id: "f".repeat(16) }, used.until + usedInvitationKeptMs).invitations).toHaveLength(1);
  });

  it("does not bring back a gateway that was removed from it", () => {
    const later = longAfter(changed(after(map, [h2, g2], used), { removeMember: "g2" }));
    expect(later.revoked).not.toContain(g2.key);
    expect(changeFor(later, { addMembers: [h2, g2], by: used }, now)).toEqual({ refused: over });
  });

  it("does not come back where it was removed on the other side of a cut", () => {
    for (const key of [h2.key, g2.key]) {
      const written = withRevokedWritten({ ...after(map, [h2, g2], used), revokedBeside: [key] });
      expect(changeFor({ ...written, revoked: [] }, { addMembers: [h2], by: used }, now)).toEqual({ refused: over });
    }
  });

  it("takes along what was said of its gateways: their names may be given again", () => {
    const joined = { ...map, members: [h1, a, h2, g2], drainingGateways: [{ id: "g1" }, { id: "g2" }] };
    const known = { ...joined, members: [...joined.members, { ...g2, id: "g1", host: "h1", key: keyOf("f") }] };
    expect(changeFor(known, { removeMember: "h2" }, now)).toMatchObject({ drainingGateways: [{ id: "g1" }], revoked: [h2.key, g2.key] });
  });
});

it("a host's name becomes no SIP domain", () => {
  const change = changeFor(
    { ...map, members: [h1, a, { ...h2, id: "PBX", host: "PBX" }] },
    { addDomain: { name: "pbx", auth: "digest" } },
    now,
  );
  expect(change).toEqual({
    refused: expect.stringMatching(/^pbx is the name of a host: a SIP domain must be no machine's name/) as string,
  });
});

describe("what a cell of a further machine is deployed with", () => {
  const newest: ClusterMap = {
    ...map,
    version: 57,
    writer: "b",
    statedAt: 1,
    domains: [...map.domains, { name: "example.org", auth: "digest" }],
    addedDomains: [{ name: "example.org", auth: "digest" }],
    invitations: [used],
    former: ["x"],
  };

  it("is what the operator has stated, in a form that cells take", () => {
    const deployed = deployedFrom(newest);
    expect(read(writtenMapSchema, JSON.parse(JSON.stringify(deployed))).fault).toBeUndefined();
    expect(unsoundness(deployed)).toBeUndefined();
    expect(deployed).toMatchObject({ version: 1, cells: map.cells, authority: "a certificate", members: [h1, a] });
    // What was added while the system ran is not stated: it may be removed again.
    expect(deployed.domains).toEqual(map.domains);
    expect(deployed.assignments).toHaveLength(map.exchangeCount);
  });
});
