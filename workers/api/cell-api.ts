import { Hono } from "hono";
import { peerBatchOctetsMax } from "../../cluster/limits.ts";
import type { ClusterMap } from "../../cluster/map/cluster-map.ts";
import { cellOfLine } from "../../sip/flow/flow.ts";
import { decodeFrame, isFrameError } from "../../cluster/backhaul/frame.ts";
import { isExchange } from "../cells.ts";
import { clusterMapOf, coreGroupName, lineName } from "../environment.ts";
import { exchangeOfPath, fromItsPeer, type OfExchange } from "../exchange-of-path.ts";
import { subscribersBodySchema } from "../../schemas/api-bodies.ts";
import { read } from "../../schemas/reading.ts";
import { apiBodyOctetsMax } from "../limits.ts";
import { signed } from "../signed.ts";
import { clockHeader, noTime, tooLate, untilOf } from "../timely-calls.ts";
import { registrationsOf, subscribersOf, summaryOf } from "./cell-share.ts";
import { jsonOf } from "./json-body.ts";

/** What other cells ask of this one: `/cell/`, signed by a cell. Frames for lines and exchanges are binary, the rest is JSON. */
export const cellApi = new Hono<OfExchange>();

const noAddressOfRecord = { error: "no address-of-record" };

/** Frames and batches: a frame names the time until which it is wanted, and a batch that is merged twice changes nothing. */
const oftenAsked = /^\/cell\/(?:exchange|line|pair)\//;

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
  if (!access.includes(".") || cellOfLine(access) !== context.var.who) {
    return context.json({ error: `${access} is no line of cell ${context.var.who}` }, 403);
  }
  const wrong = frameErrorOf(context.var.body);
  if (wrong !== undefined) return context.json(wrong, 400);
  const until = untilOf(context.req.query("until"));
  if (Number.isNaN(until)) return noTime();
  const answer = await context.var.exchange.takeLineFrame(access, context.var.body, until);
  return answer === undefined ? tooLate() : context.body(answer as Uint8Array<ArrayBuffer>);
});

/** A batch of the peer's. The path says `pair`, as earlier releases know it. */
cellApi.post("/pair/:exchange{\\d{1,4}}", exchangeOfPath, fromItsPeer, async (context) => {
  const answer = await context.var.exchange.takePeerBatch(context.var.body);
  if (answer === undefined) return context.json({ error: "no batch of records" }, 400);
  return context.body(answer as Uint8Array<ArrayBuffer>);
});

cellApi.post("/line/:line{\\d{1,4}}", async (context) => {
  const line = Number(context.req.param("line"));
  if (line >= clusterMapOf(context.env).lineCount) return context.json({ error: `there is no line ${line}` }, 404);
  const wrong = frameErrorOf(context.var.body);
  if (wrong !== undefined) return context.json(wrong, 400);
  const until = untilOf(context.req.query("until"));
  if (Number.isNaN(until)) return noTime();
  const answer = await context.env.LINE.getByName(lineName(line)).deliver(context.var.body, until);
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

cellApi.post("/draining", async (context) => {
  const isDraining = jsonOf(context.var.body) === true;
  return context.json(await context.env.CORE_GROUP.getByName(coreGroupName).setDraining(isDraining));
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
