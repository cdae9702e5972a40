import type { Server, ServerResponse } from "node:http";
import type { Server as TlsServer } from "node:https";

/** Has a door for strangers take one request of a connection, and close whatever is none. */
export function oneRequestEach(server: Server | TlsServer): void {
  server.on("clientError", (_error, socket) => socket.destroy());
  server.maxRequestsPerSocket = 1;
  // Node answers these by itself otherwise, and keeps the connection.
  server.on("checkExpectation", (_request, response: ServerResponse) => {
    response.writeHead(417, { "content-length": 0, connection: "close" });
    response.end();
  });
}
