import { cellNamePattern, gatewayNamePattern, invitedMembersMax, memberNamePattern, membersMax, revokedKeysMax } from "../limits.ts";
import type { ClusterMap } from "./cluster-map.ts";
import { withoutInvitationsOf } from "./invitations.ts";

/** Who signs in a system with an authority: a cell, a gateway, or a host, which is the `tandem` process of a machine. */
export type MemberKind = "cell" | "gateway" | "host";

/** A member and its key (docs/decisions/0046-members-have-keys.md). */
export type Member = {
  /** Cells, gateways and hosts have no name in common: a signature says one. */
  readonly id: string;
  readonly kind: MemberKind;
  /** The host that it runs on; that of a host is its own id. */
  readonly host: string;
  /** Its public key, Ed25519: the 32 octets in base64url. */
  readonly key: string;
};

/** What a map says of members. All of it is public. */
export type MembersOfMap = Pick<ClusterMap, "authority" | "members" | "revoked" | "revokedBeside" | "cells" | "invitations">;

/** The member that signs with this name; undefined: there is none, or its key has been revoked. */
export function memberOf(map: MembersOfMap, id: string): Member | undefined {
  const member = map.members?.find((each) => each.id === id);
  return member === undefined || isRevoked(map, member.key) ? undefined : member;
}

/** Whether a gateway of this name belongs to the system. Without an authority nobody says so. */
export function mayBeGateway(map: MembersOfMap, id: string): boolean {
  return map.authority === undefined || memberOf(map, id)?.kind === "gateway";
}

function isRevoked({ revoked = [], revokedBeside = [] }: MembersOfMap, key: string): boolean {
  return revoked.includes(key) || revokedBeside.includes(key);
}

/** All keys that have been revoked, as far as is known with this map. */
export function revokedIn({ revoked = [], revokedBeside = [] }: MembersOfMap): readonly string[] {
  return [...revoked, ...revokedBeside];
}

/**
 * A map with keys beside it that were revoked where another one was written. Where there is no room for all that were, those of its members are remembered: the
 * others are nobody's any more.
 */
export function withRevokedBeside(map: ClusterMap, keys: readonly string[]): ClusterMap {
  const isFull = revokedIn(map).length >= revokedKeysMax;
  const more = keys.filter((key) => !isRevoked(map, key) && (!isFull || map.members?.some((member) => member.key === key) === true));
  if (map.authority === undefined || more.length === 0) return map;
  return { ...map, revokedBeside: [...new Set([...(map.revokedBeside ?? []), ...more])].slice(-revokedKeysMax) };
}

/** A map that says itself what was known beside it. */
export function withRevokedWritten({ revokedBeside, ...map }: ClusterMap): ClusterMap {
  return revokedBeside === undefined ? map : { ...map, ...withoutKeys(map, revokedBeside) };
}

/**
 * Whether a member may sign for a purpose. A gateway opens its links to cells, and nothing else. Cells ask each other. A host asks what its own processes
 * need. One that runs a cell may use the API besides: whoever has that machine can read what the cell knows.
 */
export function mayUse(map: MembersOfMap, member: Member, purpose: string): boolean {
  switch (member.kind) {
    case "gateway":
      return purpose === "control" || /^backhaul \d+$/.test(purpose);
    case "cell":
      return purpose === "cell" || /^(?:pair|line) \d+$/.test(purpose);
    case "host":
      return purpose === "host" || (purpose === "api" && runsCell(map, member.id));
  }
  return member.kind satisfies never;
}

/** Whether a member of this host is a cell. */
export function runsCell(map: MembersOfMap, host: string): boolean {
  return (map.members ?? []).some(({ id, kind, host: its }) => kind === "cell" && its === host && memberOf(map, id) !== undefined);
}

/** Why these cannot be members beside those that are; undefined: they can. One that is a member already, with all that it is, may come again. */
export function additionFault(map: MembersOfMap, added: readonly Member[]): string | undefined {
  if (map.authority === undefined) return "this system has no authority: it was started without --listen";
  for (const member of added) {
    const known = map.members?.find(({ id }) => id === member.id);
    if (known !== undefined && !isSame(known, member)) return takenText(map, member.id, known.kind);
    const fault = known === undefined ? nameFault(map, member) : undefined;
    if (fault !== undefined) return fault;
    if (isRevoked(map, member.key)) return `the key of ${member.id} was removed: it needs a new one`;
  }
  return membersFault({ ...map, members: membersWith(map, added) });
}

/** Why a newcomer cannot have its name. A name with a meaning is of that kind alone, and a cell that stands in the map is itself, though its key be removed. */
function nameFault({ cells }: MembersOfMap, { id, kind }: Member): string | undefined {
  if (cells.some((cell) => cell.id === id)) return `the name ${id} is taken by a cell`;
  const meant = cellNamePattern.test(id) ? "cell" : gatewayNamePattern.test(id) ? "gateway" : kind;
  return meant === kind ? undefined : `the name ${id} is for a ${meant}, and this is a ${kind}`;
}

