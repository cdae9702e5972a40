import { usedInvitationKeptMs, usedInvitationsMax } from "../limits.ts";
import type { WallMs } from "../../sip/time.ts";
import type { ClusterMap } from "./cluster-map.ts";

/** An invitation that a host has joined by: it counts for no other one (docs/decisions/0047-a-machine-joins-by-an-invitation.md). */
export type UsedInvitation = {
  readonly id: string;
  readonly host: string;
  /** The signing key of the host: that one may say it again. Absent: nobody may, for the host was removed, or a member of it. */
  readonly key?: string;
  /** When it expires: after that it is forgotten. */
  readonly until: WallMs;
};

type InvitationsOfMap = Pick<ClusterMap, "invitations">;

/** Why an invitation cannot be used; undefined: it can. */
export function usingFault({ invitations = [] }: InvitationsOfMap, used: UsedInvitation, now: WallMs): string | undefined {
  const known = invitations.find(({ id }) => id === used.id);
  if (known !== undefined && known.key === undefined)
    return `the token has been used by host ${known.host}, which has been removed since or has lost a member`;
  if (known !== undefined)
    return known.host === used.host && known.key === used.key ? undefined : `the token has been used by host ${known.host}`;
  if (keptOf(invitations, now).length < usedInvitationsMax) return undefined;
  return `${usedInvitationsMax} invitations have been used that have not expired yet: wait until one of them has`;
}

/** The invitations with this one, without those that have expired. */
export function withUsed({ invitations = [] }: InvitationsOfMap, used: UsedInvitation, now: WallMs): Required<InvitationsOfMap> {
  return { invitations: [...keptOf(invitations, now).filter(({ id }) => id !== used.id), used] };
}

/** What of the map is another when no invitation counts again by which these hosts have come, or a host with one of these keys. They are kept until they expire. */
export function withoutInvitationsOf(
  { invitations }: InvitationsOfMap,
  hosts: readonly string[],
  keys: readonly string[],
): InvitationsOfMap {
  if (invitations === undefined) return {};
  const isOver = ({ host, key }: UsedInvitation): boolean => hosts.includes(host) || (key !== undefined && keys.includes(key));
  return { invitations: invitations.map((each) => (isOver(each) ? { id: each.id, host: each.host, until: each.until } : each)) };
}

/** The clocks of two cells differ: one of them may take an invitation for good a little longer. */
function keptOf(invitations: readonly UsedInvitation[], now: WallMs): readonly UsedInvitation[] {
  return invitations.filter(({ until }) => until + usedInvitationKeptMs > now);
}
