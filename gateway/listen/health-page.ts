import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { expositionType } from "../../cluster/metrics/exposition.ts";
import { Crowd } from "../../sip/flow/crowd.ts";
import { sourceOfAddress } from "../../sip/flow/source.ts";
import { healthConnectionsMax, healthConnectionsPerSourceMax, healthRequestMs, healthRequestOctetsMax, healthSilentMs } from "../limits.ts";
import { bindError } from "./bind-error.ts";

/** How a gateway is; `reason` says why it is not ready. */
export type Health = { readonly gateway: string; readonly reason: string | undefined; readonly connections: number };

/** What the page has beside that, for who may read it. */
export type MetricsPage = { readonly mayRead: (address: string) => boolean; readonly text: () => string };

type Asker = { readonly source: string; readonly socket: Socket };

/**
 * A page for load balancers: 200 `ready`, or 503 with the reason. At `/live`, or `/health`: whether the process runs, 200 as soon as it answers. JSON for who accepts only
 * that. A frozen process answers nothing, and one that goes on is ready again. At `/metrics`: what the gateway counts, for Prometheus.
 */
export class HealthPage {
  readonly #server: Server;
  readonly #host: string;
  readonly #port: number;
  /** Connections that are open. Each is answered once and closed, so those that stay have asked nothing. */
  readonly #askers = new Crowd<Asker>();

  constructor({ host, port }: { readonly host: string; readonly port: number }, health: () => Health, metrics: MetricsPage) {
    this.#host = host;
    this.#port = port;
    this.#server = createServer(
      {
        maxHeaderSize: healthRequestOctetsMax,
        headersTimeout: healthRequestMs,
        requestTimeout: healthRequestMs,
        connectionsCheckingInterval: healthRequestMs / 2,
      },
      (request, response) => answer(request, response, health(), metrics),
    );
    // Strangers may reach the port: what they hold is bounded, and short.
    this.#server.timeout = healthSilentMs;
    this.#server.on("connection", (socket) => this.#admit(socket));
    this.#server.on("clientError", (_error, socket) => socket.destroy());
    this.#server.maxRequestsPerSocket = 1;
    // Node answers these by itself otherwise, and keeps the connection.
    this.#server.on("checkExpectation", (_request, response: ServerResponse) => {
      response.writeHead(417, { "content-length": 0, connection: "close" });
      response.end();
    });
  }

  /** Binds. Rejects with a GatewayError. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error) => reject(bindError({ transport: "HTTP", host: this.#host, port: this.#port }, error)));
      this.#server.listen({ host: this.#host, port: this.#port, exclusive: true }, () => {
        this.#server.removeAllListeners("error");
        this.#server.on("error", () => {});
        resolve();
      });
    });
  }

  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  /** Whoever comes is let in: a balancer that is refused takes the gateway out of service. Who floods the page closes his own connections. */
  #admit(socket: Socket): void {
    if (socket.remoteAddress === undefined) {
      socket.destroy();
      return;
    }
    const asker = { source: sourceOfAddress(socket.remoteAddress), socket };
    if (this.#askers.countOf(asker.source) >= healthConnectionsPerSourceMax) this.#close(this.#askers.firstOf(asker.source));
    if (this.#askers.size >= healthConnectionsMax) this.#close(this.#askers.firstOfLargest());
    this.#askers.add(asker);
    socket.once("close", () => this.#askers.remove(asker));
  }

  #close(asker: Asker | undefined): void {
    if (asker === undefined) return;
    this.#askers.remove(asker);
    asker.socket.destroy();
  }
}

function answer(
  { method, url = "", headers, socket }: IncomingMessage,
  response: ServerResponse,
  { gateway, reason, connections }: Health,
  metrics: MetricsPage,
): void {
  const [path = ""] = url.split("?", 1);
  const isRead = method === "GET" || method === "HEAD";
  if (!isRead || ![...readyPaths, ...livePaths, "/metrics"].includes(path)) return say(response, 404, plain, "there is nothing here\n");
  if (path === "/metrics") {
    if (isOfThisMachine(socket) || metrics.mayRead(socket.remoteAddress ?? "")) return say(response, 200, expositionType, metrics.text());
    return say(response, 403, plain, "metrics are not for this address: metricsFrom in the gateway's file, --metrics-from\n");
  }
  const isLive = livePaths.includes(path);
  const status = isLive || reason === undefined ? 200 : 503;
  const state = isLive ? "live" : reason === undefined ? "ready" : "not ready";
  if (headers.accept?.split(",").some((type) => type.trim().startsWith("application/json")) === true) {
    const told = { gateway, state, connections, ...(state === "not ready" ? { reason } : {}) };
    return say(response, status, "application/json", `${JSON.stringify(told)}\n`);
  }
  say(response, status, plain, `${state === "not ready" ? reason : state}\n`);
}

/** Whoever comes from the very address that he asks is here: nobody else gets an answer at that. */
function isOfThisMachine({ remoteAddress, localAddress }: Pick<Socket, "remoteAddress" | "localAddress">): boolean {
  return remoteAddress !== undefined && remoteAddress === localAddress;
}

const readyPaths: readonly string[] = ["/", "/ready"];
const livePaths: readonly string[] = ["/live", "/health"];
const plain = "text/plain; charset=utf-8";

function say(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { "content-type": type, "content-length": text.length, "cache-control": "no-store", connection: "close" });
  response.end(text);
}
