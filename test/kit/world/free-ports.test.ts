import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { expect, it } from "vitest";
import { freePorts } from "../../../kit/world/free-ports.ts";

it("free ports can be used at once, for UDP and TCP", async () => {
  const first = await freePorts(3);
  for (let port = first; port < first + 3; port += 1) {
    const server = createServer().listen({ port, host: "127.0.0.1", exclusive: true });
    await once(server, "listening");
    const socket = createSocket("udp4").bind({ port, address: "127.0.0.1", exclusive: true });
    await once(socket, "listening");
    expect([server.address(), socket.address()]).toMatchObject([{ port }, { port }]);
    server.close();
    socket.close();
  }
});
