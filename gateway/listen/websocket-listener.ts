import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES, createServer } from "node:http";
import { type Server as SecureServer, createServer as createSecureServer } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { messageOctetsMax, retryAfterSeconds } from "../../sip/limits.ts";
import { BoundServer, renewServer, secureServer, socketOptions } from "./bound-server.ts";
import type { ProxyDoor } from "./proxy-door.ts";
import type { ListenerConfig, TlsConfig } from "../config/config.ts";
import { httpCheckMs, httpRequestMs } from "../limits.ts";

export type WebSocketHandlers = {
  /** Somebody has connected. False: it was closed at once. */
  admit(socket: Socket): boolean;
  /** A softphone is connected; `socket` is the connection below. */
  accepted(webSocket: WebSocket, socket: Socket): void;
  /** True when there is no place for this one. */
  isSurplus(socket: Socket): boolean;
  /** A connection was refused because of that. */
  refused(): void;
  /** A TLS handshake failed, or what came is no HTTP. */
  junk(): void;
  /** Takes PROXY headers off before all that. */
  readonly door: ProxyDoor;
};

const httpOptions = {
  ...socketOptions,
  headersTimeout: httpRequestMs,
  requestTimeout: httpRequestMs,
  connectionsCheckingInterval: httpCheckMs,
} as const;

/** One listening socket for SIP over WebSocket (RFC 7118), WS or WSS, on one cluster address. It answers softphones as a cell does. */
export class WebSocketListener {
  readonly #bound: BoundServer;
  /** Undefined: it is WS. */
  readonly #tls: SecureServer | undefined;
  readonly #gateway: string;
  readonly #handlers: WebSocketHandlers;
  readonly #handshakes = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: messageOctetsMax,
    handleProtocols: () => "sip",
  });

  constructor(config: ListenerConfig, tls: TlsConfig | undefined, gateway: string, handlers: WebSocketHandlers) {
    this.#gateway = gateway;
    this.#handlers = handlers;
    this.#tls = config.transport === "WSS" ? this.#secureServer(tls) : undefined;
    const server: Server = this.#tls ?? createServer(httpOptions);
    this.#bound = new BoundServer(config, server, handlers.door);
    server.on("connection", (socket: Socket) => {
      if (handlers.admit(socket)) this.#bound.watch(socket);
    });
    server.on("request", (request, response) => this.#answer(request, response));
    server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    server.on("clientError", (_error, socket) => {
      // Every further chunk is an error again.
      if (!socket.writable) return;
      handlers.junk();
      refuse(socket, 400, "This port speaks SIP over WebSocket (RFC 7118).\n");
    });
  }

  /** See {@link renewServer}. */
  renew(tls: TlsConfig): void {
    if (this.#tls !== undefined) renewServer(this.#tls, tls);
  }

  /** See {@link BoundServer.start}. */
  start(): Promise<number> {
    return this.#bound.start();
  }

  /** See {@link BoundServer.stop}. */
  stop(): Promise<void> {
    return this.#bound.stop();
  }

  #secureServer(tls: TlsConfig | undefined): SecureServer {
    const server = secureServer("WSS", tls, (secure) => createSecureServer({ ...httpOptions, ...secure }));
    server.on("tlsClientError", () => this.#handlers.junk());
    return server;
  }

  /** RFC 7118 5: the answer names the one subprotocol that is spoken here, and is none to who does not offer it. */
  #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    if (!isForRoot(request)) return refuse(stream, 404, nothingHere(request));
    const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim().toLowerCase());
    if (!offered.includes("sip")) return refuse(stream, 400, "This WebSocket speaks SIP: ask for subprotocol sip (RFC 7118).\n");
    if (this.#handlers.isSurplus(request.socket)) {
      this.#handlers.refused();
      return refuse(stream, 503, `Gateway ${this.#gateway} has no place for another softphone.\n`, `Retry-After: ${retryAfterSeconds}\r\n`);
    }
    const { socket } = request;
    this.#handshakes.handleUpgrade(request, stream, head, (webSocket) => this.#handlers.accepted(webSocket, socket));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const isHere = isForRoot(request);
    const text = isHere
      ? `Tandem, a SIP registrar and proxy. This is gateway ${this.#gateway}; softphones connect here over WebSocket, subprotocol sip.\n`
      : nothingHere(request);
    response.writeHead(isHere ? 200 : 404, { "content-type": "text/plain; charset=utf-8", connection: "close" }).end(text);
  }
}

function isForRoot({ method, url = "" }: IncomingMessage): boolean {
  return (method === "GET" || method === "HEAD") && /^\/(?:\?|$)/.test(url);
}

function nothingHere({ method = "", url = "" }: IncomingMessage): string {
  return `${method} ${url}: there is nothing here\n`;
}

/** Answers a request that is not, or must not become, one of HTTP's own, and ends its connection. */
function refuse(stream: Duplex, status: number, text: string, headers = ""): void {
  stream.on("error", () => {});
  const lines = ["Content-Type: text/plain; charset=utf-8", `Content-Length: ${Buffer.byteLength(text)}`, "Connection: close"];
  stream.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${headers}${lines.join("\r\n")}\r\n\r\n${text}`, () => stream.destroy());
}
