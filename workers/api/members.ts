import { Hono } from "hono";
import type { Keyring } from "../../cluster/authority/keyring.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { Member } from "../../cluster/map/members.ts";
import type { MemberRemoved, Members, MembersAdded } from "../../schemas/api-answers.ts";
import { membersBodySchema } from "../../schemas/api-bodies.ts";
import { faultText, read } from "../../schemas/reading.ts";
import { type IssuedCertificate, issue, type Subject } from "../certificates.ts";
import { clusterMapOf, coreGroupName } from "../environment.ts";
import { membersOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { summaryOf } from "./cell-share.ts";
import { jsonOf } from "./json-body.ts";
import { fulfil } from "./wishes.ts";

/** `/api/members`: who signs with a key of its own, in a system with an authority (docs/decisions/0046). Any cell takes a change. */
export const membersApi = new Hono<Signed>();

membersApi.use(signed(() => "api", membersOctetsMax));

membersApi.get("/", async (context) => {
  const { members = [] } = await context.env.CORE_GROUP.getByName(coreGroupName).newestMap();
  return context.json(members satisfies Members);
});

/** Who may ask this has cells on its machine. So it may be told what cells know, where it wants to run one. */
membersApi.put("/", async (context) => {
  const { env } = context;
  const { value, fault } = read(membersBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: faultText(fault) }, 400);
  const keyring = await env.CORE_GROUP.getByName(coreGroupName).keyring();
  if (keyring?.authority === undefined) return context.json({ error: noAuthorityText }, 409);
  const certificates = certificatesOf(keyring, value);
  if ("error" in certificates) return context.json(certificates, 400);
  const members = value.map(({ id, kind, host, key }): Member => ({ id, kind, host, key }));
  const refused = await fulfil(env, { addMembers: members });
  if (refused !== undefined) return context.json({ error: refused.error }, refused.status);
  const { authority = "", cells } = await env.CORE_GROUP.getByName(coreGroupName).newestMap();
  const isForCell = members.some(({ kind }) => kind === "cell");
  return context.json({
    certificates,
    authority,
    cells: cells.map(({ id, url }) => ({ id, url })),
    ...(isForCell ? { keyring: JSON.stringify(keyring) } : {}),
  } satisfies MembersAdded);
});

membersApi.delete("/:id", async (context) => {
  const id = context.req.param("id");
  const refused = await fulfil(context.env, { removeMember: id });
  if (refused !== undefined) return context.json({ error: refused.error }, refused.status);
  return context.json({ removed: id } satisfies MemberRemoved);
});

/** What a host asks for those that run on it, with a signature of its own: `/host/`. */
export const hostApi = new Hono<Signed>();

hostApi.use(signed(() => "host", membersOctetsMax));

hostApi.get("/summary", async (context) => context.json(await summaryOf(context.env, clusterMapOf(context.env))));

/** Certificates anew, before the ones before end. */
hostApi.put("/certificates", async (context) => {
  const { env, var: variables } = context;
  const { value, fault } = read(membersBodySchema, jsonOf(variables.body));
  if (fault !== undefined) return context.json({ error: fault.reason }, 400);
  const group = env.CORE_GROUP.getByName(coreGroupName);
  const [map, keyring] = await Promise.all([group.newestMap(), group.keyring()]);
  if (keyring?.authority === undefined) return context.json({ error: noAuthorityText }, 409);
  const stranger = value.find(({ id, key }) => !isOn(map, variables.who, id, key));
  if (stranger !== undefined) return context.json({ error: `${stranger.id} does not run on ${variables.who}` }, 403);
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

function isOn({ members = [] }: ClusterMap, host: string, id: string, key: string): boolean {
  return members.some((member) => member.id === id && member.host === host && member.key === key);
}
