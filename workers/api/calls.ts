import { Hono } from "hono";
import { callReason } from "../../cluster/calls/call-reason.ts";
import type { LiveCall } from "../../cluster/calls/live-call.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import type { CallEnded, CallRow } from "../../schemas/api-answers.ts";
import { callsListedMax } from "../../schemas/limits.ts";
import { isParseError } from "../../sip/errors.ts";
import { parseRecord } from "../../sip/record/record-text.ts";
import { callIdOf } from "../call-id.ts";
import { askCell, within } from "../cells.ts";
import { clusterMapOf, type Environment, ledgerObject } from "../environment.ts";
import type { AskedOfLedger, CallQuery, Listing, PlaceInList } from "../ledger/question.ts";
import { callsListedDefault, deliveryAnswerMsMax, settingsOctetsMax } from "../limits.ts";
import { signed, type Signed } from "../signed.ts";
import { warnOf } from "../way-lost.ts";
import { callNamed, joinArrays, liveCallsOf } from "./cell-share.ts";
import { endCall } from "./end-call.ts";
import { allExchanges, gather } from "./exchange-groups.ts";
import { readAddressOfRecord } from "./subscribers.ts";

/** `/api/calls`: what became of calls, from the ledger, and those that stand now, from the exchanges. */
export const callsApi = new Hono<Signed>();

callsApi.use(signed(() => "api", settingsOctetsMax));

callsApi.get("/", async (context) => {
  const { env } = context;
  const map = clusterMapOf(env);
  const asked = context.req.query("aor");
  const addressOfRecord = asked === undefined ? undefined : readAddressOfRecord(map, asked);
  if (typeof addressOfRecord === "object") return context.json(addressOfRecord, 400);
  if (context.req.query("live") === "true") {
    const live = await liveCalls(env, map, addressOfRecord);
    return live === undefined ? context.json({ error: "an exchange cannot be reached" }, 503) : context.json(live);
  }
  const since = timeOf(context.req.query("since"));
  const before = placeOf(context.req.query("before"));
  const most = numberOf(context.req.query("most"));
  if (Number.isNaN(since)) return context.json({ error: "since must be a time as ISO 8601 writes it" }, 400);
  if (before === "wrong") return context.json({ error: "before must be the start and the id of a call, with a comma between" }, 400);
  if (!(most >= 1 && most <= callsListedMax))
    return context.json({ error: `most must be a whole number from 1 to ${callsListedMax}` }, 400);
  return await listed(env, map, { addressOfRecord, since, before, isFailed: context.req.query("failed") === "true", most });
});

callsApi.get("/:id", async (context) => {
  const { env } = context;
  const [map, id] = [clusterMapOf(env), context.req.param("id")];
  const records = await ask(env, map, { id, most: 1 });
  const row = (records ?? []).map(rowOf).find((each) => each !== undefined) ?? (await rowFromExchanges(env, map, id));
  if (row !== undefined) return context.json(row);
  if (records === undefined) return unreachableLedger();
  return context.json({ error: `there is no call ${id}` }, 404);
});

callsApi.delete("/:id", async (context) => {
  const { env } = context;
  const id = context.req.param("id");
  const outcome = await endCall(env, clusterMapOf(env), id);
  if (outcome === "unknown") return context.json({ error: `no call ${id} stands` }, 404);
  if (outcome === "unreachable")
    return context.json({ error: `call ${id} is not ended: an exchange that may have it cannot be reached` }, 503);
  if (outcome === "busy") return context.json({ error: `call ${id} is not ended at both phones: there is too much to do, try again` }, 503);
  if (outcome !== "hungUp" && outcome !== "cancelled") return context.json({ error: `call ${id} is not ended: ${untold[outcome]}` }, 409);
  return context.json({ id, was: outcome === "hungUp" ? "answered" : "ringing" } satisfies CallEnded);
});

const untold = {
  callerUntold: "its callee is told to hang up, and there is no way to its caller",
  calleeUntold: "there is no way to its callee, and nobody is told",
  bothUntold: "there is no way to its caller or its callee",
} as const;

async function listed(env: Environment, map: ClusterMap, query: CallQuery): Promise<Response> {
  const records = await ask(env, map, query);
  return records === undefined ? unreachableLedger() : Response.json(records.map(rowOf).filter((row) => row !== undefined));
}

function unreachableLedger(): Response {
  return Response.json({ error: "the ledger of call records cannot be reached" }, { status: 503 });
}

