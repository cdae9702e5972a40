import { Hono } from "hono";
import { peerBatchOctetsMax } from "../../cluster/limits.ts";
import { markOf } from "../../cluster/authority/keyring.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { decodeFrame, isFrameError } from "../../cluster/backhaul/frame.ts";
import { isExchange } from "../cells.ts";
import { clusterMapOf, coreGroupObject, lineObject } from "../environment.ts";
import { exchangeOfPath, fromAnotherCell, isLineOf, type OfExchange } from "../exchange-of-path.ts";
import {
  endingBodySchema,
  groupBodySchema,
  mapBodySchema,
  settingsBodySchema,
  subscribersBodySchema,
  wishBodySchema,
} from "../../schemas/api-bodies.ts";
import { read } from "../../schemas/reading.ts";
import { keyringOf } from "../keyring.ts";
import { apiBodyOctetsMax, keyringOctets } from "../limits.ts";
import { signed } from "../signed.ts";
import { clockHeader, noTime, tooLate, untilOf } from "../timely-calls.ts";
import { callNamed, liveCallsOf, registrationsOf, subscribersOf, summaryOf } from "./cell-share.ts";
import { endingsIn } from "./end-call.ts";
import { jsonOf } from "./json-body.ts";

/** What other cells ask of this one: `/cell/`, signed by a cell. Frames for lines and exchanges are binary, the rest is JSON. */
export const cellApi = new Hono<OfExchange>();

const noAddressOfRecord = { error: "no address-of-record" };

/** Frames and batches: a frame names the time until which it is wanted, and a batch that is merged twice changes nothing. Nor do call records. */
const oftenAsked = /^\/cell\/(?:exchange|line|pair|ledger)\//;

cellApi.use(
  signed(
    () => "cell",
    Math.max(peerBatchOctetsMax, apiBodyOctetsMax),
    (path) => (oftenAsked.test(path) ? "isolate" : "core group"),
  ),
);

/** Whoever asks learns our clock: what it sends next says by it until when it is wanted. */
cellApi.use(async (context, next) => {
  await next();
  context.header(clockHeader, String(Date.now()));
});

cellApi.post("/exchange/:exchange{\\d{1,4}}", exchangeOfPath, async (context) => {
  const access = context.req.query("access") ?? "";
  if (!isLineOf(access, context.var.who)) return context.json({ error: `${access} is no line of cell ${context.var.who}` }, 403);
  const wrong = frameErrorOf(context.var.body);
  if (wrong !== undefined) return context.json(wrong, 400);
  const until = untilOf(context.req.query("until"));
  if (Number.isNaN(until)) return noTime();
  const answer = await context.var.exchange.takeLineFrame(access, context.var.body, until);
  return answer === undefined ? tooLate() : context.body(answer as Uint8Array<ArrayBuffer>);
});

/** A batch of the peer's. The path says `pair`, as earlier releases know it. */
cellApi.post("/pair/:exchange{\\d{1,4}}", exchangeOfPath, fromAnotherCell, async (context) => {
  const answer = await context.var.exchange.takePeerBatch(context.var.body);
  if (answer === undefined) return context.json({ error: "no batch of records" }, 400);
  return context.body(answer as Uint8Array<ArrayBuffer>);
});

/** Records that belong to an exchange, of one that it has come from (docs/decisions/0043-exchanges-are-doubled-in-their-cells.md). */
cellApi.post("/handed-over/:exchange{\\d{1,4}}", exchangeOfPath, fromAnotherCell, async (context) =>
  context.json(await context.var.exchange.takeHandedOver(context.var.body)),
);

/** What an access has brought to another exchange, of one that this one has come from, or that has come from it. */
cellApi.post("/offered/:exchange{\\d{1,4}}", exchangeOfPath, fromAnotherCell, async (context) => {
  const wrong = frameErrorOf(context.var.body);
  if (wrong !== undefined) return context.json(wrong, 400);
  const { access = "", sure } = context.req.query();
  return context.json(await context.var.exchange.takeOffered(access, context.var.body, sure !== undefined));
});

cellApi.post("/line/:line{\\d{1,4}}", async (context) => {
  const line = Number(context.req.param("line"));
  if (line >= clusterMapOf(context.env).lineCount) return context.json({ error: `there is no line ${line}` }, 404);
  const wrong = frameErrorOf(context.var.body);
  if (wrong !== undefined) return context.json(wrong, 400);
  const until = untilOf(context.req.query("until"));
  if (Number.isNaN(until)) return noTime();
  const answer = await lineObject(context.env, line).deliver(context.var.body, until);
  return answer === undefined ? tooLate() : context.body(answer as Uint8Array<ArrayBuffer>);
});

cellApi.post("/credentials/:exchange{\\d{1,4}}", exchangeOfPath, async (context) => {
  const addressOfRecord = textOf(context.var.body);
  if (addressOfRecord === undefined) return context.json(noAddressOfRecord, 400);
  return context.json((await context.var.exchange.credentialsOf(addressOfRecord)) ?? null);
});

cellApi.post("/flows/:exchange{\\d{1,4}}", exchangeOfPath, async (context) => {
  const addressOfRecord = textOf(context.var.body);
  if (addressOfRecord === undefined) return context.json(noAddressOfRecord, 400);
  return context.json(await context.var.exchange.flowsOf(addressOfRecord));
});

