import { Hono } from "hono";
import type { GroupStatus } from "../../cluster/group/group-effects.ts";
import { orderTakenMs } from "../../cluster/limits.ts";
import { goneHosts } from "../../cluster/group/hosts.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { memberOf } from "../../cluster/map/members.ts";
import { shownState } from "../../cluster/map/gateways.ts";
import { type HostOrder, isForeign, kindOn, openOrdersOf } from "../../cluster/map/orders.ts";
import {
  type Hosts,
  type KnownHost,
  knownHostsSchema,
  orderBodySchema,
  type Order,
  type OrdersForHost,
  type OwnHost,
  reportSchema,
  serviceBodySchema,
} from "../../schemas/hosts.ts";
import { registrationsSchema } from "../../schemas/api-answers.ts";
import { faultText, read } from "../../schemas/reading.ts";
import { askCell, within } from "../cells.ts";
import type { Draining } from "../core-group/core-group-object.ts";
import { clusterMapOf, coreGroupObject, type Environment } from "../environment.ts";
import { hostReportOctetsMax, hostSilentMs, settingsOctetsMax, summaryAnswerMsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { warnOf } from "../way-lost.ts";
import { type CellSummary, joinArrays, registrationsOf, summaryOf } from "./cell-share.ts";
import { allExchanges, gather } from "./exchange-groups.ts";
import { jsonOf } from "./json-body.ts";
import { fulfil, refusalTo, type Unfulfilled } from "./wishes.ts";

/** `/api/hosts`: what runs on each host, and orders to it (docs/decisions/0051-a-host-reports-and-takes-orders.md). */
export const hostsApi = new Hono<Signed>();

hostsApi.use(signed(() => "api", settingsOctetsMax));

hostsApi.get("/", async (context) => context.json(await hostsOf(context.env)));

hostsApi.get("/:host/orders/:id", async (context) => {
  const { host, id } = context.req.param();
  const { orders = [] } = await newestMap(context.env);
  const order = orders.find((each) => each.host === host && each.id === id);
  return order === undefined ? context.json({ error: `host ${host} has no order ${id}` }, 404) : context.json(order satisfies Order);
});

hostsApi.put("/:host/orders", async (context) => {
  const { env } = context;
  const host = context.req.param("host");
  const { value, fault } = read(orderBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: faultText(fault) }, 400);
  const { id, what, member, drainMs } = value;
  const known = (await hostsOf(env)).find((each) => each.host === host);
  if (known === undefined) return context.json({ error: `there is no host ${host}` }, 404);
  if (known.state !== "up") return context.json({ error: `host ${host} does not report: nobody would take the order` }, 409);
  const now = Date.now();
  const order: HostOrder = {
    id,
    host,
    what,
    ...(member === undefined ? {} : { member }),
    until: now + orderTakenMs,
    ...(drainMs === undefined ? {} : { drainUntil: now + drainMs }),
  };
  const refused = await refusalOf(env, known, order);
  if (refused !== undefined) return context.json({ error: refused.error }, refused.status);
  return (await refusalTo(context, { giveOrder: order })) ?? context.json(order satisfies Order);
});

/** What a host reports, and asks for the processes that it stops: `/host/`. */
export const hostReportsApi = new Hono<Signed>();

// Of these paths alone: others below `/host` have another bound, and one of them nobody signs.
const signedByHost = signed(() => "host", hostReportOctetsMax);
for (const path of ["/report", "/left", "/own", "/service"]) hostReportsApi.use(path, signedByHost);

hostReportsApi.put("/report", async (context) => {
  const { env } = context;
  const { value, fault } = read(reportSchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: faultText(fault) }, 400);
  const map = await newestMap(env);
  const host = map.authority === undefined ? value.host : context.var.who;
  await coreGroupObject(env).hostsReported({ ...value, host });
  const open = openOrdersOf(map, host);
  for (const outcome of value.outcomes.filter((each) => open.some(({ id }) => id === each.id))) {
    const unfulfilled = await fulfil(env, { finishOrder: { ...outcome, host } });
    // It is told again. That somebody has told it meanwhile is as good.
    if (unfulfilled?.status === 503) return context.json({ error: unfulfilled.error }, 503);
  }
  const done = new Set(value.outcomes.map(({ id }) => id));
  const now = Date.now();
  const orders = open.filter(({ id, until }) => until > now && !done.has(id));
  const asked = open.filter(({ id, until }) => until <= now && !done.has(id)).map(({ id }) => id);
  return context.json({ orders: orders.map((order) => forHost(order, now)), asked } satisfies OrdersForHost);
});

