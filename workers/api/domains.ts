import { Hono } from "hono";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { addingFault, domainNameFault, isAdded, removingFault, whyNoHost } from "../../cluster/map/domains.ts";
import type { DomainRemoved, DomainRow } from "../../schemas/api-answers.ts";
import { domainBodySchema } from "../../schemas/api-bodies.ts";
import { faultText, read } from "../../schemas/reading.ts";
import { askCell } from "../cells.ts";
import { coreGroupObject, type Environment } from "../environment.ts";
import { removedAtOnce, settingsOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { warnOf } from "../way-lost.ts";
import { registrationsOf, subscribersOf } from "./cell-share.ts";
import { allExchanges, gather } from "./exchange-groups.ts";
import { jsonOf } from "./json-body.ts";
import { endRegistrations, removeSubscriber } from "./one-replica.ts";
import { refusalTo } from "./wishes.ts";

/** `/api/domains`: the SIP domains that are served. They are added and removed while the system runs. */
export const domainsApi = new Hono<Signed>();

domainsApi.use(signed(() => "api", settingsOctetsMax));

domainsApi.get("/", async (context) => {
  const { env } = context;
  const map = await newestMap(env);
  if (context.req.query("subscribers") === undefined) return context.json(rowsOf(map));
  const subscribers = await subscribersByDomain(env, map);
  if (subscribers === undefined) return context.json(unreachable, 503);
  return context.json(rowsOf(map).map((row) => ({ ...row, subscribers: subscribers.get(row.name)?.length ?? 0 })));
});

domainsApi.put("/:name", async (context) => {
  const { env } = context;
  const name = context.req.param("name").toLowerCase();
  const { value, fault } = read(domainBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: faultText(fault) }, 400);
  const map = await newestMap(env);
  const hostFault = domainNameFault(name) ?? (await hostFaultOf(env, map, name));
  if (hostFault !== undefined) return context.json({ error: `${name}: ${hostFault}` }, 400);
  const wrong = addingFault(map, name);
  if (wrong !== undefined) return context.json({ error: wrong }, 409);
  const refusal = await refusalTo(context, { addDomain: { name, auth: value.auth } });
  if (refusal !== undefined) return refusal;
  return context.json([...rowsOf(map).filter((row) => row.name !== name), { name, auth: value.auth, isAdded: true }] satisfies DomainRow[]);
});

domainsApi.delete("/:name", async (context) => {
  const { env } = context;
  const name = context.req.param("name").toLowerCase();
  const map = await newestMap(env);
  const isServed = map.domains.some((domain) => domain.name === name);
  const wrong = removingFault(map, name);
  if (wrong !== undefined) return context.json({ error: wrong }, 409);
  const before = await usersOf(env, map, name);
  if (before === undefined) return context.json(unreachable, 503);
  const who = usersText(before);
  if (!isServed && who === undefined) return context.json({ error: `${name} is none of our domains` }, 404);
  if (who !== undefined && context.req.query("subscribers") === undefined) {
    return context.json({ error: `${name} has ${who}, who would be removed with it` }, 409);
  }
  // First the domain: nobody is added to it any more, and no phone registers, while those that are there go.
  const refusal = isServed ? await refusalTo(context, { removeDomain: name }) : undefined;
  if (refusal !== undefined) return refusal;
  const { subscribers, registered } = (await usersOf(env, map, name)) ?? before;
  const removed = await eachOf(subscribers, async (each) => await removeSubscriber(env, map, each));
  const guests = [...new Set(registered)].filter((each) => !subscribers.includes(each));
  const ended = await eachOf(guests, async (each) => await endRegistrations(env, map, each));
  const left = subscribers.length - removed + guests.length - ended;
  const phones = left === 0 && registered.length > 0 ? { phones: registered.length } : {};
  return context.json({ removed: name, subscribers: removed, ...phones, left } satisfies DomainRemoved);
});

const unreachable = { error: "an exchange cannot be reached: who is a subscriber is not known" };

