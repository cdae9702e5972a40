import { type Socket, createServer } from "node:net";
import { type Server as TlsServer, createServer as createTlsServer } from "node:tls";
import { BoundServer, renewServer, secureServer, socketOptions } from "./bound-server.ts";
import type { ProxyDoor } from "./proxy-door.ts";
import type { ListenerConfig, TlsConfig } from "../config/config.ts";

export type StreamHandlers = {
  /** Somebody has connected. False: it was closed at once. */
  admit(socket: Socket): boolean;
  /** A connection is made, its TLS handshake included. */
  accepted(socket: Socket): void;
  /** A TLS handshake failed. */
  junk(): void;
  /** Takes PROXY headers off before all that. */
  readonly door: ProxyDoor;
};

/** One TCP or TLS listening socket on one cluster address. */
export class StreamListener {
  readonly #bound: BoundServer;
  /** Undefined: it is TCP. */
  readonly #tls: TlsServer | undefined;

  constructor(config: ListenerConfig, tls: TlsConfig | undefined, handlers: StreamHandlers) {
    const accept = (socket: Socket): void => handlers.accepted(socket);
    if (config.transport !== "TLS") {
      this.#bound = new BoundServer(
        config,
        createServer(socketOptions, (socket) => void (handlers.admit(socket) && accept(socket))),
        handlers.door,
      );
      return;
    }
    const server = secureServer("TLS", tls, (secure) => createTlsServer({ ...socketOptions, ...secure }, accept));
    server.on("tlsClientError", () => handlers.junk());
    this.#tls = server;
    this.#bound = new BoundServer(config, server, handlers.door);
    server.on("connection", (socket: Socket) => {
      if (handlers.admit(socket)) this.#bound.watch(socket);
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
}
