import { Hono } from "hono";
import { checkInvitation, invitedFault } from "../../cluster/authority/invitation.ts";
import type { Keyring } from "../../cluster/authority/keyring.ts";
import type { GroupStatus } from "../../cluster/group/group-effects.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { shownState } from "../../cluster/map/gateways.ts";
import type { UsedInvitation } from "../../cluster/map/invitations.ts";
import { addressesFault } from "../../cluster/map/member-addresses.ts";
import { type Member, memberOf, revokedIn, runsCell } from "../../cluster/map/members.ts";
import type { HostMembers, MemberRemoved, Members, MembersAdded, Standing } from "../../schemas/api-answers.ts";
import { hostAddressBodySchema, membersAddedBodySchema, membersBodySchema } from "../../schemas/api-bodies.ts";
import { faultText, read } from "../../schemas/reading.ts";
import { fingerprintOf, invitationMacOf, type IssuedCertificate, issue, type Subject } from "../certificates.ts";
import { clusterMapOf, coreGroupObject } from "../environment.ts";
import { membersOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { summaryOf } from "./cell-share.ts";
import { jsonOf } from "./json-body.ts";
import { refusalTo } from "./wishes.ts";

/** `/api/members`: who signs with a key of its own, in a system with an authority (docs/decisions/0046). Any cell takes a change. */
export const membersApi = new Hono<Signed>();

membersApi.use(signed(() => "api", membersOctetsMax));

membersApi.get("/", async (context) => {
  const { members = [] } = await coreGroupObject(context.env).newestMap();
  return context.json(members satisfies Members);
});

/** Who may ask this has cells on its machine. So it may be told what cells know, where it wants to run one. */
membersApi.put("/", async (context) => {
  const { env } = context;
  const { value, fault } = read(membersAddedBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: faultText(fault) }, 400);
  const { members: wanted, invitation: token } = value;
  const group = coreGroupObject(env);
  const [keyring, known] = await Promise.all([group.keyring(), group.newestMap()]);
  if (keyring?.authority === undefined || known.authority === undefined) return context.json({ error: noAuthorityText }, 409);
  const by = token === undefined ? undefined : invitedBy(token, keyring, known, wanted);
  if (by !== undefined && "refused" in by) return context.json({ error: by.refused }, 403);
  const wrong = token === undefined ? addressesFault(known, wanted, false) : undefined;
  if (wrong !== undefined) return context.json({ error: wrong }, 403);
  const certificates = certificatesOf(keyring, wanted);
  if ("error" in certificates) return context.json(certificates, 400);
  const members = wanted.map(({ id, kind, host, key }): Member => ({ id, kind, host, key }));
  const refusal = await refusalTo(context, { addMembers: members, ...(by === undefined ? {} : { by }) });
  if (refusal !== undefined) return refusal;
  const map: ClusterMap = await group.newestMap();
  const isForCell = members.some(({ kind }) => kind === "cell");
  return context.json({
    certificates,
    authority: map.authority ?? "",
    cells: map.cells.map(({ id, url }) => ({ id, url })),
    ...(isForCell ? { keyring: keyringTextOf(keyring) } : {}),
    ...(by === undefined ? {} : { map: JSON.stringify(map) }),
  } satisfies MembersAdded);
});

membersApi.delete("/:id", async (context) => {
  const id = context.req.param("id");
  const refusal = await refusalTo(context, { removeMember: id });
  return refusal ?? context.json({ removed: id } satisfies MemberRemoved);
});

/** By which invitation these come, or why they may not. */
function invitedBy(
  token: string,
  { secret, next }: Keyring,
  map: ClusterMap,
  members: readonly Invited[],
): UsedInvitation | { readonly refused: string } {
  const macs = [secret, ...(next === undefined ? [] : [next.secret])].map(invitationMacOf);
  const checking = { macs, fingerprint: fingerprintOf(map.authority ?? ""), now: Date.now() };
  const invitation = checkInvitation(token, checking);
  if ("refused" in invitation) return invitation;
  const refused = invitedFault(invitation, members) ?? addressesFault(map, members, invitation.role === "gateway");
  const [host] = members;
  if (refused !== undefined || host === undefined) return { refused: refused ?? "nobody is invited" };
  return { id: invitation.id, host: host.id, key: host.key, until: invitation.expires };
}

