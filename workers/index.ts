import { Hono } from "hono";
import { retryAfterSeconds } from "../sip/limits.ts";
import { api } from "./api/api.ts";
import { callsApi } from "./api/calls.ts";
import { cellApi } from "./api/cell-api.ts";
import { cellsApi } from "./api/cells.ts";
import { domainsApi } from "./api/domains.ts";
import { gatewaysApi } from "./api/gateways.ts";
import { groupApi } from "./api/group.ts";
import { heartbeatApi } from "./api/heartbeat.ts";
import { invitationsApi } from "./api/invitations.ts";
import { ledgerApi } from "./api/ledger-api.ts";
import { mapApi } from "./api/map.ts";
import { hostReportsApi, hostsApi } from "./api/hosts.ts";
import { metricsApi, readyApi } from "./api/metrics.ts";
import { hostApi, membersApi } from "./api/members.ts";
import { secretApi } from "./api/secret.ts";
import { servedApi } from "./api/served.ts";
import { settingsApi } from "./api/settings.ts";
import { clusterMapOf, coreGroupObject, type Environment, lineObject } from "./environment.ts";
import { exchangeOfPath, fromAnotherCell, isLineOf, type OfExchange } from "./exchange-of-path.ts";
import { deployedWhole } from "./deployed-whole.ts";
import { failures } from "./failures.ts";
import { ofThisVersion, ofThisVersionIfSaid, upgraded } from "./of-this-version.ts";
import { signed } from "./signed.ts";
import { warnOf } from "./way-lost.ts";

export { CoreGroupObject } from "./core-group/core-group-object.ts";
export { ExchangeObject } from "./exchange/exchange-object.ts";
export { LedgerObject } from "./ledger/ledger-object.ts";
export { LineObject } from "./line/line-object.ts";

/**
 * A cell's one way in. WebSocket upgrades are handed on to the object that will hold the socket. The framework's own WebSocket helper would keep it
 * in this Worker, where it could neither hibernate nor choose its subprotocol.
 */
const app = new Hono<{ Bindings: Environment }>();

app.use(deployedWhole());

/** RFC 7118: softphones connect to the cell's URL itself. */
app.get("/", async (context) => {
  const { env } = context;
  if (!isUpgrade(context.req.raw)) {
    // Whoever starts a cell asks this first: an object that nobody has ever called has no alarm that could start it.
    context.executionCtx.waitUntil(coreGroupObject(env).wake());
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
  try {
    return await lineObject(env, line).fetch(context.req.raw);
  } catch (error) {
    // Its database cannot be opened, for example: the disk is full.
    warnOf(`line ${line} does not take a softphone`, error);
    return context.text(`Cell ${env.CELL} cannot take you now: connect to another one, or later.\n`, 503, {
      "retry-after": String(retryAfterSeconds),
    });
  }
});

for (const path of ["/backhaul/*", "/control", "/pair/*", "/line/*", "/cell/*", "/host/*"]) app.use(path, ofThisVersion);
app.use("/api/*", ofThisVersionIfSaid);

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
    return upgraded(await coreGroupObject(context.env).fetch(signedBy(context.req.raw, context.var.who)));
  },
);

/** From the peer of an exchange, for batches of records (exchange/peer-socket.ts). The path says `pair`, as earlier releases know it. */
const peers = new Hono<OfExchange>();

peers.get(
  "/pair/:exchange{\\d{1,4}}",
  signed((param) => `pair ${param("exchange") ?? ""}`, 0),
  exchangeOfPath,
  fromAnotherCell,
  async (context) => {
    if (!isUpgrade(context.req.raw)) return context.json({ error: "batches in requests go to /cell/pair" }, 426, { upgrade: "websocket" });
    return upgraded(await context.var.exchange.fetch(signedBy(context.req.raw, context.var.who)));
  },
);

/** From a line of another cell, for frames (line/line-object.ts). */
const lines = new Hono<OfExchange>();

lines.get(
  "/line/:exchange{\\d{1,4}}",
  signed((param) => `line ${param("exchange") ?? ""}`, 0),
  exchangeOfPath,
  fromAnotherCell,
  async (context) => {
    const { who, exchange } = context.var;
    if (!isUpgrade(context.req.raw))
      return context.json({ error: "frames in requests go to /cell/exchange" }, 426, { upgrade: "websocket" });
    const access = context.req.query("access") ?? "";
    if (!isLineOf(access, who)) return context.json({ error: `${access} is no line of cell ${who}` }, 403);
    return upgraded(await exchange.fetch(signedBy(context.req.raw, who)));
  },
);

app.route("/", gateways);
app.route("/", peers);
app.route("/", lines);
app.route("/", readyApi);
app.route("/metrics", metricsApi);
app.route("/cell", heartbeatApi);
app.route("/cell/ledger", ledgerApi);
app.route("/cell", cellApi);
app.route("/api/settings", settingsApi);
app.route("/api/cells", cellsApi);
app.route("/api/domains", domainsApi);
app.route("/api/gateways", gatewaysApi);
app.route("/api/group", groupApi);
app.route("/api/calls", callsApi);
app.route("/api/invitations", invitationsApi);
app.route("/api/map", mapApi);
app.route("/api/members", membersApi);
app.route("/api/secret", secretApi);
app.route("/api/hosts", hostsApi);
app.route("/host", hostReportsApi);
app.route("/host", servedApi);
app.route("/host", hostApi);
app.route("/api", api);

/** What is at the door where members have a socket of their own: softphones, and who watches. */
const open: ReadonlySet<string> = new Set(["/", "/health", "/ready", "/metrics"]);

/** The door of the cell. Where members have a socket of their own, phones and browsers find nothing of theirs here. */
const door = new Hono<{ Bindings: Environment }>();

door.use(async (context, next) => {
  if (context.env.MEMBERS_SOCKET !== undefined && !open.has(context.req.path)) return context.notFound();
  return await next();
});
door.route("/", app);

for (const each of [app, door]) {
  each.notFound((context) => context.json({ error: `${context.req.method} ${context.req.path}: there is nothing here` }, 404));
  each.onError(failures());
}

/** The socket of members, where there is one: TLS has checked that whoever asks has a certificate of the authority. */
export const members: ExportedHandler<Environment> = { fetch: (request, env, context) => app.fetch(request, env, context) };

export default door;

function isUpgrade(request: Request): boolean {
  return request.headers.get("upgrade")?.toLowerCase() === "websocket";
}

/** Tells the object who is calling: it does not check signatures again. */
function signedBy(request: Request, who: string): Request {
  const headers = new Headers(request.headers);
  headers.set("tandem-who", who);
  return new Request(request, { headers });
}
