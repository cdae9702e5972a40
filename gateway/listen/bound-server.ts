import type { Server, Socket } from "node:net";
import { createSecureContext, type Server as TlsServer } from "node:tls";
import { bindError } from "./bind-error.ts";
import type { ListenerConfig, TlsConfig } from "../config/config.ts";
import { GatewayError } from "../errors.ts";
import { handshakeMs, tcpKeepAliveMs } from "../limits.ts";
import type { ProxyDoor } from "./proxy-door.ts";
import { tlsVersions, type TlsVersions } from "./tls-versions.ts";

/** What every server makes of the connections that it accepts. */
export const socketOptions = { noDelay: true, keepAlive: true, keepAliveInitialDelay: tcpKeepAliveMs } as const;

/** A listening socket on one cluster address, and the connections that nobody else knows while their handshakes are not complete. */
export class BoundServer {
  readonly #config: ListenerConfig;
  readonly #server: Server;
  readonly #shaking = new Set<Socket>();

  readonly #door: ProxyDoor;

  constructor(config: ListenerConfig, server: Server, door: ProxyDoor) {
    this.#door = door;
    this.#config = config;
    this.#server = server;
  }

  /** Ends this connection with the listener. */
  watch(socket: Socket): void {
    this.#shaking.add(socket);
    socket.once("close", () => this.#shaking.delete(socket));
  }

  /** Binds; the port that it got. Rejects with a GatewayError. */
  start(): Promise<number> {
    const { host, port } = this.#config;
    this.#door.guard(this.#server);
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

/** Makes a server over TLS. Throws a GatewayError when there is no certificate, or none that can be used. */
export function secureServer<Made extends Server>(
  transport: string,
  tls: TlsConfig | undefined,
  make: (options: SecureOptions & { handshakeTimeout: number }) => Made,
): Made {
  if (tls === undefined) throw new GatewayError(`a ${transport} listener needs a certificate`);
  return usable(() => make({ ...secureOptionsOf(tls), handshakeTimeout: handshakeMs }));
}

/** Has a server show another certificate, to whom connects from now on. */
export function renewServer(server: TlsServer, tls: TlsConfig): void {
  server.setSecureContext(secureOptionsOf(tls));
}

/** Throws a GatewayError when certificate and key cannot be used, or do not belong to each other. */
export function checkTls(tls: TlsConfig): void {
  usable(() => createSecureContext({ ...secureOptionsOf(tls), ...(tls.ca === undefined ? {} : { ca: tls.ca }) }));
}

type SecureOptions = { cert: string; key: string } & TlsVersions;

/** A client's certificate is neither asked for nor needed: phones authenticate by digest. */
function secureOptionsOf({ cert, key }: TlsConfig): SecureOptions {
  return { cert, key, ...tlsVersions };
}

function usable<Made>(make: () => Made): Made {
  try {
    return make();
  } catch (error) {
    throw new GatewayError(`tls: certificate and key cannot be used (${error instanceof Error ? error.message : String(error)})`);
  }
}