/** Why these cannot come by an invitation to a host, with what it has already; undefined: they can. */
export function invitedNumberFault(map: MembersOfMap, host: string, added: readonly Member[]): string | undefined {
  const number = membersWith(map, added).filter((member) => member.host === host && member.kind !== "host").length;
  return number > invitedMembersMax
    ? `host ${host} would run ${number} cells and gateways: one that was invited runs ${invitedMembersMax} at most`
    : undefined;
}

/** A person chooses the name of a host, and is told one that is free. */
function takenText({ members = [] }: MembersOfMap, id: string, kind: MemberKind): string {
  const numbered = Array.from({ length: members.length }, (_, index) => `${id}-${index + 2}`);
  const free = numbered.find((name) => memberNamePattern.test(name) && members.every((each) => each.id !== name));
  return `the name ${id} is taken by a ${kind}${kind !== "host" || free === undefined ? "" : `; ${free} is free`}`;
}

/** The members with these. */
export function membersWith({ members = [] }: MembersOfMap, added: readonly Member[]): readonly Member[] {
  return [...members.filter(({ id }) => added.every((each) => each.id !== id)), ...added];
}

/** Why this member cannot be removed; undefined: it can. A host goes with all that runs on it. */
export function removalFault(map: MembersOfMap, id: string): string | undefined {
  const gone = membersOn(map, id);
  if (gone.length === 0) return `${id} is no member`;
  const cell = gone.find((member) => map.cells.some((each) => each.id === member.id));
  if (cell !== undefined) return `cell ${cell.id} has its share of the exchanges: tandem cell remove ${cell.id} comes first`;
  const hosts = (map.members ?? []).filter((each) => each.kind === "host" && runsCell(map, each.id));
  const left = hosts.filter((each) => !gone.includes(each));
  return hosts.length > 0 && left.length === 0 ? `${id} is the last host that could change anything` : undefined;
}

/** What of the map is another when members do not count any more. */
export type WithoutMembers = Required<Pick<ClusterMap, "members" | "revoked">> & Pick<ClusterMap, "invitations">;

/** What of the map is another without this member, and without all that runs on it where it is a host. Their keys never count again. */
export function withoutMember(map: MembersOfMap, id: string): WithoutMembers {
  const gone = membersOn(map, id);
  return withoutKeys(
    map,
    gone.map(({ key }) => key),
  );
}

/**
 * What of the map is another when these keys do not count. Nor does the invitation of a host that loses one count again: revoked keys are forgotten when there are many,
 * and it would bring them back.
 */
export function withoutKeys(map: MembersOfMap, keys: readonly string[]): WithoutMembers {
  const revoked = new Set([...(map.revoked ?? []), ...keys]);
  const members = map.members ?? [];
  const hosts = members.filter(({ key }) => revoked.has(key)).map(({ host }) => host);
  return {
    members: members.filter(({ key }) => !revoked.has(key)),
    revoked: [...revoked].slice(-revokedKeysMax),
    ...withoutInvitationsOf(map, hosts, keys),
  };
}

function membersOn({ members = [] }: MembersOfMap, id: string): readonly Member[] {
  const member = members.find((each) => each.id === id);
  if (member === undefined) return [];
  return member.kind === "host" ? members.filter(({ host }) => host === id) : [member];
}

/** What is wrong with the members of a map; undefined: nothing. */
export function membersFault({ authority, members = [] }: Pick<ClusterMap, "authority" | "members">): string | undefined {
  if (authority === undefined) return members.length === 0 ? undefined : "there are members, and no authority";
  if (members.length > membersMax) return `${members.length} members are more than ${membersMax}`;
  const [ids, keys] = [new Set<string>(), new Set<string>()];
  for (const { id, kind, host, key } of members) {
    if (!memberNamePattern.test(id) || !memberNamePattern.test(host)) return `${id} on ${host} is no name of a member`;
    if (!keyPattern.test(key)) return `the key of ${id} is no Ed25519 key`;
    if (ids.has(id)) return `there are two members ${id}`;
    if (keys.has(key)) return `${id} has the key of another member`;
    if (kind === "host" && host !== id) return `host ${id} runs on ${host}`;
    ids.add(id);
    keys.add(key);
  }
  return undefined;
}

function isSame(one: Member, other: Member): boolean {
  return one.id === other.id && one.kind === other.kind && one.host === other.host && one.key === other.key;
}

/** Whether it has the form of a member's key. */
export function isMemberKey(value: unknown): value is string {
  return typeof value === "string" && keyPattern.test(value);
}

/** 32 octets in base64url: the last character carries four bits. */
const keyPattern = /^[0-9A-Za-z_-]{42}[048AEIMQUYcgkosw]$/;