async function newestMap(env: Environment): Promise<ClusterMap> {
  return await coreGroupObject(env).newestMap();
}

function rowsOf(map: ClusterMap): DomainRow[] {
  return map.domains.map(({ name, auth, digest }) => ({
    name,
    auth,
    ...(digest === undefined ? {} : { digest: [...digest] }),
    isAdded: isAdded(map, name),
  }));
}

/** Why a name is none of a domain, because it is that of a machine of this system; undefined: it is not. */
async function hostFaultOf(env: Environment, map: ClusterMap, name: string): Promise<string | undefined> {
  const listeners = await coreGroupObject(env).gatewayListeners();
  const gateway = Object.entries(listeners).find(([, all]) => all.some(({ host }) => host.toLowerCase() === name));
  if (gateway !== undefined) return `is how gateway ${gateway[0]} calls itself: ${whyNoHost}`;
  const cell = map.cells.find(({ url, host }) => host === name || new URL(url).hostname === name);
  return cell === undefined ? undefined : `is where cell ${cell.id} is: ${whyNoHost}`;
}

/** Addresses-of-record of subscribers, by their domains; undefined: not all are known. A domain without any has none here. */
async function subscribersByDomain(env: Environment, map: ClusterMap): Promise<{ get(name: string): readonly string[] } | undefined> {
  const { answers, missing } = await gather(map, env.CELL, allExchanges(map), async (cell, group) => {
    if (cell === env.CELL) return await subscribersOf(env, group);
    return await askCell<string[]>(env, map, cell, `/cell/subscribers?exchanges=${group.join(",")}`);
  });
  if (missing.length > 0) return undefined;
  const all = Map.groupBy(answers.flat(), (addressOfRecord) => addressOfRecord.slice(addressOfRecord.lastIndexOf("@") + 1));
  return { get: (name) => all.get(name) ?? [] };
}

/** Who is in a domain: its subscribers, and the address-of-record of each phone that is registered. */
type Users = { readonly subscribers: readonly string[]; readonly registered: readonly string[] };

/** What counts here of a row of the list of registrations. */
type Registered = { readonly aor: string };

/** Undefined: not all are known. */
async function usersOf(env: Environment, map: ClusterMap, name: string): Promise<Users | undefined> {
  const [subscribers, { answers, missing }] = await Promise.all([
    subscribersByDomain(env, map),
    gather(map, env.CELL, allExchanges(map), async (cell, group) => {
      if (cell !== env.CELL) return await askCell<Registered[]>(env, map, cell, `/cell/registrations?exchanges=${group.join(",")}`);
      return JSON.parse(await registrationsOf(env, group, undefined)) as Registered[];
    }),
  ]);
  if (subscribers === undefined || missing.length > 0) return undefined;
  const registered = answers.flat().flatMap(({ aor }) => (aor.endsWith(`@${name}`) ? [aor] : []));
  return { subscribers: subscribers.get(name), registered };
}

/** Undefined: there is nobody. */
function usersText({ subscribers, registered }: Users): string | undefined {
  const who = [countText(subscribers.length, "subscriber"), countText(registered.length, "registered phone")];
  return who.filter((each) => each !== undefined).join(" and ") || undefined;
}

function countText(count: number, what: string): string | undefined {
  return count === 0 ? undefined : `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** How many of them are removed. To ask again does no harm. */
async function eachOf(addressesOfRecord: readonly string[], remove: (addressOfRecord: string) => Promise<boolean>): Promise<number> {
  let removed = 0;
  for (let at = 0; at < addressesOfRecord.length; at += removedAtOnce) {
    const group = addressesOfRecord.slice(at, at + removedAtOnce);
    const outcomes = await Promise.allSettled(group.map(remove));
    const failure = outcomes.find((outcome) => outcome.status === "rejected");
    if (failure !== undefined) warnOf("users of a domain that was removed are left", failure.reason);
    removed += outcomes.filter((outcome) => outcome.status === "fulfilled").length;
  }
  return removed;
}