/** What gateways show its core group hears of the others: here it would be too long for an environment. */
function keyringTextOf({ served: _told, ...keyring }: Keyring): string {
  return JSON.stringify(keyring);
}

type Invited = Member & Pick<Wanted, "addresses">;

/** What a host asks for those that run on it, with a signature of its own: `/host/`. */
export const hostApi = new Hono<Signed>();

/**
 * What a cell has of a key, whoever asks: a host that was removed signs nothing that counts, and has to know it. It tells nobody anything who does not have
 * the key.
 */
hostApi.get("/standing", async (context) => {
  const key = context.req.query("key") ?? "";
  const map: ClusterMap = await coreGroupObject(context.env).newestMap();
  const isMember = map.members?.some((member) => member.key === key) === true;
  const standing = revokedIn(map).includes(key) ? "removed" : isMember ? "member" : "unknown";
  return context.json({ standing } satisfies Standing);
});

hostApi.use(signed(() => "host", membersOctetsMax));

/** What a cell has, for the host that runs one. A host of gateways learns of no calls. */
hostApi.get("/summary", async (context) => {
  const map: ClusterMap = await coreGroupObject(context.env).newestMap();
  if (!runsCell(map, context.var.who)) return context.json({ error: "that is for a host with a cell" }, 403);
  return context.json(await summaryOf(context.env, clusterMapOf(context.env)));
});

/** The newest map: by it a host starts again what runs on it, also when the cells are gone that it has joined by. */
hostApi.get("/map", async (context) => context.json(await coreGroupObject(context.env).newestMap()));

/** How the group sees what runs on the host that asks. */
hostApi.get("/members", async (context) => {
  const { map, cells, gateways }: GroupStatus = await coreGroupObject(context.env).status();
  const isOfHost = ({ id }: { readonly id: string }): boolean => memberOf(map, id)?.host === context.var.who;
  return context.json({
    cells: cells.filter(isOfHost).map(({ id, state }) => ({ id, state })),
    gateways: gateways.filter(isOfHost).map((gateway) => ({ id: gateway.id, state: shownState(map, gateway) })),
  } satisfies HostMembers);
});

/** The cells of the host that asks are at another address: the map says so from then on, and certificates for it are given. */
hostApi.put("/address", async (context) => {
  const { value, fault } = read(hostAddressBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: faultText(fault) }, 400);
  const host = context.var.who;
  const refusal = await refusalTo(context, { moveCells: value.cells, host });
  return refusal ?? context.json({ host });
});

/** Certificates anew, before the ones before end. */
hostApi.put("/certificates", async (context) => {
  const { env, var: variables } = context;
  const { value, fault } = read(membersBodySchema, jsonOf(variables.body));
  if (fault !== undefined) return context.json({ error: fault.reason }, 400);
  const group = coreGroupObject(env);
  const [map, keyring] = await Promise.all([group.newestMap(), group.keyring()]);
  if (keyring?.authority === undefined) return context.json({ error: noAuthorityText }, 409);
  const stranger = value.find((each) => !isOn(map, variables.who, each));
  if (stranger !== undefined) return context.json({ error: `${stranger.kind} ${stranger.id} does not run on ${variables.who}` }, 403);
  const wrong = addressesFault(map, value, !runsCell(map, variables.who));
  if (wrong !== undefined) return context.json({ error: wrong }, 403);
  const certificates = certificatesOf(keyring, value);
  return "error" in certificates ? context.json(certificates, 400) : context.json({ certificates });
});

const noAuthorityText = "this cell has no key of an authority";

function certificatesOf({ authority }: Keyring, subjects: readonly Wanted[]): IssuedCertificate[] | { readonly error: string } {
  if (authority === undefined) return { error: noAuthorityText };
  try {
    return subjects.map(({ id, tlsKey, addresses }) => issue(authority, { id, addresses, publicKey: tlsKey }, Date.now()));
  } catch (error) {
    if (error instanceof RangeError) return { error: error.message };
    throw error;
  }
}

type Wanted = Pick<Subject, "id" | "addresses"> & { readonly tlsKey: string };

/** Whether the map has it as it says it is, on this host. */
function isOn(map: ClusterMap, host: string, { id, kind, host: its, key }: Member): boolean {
  const known = memberOf(map, id);
  return known !== undefined && its === host && known.host === host && known.kind === kind && known.key === key;
}
