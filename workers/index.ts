import { Hono } from "hono";
import { api } from "./api/api.ts";
import { cellApi } from "./api/cell-api.ts";
import { cellsApi } from "./api/cells.ts";
import { heartbeatApi } from "./api/heartbeat.ts";
import { settingsApi } from "./api/settings.ts";
import { diskFullStatus, diskFullText } from "./disk-room.ts";
import { clusterMapOf, coreGroupName, lineName, type Environment } from "./environment.ts";
import { exchangeOfPath, fromItsPeer, type OfExchange } from "./exchange-of-path.ts";
import { ofThisVersion, saysVersion, upgraded } from "./of-this-version.ts";
import { signed } from "./signed.ts";
import { isWayLost } from "./way-lost.ts";

export { CoreGroupObject } from "./core-group/core-group-object.ts";
export { ExchangeObject } from "./exchange/exchange-object.ts";
export { LineObject } from "./line/line-object.ts";

/**
 * A cell's one way in. WebSocket upgrades are handed on to the object that will hold the socket. The framework's own WebSocket helper would keep it
 * in this Worker, where it could neither hibernate nor choose its subprotocol.
 */
const app = new Hono<{ Bindings: Environment }>();

/** RFC 7118: softphones connect to the cell's URL itself. */
app.get("/", async (context) => {
  const { env } = context;
  if (!isUpgrade(context.req.raw)) {
    // Whoever starts a cell asks this first: an object that nobody has ever called has no alarm that could start it.
    context.executionCtx.waitUntil(env.CORE_GROUP.getByName(coreGroupName).wake());
    return context.text(
      `Tandem, a SIP registrar and proxy. This is cell ${env.CELL}; softphones connect here over WebSocket, subprotocol sip.\n`,
      200,
      // Commands know a cell by its URL, and sign for the cell.
      { "tandem-cell": env.CELL },
    );
  }
  const offered = (context.req.header("sec-websocket-protocol") ?? "").split(",").map((name) => name.trim().toLowerCase());
  if (!offered.includes("sip")) return context.text("This WebSocket speaks SIP: ask for subprotocol sip (RFC 7118).\n", 400);
  const line = Math.floor(Math.random() * clusterMapOf(env).lineCount);
  return await env.LINE.getByName(lineName(line)).fetch(context.req.raw);
});

for (const path of ["/backhaul/*", "/control", "/pair/*", "/cell/*"]) app.use(path, ofThisVersion);
app.use("/api/*", saysVersion);

const gateways = new Hono<OfExchange>();

gateways.get(
  "/backhaul/:exchange{\\d{1,4}}",
  signed((param) => `backhaul ${param("exchange") ?? ""}`, 0),
  exchangeOfPath,
  async (context) => {
    if (!isUpgrade(context.req.raw)) return context.json({ error: "a backhaul is a WebSocket" }, 426, { upgrade: "websocket" });
    return upgraded(await context.var.exchange.fetch(signedBy(context.req.raw, context.var.who)));
  },
);

gateways.get(
  "/control",
  signed(() => "control", 0),
  async (context) => {
    if (!isUpgrade(context.req.raw)) return context.json({ error: "the control link is a WebSocket" }, 426, { upgrade: "websocket" });
    return upgraded(await context.env.CORE_GROUP.getByName(coreGroupName).fetch(signedBy(context.req.raw, context.var.who)));
  },
);

/** From the peer of an exchange, for batches of records (exchange/peer-socket.ts). The path says `pair`, as earlier releases know it. */
const peers = new Hono<OfExchange>();

peers.get(
  "/pair/:exchange{\\d{1,4}}",
  signed((param) => `pair ${param("exchange") ?? ""}`, 0),
  exchangeOfPath,
  fromItsPeer,
  async (context) => {
    if (!isUpgrade(context.req.raw)) return context.json({ error: "batches in requests go to /cell/pair" }, 426, { upgrade: "websocket" });
    return upgraded(await context.var.exchange.fetch(signedBy(context.req.raw, context.var.who)));
  },
);

app.route("/", gateways);
app.route("/", peers);
app.route("/cell", heartbeatApi);
app.route("/cell", cellApi);
app.route("/api/settings", settingsApi);
app.route("/api/cells", cellsApi);
app.route("/api", api);

app.notFound((context) => context.json({ error: `${context.req.method} ${context.req.path}: there is nothing here` }, 404));

app.onError((error, context) => {
  // The core group says it, once.
  if (error.message === diskFullText) return context.json({ error: diskFullText }, diskFullStatus);
  if (isWayLost(error)) return context.json({ error: "the way there was lost" }, 500);
  // The runtime's own failures have no stack that says anything.
  const isInternal = error.message.startsWith("internal error");
  console.error(`${context.req.method} ${context.req.path}: ${isInternal ? "internal error" : (error.stack ?? error.message)}`);
  return context.json({ error: error.message.split("\n", 1)[0] }, 500);
});

export default app;

function isUpgrade(request: Request): boolean {
  return request.headers.get("upgrade")?.toLowerCase() === "websocket";
}

/** Tells the object who is calling: it does not check signatures again. */
function signedBy(request: Request, who: string): Request {
  const headers = new Headers(request.headers);
  headers.set("tandem-who", who);
  return new Request(request, { headers });
}