/** A call that stands, or that has ended a moment ago: its record is on the way to the ledger. Undefined: no exchange that answers knows it. */
async function rowFromExchanges(env: Environment, map: ClusterMap, id: string): Promise<CallRow | undefined> {
  const { answers } = await gather(map, env.CELL, allExchanges(map), async (cell, group) => {
    if (cell === env.CELL) return await callNamed(env, group, id);
    const query = new URLSearchParams({ exchanges: group.join(","), id });
    return JSON.stringify(await askCell(env, map, cell, `/cell/calls?${query.toString()}`));
  });
  const known = JSON.parse(joinArrays(answers)) as readonly (LiveCall | readonly unknown[])[];
  const rows = known.map((each) => ("key" in each ? liveRowOf(each) : rowOf(JSON.stringify(each))));
  // A cell of an earlier release answers with all that stand.
  return rows.find((row) => row?.id === id);
}

/** Records from the collector's ledger; when that does not answer, from whichever does. */
async function ask(env: Environment, map: ClusterMap, query: CallQuery): Promise<readonly string[] | undefined> {
  const first = await askOne(env, map, env.CELL, { query, isAnyGood: false });
  if (first !== undefined && "records" in first) return first.records;
  const collector = first?.collector;
  if (collector !== undefined && collector !== env.CELL) {
    const answer = await askOne(env, map, collector, { query, isAnyGood: true });
    if (answer !== undefined && "records" in answer) return answer.records;
  }
  for (const { id } of map.cells) {
    if (id === collector) continue;
    const answer = await askOne(env, map, id, { query, isAnyGood: true });
    if (answer !== undefined && "records" in answer) return answer.records;
  }
  return undefined;
}

async function askOne(env: Environment, map: ClusterMap, cell: string, asked: AskedOfLedger): Promise<Listing | undefined> {
  try {
    if (cell !== env.CELL) return await askCell<Listing>(env, map, cell, "/cell/ledger/list", asked);
    const answer: Promise<unknown> = ledgerObject(env).list(asked);
    return (await within(answer, deliveryAnswerMsMax)) as Listing;
  } catch (error) {
    warnOf(`the ledger of cell ${cell} does not answer`, error);
    return undefined;
  }
}

/** Undefined: an exchange cannot be reached. */
async function liveCalls(env: Environment, map: ClusterMap, addressOfRecord: string | undefined): Promise<CallRow[] | undefined> {
  // A call is at the callee's exchange, or at the caller's where it leaves for outside.
  const exchanges = allExchanges(map);
  const { answers, missing } = await gather(map, env.CELL, exchanges, async (cell, group) => {
    if (cell === env.CELL) return await liveCallsOf(env, group, addressOfRecord);
    const query = new URLSearchParams({ exchanges: group.join(","), ...(addressOfRecord === undefined ? {} : { aor: addressOfRecord }) });
    return JSON.stringify(await askCell(env, map, cell, `/cell/calls?${query.toString()}`));
  });
  if (missing.length > 0) return undefined;
  const calls = JSON.parse(joinArrays(answers)) as LiveCall[];
  return calls.toSorted((one, other) => one.start - other.start).map(liveRowOf);
}

/** Of a record's text; undefined: this release cannot read it. */
function rowOf(text: string): CallRow | undefined {
  const record = parseRecord(text);
  if (isParseError(record) || record.kind !== "call" || record.value === undefined) return undefined;
  const { key, value } = record;
  const { caller, callee, answeredBy, start, ring, answer, end, status, cells, gateways, failovers } = value;
  const [id, reason] = [callIdOf(key), callReason(value)];
  const times = { start: isoOf(start), ring: isoOf(ring), answer: isoOf(answer), end: isoOf(end) };
  return { id, caller, callee, answeredBy, ...times, status, reason, cells, gateways, failovers };
}

function liveRowOf({ key, caller, callee, answeredBy, start, ring, answer, status, cells, gateways, failovers }: LiveCall): CallRow {
  const reason = status >= 200 ? "they talk" : status >= 180 ? "it rings" : "it is looked for";
  const times = { start: isoOf(start), ring: isoOf(ring), answer: isoOf(answer), end: null };
  return { id: callIdOf(key), caller, callee, answeredBy, ...times, status, reason, cells, gateways, failovers };
}

function isoOf(at: number): string;
function isoOf(at: number | undefined): string | null;
function isoOf(at: number | undefined): string | null {
  return at === undefined ? null : new Date(at).toISOString();
}

/** Ms since the epoch; NaN: it is no time. */
function timeOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.parse(text);
}

/** Of `START,ID`, as a list shows them. */
function placeOf(text: string | undefined): PlaceInList | undefined | "wrong" {
  if (text === undefined) return undefined;
  const [, start = "", id = ""] = /^([^,]+),([0-9a-f]+)$/.exec(text) ?? [];
  const at = Date.parse(start);
  return Number.isNaN(at) ? "wrong" : { start: at, id };
}

function numberOf(text: string | undefined): number {
  return text === undefined ? callsListedDefault : /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
}
