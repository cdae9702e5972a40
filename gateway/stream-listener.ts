import { type Server, type Socket, createServer } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { bindError } from "./bind-error.ts";
import type { ListenerConfig, TlsConfig } from "./config.ts";
import { GatewayError } from "./errors.ts";
import { tcpKeepAliveMs, tlsHandshakeMs } from "./limits.ts";

export type StreamHandlers = {
  /** A connection is made, its TLS handshake included. */
  accepted(socket: Socket): void;
  /** A TLS handshake failed. */
  junk(): void;
};

/** One TCP or TLS listening socket on one cluster address. */
export class StreamListener {
  readonly #config: ListenerConfig;
  readonly #server: Server;
  /** TLS connections whose handshake is not complete: nobody else knows them. */
  readonly #shaking = new Set<Socket>();

  constructor(config: ListenerConfig, tls: TlsConfig | undefined, handlers: StreamHandlers) {
    this.#config = config;
    const options = { noDelay: true, keepAlive: true, keepAliveInitialDelay: tcpKeepAliveMs };
    if (config.transport !== "TLS") {
      this.#server = createServer(options, (socket) => handlers.accepted(socket));
      return;
    }
    this.#server = tlsServer(options, tls, handlers);
    this.#server.on("connection", (socket: Socket) => {
      this.#shaking.add(socket);
      socket.once("close", () => this.#shaking.delete(socket));
    });
  }

  /** Binds; the port that it got. Rejects with a GatewayError. */
  start(): Promise<number> {
    const { host, port } = this.#config;
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error) => reject(bindError(this.#config, error)));
      this.#server.listen({ host, port, ipv6Only: true, exclusive: true, backlog: 1024 }, () => {
        this.#server.removeAllListeners("error");
        // Too many open files, for example: the listener goes on.
        this.#server.on("error", () => {});
        const address = this.#server.address();
        resolve(typeof address === "object" && address !== null ? address.port : port);
      });
    });
  }

  /** Stops listening and drops unfinished handshakes. Connections that were accepted belong to their owner. */
  stop(): Promise<void> {
    for (const socket of this.#shaking) socket.destroy();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}

function tlsServer(options: object, tls: TlsConfig | undefined, handlers: StreamHandlers): Server {
  if (tls === undefined) throw new GatewayError("a TLS listener needs a certificate");
  try {
    const server = createTlsServer(
      // A client's certificate is neither asked for nor needed: phones authenticate by digest.
      { ...options, cert: tls.cert, key: tls.key, minVersion: "TLSv1.2", handshakeTimeout: tlsHandshakeMs },
      (socket) => handlers.accepted(socket),
    );
    server.on("tlsClientError", () => handlers.junk());
    return server;
  } catch (error) {
    throw new GatewayError(`tls: certificate and key cannot be used (${error instanceof Error ? error.message : String(error)})`);
  }
}