/** What concerns the host that asks, and nothing else: so a machine with gateways only may see whether it serves. */
hostReportsApi.get("/own", async (context) => {
  const { env, var: variables } = context;
  const host = (await hostsOf(env)).find((each) => each.host === variables.who);
  if (host === undefined) return context.json({ error: `${variables.who} is no host of a system with an authority` }, 404);
  const map = await newestMap(env);
  const { cells, gateways }: GroupStatus = await coreGroupObject(env).status();
  const isOwn = ({ id }: { readonly id: string }): boolean => memberOf(map, id)?.host === variables.who;
  return context.json({
    host,
    cell: env.CELL,
    cells: cells.filter(isOwn).map(seen),
    gateways: gateways.filter(isOwn).map((gateway) => seen({ ...gateway, state: shownState(map, gateway) })),
  } satisfies OwnHost);
});

function seen({ id, state, heardMs }: Seen): OwnHost["cells"][number] {
  return { id, state, ...(heardMs === undefined ? {} : { heardMs: Math.round(heardMs) }) };
}

type Seen = { readonly id: string; readonly state: string; readonly heardMs: number | undefined };

/** How many phones are left at a process that is being drained. */
hostReportsApi.get("/left", async (context) => {
  const { env } = context;
  const member = context.req.query("member") ?? "";
  const map = await newestMap(env);
  if (kindOn(map, context.var.who, member) === undefined)
    return context.json({ error: `${member} does not run on ${context.var.who}` }, 403);
  const left = map.cells.some(({ id }) => id === member) ? await softphonesLeft(env, map, member) : await phonesLeft(env, map, member);
  return context.json(left === undefined ? {} : { left });
});

/** A process that was stopped is there again. */
hostReportsApi.put("/service", async (context) => {
  const { env } = context;
  const { value, fault } = read(serviceBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: faultText(fault) }, 400);
  const { member } = value;
  const map = await newestMap(env);
  if (kindOn(map, context.var.who, member) === undefined)
    return context.json({ error: `${member} does not run on ${context.var.who}` }, 403);
  if (map.cells.some(({ id }) => id === member)) {
    const outcome = await setDraining(env, map, member, false);
    if (outcome !== "done") return context.json({ error: `cell ${member} does not take it` }, 503);
    return context.json({ member, isHeard: await isHeardUp(env, map, member) });
  }
  const isDrained = map.drainingGateways?.some(({ id }) => id === member) === true;
  const refusal = isDrained ? await refusalTo(context, { undrainGateway: member }) : undefined;
  return refusal ?? context.json({ member });
});

/** Those that the map has as members, and in a system without an authority those that have reported. */
async function hostsOf(env: Environment): Promise<Hosts> {
  const group = coreGroupObject(env);
  const map = await newestMap(env);
  const others = map.cells.filter(({ id }) => id !== env.CELL);
  const asked = others.map(async ({ id }): Promise<readonly KnownHost[]> => {
    const answer = await within(askCell<unknown>(env, map, id, "/cell/hosts"), summaryAnswerMsMax);
    return read(knownHostsSchema, answer).value ?? [];
  });
  const lists = await Promise.allSettled([group.hostsReported(), ...asked]);
  const newest = new Map<string, KnownHost>();
  for (const known of lists.flatMap((each) => (each.status === "fulfilled" ? each.value : []))) {
    const before = newest.get(known.host);
    if (before === undefined || known.agoMs < before.agoMs) newest.set(known.host, known);
  }
  if (map.authority === undefined) return Array.from(newest.values(), (known) => hostFrom(map, known.host, known, false)).toSorted(byName);
  const { cells, gateways }: GroupStatus = await group.status();
  const gone = new Set(goneHosts(map, cells, gateways).map(({ host }) => host));
  const names = (map.members ?? []).filter(({ kind }) => kind === "host").map(({ id }) => id);
  return names.map((host) => ({ ...hostFrom(map, host, newest.get(host), gone.has(host)), runs: runsOn(map, host) })).toSorted(byName);
}

function hostFrom(map: ClusterMap, host: string, known: KnownHost | undefined, isGone: boolean): Hosts[number] {
  if (known === undefined) return { host, state: isGone ? "gone" : "silent" };
  const processes = known.report.processes.filter((each) => !isForeign(map, host, each));
  const state = known.agoMs < hostSilentMs ? "up" : isGone ? "gone" : "silent";
  return { host, state, agoMs: known.agoMs, report: { ...known.report, processes } };
}

