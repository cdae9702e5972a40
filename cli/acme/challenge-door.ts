import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { hostInUri } from "../../sip/host-in-uri.ts";
import { DoorComers } from "../door-comers.ts";
import { Failure, codeOf } from "../errors.ts";
import { doorConnectionsMax, doorConnectionsPerSourceMax, doorRequestMs, doorRequestOctetsMax, doorSilentMs } from "./limits.ts";
import { oneRequestEach } from "../one-request-each.ts";

/** What stands at a path of HTTP-01, and what is answered there. */
export type Challenge = { readonly token: string; readonly answer: string };

const folder = "/.well-known/acme-challenge/";

/** Where an authority looks whether names lead here (RFC 8555 8.3). It answers nothing but challenges that are open, and is there only while one is ordered. */
export class ChallengeDoor {
  readonly #hosts: readonly string[];
  readonly #port: number;
  readonly #answers = new Map<string, string>();
  readonly #servers: Server[] = [];
  /** Each is answered once and closed, so those that stay have asked nothing. */
  readonly #comers = new DoorComers({ inAllMax: doorConnectionsMax, perSourceMax: doorConnectionsPerSourceMax });

  /** `hosts`: addresses without brackets. */
  constructor(hosts: readonly string[], port: number) {
    this.#hosts = hosts;
    this.#port = port;
  }

  open(token: string, answer: string): void {
    this.#answers.set(token, answer);
  }

  /** It answers from {@link open} on. */
  ready(): Promise<void> {
    return Promise.resolve();
  }

  close(token: string): void {
    this.#answers.delete(token);
  }

  /** Throws a {@link Failure}; nothing is open then. */
  async start(): Promise<void> {
    try {
      for (const host of this.#hosts) await this.#listen(host);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#servers.splice(0).map(
        (server) =>
          new Promise<void>((closed) => {
            server.close(() => closed());
            server.closeAllConnections();
          }),
      ),
    );
  }

  #listen(host: string): Promise<void> {
    const server = createServer(
      {
        maxHeaderSize: doorRequestOctetsMax,
        headersTimeout: doorRequestMs,
        requestTimeout: doorRequestMs,
        connectionsCheckingInterval: doorRequestMs / 2,
      },
      (request, response) => this.#answer(request, response),
    );
    server.timeout = doorSilentMs;
    server.on("connection", (socket) => this.#comers.admit(socket));
    oneRequestEach(server);
    return new Promise((listening, failed) => {
      server.once("error", (error) => {
        const where = `${hostInUri(host)}:${this.#port}`;
        const code = codeOf(error);
        const reason =
          code === "EADDRINUSE"
            ? "is in use by another process"
            : code === "EACCES"
              ? "may not be opened by this user"
              : `cannot be opened (${code ?? error.message})`;
        failed(new Failure(`${where} ${reason}; challenges are answered there (--acme-port)`));
      });
      server.listen({ host, port: this.#port, exclusive: true }, () => {
        server.removeAllListeners("error");
        server.on("error", () => {});
        this.#servers.push(server);
        listening();
      });
    });
  }

  #answer({ method, url = "" }: IncomingMessage, response: ServerResponse): void {
    const text = method === "GET" && url.startsWith(folder) ? this.#answers.get(url.slice(folder.length)) : undefined;
    const type = text === undefined ? "text/plain; charset=utf-8" : "application/octet-stream";
    response.writeHead(text === undefined ? 404 : 200, { "content-type": type, "cache-control": "no-store", connection: "close" });
    response.end(text ?? "there is nothing here\n");
  }
}
