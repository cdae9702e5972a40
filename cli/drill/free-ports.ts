import { randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Server } from "node:net";

/** Below the ports that the system gives to outgoing connections: those could be taken again before they are used. */
const portMin = 10_000;
const portMax = 32_000;

/** The first of `count` consecutive ports of an address that are free for UDP and TCP. They are held together and then given back. */
export async function freePorts(host: string, count: number): Promise<number> {
  for (;;) {
    const first = randomInt(portMin, portMax - count);
    const held: Held[] = [];
    try {
      for (let port = first; port < first + count; port += 1) held.push(await hold(host, port));
      return first;
    } catch {
      // One of them is taken: elsewhere, then.
    } finally {
      for (const { server, socket } of held) {
        server.close();
        socket.close();
      }
    }
  }
}

type Held = { readonly server: Server; readonly socket: Socket };

async function hold(host: string, port: number): Promise<Held> {
  const server = createServer();
  const socket = createSocket("udp4");
  try {
    server.listen({ port, host, exclusive: true });
    await once(server, "listening");
    socket.bind({ port, address: host, exclusive: true });
    await once(socket, "listening");
    return { server, socket };
  } catch (error) {
    server.close();
    socket.close();
    throw error;
  }
}