function runsOn(map: ClusterMap, host: string): NonNullable<Hosts[number]["runs"]> {
  return (map.members ?? []).flatMap(({ id, kind, host: its }) => (kind !== "host" && its === host ? [{ id, kind }] : []));
}

function byName(one: Hosts[number], other: Hosts[number]): number {
  return one.host < other.host ? -1 : 1;
}

/** Why an order is not given; undefined: it may be. What is to be drained is from here on, so that nobody comes there while the order is on its way. */
async function refusalOf(
  env: Environment,
  { report }: Hosts[number],
  { host, what, member, drainUntil }: HostOrder,
): Promise<Unfulfilled | undefined> {
  if (what === "reload" && member === undefined) return undefined;
  if (what === "reload" || member === undefined)
    return { status: 409, error: `a host reloads, and start, stop and restart are for a cell or a gateway` };
  const { map, cells, gateways }: GroupStatus = await coreGroupObject(env).status();
  const kind = kindOn(map, host, member);
  if (kind === undefined || report?.processes.every(({ id }) => id !== member) !== false)
    return { status: 409, error: `${member} does not run on host ${host}` };
  if (what === "start") return undefined;
  if (kind === "cell") {
    if (cells.every(({ id, state }) => id === member || state === "down"))
      return { status: 409, error: `cell ${member} goes on: no other cell is up, and nobody could take the order to start it` };
    if (drainUntil === undefined) return undefined;
    const outcome = await setDraining(env, map, member, true);
    return outcome === "done"
      ? undefined
      : { status: 409, error: `cell ${member} stays in service: ${outcome}; --now stops it all the same` };
  }
  const isLast = gateways.every((gateway) => gateway.id === member || shownState(map, gateway) !== "up");
  const error = `gateway ${member} stays in service: no other gateway is up that phones could go to; --now stops it all the same`;
  return drainUntil !== undefined && isLast ? { status: 409, error } : undefined;
}

function forHost({ id, what, member, drainUntil }: HostOrder, now: number): OrdersForHost["orders"][number] {
  return {
    id,
    what,
    ...(member === undefined ? {} : { member }),
    ...(drainUntil === undefined ? {} : { drainMs: Math.max(0, drainUntil - now) }),
  };
}

async function setDraining(
  env: Environment,
  map: ClusterMap,
  cell: string,
  isDraining: boolean,
): Promise<Draining | "it cannot be reached"> {
  try {
    if (cell === env.CELL) return await coreGroupObject(env).setDraining(isDraining);
    return await askCell<Draining>(env, map, cell, "/cell/draining", isDraining);
  } catch (error) {
    warnOf(`cell ${cell} is not told whether it is in service`, error);
    return "it cannot be reached";
  }
}

/** Whether all cells that live know that a cell is in service again. A cell of an earlier release does not say so. */
async function isHeardUp(env: Environment, map: ClusterMap, cell: string): Promise<boolean> {
  try {
    const { state = "up", unheardBy = [] } = await summaryFrom(env, map, cell);
    return state === "up" && unheardBy.length === 0;
  } catch {
    return false;
  }
}

async function summaryFrom(env: Environment, map: ClusterMap, cell: string): Promise<CellSummary> {
  return cell === env.CELL ? await summaryOf(env, map) : await askCell<CellSummary>(env, map, cell, "/cell/summary");
}

async function softphonesLeft(env: Environment, map: ClusterMap, cell: string): Promise<number | undefined> {
  try {
    return (await summaryFrom(env, map, cell)).softphonesLeft;
  } catch {
    // It is down: nobody is left there.
    return 0;
  }
}

/** Connections, and phones that are registered by it. */
async function phonesLeft(env: Environment, map: ClusterMap, gateway: string): Promise<number | undefined> {
  const { tallies, gateways } = await coreGroupObject(env).status();
  if (gateways.every(({ id, state }) => id !== gateway || state === "down")) return 0;
  const connections = tallies[gateway]?.connectionsLeft;
  if (connections === undefined || connections > 0) return connections;
  const { answers, missing } = await gather(map, env.CELL, allExchanges(map), async (cell, group) => {
    if (cell === env.CELL) return await registrationsOf(env, group, undefined);
    return JSON.stringify(await askCell(env, map, cell, `/cell/registrations?exchanges=${group.join(",")}`));
  });
  const { value } = read(registrationsSchema, JSON.parse(joinArrays(answers)));
  return missing.length > 0 ? undefined : value?.filter((each) => each.gateway === gateway).length;
}

async function newestMap(env: Environment): Promise<ClusterMap> {
  await coreGroupObject(env).newestMap();
  return clusterMapOf(env);
}