cellApi.get("/summary", async (context) => context.json(await summaryOf(context.env, clusterMapOf(context.env))));

cellApi.get("/registrations", async (context) => {
  const exchanges = exchangesOf(clusterMapOf(context.env), context.req.query("exchanges"));
  const list = await registrationsOf(context.env, exchanges, context.req.query("aor"));
  return context.body(list, 200, { "content-type": "application/json" });
});

cellApi.get("/calls", async (context) => {
  const exchanges = exchangesOf(clusterMapOf(context.env), context.req.query("exchanges"));
  const id = context.req.query("id");
  const list =
    id === undefined ? await liveCallsOf(context.env, exchanges, context.req.query("aor")) : await callNamed(context.env, exchanges, id);
  return context.body(list, 200, { "content-type": "application/json" });
});

/** An operator ends a call, which one of these exchanges may have. */
cellApi.post("/calls/end", async (context) => {
  const { value, fault } = read(endingBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: `${fault.path} ${fault.reason}` }, 400);
  const unknown = value.exchanges.find((exchange) => !isExchange(clusterMapOf(context.env), exchange));
  if (unknown !== undefined) return context.json({ error: `there is no exchange ${unknown}` }, 404);
  return context.json(await endingsIn(context.env, value.exchanges, value.id));
});

cellApi.get("/subscribers", async (context) => {
  const exchanges = exchangesOf(clusterMapOf(context.env), context.req.query("exchanges"));
  return context.json(await subscribersOf(context.env, exchanges));
});

cellApi.post("/subscribers/:exchange{\\d{1,4}}/put", exchangeOfPath, async (context) => {
  const { value, fault } = read(subscribersBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: `${fault.path} ${fault.reason}` }, 400);
  return context.json(await context.var.exchange.putSubscribers(value));
});

cellApi.post("/subscribers/:exchange{\\d{1,4}}/remove", exchangeOfPath, async (context) => {
  const addressOfRecord = textOf(context.var.body);
  if (addressOfRecord === undefined) return context.json(noAddressOfRecord, 400);
  return context.json(await context.var.exchange.removeSubscriber(addressOfRecord));
});

cellApi.post("/registrations/:exchange{\\d{1,4}}/end", exchangeOfPath, async (context) => {
  const addressOfRecord = textOf(context.var.body);
  if (addressOfRecord === undefined) return context.json(noAddressOfRecord, 400);
  return context.json(await context.var.exchange.endRegistrations(addressOfRecord));
});

cellApi.post("/draining", async (context) => {
  const isDraining = jsonOf(context.var.body) === true;
  return context.json(await coreGroupObject(context.env).setDraining(isDraining));
});

/** Another cell has taken the operator's wish, and this one is the coordinator. */
cellApi.post("/group", async (context) => {
  const { value, fault } = read(groupBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: fault.reason }, 400);
  return context.json(await coreGroupObject(context.env).changeGroup(value));
});

/** The same, with settings. */
cellApi.post("/settings", async (context) => {
  const { value, fault } = read(settingsBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: fault.reason }, 400);
  return context.json(await coreGroupObject(context.env).setHeartbeat(value.heartbeat));
});

/** The keyring, if it is another one than the other cell has. */
cellApi.get("/keyring", async (context) => {
  const keyring = await coreGroupObject(context.env).keyring();
  return context.json(keyring === undefined || markOf(keyring) === context.req.query("mark") ? null : keyring);
});

/** The same, to a cell that tells all that it has. */
cellApi.post("/keyring", async (context) => {
  const told = context.var.body.length > keyringOctets ? undefined : keyringOf(jsonOf(context.var.body));
  if (told === undefined) return context.json({ error: "no keyring" }, 400);
  const keyring = await coreGroupObject(context.env).keyring(context.var.who, told);
  return context.json(keyring === undefined || markOf(keyring) === markOf(told) ? null : keyring);
});

/** What hosts have reported to this cell. */
cellApi.get("/hosts", async (context) => context.json(await coreGroupObject(context.env).hostsReported()));

cellApi.post("/map", async (context) => {
  const { value, fault } = read(mapBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: `${fault.path} ${fault.reason}` }, 400);
  return context.json(await coreGroupObject(context.env).propose(value));
});

/** Domains and weights of gateways. */
cellApi.post("/wish", async (context) => {
  const { value, fault } = read(wishBodySchema, jsonOf(context.var.body));
  if (fault !== undefined) return context.json({ error: fault.reason }, 400);
  return context.json(await coreGroupObject(context.env).fulfil(value));
});

/** Both replicas of an exchange answer the same when they hold the same. */
cellApi.get("/digest/:exchange{\\d{1,4}}", exchangeOfPath, async (context) => {
  return context.json(await context.var.exchange.digest());
});

function frameErrorOf(body: Uint8Array): { readonly error: string } | undefined {
  const frame = decodeFrame(body);
  return isFrameError(frame) ? { error: `no frame: ${frame.frameError}` } : undefined;
}

function exchangesOf(map: ClusterMap, list: string | undefined): number[] {
  return (list ?? "")
    .split(",")
    .map(Number)
    .filter((exchange) => isExchange(map, exchange));
}

/** The text that a body is; undefined: it is none. */
function textOf(body: Uint8Array): string | undefined {
  const json = jsonOf(body);
  return typeof json === "string" ? json : undefined;
}
